"""Stream management (XEP-0198) on one stream between servers."""

from __future__ import annotations

import time
from collections import deque

import gevent

from ..outbox import Entry
from ..xmpp.protocols import XEP
from ..xmpp.sm import ASK, WRAP, newly
from .pair import Failure, Pair

PROTOCOLS = (XEP(198, "1.6.3", "Stream Management", missing="location between servers"),)


class Acks:
    """The counters of one stream.

    handled   stanzas that we have received and handled
    sent      stanzas that we have sent since <enable/>
    queue     those of them that are not acknowledged, the oldest first: (pair, entry)
    bytes     their size
    asked     True while we wait for an answer to <r/>, which we sent at ``asked_at`` (`time.monotonic`)
    token     names the stream for a resumption; "" if it cannot be resumed
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
        """Counts a stanza that is sent."""
        self.sent = (self.sent + 1) % WRAP
        self.queue.append((pair, entry))
        self.bytes += len(entry.data)

    def ask(self) -> bytes:
        """Returns <r/>, to be sent."""
        self.asked, self.asked_at = True, time.monotonic()
        return ASK

    def acknowledged(self, h: int) -> int:
        """Handles <a/>: drops what it acknowledges. ``h``: its count. Returns the number of stanzas that it newly acknowledges.
        Raises StreamError if it acknowledges more than we have sent."""
        more = newly(h, self.sent, len(self.queue))
        for _ in range(more):
            pair, entry = self.queue.popleft()
            self.bytes -= len(entry.data)
            pair.delivered(entry)
        return more

    @property
    def cautious(self) -> bool:
        """Was the last stanza a suspect? Until it is acknowledged no other one follows: if the stream ends, it was that one."""
        return bool(self.queue) and self.queue[-1][1].suspect

    def suspect(self, reason: str) -> None:
        """The other side has ended the stream with an error, over one of those it has not acknowledged. They will go out one
        by one. A suspect that was alone goes back to its sender: those behind it must not wait for ever."""
        if len(self.queue) == 1 and self.cautious:
            pair, entry = self.queue.popleft()
            pair.bounce(entry, Failure("not-acceptable", f"{pair.remote} does not take this: {reason}", True))
        for _, entry in self.queue:
            entry.suspect = True

    def give_back(self) -> None:
        """Puts what was not acknowledged back in front of the queues of its pairs. The pairs send later, in greenlets of their
        own: during this call they may still be attached to the stream that has ended."""
        pairs: dict[Pair, list[Entry]] = {}
        for pair, entry in self.queue:
            pairs.setdefault(pair, []).append(entry)
        self.queue.clear()
        self.bytes = 0
        for pair, entries in pairs.items():
            pair.requeue(entries)
            gevent.spawn(pair.pump)
