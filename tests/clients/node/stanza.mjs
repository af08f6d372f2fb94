// stanza, unmodified, over WebSocket or BOSH, in the protocol of conftest.py; see test_web.py for what it is told.
// The server's certificate: NODE_EXTRA_CA_CERTS in the environment.

import { webcrypto } from "node:crypto";
import { createRequire } from "node:module";
import readline from "node:readline";

globalThis.crypto ??= webcrypto;
const { createClient } = createRequire(import.meta.url)("stanza");

const say = (...words) => console.log(JSON.stringify(words));
const bare = (jid) => jid.split("/")[0];
const nick = (jid) => jid.split("/")[1];
const setting = JSON.parse(process.argv[2]);
const bosh = setting.service.startsWith("http");
const xmpp = createClient({
    jid: setting.jid, password: setting.password, autoReconnect: !bosh,
    transports: { websocket: bosh ? false : setting.service, bosh: bosh ? setting.service : false },
});
let entered;

xmpp.on("session:started", () => {
    xmpp.sendPresence();
    say("online", xmpp.jid);
});
xmpp.on("stream:management:resumed", () => say("resumed"));
xmpp.on("auth:failed", () => say("failed", "the password"));
xmpp.on("chat", (message) => say("chat", bare(message.from), message.body));
xmpp.on("groupchat", (message) => message.body && say("said", nick(message.from), message.body));
xmpp.on("muc:topic", () => entered?.());
xmpp.connect();

const actions = {
    chat: (to, body) => xmpp.sendMessage({ to, type: "chat", body }),
    say: (to, body) => xmpp.sendMessage({ to, type: "groupchat", body }),
    roster: async () => say("roster", ...(await xmpp.getRoster()).items.map((item) => item.jid)),
    join: async (room, as) => {
        const subject = new Promise((resolve) => { entered = resolve; });
        await xmpp.joinRoom(room, as);
        await subject;
    },
    pages: async (size) => {
        const page = await xmpp.searchHistory({ paging: { max: Number(size) } });
        say("page", ...page.results.map((each) => each.item.message.body));
    },
    quit: () => {
        xmpp.on("stream:end", () => process.exit(0));  // over BOSH it may never say "disconnected", if it had more to send
        xmpp.disconnect();
    },
};
for await (const line of readline.createInterface({ input: process.stdin })) {
    const [action, ...words] = JSON.parse(line);
    await actions[action](...words);
    say("did", action);
}
