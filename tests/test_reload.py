"""Reload in two phases: what has changed is applied, or the answer names it; on a mistake nothing changes at all."""

import json
import socket
from typing import Any

import pytest

from tests.client import Client
from tests.component.component import Component
from tests.conftest import Account, Place
from tests.peers import free_port
from tests.server import ServerProcess

BASE: dict[str, Any] = {
    "hosts": {"localhost": {}, "other.localhost": {}},
    "modules": {"register": {"enabled": True, "per_address": 0}},
}


def rewrite(server: ServerProcess, **changes: Any) -> None:
    """Sections are merged into the file that is there."""
    whole = json.loads(server.file.read_text())
    for name, value in changes.items():
        whole[name] = {**whole.get(name, {}), **value} if name in ("c2s", "s2s") else value
    server.file.write_text(json.dumps(whole))


@pytest.fixture
def server(start_server: Any) -> ServerProcess:
    server: ServerProcess = start_server(BASE)
    return server


def connects(server: ServerProcess, domain: str) -> Client:
    return Client(server.address("c2s"), domain).connect()


def test_a_host_comes_and_goes(server: ServerProcess, make_client: Any, account: Any) -> None:
    romeo = make_client(account("romeo", Place(server, "other.localhost")))
    waiting = connects(server, "other.localhost")
    rewrite(server, hosts={"localhost": {}, "third.localhost": {}})
    server.ctl("reload")
    for client in (romeo, waiting):
        client.gets(
            "<error xmlns='http://etherx.jabber.org/streams'><host-gone xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>"
        )
    connects(server, "third.localhost").close()
    with pytest.raises(AssertionError):
        connects(server, "other.localhost")
    rewrite(server, hosts=BASE["hosts"])
    server.ctl("reload")
    assert isinstance(romeo.account, Account)
    make_client(romeo.account)  # the account is there as before


def test_a_port_moves_and_sessions_stay(server: ServerProcess, make_client: Any, account: Any) -> None:
    romeo = make_client(account("romeo", Place(server, "localhost")))
    old, new = server.address("c2s"), free_port()
    rewrite(server, c2s={"port": new})
    server.ctl("reload")
    romeo.sync()
    Client(("127.0.0.1", new), "localhost").connect().close()
    with pytest.raises(OSError, match="refused"):
        Client(old, "localhost").connect()


def test_a_port_that_is_taken_changes_nothing(server: ServerProcess) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        rewrite(server, c2s={"port": port}, hosts={"localhost": {}, "third.localhost": {}})
        with pytest.raises(AssertionError, match=f"c2s.port: cannot listen on 127.0.0.1 port {port}"):
            server.ctl("reload")
    connects(server, "other.localhost").close()
    with pytest.raises(AssertionError):
        connects(server, "third.localhost")


def test_a_bad_certificate_changes_nothing(server: ServerProcess) -> None:
    new = free_port()
    (server.data / "certificates" / "third.localhost.pem").write_text("nonsense")
    rewrite(server, c2s={"port": new}, hosts={"localhost": {}, "third.localhost": {}})
    with pytest.raises(AssertionError, match="third.localhost.pem"):
        server.ctl("reload")
    connects(server, "other.localhost").close()
    with pytest.raises(OSError, match="refused"):
        Client(("127.0.0.1", new), "localhost").connect()


def test_services_come_move_and_go(server: ServerProcess, make_client: Any, account: Any) -> None:
    romeo = make_client(account("romeo", Place(server, "localhost")))

    def echoes(domain: str) -> bool:
        romeo.send(f"<message to='{domain}' id='{domain}'/>")
        answer = romeo.gets(f"<message from='{domain}' id='{domain}'/>")
        return answer.get("type") != "error"

    assert not echoes("echo.localhost")
    rewrite(server, services={"echo": True})
    server.ctl("reload")
    assert echoes("echo.localhost")
    rewrite(server, services={"echo": {"enabled": True, "prefix": "parrot"}})
    server.ctl("reload")
    assert echoes("parrot.localhost")
    assert not echoes("echo.localhost")
    rewrite(server, services={"echo": False})
    server.ctl("reload")
    assert not echoes("parrot.localhost")


def test_what_needs_a_restart_is_named(server: ServerProcess) -> None:
    rewrite(
        server,
        modules={"register": {"enabled": True, "per_address": 0}, "echo": True},
        data=str(server.data / "elsewhere"),
        ctl={"socket": str(server.socket)},
        s2s={"enabled": True},
    )
    said = server.ctl("reload")
    for name in ("data", "s2s.enabled", "ctl.socket", "hosts.localhost.modules.echo"):
        assert name in said
    assert "c2s" not in said


def test_a_connected_component_learns_what_it_may_do_on_a_host_that_comes(start_server: Any) -> None:
    """It would not have known before its next stream, and seen nothing of the host's users."""
    grants = {"roster": "get", "presence": "managed_entity", "delegate": {"urn:x": []}}
    server = start_server(
        {**BASE, "component": {"port": 0}, "components": {"may.localhost": {"secret": "secret", **grants}}}
    )
    may = Component(server.address("component"), "may.localhost").join()
    may.gets("<message from='localhost'><privilege xmlns='urn:xmpp:privilege:2'/></message>")
    rewrite(server, hosts={**BASE["hosts"], "third.localhost": {}})
    server.ctl("reload")
    may.gets("<message from='third.localhost'><privilege xmlns='urn:xmpp:privilege:2'/></message>")
    may.gets("<message from='third.localhost'><delegation xmlns='urn:xmpp:delegation:2'/></message>")
    connects(server, "third.localhost").register("juliet", "secret")
    juliet = connects(server, "third.localhost").login("juliet", "secret").available()
    may.gets(f"<presence from='{juliet.jid}' to='may.localhost'/>")
    juliet.close()
    may.close()
