import gevent.monkey

gevent.monkey.patch_all()

import os
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest

from tests.client import Client
from tests.databases import SERVERS
from tests.dns import DNSServer
from tests.server import ServerProcess

# Servers and commands that the tests start find their modules compiled: a third of the CPU time of a start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

hypothesis.settings.register_profile("few", deadline=None, max_examples=25)
hypothesis.settings.register_profile("many", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("few")  # --hypothesis-profile=many for a long night

CONFIG: dict[str, Any] = {
    "hosts": {"localhost": {}, "other.localhost": {}},
    "modules": {"register": {"enabled": True, "per_address": 0}, "echo": {"enabled": True}},
}


HERE, THERE = "here.example", "there.example"


class Place(NamedTuple):
    """Where somebody lives."""

    server: ServerProcess
    domain: str


@dataclass
class Topology:
    """Where romeo lives, and where juliet and her nurse do."""

    name: str
    romeo: Place
    juliet: Place


class Account(NamedTuple):
    user: str
    password: str
    place: Place

    @property
    def bare(self) -> str:
        return f"{self.user}@{self.place.domain}"


def one_host(request: pytest.FixtureRequest) -> Topology:
    server = request.getfixturevalue("server")
    return Topology("one host", Place(server, "localhost"), Place(server, "localhost"))


def two_hosts(request: pytest.FixtureRequest) -> Topology:
    server = request.getfixturevalue("server")
    return Topology("two hosts", Place(server, "localhost"), Place(server, "other.localhost"))


def two_servers(request: pytest.FixtureRequest) -> Topology:
    """Federated: by SRV records, TLS and dialback."""
    here, there = request.getfixturevalue("federated")
    return Topology("two servers", Place(here, HERE), Place(there, THERE))


TOPOLOGIES: dict[str, Callable[[pytest.FixtureRequest], Topology]] = {
    "one host": one_host,
    "two hosts": two_hosts,
    "two servers": two_servers,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=["sqlite", *SERVERS],
        default=os.environ.get("DATABASE", "sqlite"),
        help="what the servers under test keep their data in (environment: DATABASE)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sqlite: about SQLite's files, whatever --database says")
    config.addinivalue_line("markers", "topology(*names): run in these topologies only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of two people, or that asks for the topology, runs in all of them; others in the first."""
    if "topology" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("topology")
    people = {"romeo", "juliet", "nurse"}.intersection(metafunc.fixturenames)
    several = len(people) > 1 or "topology" in metafunc.definition._fixtureinfo.argnames
    names = list(marker.args) if marker else list(TOPOLOGIES) if several else list(TOPOLOGIES)[:1]
    metafunc.parametrize("topology", names, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A failed test shows what its server said meanwhile."""
    report = yield
    server, start = getattr(item, "its_server", (None, 0))
    if report.failed and server:
        report.sections.append(("server log", server.tail(start)))
    return report


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], dict[str, str]]]:
    """`databases(folder)`: the options that give the server of this data folder a database of its own."""
    kind = request.config.getoption("database")
    if kind == "sqlite":
        yield lambda folder: {}
        return
    with SERVERS[kind]() as running:
        urls: dict[Path, str] = {}

        def database(folder: Path) -> dict[str, str]:
            if folder not in urls:
                urls[folder] = running.fresh()
            return {"database": urls[folder]}

        yield database


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, databases: Any) -> Iterator[ServerProcess]:
    """One for all tests of the run; its tests make fresh accounts and leave each other alone."""
    folder = tmp_path_factory.mktemp("server")
    process = ServerProcess({**databases(folder), **CONFIG}, folder)
    yield process
    code = process.stop()
    assert code == 0, process.tail()


@pytest.fixture(scope="session")
def federated(
    tmp_path_factory: pytest.TempPathFactory, databases: Any
) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """Two servers, one host each, which find each other by a private name server."""
    with DNSServer() as names:
        servers = []
        for domain in (HERE, THERE):
            folder = tmp_path_factory.mktemp("federated")
            config = {**CONFIG, "hosts": {domain: {}}, "s2s": {}, "dns": {"nameservers": [names.address]}}
            process = ServerProcess({**databases(folder), **config}, folder)
            address, port = process.address("s2s")
            for each in (domain, f"pubsub.{domain}", f"conference.{domain}"):
                names.publish(each, address, port)
            servers.append(process)
        yield servers[0], servers[1]
        for process in servers:
            code = process.stop()
            assert code == 0, process.tail()


@pytest.fixture
def start_server(
    request: pytest.FixtureRequest, tmp_path: Path, databases: Any
) -> Iterator[Callable[..., ServerProcess]]:
    """`start_server(config=CONFIG, name="server")`: one that the test may stop, kill and start again. Another one of
    the same name goes on with its data."""
    started = []
    on_sqlite = request.node.get_closest_marker("sqlite")

    def start(config: dict[str, Any] = CONFIG, name: str = "server", *arguments: str) -> ServerProcess:
        if not on_sqlite and "database" not in config:
            config = {**databases(tmp_path / name), **config}
        started.append(ServerProcess(config, tmp_path / name, *arguments))
        return started[-1]

    yield start
    for process in started:
        process.kill9()


@pytest.fixture
def topology(request: pytest.FixtureRequest) -> Topology:
    topology = TOPOLOGIES[request.param](request)
    server = topology.romeo.server
    request.node.its_server = (server, server.log.stat().st_size)
    return topology


@pytest.fixture
def account(request: pytest.FixtureRequest) -> Callable[..., Account]:
    """`account(name="someone", place=None)`: a fresh one, registered in-band; place: `server`'s localhost."""

    def register(name: str = "someone", place: Place | None = None) -> Account:
        place = place or Place(request.getfixturevalue("server"), "localhost")
        suffix = "".join(random.choices(string.ascii_lowercase + string.digits, k=5))
        made = Account(f"{name}-{suffix}", "secret", place)
        client = Client(place.server.address("c2s"), place.domain).connect()
        client.register(made.user, made.password).close()
        return made

    return register


@pytest.fixture
def make_client(account: Callable[..., Account]) -> Iterator[Callable[..., Client]]:
    """`make_client(account=None, *, resource=None, login=True, available=True, tls="starttls", **options)`

    Without an account a fresh one; `login=False`: only connected. All are closed after the test.
    """
    opened = []

    def make(
        who: Account | None = None,
        *,
        resource: str | None = None,
        login: bool = True,
        available: bool = True,
        tls: str = "starttls",
        **options: Any,
    ) -> Client:
        who = who or account()
        kind = "c2s_direct" if tls == "direct" else "c2s"
        client = Client(who.place.server.address(kind), who.place.domain, tls, **options)
        opened.append(client)
        client.account = who
        client.connect()
        if login:
            client.login(who.user, who.password, resource)
            if available:
                client.available()
        return client

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def romeo(topology: Topology, account: Any, make_client: Any) -> Client:
    """Logged in over STARTTLS and available; `.account` serves for a second resource of his."""
    return make_client(account("romeo", topology.romeo), resource="orchard")


@pytest.fixture
def juliet(topology: Topology, account: Any, make_client: Any) -> Client:
    return make_client(account("juliet", topology.juliet), resource="balcony")


@pytest.fixture
def nurse(topology: Topology, account: Any, make_client: Any) -> Client:
    return make_client(account("nurse", topology.juliet), resource="chamber")
