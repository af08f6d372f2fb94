"""Other people's servers to federate with: tests/peers.py starts them, here is what they are told.

Each has an address of its own on the loopback interface, with the usual ports, and a domain for every mode:

    external    TLS with a certificate of the private CA, SASL EXTERNAL; no dialback at all
    dialback    TLS with a self-signed certificate, dialback

A room service is at conference.DOMAIN, anybody may register in-band.
"""

from pathlib import Path
from typing import ClassVar

from tests import peers
from tests.ca import CA, Certificate
from tests.dns import DNSServer

EXTERNAL, DIALBACK = "external", "dialback"
MODES = (EXTERNAL, DIALBACK)
PORTS = {"c2s": 5222, "s2s": 5269}


def certificate(ca: CA, mode: str, *domains: str) -> Certificate:
    """As this mode wants it. Without xmppAddr: ejabberd 23.01 dies of one (p1_xmpp 1.6.1, get_cert_domains/1)."""
    return ca.server_certificate(*domains, xmpp_addr=(), self_signed=mode == DIALBACK)


class Peer(peers.Program):
    """Starts at once, `under` that command, so that it asks `names`; `insecure`: the domains in mode dialback that it may
    meet. Raises NotInstalled.

    It looks like a `ServerProcess` to `tests.conftest.Place`. All it says is in files of `folder`.
    """

    modes: ClassVar[tuple[str, ...]] = MODES
    rooms: ClassVar[bool] = True
    nodes: ClassVar[bool] = False
    """Is there a pubsub service at pubsub.DOMAIN, which keeper@DOMAIN administers?"""

    def __init__(
        self, folder: Path, address: str, ca: CA, names: DNSServer, under: list[str], insecure: list[str]
    ) -> None:
        super().__init__(folder, under)
        self.find()
        self.ip, self.ca = address, ca
        self.certificates: dict[str, Certificate] = {}
        for mode in self.modes:
            domain = self.domain(mode)
            services = [f"conference.{domain}"] * self.rooms + [f"pubsub.{domain}"] * self.nodes
            self.certificates[mode] = certificate(
                ca, mode, domain, f"conference.{domain}", f"pubsub.{domain}"
            )
            for each in (domain, *services):
                names.publish(each, address)
        self.prepare(insecure)
        self.start()

    @classmethod
    def domain(cls, mode: str) -> str:
        return f"{mode}.{cls.name}.example"

    def address(self, kind: str = "c2s") -> tuple[str, int]:
        """Where it listens for "c2s" or "s2s"."""
        return self.ip, PORTS[kind]

    def prepare(self, insecure: list[str]) -> None:
        """Write the configuration."""
        raise NotImplementedError

    def start(self) -> None:
        self.launch(*map(self.address, PORTS))

    def tail(self, start: int = 0) -> str:
        return self.said()


class Prosody(Peer, peers.Prosody):
    nodes = True

    def prepare(self, insecure: list[str]) -> None:
        hosts = "".join(
            PROSODY_HOST.format(
                domain=self.domain(mode),
                certificate=self.certificates[mode].chain,
                key=self.certificates[mode].key,
                without='"dialback"' if mode == EXTERNAL else "",
            )
            for mode in self.modes
        )
        listed = ", ".join(f'"{domain}"' for domain in insecure)
        self.configure(
            self.ip, PORTS, PROSODY_MODULES, PROSODY.format(ca=self.ca.file, insecure=listed) + hosts
        )


PROSODY_MODULES = (
    *("roster", "saslauth", "tls", "dialback", "disco", "ping", "register_ibr", "vcard", "version", "time"),
    *("offline", "smacks", "private", "s2s_bidi", "pep"),
)

PROSODY = """
allow_registration = true
s2s_require_encryption = true
s2s_secure_auth = true
s2s_insecure_domains = {{ {insecure} }}
ssl = {{ cafile = "{ca}" }}
"""

PROSODY_HOST = """
VirtualHost "{domain}"
    ssl = {{ certificate = "{certificate}", key = "{key}" }}
    modules_disabled = {{ {without} }}
Component "conference.{domain}" "muc"
    ssl = {{ certificate = "{certificate}", key = "{key}" }}
    modules_disabled = {{ {without} }}
    muc_room_default_public = true
Component "pubsub.{domain}" "pubsub"
    ssl = {{ certificate = "{certificate}", key = "{key}" }}
    modules_disabled = {{ {without} }}
    admins = {{ "keeper@{domain}" }}
"""


class Ejabberd(Peer, peers.Ejabberd):
    def prepare(self, insecure: list[str]) -> None:
        hosts = "".join(
            EJABBERD_HOST.format(
                domain=self.domain(mode), dialback="mod_s2s_dialback: {}" if mode == DIALBACK else ""
            )
            for mode in self.modes
        )
        text = EJABBERD.format(
            domains=", ".join(map(self.domain, self.modes)),
            certificates=", ".join(f'"{made.both}"' for made in self.certificates.values()),
            ip=self.ip,
            ca=self.ca.file,
        )
        self.configure(text + hosts)


EJABBERD = """
hosts: [{domains}]
loglevel: debug
certfiles: [{certificates}]
ca_file: "{ca}"
s2s_use_starttls: required
s2s_cafile: "{ca}"
outgoing_s2s_families: [ipv4]
listen:
  - port: 5222
    ip: "{ip}"
    module: ejabberd_c2s
    starttls: true
  - port: 5269
    ip: "{ip}"
    module: ejabberd_s2s_in
auth_method: internal
registration_timeout: infinity
shaper_rules: {{}}
host_config:
"""

EJABBERD_HOST = """
  {domain}:
    modules:
      mod_adhoc: {{}}
      mod_caps: {{}}
      mod_disco: {{}}
      mod_last: {{}}
      mod_muc: {{host: "conference.@HOST@"}}
      mod_offline: {{}}
      mod_ping: {{}}
      mod_pubsub: {{plugins: [flat, pep]}}
      mod_register: {{access: all, ip_access: all}}
      mod_roster: {{}}
      mod_stream_mgmt: {{}}
      mod_time: {{}}
      mod_vcard: {{}}
      mod_version: {{}}
      {dialback}
"""


class Jabberd2(Peer, peers.Jabberd2):
    """It knows no SASL between servers, and there is no room service in its package."""

    modes = (DIALBACK,)
    rooms = False

    def prepare(self, insecure: list[str]) -> None:
        (self.folder / "spool").mkdir()
        self.configure(
            self.domain(DIALBACK),
            self.ip,
            {**PORTS, "router": 5347},
            pem=self.certificates[DIALBACK].both,
            store=f"db <db><path>{self.folder}/spool</path></db>",
            mechanism="plain",
            register=True,
        )


PEERS: dict[str, type[Peer]] = {kind.name: kind for kind in (Prosody, Ejabberd, Jabberd2)}
