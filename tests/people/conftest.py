import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.client import Client
from tests.conftest import Account, Place
from tests.server import ServerProcess

HOST, CLOSED, OPEN = "localhost", "closed.localhost", "open.localhost"
BOSS, HALL = f"boss@{HOST}", f"hall@conference.{HOST}"
QUESTIONS = {"What colour is the sky?": "blue|light blue"}
CONFIG: dict[str, Any] = {
    "hosts": {
        HOST: {
            "admins": [BOSS],
            "modules": {
                "invites": {"users": "accounts", "most": 3, "per_day": 5},
                "group_rooms": {"rooms": {"Class": [HALL]}},
            },
        },
        CLOSED: {"modules": {"invites": {"users": "nobody"}}},
        OPEN: {
            "admins": [BOSS],
            "modules": {
                "register": {"enabled": True, "per_address": 3, "approval": True, "questions": QUESTIONS},
                "approval": {"most": 4},
            },
        },
    },
}
PASSWORD = "secret"
PEOPLE = 80
TAKEN, NUMBERS = itertools.count(1), itertools.count()


@pytest.fixture(scope="session")
def people_server(tmp_path_factory: pytest.TempPathFactory, databases: Any) -> Iterator[ServerProcess]:
    """One server: on localhost users may invite, closed.localhost takes nobody, registration is open on open.localhost."""
    folder = tmp_path_factory.mktemp("people")
    process = ServerProcess({**databases(folder), **CONFIG}, folder)
    process.ctl("accounts", "add", BOSS, "--password", PASSWORD)
    for domain in (HOST, CLOSED):
        process.ctl("accounts", "add", f"person@{domain}", "--password", PASSWORD, "--count", str(PEOPLE))
    yield process
    code = process.stop()
    assert code == 0, process.tail()


@pytest.fixture
def ctl(people_server: ServerProcess, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`ctl("invites", "add")`: what the command returns."""
    request.node.its_server = (people_server, people_server.log.stat().st_size)

    def run(*arguments: str) -> Any:
        said = people_server.ctl("--json", *arguments)
        return json.loads(said) if said.strip() else None

    return run


@pytest.fixture
def fails(people_server: ServerProcess) -> Callable[..., str]:
    """`fails("invites", "add")`: what the command that fails says."""

    def run(*arguments: str) -> str:
        said = people_server.ctl(*arguments, code=None)
        assert "jabberctl: " in said, said
        return said

    return run


@pytest.fixture
def person(people_server: ServerProcess, ctl: Any, make_client: Any) -> Callable[..., Client]:
    """`person(HOST)`: somebody with a fresh account, online."""

    def make(domain: str = HOST, **options: Any) -> Client:
        account = Account(f"person{next(TAKEN)}", PASSWORD, Place(people_server, domain))
        client: Client = make_client(account, **options)
        return client

    return make


@pytest.fixture
def boss(people_server: ServerProcess, ctl: Any, make_client: Any) -> Client:
    client: Client = make_client(Account("boss", PASSWORD, Place(people_server, HOST)))
    return client


@pytest.fixture
def stranger(people_server: ServerProcess, ctl: Any, make_client: Any) -> Callable[..., Client]:
    """`stranger()`: somebody who has connected, in TLS, and has no account; each from an address of his own."""

    def make(domain: str = HOST, **options: Any) -> Client:
        place, number = Place(people_server, domain), next(NUMBERS)
        options.setdefault("source", f"127.0.{1 + number // 200}.{1 + number % 200}")
        client: Client = make_client(Account("nobody", "", place), login=False, **options)
        return client

    return make
