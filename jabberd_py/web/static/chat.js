// Starts Converse.js with the settings that the page carries. With `tickets` it signs in by tickets of the server.
const said = JSON.parse(document.body.dataset.settings);
const url = (path, scheme) => `${scheme}${location.protocol === "https:" ? "s" : ""}://${location.host}${path}`;
const settings = {
  assets_path: said.assets,
  authentication: "login",
  bosh_service_url: url(said.bosh, "http"),
  websocket_url: url(said.websocket, "ws"),
  discover_connection_methods: false,
  default_domain: said.domain,
  allow_registration: false,
  view_mode: "fullscreen",
  muc_nickname_from_jid: true,
  clear_cache_on_logout: true,
  reuse_scram_keys: false,
};
if (said.tickets) {
  settings.auto_login = true;
  settings.credentials_url = said.tickets;
  settings.connection_options = { mechanisms: [converse.env.Strophe.SASLPlain] }; // a ticket is no password: no keys belong to it
}
converse.initialize(settings);
