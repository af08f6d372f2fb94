"""What rooms cost: a message to many, thousands who come, memory. Prosody and ejabberd are asked the same."""

import functools
import time
from collections.abc import Sequence

from . import driver
from .driver import Client, Failed, Loop
from .peers.base import DOMAIN, Rosters, Users
from .pinger import Pinger
from .rows import OURS, PASSWORD, PATIENCE, Bed, Row, Setup, Size, accounts

SERVICE = f"conference.{DOMAIN}"
MUC = "http://jabber.org/protocol/muc"
INSTANT = f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query>"
BODY = "x" * 100
OWN = b"='110'/>"
"""In the presence that shows who comes that he is in."""
IN_FLIGHT = 4
"""Messages on their way in a room at a time, by as many senders."""
CROWD = 2000
PINGERS = 10
ACTIVE = 10_000
SPREAD = 100
"""Messages on their way in all the active rooms."""
ASLEEP = 100_000


def room(bed: Bed, name: str) -> str:
    """An address that no other round uses."""
    return f"{name}{time.monotonic_ns()}@{SERVICE}"


def enter(clients: Sequence[Client], address: str, seconds: float = PATIENCE) -> None:
    """All come into the room and see their own presence. The first makes it and takes it as it is (section 10.1.2)."""
    come(clients[:1], address, seconds)
    clients[0].send(f"<iq to='{address}' type='set' id='instant'>{INSTANT}</iq>".encode())
    Loop(clients[:1], b">").drain(0.3)
    come(clients[1:], address, seconds)


def come(clients: Sequence[Client], address: str, seconds: float) -> None:
    loop = Loop(clients, OWN)
    for client in clients:
        client.send(join(client, address))
    if not loop.run(lambda *_: None, lambda: loop.received >= len(clients), seconds):
        raise Failed(f"{loop.received} of {len(clients)} came into the room")


def join(client: Client, address: str) -> bytes:
    return f"<presence to='{address}/{client.name}'><x xmlns='{MUC}'/></presence>".encode()


def said(address: str, number: int) -> bytes:
    return f"<message to='{address}' type='groupchat' id='m{number}'><body>{BODY}</body></message>".encode()


def busy(bed: Bed, occupants: int) -> float:
    """Microseconds for each message delivered to an occupant, `IN_FLIGHT` messages on their way."""
    clients = bed.login(accounts(occupants), False)
    try:
        address = room(bed, "busy")
        enter(clients, address)
        bed.quiet(Loop(clients, b">"))
        loop = Loop(clients, b"</message>")
        sent = 0

        def more(*_: object) -> None:
            nonlocal sent
            while time.monotonic() < stop and sent * occupants - loop.received <= (IN_FLIGHT - 1) * occupants:
                clients[sent % occupants].send(said(address, sent))
                sent += 1

        def once(seconds: float) -> None:
            nonlocal sent, stop
            sent = loop.received = 0
            stop = time.monotonic() + seconds
            more()
            if not loop.run(more, lambda: loop.received >= sent * occupants, seconds + PATIENCE):
                raise Failed(f"{sent * occupants} expected, {loop.received} received")

        stop = 0.0
        once(0.3)
        bed.settle(1)
        before, own = bed.peer.cpu(), time.process_time()
        once(bed.size.seconds)
        own = time.process_time() - own
        bed.settle(1)
        used = bed.peer.cpu() - before
        loop.drain(0.05)
        if loop.received != sent * occupants:
            raise Failed(f"{sent * occupants} expected, {loop.received} received")
        bed.details |= {"delivered": sent * occupants, "driver": own / (sent * occupants) * 1e6}
        return used / (sent * occupants) * 1e6
    finally:
        driver.close(clients)
        bed.settle()


def storm(bed: Bed) -> float:
    """Microseconds for each presence delivered when all come into one room at once: everybody learns of everybody. Then one
    message: milliseconds to its last receipt."""
    count = min(CROWD, bed.size.sessions)
    clients = bed.login(accounts(count), False)
    try:
        address = room(bed, "crowd")
        enter(clients[:1], address)
        with Pinger(bed.peer.address, pingers()) as pinger:
            time.sleep(min(2.0, bed.size.minute))
            quiet = pinger.mark()
            loop = Loop(clients, b"</presence>")
            before, own, began = bed.peer.cpu(), time.process_time(), time.monotonic()
            for client in clients[1:]:
                client.send(join(client, address))
            # each of the pairs meets once in each direction, and each who comes sees himself
            expected = count * count - 1
            if not loop.run(lambda *_: None, lambda: loop.received >= expected, PATIENCE + count / 5):
                raise Failed(f"{expected} presences expected, {loop.received} received")
            took, loud = time.monotonic() - began, pinger.mark()
        own = time.process_time() - own
        used = bed.peer.cpu() - before
        bed.details |= {"came": loop.received, "seconds": took, "driver": own / loop.received * 1e6}
        bed.details |= {"ping p99 ms quiet": quiet["p99"], "ping p99 ms storm": loud["p99"]}
        bed.quiet(Loop(clients, b">"))
        bed.details["last receipt ms"] = last_receipt(clients, address)
        return used / loop.received * 1e6
    finally:
        driver.close(clients)
        bed.settle()


def last_receipt(clients: Sequence[Client], address: str) -> float:
    """Milliseconds from one message until all have it: the best of several, as the clients' own work is in it."""
    times = []
    for number in range(5):
        loop = Loop(clients, b"</message>")
        began = time.monotonic()
        clients[number].send(said(address, number))
        if not loop.run(lambda *_: None, lambda loop=loop: loop.received >= len(clients), PATIENCE):
            raise Failed(f"{loop.received} of {len(clients)} got the message")
        times.append(time.monotonic() - began)
        loop.drain(0.1)
    return min(times) * 1e3


def memory(bed: Bed) -> float:
    """KiB that an occupant of a large room takes beyond the session; then what a room of ten takes."""
    count = min(CROWD, bed.size.sessions) // 10 * 10
    clients = bed.login(accounts(count), False)
    try:
        enter(clients[:10], room(bed, "warm"))
        bed.quiet(Loop(clients, b">"))
        before = bed.idle_pss()
        one = room(bed, "memory")
        enter(clients, one, 120)
        bed.quiet(Loop(clients, b">"))
        crowd = bed.idle_pss()
        small = room(bed, "small")
        for at in range(0, count, 10):
            enter(clients[at : at + 10], f"r{at}{small}")
        bed.quiet(Loop(clients, b">"))
        after = bed.idle_pss()
        occupant = (crowd - before) / count / 1024
        bed.details["a room of 10, KiB"] = (after - crowd) / (count / 10) / 1024
        return occupant
    finally:
        driver.close(clients)
        bed.settle()


def active(bed: Bed) -> float:
    """Microseconds for each message delivered, in as many rooms of ten as there are sessions. Every session is in ten rooms."""
    count = min(ACTIVE, bed.size.sessions) // 10 * 10
    clients = bed.login(accounts(count), False)
    try:
        base = room(bed, "active")
        addresses = [f"r{number}{base}" for number in range(count)]
        inside = [[clients[(at + step * (count // 10)) % count] for step in range(10)] for at in range(count)]
        loop = Loop(clients, b"'instant'")
        for each, address in zip(inside, addresses, strict=True):
            instant = f"<iq to='{address}' type='set' id='instant'>{INSTANT}</iq>".encode()
            each[0].send(join(each[0], address) + instant)
        if not loop.run(lambda *_: None, lambda: loop.received >= count, PATIENCE + count / 100):
            raise Failed(f"{loop.received} of {count} rooms were made")
        loop = Loop(clients, OWN)
        for each, address in zip(inside, addresses, strict=True):
            for client in each[1:]:
                client.send(join(client, address))
        if not loop.run(lambda *_: None, lambda: loop.received >= 9 * count, PATIENCE + count / 50):
            raise Failed(f"{loop.received} of {9 * count} came in")
        bed.quiet(Loop(clients, b">"))
        loop, sent = Loop(clients, b"</message>"), 0

        def more(*_: object) -> None:
            nonlocal sent
            while time.monotonic() < stop and sent * 10 - loop.received < 10 * SPREAD:
                at = sent * 7 % count
                clients[at].send(said(addresses[at], sent))
                sent += 1

        before, stop = bed.peer.cpu(), time.monotonic() + max(bed.size.seconds, 5.0)
        more()
        if not loop.run(more, lambda: loop.received >= sent * 10, bed.size.seconds + PATIENCE):
            raise Failed(f"{sent * 10} expected, {loop.received} received")
        bed.settle(1)
        bed.details |= {"rooms": len(addresses), "delivered": loop.received}
        return (bed.peer.cpu() - before) / loop.received * 1e6
    finally:
        driver.close(clients)
        bed.settle()


def start(bed: Bed) -> float:
    """Seconds until a server that has `ASLEEP` persistent rooms is ready. Then what is asked of one of them wakes none."""
    took: float = bed.peer.again()  # type: ignore[attr-defined]
    bed.details["CPU s"] = bed.peer.cpu()
    clients = bed.login(accounts(1), False)
    try:
        loop = Loop(clients, b"</iq>")
        info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        clients[0].send(f"<iq type='get' id='i' to='asleep7@{SERVICE}'>{info}</iq>".encode())
        if not loop.run(lambda *_: None, lambda: loop.received >= 1, PATIENCE):
            raise Failed("no answer of a room that sleeps")
    finally:
        driver.close(clients)
    return took


def pingers() -> Users:
    return [(f"pinger{number}", PASSWORD) for number in range(PINGERS)]


def hundred(size: Size) -> tuple[Users, Rosters]:
    return accounts(100), {}


def crowd(size: Size) -> tuple[Users, Rosters]:
    return [*accounts(min(CROWD, size.sessions)), *pingers()], {}


def many(size: Size) -> tuple[Users, Rosters]:
    return accounts(min(ACTIVE, size.sessions)), {}


def one(size: Size) -> tuple[Users, Rosters]:
    return accounts(1), {}


PLAIN = Setup(hundred, rooms=True)
KEPT = Setup(hundred, archive=True, rooms=True)
FULL = Setup(crowd, fresh=True, rooms=True)
ROOMS = (
    Row("room of 100", "µs", functools.partial(busy, occupants=100), 6, PLAIN),
    Row("room of 100 + archive", "µs", functools.partial(busy, occupants=100), 6.5, KEPT),
    Row(
        "room that 2,000 join",
        "µs",
        storm,
        6,
        FULL,
        also="last receipt ms",
        also_goal=20,
        once=True,
        only=OURS,
    ),
    Row("rooms of 10, active", "µs", active, 6, Setup(many, fresh=True, rooms=True), once=True, only=OURS),
    Row(
        "start with 100,000 rooms",
        "s",
        start,
        2,
        Setup(one, fresh=True, rooms=True, asleep=ASLEEP),
        once=True,
        only=OURS,
    ),
    Row("room memory of an occupant", "KiB", memory, 1, FULL, also="a room of 10, KiB", once=True, only=OURS),
)
