"""Curves: CPU per message against load and against users online, memory against sessions; and what happens when all
come back at once."""

import time

from . import driver, login
from .driver import Client, Failed
from .peers.base import Rosters, Users
from .pinger import Pinger
from .rows import OURS, Bed, Row, Setup, Size, accounts, idling, play, rosters, steps

IN_FLIGHT = 50
"""Messages on their way at any time, whatever the number of users."""
STORM = 2_000
"""Logins that run side by side when all reconnect: a listener's queue is bounded by the kernel."""
PINGERS = 10


def crowd(size: Size) -> tuple[Users, Rosters]:
    return accounts(size.sessions), rosters(size.sessions)


def many(size: Size) -> tuple[Users, Rosters]:
    return [*accounts(size.many), *pingers()], rosters(size.many)


def pingers() -> Users:
    return [(f"pinger{n}", password) for n, (_, password) in enumerate(accounts(PINGERS))]


def load(bed: Bed) -> float:
    """Microseconds for a message between pairs, from one message on its way in all to 16 of each pair."""
    clients = bed.login(accounts(bed.size.users), False)
    try:
        pairs = list(zip(clients[::2], clients[1::2], strict=True))
        routes = dict(pairs) | {other: one for one, other in pairs}
        starters = clients[::2]
        few = [(starters[:count], 1) for count in (1, 10) if count < len(starters)]
        for beginning, each in [*few, *((starters, each) for each in (1, 2, 4, 8, 16))]:
            bed.points.append((len(beginning) * each, play(bed, routes, beginning, each)))
        return bed.points[-1][1]
    finally:
        driver.close(clients)
        bed.settle()


def users(bed: Bed) -> float:
    """Microseconds for a message with everybody online: messages go round the ring of users, so that all take part.

    Others' logins would take most of the benchmark's time: their curves are shorter, and the figure is what all
    have, that of the last count of theirs."""
    clients: list[Client] = []
    try:
        common = bed.size.sessions * 0.3
        for count in (100, 300, 1000, 3000, 10_000):
            if count > (bed.size.sessions if bed.peer.name == OURS else max(100, common)):
                break
            clients += bed.login(accounts(count)[len(clients) :], False, first=len(clients))
            routes = dict(zip(clients, [*clients[1:], clients[0]], strict=True))
            bed.points.append((count, play(bed, routes, clients[:: max(1, count // IN_FLIGHT)], 1)))
        if not bed.points:
            raise Failed("sessions: at least 100")
        bed.details["last"] = bed.points[-1][1]
        return next((y for x, y in reversed(bed.points) if x <= common), bed.points[0][1])
    finally:
        driver.close(clients)


def memory(bed: Bed, tls: bool) -> float:
    """MB of the whole server with all idle sessions; then a minute of nothing; then all are cut and come back."""
    clients: list[Client] = []
    try:
        for count in steps(bed.size.many):
            clients += bed.login(accounts(count)[len(clients) :], tls, first=len(clients))
            bed.points.append((count, bed.idle_pss() / 1e6))
        bed.details["idle CPU %"] = idling(bed, clients, bed.size.minute / (6 if tls else 1))
        storm(bed, clients, tls)
        return bed.points[-1][1]
    finally:
        driver.close(clients)


def storm(bed: Bed, clients: list[Client], tls: bool) -> None:
    failures: list[str] = []
    with Pinger(bed.peer.address, pingers()) as pinger:
        time.sleep(2)
        quiet = pinger.mark()
        began = time.monotonic()
        for client in clients:
            client.cut()
        login.login(clients, bed.peer.address, tls, STORM, 0, failures, patience=120)
        took = time.monotonic() - began
        loud = pinger.mark()
    bed.details["MB after"] = bed.idle_pss() / 1e6
    bed.details |= {"storm s": took, "refused or lost": len(failures), "ping p99 ms quiet": quiet["p99"],
                    "ping p50 ms storm": loud["p50"], "ping p99 ms storm": loud["p99"]}  # fmt: skip
    if failures:
        raise Failed(f"{len(failures)} of {len(clients)} did not get back: {failures[0]}")


CURVES = (
    Row("chat by load", "µs", load, once=True),
    Row("users online", "µs", users, None, Setup(crowd, fresh=True), once=True),
    Row("many sessions plain", "MB", lambda bed: memory(bed, False), 230, Setup(many, fresh=True), once=True,
        only="jabberd_py"),
    Row("many sessions TLS", "MB", lambda bed: memory(bed, True), 480, Setup(many, fresh=True), once=True,
        only="jabberd_py"),
)  # fmt: skip
