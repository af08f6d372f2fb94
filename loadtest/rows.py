"""What is measured: each row is a function of a `Bed` and gives its figure. Sent is received, or it fails."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import driver
from .driver import Client, Failed, Loop
from .peers.base import DOMAIN, Peer, Rosters, Users

PASSWORD = "the same for all"
CONTACTS = 20
MESSAGE = 236
"""Bytes of a chat message as its sender writes it."""
OFFLINE = 20
"""Messages for each user who is away."""
PATIENCE = 30.0


@dataclass
class Size:
    """``users`` have rosters of `CONTACTS` mutual contacts."""

    users: int = 200
    seconds: float = 2.0
    sessions: int = 1000


@dataclass
class Bed:
    """A running server and what a row may add to its figure (``details`` go into the JSON)."""

    peer: Peer
    size: Size
    details: dict[str, float] = field(default_factory=dict)

    def login(self, users: Users, tls: bool, available: bool = True) -> list[Client]:
        clients = driver.login(users, self.peer.address, tls)
        if available:
            for client in clients:
                client.send(b"<presence/>")
            Loop(clients, b">").drain()
        return clients

    def settle(self, limit: float = 5.0) -> None:
        """Waits until the server has nothing more to do."""
        deadline = time.monotonic() + limit
        before = self.peer.cpu()
        while time.monotonic() < deadline:
            time.sleep(0.2)
            now = self.peer.cpu()
            if now - before < 0.004:
                return
            before = now


def accounts(count: int) -> Users:
    return [(f"user{number}", PASSWORD) for number in range(count)]


def away(size: Size) -> Users:
    """They get messages while they are not there; nobody knows them: their coming costs nothing else."""
    return [(f"away{number}", PASSWORD) for number in range(size.users // 2)]


def rosters(size: Size) -> Rosters:
    """The users of the traffic rows sit in a ring and know their neighbours."""
    names = [name for name, _ in accounts(size.users)]
    near = [step for step in range(-(CONTACTS // 2), CONTACTS // 2 + 1) if step]
    return {name: [names[(i + step) % len(names)] for step in near] for i, name in enumerate(names)}


# -- the rows ------------------------------------------------------------------------------------


def login(bed: Bed, tls: bool) -> float:
    """Milliseconds for TCP, stream, STARTTLS, SCRAM-SHA-1 and resource binding."""
    users = accounts(bed.size.users)
    bed.settle()
    before = bed.peer.cpu()
    clients = bed.login(users, tls, available=False)
    used = bed.peer.cpu() - before
    driver.close(clients)
    bed.settle()
    return used / len(users) * 1e3


def chat(bed: Bed, tls: bool, in_flight: int) -> float:
    """Microseconds for a message between two sessions: pairs play ping-pong with ``in_flight`` balls each."""
    clients = bed.login(accounts(bed.size.users), tls)
    try:
        blocks: dict[Client, list[bytes]] = {}
        for one, other in zip(clients[::2], clients[1::2], strict=True):
            for sender, receiver in ((one, other), (other, one)):
                start = f"<message to='{receiver.jid}' type='chat' id='b{sender.name}'><body>"
                end = "</body></message>"
                message = (start + "x" * (MESSAGE - len(start) - len(end)) + end).encode()
                blocks[sender] = [message * count for count in range(in_flight + 1)]
        loop = Loop(clients, b"</message>")
        sent = 0
        stop = 0.0

        def answer(client: Client, count: int) -> None:
            nonlocal sent
            if time.monotonic() < stop:
                client.send(blocks[client][count])
                sent += count

        def play(seconds: float) -> None:
            nonlocal sent, stop
            sent = loop.received = 0
            stop = time.monotonic() + seconds
            for client in clients[::2]:
                client.send(blocks[client][in_flight])
                sent += in_flight
            if not loop.run(answer, lambda: loop.received == sent, seconds + PATIENCE):
                raise Failed(f"{sent} sent, {loop.received} received")

        play(0.3)
        bed.settle(1)
        before, began, own = bed.peer.cpu(), time.monotonic(), time.process_time()
        play(bed.size.seconds)
        elapsed, own = time.monotonic() - began, time.process_time() - own
        bed.settle()
        used = bed.peer.cpu() - before
        Loop(clients, b"</message>").drain(0.05)
        bed.details |= {
            "messages": sent,
            "a second": sent / elapsed,
            "driver": own / sent * 1e6,
            "busy": used / elapsed,
        }
        return used / sent * 1e6
    finally:
        driver.close(clients)
        bed.settle()


def presence(bed: Bed, tls: bool) -> float:
    """Microseconds for each presence delivered, when users with `CONTACTS` contacts online change theirs."""
    clients = bed.login(accounts(bed.size.users), tls)
    try:
        loop = Loop(clients, b"</presence>")
        loop.drain(1)
        changes = [b"<presence><show>away</show><status>change %d</status></presence>" % n for n in (0, 1)]
        sent = fan = 0

        def change() -> None:
            nonlocal sent
            clients[sent % len(clients)].send(changes[sent // len(clients) % 2])
            sent += 1

        change()
        loop.run(lambda *_: None, lambda: False, 0.7)
        fan = loop.received
        if fan not in (
            CONTACTS,
            CONTACTS + 1,
        ):  # the sender's own session hears it as well, where RFC 6121 is obeyed
            raise Failed(f"one presence reached {fan} sessions, not {CONTACTS} contacts and the user")
        before, stop = bed.peer.cpu(), time.monotonic() + bed.size.seconds
        sent, loop.received = 0, 0

        def more(*_: object) -> None:
            while time.monotonic() < stop and sent * fan - loop.received < 20 * fan:
                change()

        more()
        if not loop.run(more, lambda: loop.received >= sent * fan, bed.size.seconds + PATIENCE):
            raise Failed(f"{sent * fan} expected, {loop.received} received")
        loop.drain(0.2)
        used = bed.peer.cpu() - before
        bed.details |= {"delivered": sent * fan, "fan": fan}
        return used / (sent * fan) * 1e6
    finally:
        driver.close(clients)
        bed.settle()


def offline_store(bed: Bed) -> float:
    """Microseconds to take a message for a user who is away. The delivery is measured in the same run."""
    absent = away(bed.size)
    senders = bed.login(accounts(len(absent)), False)
    total = len(absent) * OFFLINE
    receivers: list[Client] = []
    try:
        bed.settle()
        before = bed.peer.cpu()
        for number in range(OFFLINE):
            for sender, (name, _) in zip(senders, absent, strict=True):
                start = f"<message to='{name}@{DOMAIN}' type='chat' id='o{number}'><body>"
                sender.send((start + "x" * (MESSAGE - len(start) - 17) + "</body></message>").encode())
        loop = Loop(senders, b"</iq>")
        for sender in senders:  # the server answers in order: then all that came before has been taken
            sender.send(b"<iq type='get' id='done'><query xmlns='urn:nobody:knows'/></iq>")
        if not loop.run(lambda *_: None, lambda: loop.received == len(senders), PATIENCE):
            raise Failed("no answer after the messages")
        bed.settle()
        store = bed.peer.cpu() - before
        receivers = bed.login(absent, False, available=False)
        bed.settle()
        loop = Loop(receivers, b"</message>")
        before = bed.peer.cpu()
        for receiver in receivers:
            receiver.send(b"<presence/>")
        if not loop.run(lambda *_: None, lambda: loop.received >= total, PATIENCE):
            raise Failed(f"{total} stored, {loop.received} delivered")
        bed.settle()
        if loop.received != total:
            raise Failed(f"{total} stored, {loop.received} delivered")
        bed.details["offline delivery"] = (bed.peer.cpu() - before) / total * 1e6
        return store / total * 1e6
    finally:
        driver.close([*senders, *receivers])
        bed.settle()


def idle(bed: Bed, tls: bool) -> float:
    """KiB of memory (PSS) of an idle session: what each one adds to a server that has seen a few."""
    driver.close(bed.login(accounts(50), tls))  # caches are filled, code is loaded
    bed.settle()
    before = bed.peer.pss()
    clients = bed.login(accounts(bed.size.sessions), tls)
    try:
        bed.settle()
        added = bed.peer.pss() - before
        cpu, began = bed.peer.cpu(), time.monotonic()
        Loop(clients, b">").drain(2.0)
        seconds = time.monotonic() - began
        bed.details |= {"sessions": len(clients), "empty MiB": before / 2**20}
        bed.details["idle CPU %"] = (bed.peer.cpu() - cpu) / seconds * 100
        return added / len(clients) / 1024
    finally:
        driver.close(clients)


@dataclass(frozen=True)
class Row:
    """``fresh`` rows get a server of their own, whose users have no rosters."""

    name: str
    unit: str
    measure: Callable[[Bed], float]
    fresh: bool = False
    archive: bool = False
    """The server archives every message for both ends."""
    also: str = ""
    """A second figure, by its name in the details."""


ROWS = (
    Row("login plain", "ms", lambda bed: login(bed, False)),
    Row("login TLS", "ms", lambda bed: login(bed, True)),
    Row("chat 1 in flight", "µs", lambda bed: chat(bed, False, 1)),
    Row("chat 8 in flight", "µs", lambda bed: chat(bed, False, 8)),
    Row("chat TLS 1 in flight", "µs", lambda bed: chat(bed, True, 1)),
    Row("chat TLS 8 in flight", "µs", lambda bed: chat(bed, True, 8)),
    Row("chat + archive 1 in flight", "µs", lambda bed: chat(bed, False, 1), archive=True),
    Row("chat + archive 8 in flight", "µs", lambda bed: chat(bed, False, 8), archive=True),
    Row("presence", "µs", lambda bed: presence(bed, False)),
    Row("offline store", "µs", offline_store, also="offline delivery"),
    Row("idle session plain", "KiB", lambda bed: idle(bed, False), fresh=True),
    Row("idle session TLS", "KiB", lambda bed: idle(bed, True), fresh=True),
)
