"""The bed: other people's servers and ours, each started once, when the first test asks for it."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ca import CA
from tests.client import Client
from tests.conftest import CONFIG, Place
from tests.dns import DNSServer, loopback
from tests.federation.peers import DIALBACK, EXTERNAL, MODES, PEERS, Peer, certificate
from tests.peers import NotInstalled
from tests.server import ServerProcess

BEGINNERS = ("we begin", "they begin")


def our_domain(mode: str, peer: str, beginner: str) -> str:
    """A domain for one test, so that no stream is there when it begins."""
    return f"{beginner.replace(' ', '-')}.{peer}.{mode}.us.example"


OUR_DOMAINS = {
    mode: [
        our_domain(mode, peer, beginner)
        for peer in PEERS
        for beginner in (*BEGINNERS, "restart", "back", "rooms", "pep", "lists")
    ]
    for mode in MODES
}


def heeding(domain: str) -> dict[str, Any]:
    """The settings of a host that heeds the block list of a server."""
    return {"modules": {"blocklists": {"lists": [f"pubsub.{domain} muc_bans_sha256"]}}}


class Bed:
    """Peers by name, and our server by mode: `certificates: required` for external, `dialback` for dialback."""

    def __init__(self, folder: Path, databases: Callable[[Path], dict[str, str]]) -> None:
        self.folder, self.databases = folder, databases
        self.ca = CA(folder / "ca")
        self.names = DNSServer(address=loopback(253), port=53, ttl=1)  # a server that moves is found again
        self.under = self.names.namespace(folder)
        self.peers: dict[str, Peer] = {}
        self.ours: dict[str, ServerProcess] = {}
        insecure = [kind.domain(DIALBACK) for kind in PEERS.values()]
        insecure += OUR_DOMAINS[DIALBACK]
        self.insecure = [*insecure, *(f"conference.{domain}" for domain in insecure)]

    def peer(self, name: str) -> Peer:
        if name not in self.peers:
            address = loopback(1 + list(PEERS).index(name))
            try:
                self.peers[name] = PEERS[name](
                    self.folder / name, address, self.ca, self.names, self.under, self.insecure
                )
            except NotInstalled as error:
                pytest.skip(str(error))
        return self.peers[name]

    def us(self, mode: str) -> ServerProcess:
        if mode not in self.ours:
            folder, address = self.folder / f"us-{mode}", loopback(101 + MODES.index(mode))
            for domain in OUR_DOMAINS[mode]:
                rooms = f"conference.{domain}"
                for each in (domain, rooms):
                    self.names.publish(each, address)
                shown = certificate(self.ca, mode, domain, rooms)
                (folder / "certificates").mkdir(parents=True, exist_ok=True)
                shown.chain.rename(folder / "certificates" / f"{domain}.pem")
                shown.key.rename(folder / "certificates" / f"{domain}.key")
            self.ours[mode] = ServerProcess(
                {
                    **CONFIG,
                    **self.databases(folder),
                    "hosts": {domain: {} for domain in OUR_DOMAINS[mode]}
                    | {our_domain(mode, name, "lists"): heeding(PEERS[name].domain(mode)) for name in PEERS},
                    "log": {"level": "debug"},
                    "s2s": {
                        "address": [address],
                        "port": 5269,
                        "ca": str(self.ca.file),
                        "certificates": "required" if mode == EXTERNAL else "dialback",
                    },
                    "dns": {"nameservers": [self.names.address]},
                },
                folder,
            )
        return self.ours[mode]

    def stop(self) -> None:
        for peer in self.peers.values():
            peer.stop()
        self.names.stop()
        for server in self.ours.values():
            server.kill9()


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory, databases: Any) -> Iterator[Bed]:
    bed = Bed(tmp_path_factory.mktemp("bed"), databases)
    yield bed
    bed.stop()


@pytest.fixture
def person() -> Iterator[Callable[..., Client]]:
    """`person(name, place)`: a fresh account there, logged in and available."""
    numbers, opened = itertools.count(1), []

    def make(name: str, place: Place) -> Client:
        user = f"{name}-{next(Client.numbers)}-{next(numbers)}"
        address = place.server.address("c2s")
        Client(address, place.domain).connect().register(user, "secret").close()
        client = log_in(address, place.domain, user)
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


def log_in(address: tuple[str, int], domain: str, user: str) -> Client:
    """Available, with the old ways of old servers: no channel binding, RFC 3921's session, no presence to oneself."""
    client = Client(address, domain).login(user, "secret", "balcony", "PLAIN")
    if client.features.find("{urn:ietf:params:xml:ns:xmpp-session}session") is not None:
        client.session()
    client.send("<presence/>")
    client.sync()
    return client
