from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import CONFIG, Place
from tests.http.bosh import Bosh
from tests.http.web import Web
from tests.http.ws import WebSocketClient
from tests.server import ServerProcess

TIMEOUT = 2
"""Seconds that this server gives a slow client."""


@pytest.fixture(scope="module")
def web_server(tmp_path_factory: pytest.TempPathFactory, databases: Any) -> Iterator[ServerProcess]:
    """A server that is impatient, and tells whom to tell of a hole."""
    folder = tmp_path_factory.mktemp("web")
    http = {
        "timeout": f"{TIMEOUT}s", "connections_per_address": 30, "proxies": ["127.0.0.1"],
        "channel_binding": True,
        "security_contact": "mailto:security@example.org",
    }  # fmt: skip
    process = ServerProcess({**databases(folder), **CONFIG, "log": {"level": "debug"}, "http": http}, folder)
    yield process
    code = process.stop()
    assert code == 0, process.tail()


@pytest.fixture
def web(web_server: ServerProcess) -> Iterator[Callable[..., Web]]:
    """`web(kind="http", name="localhost")`: a connection."""
    opened: list[Web] = []

    def connect(kind: str = "http", name: str = "localhost") -> Web:
        opened.append(Web(web_server, kind, name))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()


@pytest.fixture
def anybody(web_server: ServerProcess, account: Any) -> Callable[..., Any]:
    """`anybody(name)`: a fresh account on the web server's host."""
    return lambda name="somebody": account(name, Place(web_server, "localhost"))


@pytest.fixture
def browser(web_server: ServerProcess, anybody: Any) -> Iterator[Callable[..., WebSocketClient]]:
    """`browser(account=None, kind="https", login=True, **headers)`: a client over WebSocket."""
    opened: list[WebSocketClient] = []

    def start(
        who: Any = None, kind: str = "https", login: bool = True, resource: str | None = None, **headers: str
    ) -> WebSocketClient:
        client = WebSocketClient(web_server, "localhost", kind, **headers)
        opened.append(client)
        client.connect()
        if login:
            client.account = who or anybody()
            client.login(client.account.user, client.account.password, resource)
            client.available()
        return client

    yield start
    for each in opened:
        each.close()


@pytest.fixture
def bosh(web_server: ServerProcess) -> Iterator[Callable[..., Bosh]]:
    """`bosh(domain="localhost", kind="https")`: bodies by hand."""
    opened: list[Bosh] = []

    def start(*arguments: str) -> Bosh:
        opened.append(Bosh(web_server, *arguments))
        return opened[-1]

    yield start
    for each in opened:
        for web in each.idle:
            web.close()
