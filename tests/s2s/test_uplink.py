"""Two of our servers, with a name server and a certification authority of their own."""

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.ca import CA
from tests.client import Client
from tests.dns import DNSServer
from tests.server import ServerProcess

HERE, THERE = "verona.example", "mantua.example"
SM = "urn:xmpp:sm:3"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


class World(NamedTuple):
    """`world.server(domain, **s2s)` starts one; `world.stop(domain)`; `world.start(domain)` again, or `kill9`."""

    names: DNSServer
    ca: CA
    folder: Any
    start_server: Any
    servers: dict[str, ServerProcess]

    def server(self, domain: str, certificate: Any = None, **s2s: Any) -> ServerProcess:
        config = {
            "hosts": {domain: {}},
            "c2s": {"require_tls": False},
            "modules": {"mam": False, "register": {"enabled": True, "per_address": 0}},
            "s2s": {"ca": str(self.ca.file), **s2s},
            "dns": {"nameservers": [self.names.address], "hosts": None, "cache": 100},
        }
        if certificate is not None:
            place = self.folder / domain / "certificates"
            place.mkdir(parents=True, mode=0o700)
            shutil.copy(certificate.chain, place / f"{domain}.pem")
            shutil.copy(certificate.key, place / f"{domain}.key")
        self.servers[domain] = self.start_server(config, domain)
        self.servers[domain].ctl("accounts", "add", f"me@{domain}", "--password", "secret")
        self.publish(domain)
        return self.servers[domain]

    def publish(self, domain: str) -> None:
        if "s2s" not in self.servers[domain].listeners:
            return
        address, port = self.servers[domain].address("s2s")
        self.names.publish(domain, address, port)

    def again(self, domain: str) -> None:
        self.servers[domain].start()
        self.publish(domain)

    def client(self, domain: str) -> Client:
        client = Client(self.servers[domain].address(), domain, "none").connect().auth("me", "secret")
        client.bind("desk")
        return client


@pytest.fixture
def world(tmp_path: Any, start_server: Any) -> Iterator[World]:
    with DNSServer(ttl=0) as names:
        yield World(names, CA(tmp_path / "ca"), tmp_path, start_server, {})


def managed(client: Client) -> Client:
    client.send(f"<enable xmlns='{SM}'/>")
    client.gets(f"<enabled xmlns='{SM}'/>")
    return client


def acknowledged(client: Client, h: int) -> None:
    client.send(f"<r xmlns='{SM}'/>")
    client.gets(f"<a xmlns='{SM}' h='{h}'/>")


def say(client: Client, to: str, *bodies: str) -> None:
    client.send(
        "".join(f"<message to='{to}' type='chat' id='{b}'><body>{b}</body></message>" for b in bodies)
    )


def bodies(client: Client, count: int, seconds: float = 10) -> list[str]:
    """Of as many messages, in the order they came."""
    found = []
    for _ in range(count):
        element = client.take(lambda e: e.tag == "{jabber:client}message", "<message/>", seconds)
        assert element.get("type") != "error", "an error came back"
        found.append(element.findtext("{jabber:client}body"))
    return found


def streams(server: ServerProcess) -> list[dict[str, Any]]:
    return json.loads(server.ctl("--json", "s2s"))


def test_certificates_and_sasl_external(world: World) -> None:
    for domain in (HERE, THERE):
        world.server(domain, world.ca.server_certificate(domain), certificates="required")
    here, there = world.client(HERE), world.client(THERE).available()
    say(here, f"me@{THERE}", "Où est Roméo?")
    assert bodies(there, 1) == ["Où est Roméo?"]
    (stream,) = streams(world.servers[HERE])
    assert (stream["proof"], stream["certificate"], stream["bidi"], stream["acks"]) == (
        "certificate",
        "valid",
        True,
        True,
    )
    say(there, f"me@{HERE}/desk", "back")  # on the same stream: XEP-0288
    assert bodies(here, 1) == ["back"]
    assert len(streams(world.servers[HERE])) == len(streams(world.servers[THERE])) == 1


def test_direct_tls(world: World) -> None:
    """XEP-0368: TLS from the first byte, by the other SRV record; the hello names the domain."""
    world.server(THERE, world.ca.server_certificate(THERE), direct_port=0, port=None)
    address, port = world.servers[THERE].address("s2s_direct")
    world.names.put({THERE: {"SRV _xmpps-server._tcp": f"0 0 {port} {THERE}.", "A": address}})
    world.server(HERE, world.ca.server_certificate(HERE), certificates="required")
    here, there = world.client(HERE), world.client(THERE).available()
    say(here, f"me@{THERE}", "straight")
    assert bodies(there, 1) == ["straight"]
    (stream,) = streams(world.servers[HERE])
    assert stream["proof"] == "certificate"


@pytest.mark.parametrize("bad", ["self_signed", "expired", "other"])
def test_a_bad_certificate_where_a_good_one_is_required(world: World, bad: str) -> None:
    world.server(HERE, world.ca.server_certificate(HERE), certificates="required")
    certificate = (
        world.ca.server_certificate("evil.example")
        if bad == "other"
        else world.ca.server_certificate(THERE, **{bad: True})
    )
    world.server(THERE, certificate)
    here = world.client(HERE)
    say(here, f"me@{THERE}", "hello")
    error = here.gets(
        f"<message type='error' from='me@{THERE}'><error type='cancel'><remote-server-not-found xmlns='{STANZAS}'/>"
        f"<text xmlns='{STANZAS}'>...</text></error></message>"
    )
    text = error.find(f".//{{{STANZAS}}}text").text
    assert re.search(
        {"self_signed": "self.signed", "expired": "expired", "other": f"not for {THERE}"}[bad], text
    ), text
    there = world.client(THERE)
    say(there, f"me@{HERE}", "hello")  # and it cannot get in
    there.gets(f"<message type='error' from='me@{HERE}'><error/></message>")


@pytest.mark.parametrize("mode", ["bidi", "two streams"])
def test_dialback_where_certificates_prove_nothing(world: World, mode: str) -> None:
    for domain in (HERE, THERE):
        world.server(domain, bidi=mode == "bidi")
    here, there = world.client(HERE).available(), world.client(THERE).available()
    say(here, f"me@{THERE}", "there")
    assert bodies(there, 1) == ["there"]
    say(there, f"me@{HERE}", "and back")
    assert bodies(here, 1) == ["and back"]
    rows = streams(world.servers[HERE])
    assert {row["proof"] for row in rows if row["sent"] + row["received"]} == {"dialback"}


def test_nobody_is_there(world: World) -> None:
    world.server(HERE)
    world.names.put({"dead.example": {"SRV _xmpp-server._tcp": "0 0 9 dead.example.", "A": "127.0.0.1"}})
    here = world.client(HERE)
    for domain, condition, kind in (
        ("no.example", "remote-server-not-found", "cancel"),
        ("dead.example", "remote-server-timeout", "wait"),
    ):
        here.send(f"<iq type='get' id='{domain}' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>")
        here.gets(
            f"<iq type='error' id='{domain}' from='{domain}'><error type='{kind}'><{condition} xmlns='{STANZAS}'/>"
            f"<text xmlns='{STANZAS}'>...</text></error></iq>"
        )
    waiting = {row["remote"]: row["trouble"] for row in streams(world.servers[HERE])}
    assert "refused" in waiting["dead.example"]
    steps = json.loads(world.servers[HERE].ctl("--json", "check", "federation", "dead.example", code=1))
    assert [row["step"] for row in steps][:2] == ["DNS", "connect"]


def test_whom_the_configuration_denies(world: World) -> None:
    world.server(HERE, deny=["*.example"])
    here = world.client(HERE)
    say(here, f"me@{THERE}", "hello")
    here.gets(
        f"<message type='error'><error type='cancel'><not-allowed xmlns='{STANZAS}'/></error></message>"
    )


def test_messages_wait_for_a_server_that_starts_later(world: World) -> None:
    world.server(THERE)
    world.server(HERE)
    world.servers[THERE].stop()
    here = managed(world.client(HERE))
    say(here, f"me@{THERE}", *map(str, range(20)))
    acknowledged(here, 20)
    world.again(THERE)
    there = world.client(THERE).available()
    assert bodies(there, 20) == [str(n) for n in range(20)]


def test_what_was_acknowledged_survives_kill_9(world: World) -> None:
    world.server(THERE)
    world.server(HERE)
    world.servers[THERE].stop()
    here = managed(world.client(HERE))
    say(here, f"me@{THERE}", *map(str, range(20)))
    acknowledged(here, 20)
    world.servers[HERE].kill9()
    world.again(THERE)
    world.again(HERE)
    there = world.client(THERE).available()
    assert bodies(there, 20) == [str(n) for n in range(20)]


def test_the_other_server_restarts_in_mid_conversation(world: World) -> None:
    world.server(THERE)
    world.server(HERE)
    here = managed(world.client(HERE))
    for turn in range(3):
        say(here, f"me@{THERE}", *(f"{turn} {n}" for n in range(30)))
        if turn < 2:
            (world.servers[THERE].kill9 if turn else world.servers[THERE].stop)()
            world.again(THERE)
    acknowledged(here, 90)
    there = world.client(THERE).available()
    got: list[str] = []
    while f"2 {29}" not in got:
        got += bodies(there, 1, 20)
    assert sorted(set(got)) == sorted(f"{turn} {n}" for turn in range(3) for n in range(30))


def test_jabberctl_walks_the_way(world: World) -> None:
    world.server(THERE, world.ca.server_certificate(THERE))
    world.server(HERE, world.ca.server_certificate(HERE))
    steps = json.loads(world.servers[HERE].ctl("--json", "check", "federation", THERE))
    said = {row["step"]: row["result"] for row in steps}
    assert "SRV records" in said["DNS"]
    assert said["TLS"] == "TLSv1.3"
    assert said["certificate"] == f"valid for {THERE}"
    assert said["SASL EXTERNAL"] == "accepted"
    assert said["ready"] == f"{HERE} may send to {THERE}"
