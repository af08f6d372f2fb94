from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.client import Client
from tests.conftest import Account, Place
from tests.http.web import Web
from tests.server import ServerProcess

BOSS = "boss@localhost"
CONFIG: dict[str, Any] = {
    "hosts": {"localhost": {"admins": [BOSS]}},
    "c2s": {"require_tls": False},
    "modules": {
        "register": {"enabled": True, "per_address": 0},
        "api": {"wrong_tokens": 12, "refill": "1h"},
        "newcomers": {"welcome": "Hello {user}."},
    },
}


@pytest.fixture(scope="session")
def admin_server(tmp_path_factory: pytest.TempPathFactory, databases: Any) -> Iterator[ServerProcess]:
    """A server with one host, which boss@localhost administers."""
    folder = tmp_path_factory.mktemp("admin")
    process = ServerProcess({**databases(folder), **CONFIG}, folder)
    process.ask("accounts add", jid=BOSS, password="secret")
    yield process
    code = process.stop()
    assert code == 0, process.tail()


@pytest.fixture
def place(admin_server: ServerProcess, request: pytest.FixtureRequest) -> Place:
    request.node.its_server = (admin_server, admin_server.log.stat().st_size)
    return Place(admin_server, "localhost")


@pytest.fixture
def boss(place: Place, make_client: Any) -> Client:
    """The administrator, online."""
    client: Client = make_client(Account("boss", "secret", place))
    return client


@pytest.fixture
def user(place: Place, account: Any, make_client: Any) -> Client:
    """Somebody, online."""
    client: Client = make_client(account("user", place), resource="home")
    return client


@pytest.fixture
def web(admin_server: ServerProcess) -> Iterator[Callable[..., Web]]:
    """`web()`: a connection to the web server."""
    opened: list[Web] = []

    def connect(kind: str = "https") -> Web:
        opened.append(Web(admin_server, kind, "localhost"))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()
