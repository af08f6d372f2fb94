"""The test client against somebody else's server: it must be right before ours can be wrong."""

import ssl
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest

from tests import peers
from tests.ca import CA
from tests.client import AuthFailed, Client, subscribe_both
from tests.peers import NotInstalled, free_port
from tests.scram import Scram, server_end_point

MODULES = ["roster", "saslauth", "tls", "disco", "ping", "register", "private", "vcard", "limits"]
SETTINGS = """
allow_registration = true
ssl = {{ certificate = "{certificate}", key = "{key}" }}
c2s_direct_tls_ssl = {{ certificate = "{certificate}", key = "{key}" }}
VirtualHost "localhost"
VirtualHost "sha256.localhost"
    password_hash = "SHA-256"
VirtualHost "guest.localhost"
    authentication = "anonymous"
"""


class Prosody(peers.Prosody):
    """In-band registration; localhost, sha256.localhost (its hash), guest.localhost (anonymous)."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ports = {kind: free_port() for kind in ("c2s", "c2s_direct", "s2s")}
        self.certificate = CA(folder).certificate("localhost", self_signed=True)
        settings = SETTINGS.format(certificate=self.certificate.chain, key=self.certificate.key)
        self.configure("127.0.0.1", self.ports, MODULES, settings)
        self.launch(*map(self.address, self.ports))

    def address(self, kind: str) -> tuple[str, int]:
        """For "c2s", "c2s_direct" or "s2s"."""
        return "127.0.0.1", self.ports[kind]


@pytest.fixture(scope="module")
def prosody(tmp_path_factory):
    try:
        peer = Prosody(tmp_path_factory.mktemp("prosody"))
    except NotInstalled as error:
        pytest.skip(str(error))
    yield peer
    peer.stop()


@pytest.fixture
def client(prosody):
    opened = []

    def open_client(tls="starttls", domain="localhost", **options):
        kind = "c2s_direct" if tls == "direct" else "c2s"
        opened.append(Client(prosody.address(kind), domain, tls, **options))
        return opened[-1].connect()

    yield open_client
    for one in opened:
        one.close()


@pytest.fixture
def people(client):
    """Two fresh, available users."""
    names = [f"p{next(Client.numbers)}" for _ in range(2)]
    return [client().register(name, "secret").login(name, "secret", "home").available() for name in names]


@pytest.mark.parametrize("tls", ["starttls", "direct"])
def test_register_login_and_presence(client, tls):
    one = client(tls).register(f"one-{tls}", "secret")
    one.login(f"one-{tls}", "secret", "balcony").session().available(5, "away")
    assert (one.jid, one.resource) == (f"one-{tls}@localhost/balcony", "balcony")
    assert one.bare == f"one-{tls}@localhost"
    assert one.socket.version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("mechanism", "options"),
    [
        ("SCRAM-SHA-1", {}),
        ("SCRAM-SHA-256", {}),
        ("PLAIN", {}),
        ("SCRAM-SHA-1-PLUS", {"maximum": ssl.TLSVersion.TLSv1_2}),
        ("SCRAM-SHA-256-PLUS", {"maximum": ssl.TLSVersion.TLSv1_2}),
    ],
)
def test_mechanisms(client, mechanism, options):
    name = f"user-{mechanism}".lower()
    options = {"domain": "sha256.localhost" if "256" in mechanism else "localhost", **options}
    client(domain=options["domain"]).register(name, "se=cr,et").close()
    offered = client(**options)
    assert mechanism in [e.text for e in offered.features.iter() if e.tag.endswith("}mechanism")]
    assert offered.login(name, "se=cr,et", mechanism=mechanism).user == name
    with pytest.raises(AuthFailed, match="not-authorized"):
        client(**options).auth(name, "wrong", mechanism)


def test_the_best_mechanism_is_chosen(client, monkeypatch):
    client().register("best", "secret").close()
    real, chosen = Client.sasl, []
    monkeypatch.setattr(Client, "sasl", lambda self, *said: chosen.append(said) or real(self, *said))
    client(maximum=ssl.TLSVersion.TLSv1_2).auth("best", "secret")
    assert chosen[0][2] == " mechanism='SCRAM-SHA-1-PLUS'"
    assert chosen[0][1].startswith(b"p=tls-unique,,n=best,r=")


def test_anonymous(client):
    assert client(domain="guest.localhost").login().bare.endswith("@guest.localhost")


def test_the_certificate_is_verified_on_request(client, prosody, tmp_path):
    client(cafile=str(prosody.certificate.chain))
    other = CA(tmp_path).certificate("localhost", self_signed=True)
    with pytest.raises(ssl.SSLCertVerificationError):
        client(cafile=str(other.chain))


def test_contacts_and_messages(people):
    romeo, juliet = people
    subscribe_both(romeo, juliet)
    item = romeo.iq("get", "<query xmlns='jabber:iq:roster'/>").find(".//{jabber:iq:roster}item")
    assert (item.get("jid"), item.get("subscription")) == (juliet.bare, "both")
    romeo.send(f"<message to='{juliet.jid}'><body>hi</body></message>")
    assert juliet.gets("<message><body>...</body></message>").get("from") == romeo.jid
    juliet.nothing()


def test_nothing_waits_for_what_others_sent(people):
    romeo, juliet = people
    romeo.send(f"<message to='{juliet.jid}'><body>hi</body></message>")
    with pytest.raises(AssertionError, match="should not have got:\n.*<body>hi</body>"):
        juliet.nothing()
    juliet.nothing("<message><body>ho</body></message>")
    juliet.nothing("<presence/>")


def test_what_did_not_come_is_explained(people):
    people[0].send(f"<message to='{people[0].jid}'><body>hi</body></message>")
    people[0].sync()
    with pytest.raises(AssertionError, match="(?s)time is over; in the inbox:.*text is 'hi', should be 'ho'"):
        people[0].gets("<message><body>ho</body></message>", timeout=0.01)


def test_a_cut_cable_is_seen_by_contacts(people):
    subscribe_both(*people)
    people[0].abort()
    people[1].gets(f"<presence from='{people[0].jid}' type='unavailable'/>")


def test_a_stream_error(client):
    one = client()
    one.send("<message>")
    one.send("</presence>")
    assert one.stream_error() == "not-well-formed"
    assert one.closed() is True


def test_a_clean_goodbye(people):
    people[0].close()
    assert people[0].ended and people[0].lost


def test_scram_by_the_example_of_rfc_5802():
    scram = Scram("SCRAM-SHA-1", "user", "pencil")
    scram.nonce = "fyko+d2lbbFgONRv9qkxdawL"
    scram.bare = f"n=user,r={scram.nonce}"
    assert scram.first() == b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"
    nonce = "fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"
    assert scram.final(f"r={nonce},s=QSXCR+Q6sek8bf92,i=4096".encode()) == (
        f"c=biws,r={nonce},p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=".encode()
    )
    scram.verify(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")
    with pytest.raises(AssertionError):
        scram.verify(b"v=" + b64encode(bytes(20)))


def test_the_end_point_of_a_certificate(tmp_path):
    pem = CA(tmp_path).certificate("localhost", self_signed=True).chain
    command = ["openssl", "x509", "-in", pem, "-noout", "-fingerprint", "-sha256"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    fingerprint = said.partition("=")[2].strip()
    der = ssl.PEM_cert_to_DER_cert(pem.read_text())
    assert server_end_point(der).hex(":").upper() == fingerprint
