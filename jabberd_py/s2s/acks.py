"""XEP-0198 on one stream between servers: what is counted, and what is not acknowledged."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import gevent

from ..outbox import Entry
from ..xmpp.protocols import XEP
from ..xmpp.sm import ASK, WRAP, newly
from .pair import Pair

PROTOCOLS = (XEP(198, "1.6.3", "Stream Management", missing="location"),)

if TYPE_CHECKING:
    from .link import Link


class Acks:
    """Stream management (XEP-0198) of one link.

    handled    stanzas of the other side that were dealt with
    sent       stanzas sent to it since <enable/>; the last len(queue) of them, so many ``bytes``, are not acknowledged
    """

    __slots__ = ("handled", "sent", "queue", "bytes", "asked_at", "asked", "token", "expires")

    def __init__(self, token: str = "") -> None:
        self.handled = self.sent = self.bytes = 0
        self.queue: deque[tuple[Pair, Entry]] = deque()
        self.asked = False
        self.asked_at = 0.0  # `time.monotonic`
        self.token = token  # for a resumption, if there can be one
        self.expires = 0.0

    def add(self, pair: Pair, entry: Entry) -> None:
        """One more is sent."""
        self.sent = (self.sent + 1) % WRAP
        self.queue.append((pair, entry))
        self.bytes += len(entry.data)

    def ask(self) -> bytes:
        """What to send, to be told how many came."""
        self.asked, self.asked_at = True, time.monotonic()
        return ASK

    def acknowledged(self, h: int) -> int:
        """Raises StreamError."""
        more = newly(h, self.sent, len(self.queue))
        for _ in range(more):
            pair, entry = self.queue.popleft()
            self.bytes -= len(entry.data)
            pair.delivered(entry)
        return more

    def give_back(self) -> None:
        """What was not acknowledged waits again, in front of its pairs' queues. They go on when the caller is done: until then
        they may still stand on the stream that is lost."""
        pairs: dict[Pair, list[Entry]] = {}
        for pair, entry in self.queue:
            pairs.setdefault(pair, []).append(entry)
        self.queue.clear()
        self.bytes = 0
        for pair, entries in pairs.items():
            pair.requeue(entries)
            gevent.spawn(pair.pump)


class ParkedStream:
    """A stream that its other side may resume: what was handled of it, and what it has not acknowledged."""

    def __init__(self, link: Link, sm: Acks) -> None:
        self.sm = sm
        self.local, self.bidi = link.local, link.bidi
        self.remotes, self.pairs = set(link.remotes), list(link.pairs)
        self.parked_at = time.monotonic()
