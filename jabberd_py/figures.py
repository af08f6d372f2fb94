"""How the server is doing, in figures: for the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .http.metrics import Figure
from .muc.service import Rooms
from .services.bytestreams import bytestreams

if TYPE_CHECKING:
    from .server import Server


def figures(server: Server) -> list[Figure]:
    """What the metrics show."""
    store = server.store
    found = [
        Figure(
            "sessions", "connected resources", [(h.domain, h.sessions.count) for h in server.hosts], "host"
        ),
        Figure("c2s_streams", "client streams, logged in or not", [(None, len(server.c2s.clients))]),
        Figure("c2s_waiting", "bytes that wait for slow clients", [(None, server.c2s.backlog.total)]),
    ]
    if store is not None:
        writer = store.writer
        found += [
            Figure(
                "store_trouble",
                "1 while writes are lost or reads fail",
                [(None, float(store.trouble is not None))],
            ),
            Figure("store_queue", "writes that wait", [(None, len(writer._queue))]),
            Figure("store_commits", "groups committed", [(None, writer.commits)], total=True),
            Figure("store_failures", "groups lost", [(None, writer.failures)], total=True),
            Figure("store_unread", "reads that failed", [(None, store.db.unreadable)], total=True),
        ]
    services = [each for each in server.router.instances.values() if isinstance(each, Rooms)]
    if services:
        found += [
            Figure(
                "rooms", "rooms in memory", [(each.domain, len(each.rooms)) for each in services], "service"
            ),
            Figure(
                "rooms_sleeping",
                "rooms in memory that nobody is in",
                [(each.domain, len(each.idle)) for each in services],
                "service",
            ),
            Figure(
                "rooms_sessions",
                "sessions of occupants",
                [(each.domain, sum(len(room.seats) for room in each.rooms.values())) for each in services],
                "service",
            ),
            Figure(
                "rooms_delivered",
                "stanzas that rooms have sent, each copy",
                [(each.domain, each.tally.copies) for each in services],
                "service",
                total=True,
            ),
            Figure(
                "rooms_waiting",
                "copies that rooms have yet to send",
                [
                    (each.domain, sum(room.sending.weight for room in each.rooms.values()))
                    for each in services
                ],
                "service",
            ),
        ]
    passed = bytestreams.passed + sum(each.passed for each in bytestreams.streams.values())
    found += [
        Figure("bytestreams", "bytestreams between clients, by proxies", [(None, len(bytestreams.streams))]),
        Figure("bytestreams_bytes", "bytes that have passed by them", [(None, passed)], total=True),
    ]
    uplink = server.uplink
    if uplink is not None:
        streams = [("in", float(len(uplink.incoming))), ("out", float(len(uplink.outgoing)))]
        waiting = sum(len(pair.queue) for pair in uplink.pairs.values())
        found += [
            Figure("s2s_streams", "streams to and from other servers", streams, "direction"),
            Figure("s2s_waiting", "stanzas that wait for other servers", [(None, waiting)]),
        ]
    return found
