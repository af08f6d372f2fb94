from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.ca import CA
from tests.server import ServerProcess
from tests.web.browser import Browser

CHIEF, BOSS, PLAIN, PASSWORD = "chief@localhost", "boss@localhost", "plain@localhost", "secret"
CONFIG: dict[str, Any] = {
    "hosts": {
        "localhost": {"admins": [BOSS, CHIEF]},
        "other.localhost": {
            "admins": [CHIEF],
            "modules": {"web": {"confirm": "0s"}, "register": {"approval": True}},
        },
    },
    "c2s": {"require_tls": False},
    "s2s": {"routes": {"down.example": "127.0.0.1:1"}, "patience": "0s"},
    "modules": {
        "web": {"names": ["console.example", "bücher.example"]},
        "register": {"enabled": True, "per_address": 0},
    },
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, databases: Any) -> Iterator[ServerProcess]:
    """A server of which chief@localhost administers both hosts, boss@localhost one, and plain@localhost none. The pages of the
    second host always ask for the password before they give rights; it has a certificate of an authority."""
    folder = tmp_path_factory.mktemp("site")
    CA(folder / "certificates").server_certificate("other.localhost", "jabber.elsewhere.example")
    process = ServerProcess({**databases(folder), **CONFIG}, folder)
    for name in ("chief", "boss", "plain"):
        process.ask("accounts add", jid=f"{name}@localhost", password=PASSWORD)
    yield process
    code = process.stop()
    assert code == 0, process.tail()


@pytest.fixture
def browser(site: ServerProcess, request: pytest.FixtureRequest) -> Iterator[Callable[..., Browser]]:
    """`browser(address=None, kind="https", **more)`: one; with an address, signed in."""
    request.node.its_server = (site, site.log.stat().st_size)
    opened: list[Browser] = []

    def start(address: str | None = None, kind: str = "https", **more: Any) -> Browser:
        opened.append(Browser(site, kind, **more))
        if address is not None:
            opened[-1].sign_in(address)
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture
def chief(browser: Callable[..., Browser]) -> Browser:
    """The browser of who administers the whole server, signed in."""
    return browser(CHIEF)


@pytest.fixture
def boss(browser: Callable[..., Browser]) -> Browser:
    """The browser of who administers one host, signed in."""
    return browser(BOSS)
