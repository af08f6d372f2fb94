"""What is measured: each row is a function of a `Bed` and gives its figure. Sent is received, or it fails."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import driver
from .driver import Client, Failed, Loop
from .peers.base import DOMAIN, Peer, Rosters, Users

OURS = "jabberd_py"
PASSWORD = "the same for all"
CONTACTS = 20
MESSAGE = 236
"""Bytes of a chat message as its sender writes it."""
OFFLINE = 20
"""Messages for each user who is away."""
PATIENCE = 30.0
IDLE_AFTER = 4.0
"""Seconds after which a session counts as idle: servers put things away then."""


@dataclass
class Size:
    """``users`` of the traffic rows, in seconds of traffic; ``sessions`` of the idle rows and of the curve of
    CPU; ``many``: of the curves of memory and of the storm; ``minute``: seconds of idling."""

    users: int = 200
    seconds: float = 1.0
    sessions: int = 10_000
    many: int = 15_000
    minute: float = 60.0


Fill = Callable[[Size], tuple[Users, Rosters]]


@dataclass(frozen=True)
class Setup:
    """What a server holds when it starts. Rows with the same one share a server; ``fresh``: each row has its own."""

    fill: Fill
    archive: bool = False
    fresh: bool = False
    limits: bool = False
    """All limits at their defaults."""
    announce: bool = False
    """The first user is an administrator, who can write to all."""
    rooms: bool = False
    """It has a service of rooms, which keeps what is said if ``archive`` is set."""
    asleep: int = 0
    """So many persistent rooms it has, with nobody in them."""
    web: bool = False
    """It listens for HTTP, and takes files."""
    watched: bool = False
    """Every module is on, and the server's folder tells how long its loop was held (loadtest/watched.py)."""


@dataclass
class Bed:
    """A running server and what a row may add to its figure (``details`` go into the JSON)."""

    peer: Peer
    size: Size
    details: dict[str, float] = field(default_factory=dict)
    points: list[tuple[float, float]] = field(default_factory=list)
    """Of a curve."""

    def login(self, users: Users, tls: bool, available: bool = True, first: int = 0) -> list[Client]:
        clients = driver.login(users, self.peer.address, tls, first=first)
        if available:
            for client in clients:
                client.send(b"<presence/>")
            self.quiet(Loop(clients, b">"))
        return clients

    def over_tcp(self, tls: bool) -> Callable[[Users, int], list[Client]]:
        """A function that logs users in, for `idle`."""
        return lambda users, first: self.login(users, tls, first=first)

    def idle_pss(self) -> int:
        """Bytes of memory once nobody has done anything for a moment."""
        self.settle(60)
        time.sleep(IDLE_AFTER)
        return self.peer.pss()

    def quiet(self, loop: Loop) -> None:
        """Waits until the server has nothing more to do nor to say. (Prosody takes in all that has come before it
        writes anything: a silence says nothing.)"""
        deadline = time.monotonic() + 60
        came = -1
        while time.monotonic() < deadline:
            loop.drain(0.05)
            if loop.received == came:
                break
            came = loop.received
            self.settle(deadline - time.monotonic())

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


def rosters(count: int) -> Rosters:
    """The users sit in a ring and know their neighbours."""
    names = [name for name, _ in accounts(count)]
    near = [step for step in range(-(CONTACTS // 2), CONTACTS // 2 + 1) if step]
    return {name: [names[(i + step) % len(names)] for step in near] for i, name in enumerate(names)}


def traffic(size: Size) -> tuple[Users, Rosters]:
    return [*accounts(size.users), *away(size)], rosters(size.users)


def strangers(size: Size) -> tuple[Users, Rosters]:
    return accounts(size.sessions), {}


# -- the rows ------------------------------------------------------------------------------------


def login(bed: Bed, tls: bool) -> float:
    """Milliseconds for TCP, stream, STARTTLS, SCRAM-SHA-1 and resource binding."""
    users = accounts(bed.size.users)
    bed.settle()
    before, own = bed.peer.cpu(), time.process_time()
    clients = bed.login(users, tls, available=False)
    used = bed.peer.cpu() - before
    bed.details["driver"] = (time.process_time() - own) / len(users) * 1e6
    driver.close(clients)
    bed.settle()
    return used / len(users) * 1e3


def chat(bed: Bed, tls: bool, in_flight: int) -> float:
    """Microseconds for a message between two sessions: pairs play ping-pong with ``in_flight`` balls each."""
    clients = bed.login(accounts(bed.size.users), tls)
    try:
        routes = {}
        for one, other in zip(clients[::2], clients[1::2], strict=True):
            routes[one], routes[other] = other, one
        return play(bed, routes, clients[::2], in_flight)
    finally:
        driver.close(clients)
        bed.settle()


def play(bed: Bed, routes: dict[Client, Client], starters: list[Client], in_flight: int) -> float:
    """Microseconds for a message, when everybody sends what comes on to ``routes[self]``, and ``starters`` begin."""
    blocks: dict[Client, list[bytes]] = {}
    for sender, receiver in routes.items():
        start = f"<message to='{receiver.jid}' type='chat' id='b{sender.name}'><body>"
        end = "</body></message>"
        message = sender.packed((start + "x" * (MESSAGE - len(start) - len(end)) + end).encode())
        blocks[sender] = [message * count for count in range(in_flight + 1)]
    loop = Loop(list(routes), b"</message>")
    sent = 0
    stop = 0.0

    def answer(client: Client, count: int) -> None:
        nonlocal sent
        if time.monotonic() < stop:
            sent += count
            while count > in_flight:  # several senders' messages came at once
                client.send(blocks[client][in_flight])
                count -= in_flight
            client.send(blocks[client][count])

    def once(seconds: float) -> None:
        nonlocal sent, stop
        sent = loop.received = 0
        stop = time.monotonic() + seconds
        for starter in starters:
            client = routes[starter] if starter.held else starter
            client.send(blocks[client][in_flight])
            sent += in_flight
        if not loop.run(answer, lambda: loop.received >= sent, seconds + PATIENCE) or loop.received != sent:
            raise Failed(f"{sent} sent, {loop.received} received")

    once(0.3)
    bed.settle(1)
    before, began, own = bed.peer.cpu(), time.monotonic(), time.process_time()
    once(bed.size.seconds)
    elapsed, own = time.monotonic() - began, time.process_time() - own
    bed.settle()
    used = bed.peer.cpu() - before
    loop.drain(0.05)
    if loop.received != sent:
        raise Failed(f"{sent} sent, {loop.received} received")
    bed.details |= {
        "messages": sent,
        "a second": sent / elapsed,
        "driver": own / sent * 1e6,
        "busy": used / elapsed,
    }
    return used / sent * 1e6


def to_all(
    bed: Bed, readers: list[Client], say: Callable[[int], object], what: str, in_flight: int = 1
) -> float:
    """Microseconds for each message to each of the readers; ``say(number)`` sends one for all of them, and ``in_flight`` of
    them are on their way at a time. ``what``: the name of their count in the details."""
    loop, sent = Loop(readers, b"</message>"), 0

    def more(*_: object) -> None:
        nonlocal sent
        while time.monotonic() < stop and sent * len(readers) - loop.received <= (in_flight - 1) * len(
            readers
        ):
            say(sent)
            sent += 1

    before, own, stop = bed.peer.cpu(), time.process_time(), time.monotonic() + bed.size.seconds
    more()
    if not loop.run(more, lambda: loop.received >= sent * len(readers), bed.size.seconds + PATIENCE):
        raise Failed(f"{sent * len(readers)} expected, {loop.received} received")
    own = time.process_time() - own
    loop.drain(0.2)
    used, received = bed.peer.cpu() - before, sent * len(readers)
    bed.details |= {what: received, "driver": own / received * 1e6}
    return used / received * 1e6


def fan_out(bed: Bed) -> float:
    """Microseconds for each of 1,000 sessions that a message of one sender (an administrator) is for."""
    clients = bed.login(accounts(READERS), False)
    try:
        letter = b"<message to='localhost/announce/online' type='headline'><body>%d</body></message>"
        return to_all(bed, clients, lambda number: clients[0].send(letter % number), "delivered")
    finally:
        driver.close(clients)


def presence(bed: Bed, tls: bool) -> float:
    """Microseconds for each presence delivered, when users with `CONTACTS` contacts online change theirs."""
    clients = bed.login(accounts(bed.size.users), tls)
    try:
        loop = Loop(clients, b"</presence>")
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
        own = time.process_time()
        sent, loop.received = 0, 0

        def more(*_: object) -> None:
            while time.monotonic() < stop and sent * fan - loop.received < 20 * fan:
                change()

        more()
        if not loop.run(more, lambda: loop.received >= sent * fan, bed.size.seconds + PATIENCE):
            raise Failed(f"{sent * fan} expected, {loop.received} received")
        own = time.process_time() - own
        loop.drain(0.2)
        used = bed.peer.cpu() - before
        if loop.received != sent * fan:
            raise Failed(f"{sent * fan} expected, {loop.received} received")
        bed.details |= {"delivered": sent * fan, "fan": fan, "driver": own / (sent * fan) * 1e6}
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


def idle(bed: Bed, enter: Callable[[Users, int], list[Client]]) -> float:
    """KiB of memory (PSS) of an idle session: what each one adds to a server that has seen a few. Others have half as many:
    their logins take long, and say no more. ``enter``: logs users in; the number of the first one's address."""
    driver.close(enter(accounts(50), 0))  # caches are filled, code is loaded
    before = bed.idle_pss()
    clients: list[Client] = []
    try:
        for count in steps(bed.size.sessions // (1 if bed.peer.name == OURS else 2)):
            new = accounts(count)[len(clients) :]
            clients += enter(new, len(clients))
            bed.points.append((count, bed.idle_pss() / 1e6))
        bed.details |= {"sessions": len(clients), "empty MB": before / 1e6}
        bed.details["idle CPU %"] = idling(bed, clients, 2.0)
        return (bed.peer.pss() - before) / len(clients) / 1024
    finally:
        driver.close(clients)


def steps(last: int) -> list[int]:
    """Where a curve that ends there is measured."""
    return sorted({max(20, last * part // 100) for part in (7, 50, 100)})


def idling(bed: Bed, clients: list[Client], seconds: float) -> float:
    """Percent of a processor that the server uses while nobody does anything."""
    cpu, began = bed.peer.cpu(), time.monotonic()
    time.sleep(seconds)
    percent = (bed.peer.cpu() - cpu) / (time.monotonic() - began) * 100
    Loop(clients, b">").drain(0.05)
    return percent


@dataclass(frozen=True)
class Row:
    name: str
    unit: str
    measure: Callable[[Bed], float] | None
    goal: float | None = None
    setup: Setup = Setup(traffic)
    also: str = ""
    """A second figure, by its name in the details, and its goal."""
    also_goal: float | None = None
    once: bool = False
    """One round is enough: memory repeats, and long rows say more by their length."""
    only: str = ""
    """The one server that it is for."""
    waits: str = ""
    """For what, when it cannot be measured yet."""


ARCHIVE = Setup(traffic, archive=True)
READERS = 1000
FAN_OUT = Setup(lambda size: (accounts(READERS), {}), announce=True)
IDLE = Setup(strangers, fresh=True)

ROWS = (
    Row("login plain", "ms", lambda bed: login(bed, False), 0.8),
    Row("login TLS", "ms", lambda bed: login(bed, True), 1.5),
    Row("chat 1 in flight", "µs", lambda bed: chat(bed, False, 1), 25),
    Row("chat 8 in flight", "µs", lambda bed: chat(bed, False, 8), 12),
    Row("chat TLS 1 in flight", "µs", lambda bed: chat(bed, True, 1), 30),
    Row("chat TLS 8 in flight", "µs", lambda bed: chat(bed, True, 8), 15),
    Row("chat + archive 1 in flight", "µs", lambda bed: chat(bed, False, 1), 60, ARCHIVE),
    Row("chat + archive 8 in flight", "µs", lambda bed: chat(bed, False, 8), 40, ARCHIVE),
    Row("presence", "µs", lambda bed: presence(bed, False), 10),
    Row("fan-out to 1,000 sessions", "µs", fan_out, 6, FAN_OUT, only="jabberd_py"),
    Row("offline store", "µs", offline_store, 40, also="offline delivery", also_goal=20),
    Row("idle session plain", "KiB", lambda bed: idle(bed, bed.over_tcp(False)), 12, IDLE, once=True),
    Row("idle session TLS", "KiB", lambda bed: idle(bed, bed.over_tcp(True)), 28, IDLE, once=True),
)
