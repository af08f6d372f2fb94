"""Certificates by ACME, against Debian's pebble and against an authority that misbehaves. One of each for all tests."""

import datetime
import json
import re
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from jabberd_py.modules.mod_acme import renewal, within
from jabberd_py.net.acme import ACMEError, Authority
from jabberd_py.net.tls import make_self_signed
from tests.ca import CA
from tests.client import Client
from tests.pebble import Pebble, certificate, names
from tests.peers import free_port
from tests.server import ServerProcess

pytestmark = pytest.mark.timeout(180)
DOMAIN, ROOMS, OTHER = "acme.example", "conference.acme.example", "other.example"


@pytest.fixture(scope="module")
def gate() -> int:
    return free_port()


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory, gate: int) -> Iterator[Pebble]:
    if shutil.which("pebble") is None:
        pytest.skip("pebble is not installed")
    pebble = Pebble(tmp_path_factory.mktemp("pebble"), gate)
    for name in (DOMAIN, ROOMS, OTHER):
        pebble.names.put({name: {"A": "127.0.0.1"}})
    yield pebble
    pebble.stop()
    pebble.names.stop()


class Moody:
    """An authority that answers everything but `says` with 429. ``asked``: paths."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.date = formatdate(usegmt=True)
        self.says: dict[str, bytes] = {}
        self.info = b""
        """What it answers at other paths, and about the renewal of any certificate (RFC 9773)."""
        make_self_signed(["moody.example", "localhost"], folder / "moody.pem", folder / "moody.key")
        self.certificate = folder / "moody.pem"
        moody = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                moody.asked.append(self.path)
                if self.path in moody.says or self.path.startswith("/info/"):
                    self.answer(moody.says.get(self.path, moody.info))
                    return
                body = json.dumps(
                    {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many orders"}
                ).encode()
                self.send_response_only(429)
                for name, value in {"Content-Type": "application/problem+json", "Retry-After": "7200", "Date": moody.date,
                                    "Content-Length": str(len(body))}.items():  # fmt: skip
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def answer(self, body: bytes) -> None:
                self.send_response_only(200)
                for name, value in {"Content-Type": "application/json", "Retry-After": "7200",
                                    "Content-Length": str(len(body))}.items():  # fmt: skip
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "moody.pem", folder / "moody.key")
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def directory(self) -> str:
        return f"https://localhost:{self.server.server_address[1]}/dir"


@pytest.fixture(scope="module")
def moody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moody]:
    moody = Moody(tmp_path_factory.mktemp("moody"))
    yield moody
    moody.server.shutdown()
    moody.server.server_close()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, gate: int, pebble: Pebble, moody: Moody
) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("acme")
    both = folder / "both.pem"
    both.write_bytes(pebble.certificate.read_bytes() + moody.certificate.read_bytes())
    server = ServerProcess(
        {
            "hosts": {DOMAIN: {"admins": [f"romeo@{DOMAIN}"], "modules": {"register": {"enabled": True, "per_address": 0}}},
                      OTHER: {"admins": [f"romeo@{DOMAIN}"]}},
            "modules": {"acme": {"ca": str(both), "email": "romeo@acme.example"}},
            "http": {"challenge_port": gate},
        },
        folder,
    )  # fmt: skip
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def romeo(server: ServerProcess) -> Iterator[Client]:
    server.ask("accounts add", jid=f"romeo@{DOMAIN}", password="secret")
    romeo = connect(server).login("romeo", "secret").available()
    yield romeo
    romeo.close()


def connect(server: ServerProcess, domain: str = DOMAIN) -> Client:
    return Client(server.address("c2s"), domain).connect()


def state(server: ServerProcess, domain: str = DOMAIN) -> dict[str, Any]:
    return dict(json.loads((server.data / "acme" / f"{domain}.json").read_text()))


def test_a_certificate_comes_by_itself_and_no_stream_ends(
    server: ServerProcess, pebble: Pebble, romeo: Client
) -> None:
    key = (server.data / "certificates" / f"{DOMAIN}.key").read_bytes()
    assert certificate(server, DOMAIN).issuer == certificate(server, DOMAIN).subject
    server.ask("config set", option=f"hosts.{DOMAIN}.modules.acme.directory", value=pebble.directory)
    while "Pebble" not in str(certificate(server, DOMAIN).issuer):
        row = next(each for each in server.ask("certificates show") if each["domain"] == DOMAIN)
        assert "cannot" not in row["trouble"] and "authority" not in row["trouble"], row
        threading.Event().wait(0.2)
    assert names(certificate(server, DOMAIN)) == {DOMAIN, ROOMS}
    assert names(certificate(server, ROOMS)) == {DOMAIN, ROOMS}
    romeo.sync()
    assert (server.data / "certificates" / f"{DOMAIN}.key").read_bytes() == key  # TLSA records stay right
    assert f"pubsub.{DOMAIN}" in state(server)["left_out"]
    rows = {row["domain"]: row for row in server.ask("certificates show")}
    assert rows[DOMAIN]["authority"] == pebble.directory and f"pubsub.{DOMAIN}: " in rows[DOMAIN]["trouble"]
    assert rows[OTHER]["authority"] == ""
    assert certificate(server, OTHER).issuer == certificate(server, OTHER).subject
    for each in (server.data / "acme").iterdir():
        assert each.stat().st_mode & 0o777 == 0o600


def test_it_is_renewed_while_streams_stay(server: ServerProcess, romeo: Client) -> None:
    before = certificate(server, DOMAIN).serial_number
    server.ask("certificates renew", host=DOMAIN)
    assert certificate(server, DOMAIN).serial_number != before
    romeo.sync()
    assert "other.example has no authority yet" in server.ask("certificates renew", error=True, host=OTHER)


def test_a_lost_account_is_made_anew(server: ServerProcess, pebble: Pebble) -> None:
    account = next((server.data / "acme").glob("account-*.json"))
    for content in (None, "{", json.dumps({"directory": pebble.directory, "key": {}, "uri": "x"})):
        before = certificate(server, DOMAIN).serial_number
        account.unlink() if content is None else account.write_text(content)
        server.ask("certificates renew", host=DOMAIN)
        assert certificate(server, DOMAIN).serial_number != before
    pebble.stop()
    pebble.start()  # it has forgotten everybody
    server.ask("certificates renew", host=DOMAIN)


def ask_gate(gate: int, path: str, host: str = DOMAIN) -> str:
    with socket.create_connection(("127.0.0.1", gate)) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return sock.makefile().read()


def test_the_gate_answers_nothing_else(server: ServerProcess, gate: int) -> None:
    for path in ("", "unknown", "../../health", "%2e%2e/x", "a/b", "\u00e9", "x" * 5000):
        assert ask_gate(gate, f"/.well-known/acme-challenge/{path}").startswith("HTTP/1.1 40"), path
    assert "\nLocation: https://acme.example:" in ask_gate(gate, "/console?x").replace("\r", "")
    for path, said in (
        ("/a%0d%0aX-Evil:1?b=c%20d", "/a%0D%0AX-Evil:1?b=c%20d"), ("/a%20b/%C3%A9", "/a%20b/%C3%A9"), ("//x?y", "//x?y"),
    ):  # fmt: skip
        where = re.search(r"^Location: https://acme\.example:\d+(.*)$", ask_gate(gate, path), re.M)
        assert where is not None and where[1] == said
    assert "Location" not in ask_gate(gate, "*")
    for host in ("evil.example", "acme.example.evil.example", ""):
        answer = ask_gate(gate, "/console", host)
        assert answer.startswith("HTTP/1.1 40") and "Location" not in answer
    assert "Location" not in ask_gate(gate, "//evil.example/", "evil.example")


def test_who_cannot_be_reached_is_told_why_and_keeps_the_old_certificate(
    server: ServerProcess, pebble: Pebble, romeo: Client
) -> None:
    before = certificate(server, DOMAIN)
    pebble.names.put({DOMAIN: {"A": "127.0.0.9"}})
    said = server.ask("certificates renew", error=True, host=DOMAIN)
    pebble.names.put({DOMAIN: {"A": "127.0.0.1"}})
    assert f"the authority cannot reach us: {DOMAIN}: " in said
    assert certificate(server, DOMAIN) == before
    assert state(server)["failures"] == 1
    message = romeo.gets(f"<message from='{DOMAIN}'/>")
    assert f"There is no new certificate for {DOMAIN}: the authority cannot reach us" in str(
        message.findtext("{*}body")
    )
    rows = [row for row in server.ask("check certificates") if row["domain"] == DOMAIN]
    assert any("cannot be renewed: the authority cannot reach us" in each for each in rows[0]["trouble"])
    server.ask("certificates renew", host=DOMAIN)
    assert f"The certificate of {DOMAIN} is renewed now." in str(
        romeo.gets(f"<message from='{DOMAIN}'/>").findtext("{*}body")
    )
    assert "cannot be renewed" not in str(server.ask("check certificates"))


def orders(pebble: Pebble) -> int:
    """How often somebody has ordered a certificate."""
    return (pebble.folder / "pebble.log").read_text().count("POST /order-plz")


def test_staging_is_asked_first_and_spares_the_authority(
    server: ServerProcess, pebble: Pebble, moody: Moody
) -> None:
    """Moody says 429 with Retry-After."""
    server.ask("config set", option=f"hosts.{OTHER}.modules.acme.staging", value=moody.directory)
    (server.data / "acme").chmod(0o700)
    before = orders(pebble)
    server.ask("config set", option=f"hosts.{OTHER}.modules.acme.directory", value=pebble.directory)
    while not (server.data / "acme" / f"{OTHER}.json").exists():
        threading.Event().wait(0.1)
    found = state(server, OTHER)
    assert found["trouble"].startswith("the authority says: too many orders") and moody.asked == ["/dir"]
    assert found["next"] - (server.data / "acme" / f"{OTHER}.json").stat().st_mtime > 7000
    assert orders(pebble) == before
    server.ask("config undo")
    server.ask("config undo")


def test_a_wrong_clock_is_told(server: ServerProcess, moody: Moody) -> None:
    server.ask("config set", option=f"hosts.{DOMAIN}.modules.acme.staging", value=moody.directory)
    kept = server.data / "acme" / f"{DOMAIN}.json"
    kept.write_text(json.dumps(state(server) | {"proven": None, "next": 9e12, "failures": 1}))
    moody.date = formatdate(1_000_000_000, usegmt=True)
    assert "our clock differs from the authority's by " in server.ask(
        "certificates renew", error=True, host=DOMAIN
    )
    server.ask("config undo")


def test_a_directory_that_is_down(server: ServerProcess, pebble: Pebble) -> None:
    pebble.stop()
    said = server.ask("certificates renew", error=True, host=DOMAIN)
    assert said.startswith(f"{pebble.directory} cannot be reached: ") and "refused" in said
    assert state(server)["failures"] >= 1
    pebble.start()


def test_a_host_gets_one_by_one_command(server: ServerProcess, pebble: Pebble) -> None:
    before = server.file.read_text()
    for name, said in (
        ("localhost", "is not served here"),
        ("a b", "not a domain"),
        (OTHER, "no name of the internet"),
    ):
        assert said in server.ask("certificates order", error=True, name=name), name
    assert server.file.read_text() == before
    answer = server.ask(
        "certificates order", name=OTHER, email="me@other.example", directory=pebble.directory
    )
    assert answer["changed"] and "being ordered" in answer["next"]
    while "Pebble" not in str(certificate(server, OTHER).issuer):
        row = next(each for each in server.ask("certificates show") if each["domain"] == OTHER)
        if row["last_order"] == "failed" and "too many orders" not in row["trouble"]:
            server.ask(
                "certificates renew", error=None, host=OTHER
            )  # pebble waits for our name server for two seconds only
        threading.Event().wait(0.2)
    server.ask("config undo")
    assert server.file.read_text() == before


def test_nothing_is_ordered_that_could_not_be_kept(server: ServerProcess, pebble: Pebble) -> None:
    """An authority gives few certificates a week."""
    notes = server.data / f"acme/{DOMAIN}.json"
    kept, before = notes.read_bytes(), orders(pebble)
    notes.unlink()
    notes.mkdir()
    assert "cannot be replaced" in server.ask("certificates renew", error=True, host=DOMAIN)
    assert orders(pebble) == before
    notes.rmdir()
    notes.write_bytes(kept)


def test_renewal_is_due_with_a_third_of_the_life_left() -> None:
    folder_names = [f"{n}.example" for n in range(50)]

    class Cert:
        not_valid_before_utc = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        not_valid_after_utc = not_valid_before_utc + datetime.timedelta(days=90)

    due = [(renewal(Cert, name) - Cert.not_valid_before_utc.timestamp()) / 86400 for name in folder_names]  # type: ignore[arg-type]
    assert 55 <= min(due) < max(due) <= 60 and len(set(due)) > 25


def issued(folder: Path) -> Path:
    """A certificate with what an authority's has: an authority key identifier."""
    CA(folder).server_certificate("ari.example")
    return folder / "ari.example.pem"


def test_an_authority_tells_when_to_renew(moody: Moody, tmp_path: Path) -> None:
    """RFC 9773: within its window; whatever else it answers is an error, which changes nothing."""
    chain = issued(tmp_path).read_bytes()
    authority = Authority(
        moody.directory.replace("/dir", "/told"),
        tmp_path / "account.json",
        None,
        str(moody.certificate),
        print,
    )
    with pytest.raises(ACMEError):
        authority.renewal(chain)  # 429
    moody.says["/told"] = b"{}"
    assert authority.renewal(chain)[0] is None
    moody.says["/told"] = json.dumps({"renewalInfo": moody.directory.replace("/dir", "/info")}).encode()
    start, end = "2031-01-02T04:00:00Z", "2031-01-03T04:00:00Z"
    moody.info = json.dumps({"suggestedWindow": {"start": start, "end": end}}).encode()
    when, again = authority.renewal(chain)
    assert when is not None and datetime.datetime.fromisoformat(start).timestamp() <= when
    assert when <= datetime.datetime.fromisoformat(end).timestamp()
    assert 7000 < again - time.time() < 7300
    for strange in (
        b"",
        b"[]",
        b"{}",
        b'{"suggestedWindow": {"start": "x", "end": 3}}',
        b'{"suggestedWindow": null}',
    ):
        moody.info = strange
        with pytest.raises(ACMEError, match="no renewal information"):
            authority.renewal(chain)


def test_a_told_time_is_neither_too_late_nor_too_early(tmp_path: Path) -> None:
    cert = x509.load_pem_x509_certificate(issued(tmp_path).read_bytes())
    begin, end = cert.not_valid_before_utc.timestamp(), cert.not_valid_after_utc.timestamp()
    middle = (begin + end) / 2
    assert within(cert, middle) == middle
    assert begin < within(cert, 0) < middle < within(cert, end + 1e9) < end
