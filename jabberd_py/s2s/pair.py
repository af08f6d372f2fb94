"""What waits for one domain of ours to speak to one domain elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .. import log, outbox
from ..heartbeat import heartbeat
from ..jsm.worth import promised, worth
from ..outbox import Entry
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError

if TYPE_CHECKING:
    from .traffic import Traffic
    from .uplink import Uplink

logger = log.get(__name__)

BACK_OFF = 300.0
"""Seconds between two attempts at a domain that has not answered for long."""
STEADY = 60.0
"""Seconds after which a stream that breaks was a good one."""


class Failure(Exception):
    """Why a domain cannot be talked to: a stanza error's condition and a text that a person understands. ``final``: waiting
    will not help. ``public``: what users read, who need not know of our resolvers and routes."""

    def __init__(self, condition: str, text: str, final: bool = False, public: str | None = None) -> None:
        super().__init__(text)
        self.condition, self.text, self.final = condition, text, final
        self.public = public or text


class Pair:
    """(local domain, remote domain). ``link`` is the stream on which the other side lets us send, if there is one.

    Stanzas wait while it comes up: all of them until the first attempt fails; after that only those that were promised
    to last (`outbox`), for ``s2s.patience``."""

    __slots__ = (
        "uplink", "local", "remote", "link", "queue", "bytes", "failure", "failures", "retry", "slot", "own_stream",
    )  # fmt: skip

    def __init__(self, uplink: Uplink, local: str, remote: str) -> None:
        self.uplink = uplink
        self.local, self.remote = local, remote
        self.link: Traffic | None = None
        self.queue: deque[Entry] = deque()
        self.bytes = 0
        self.failure: Failure | None = None
        self.failures = 0
        self.retry = 0.0
        self.slot = 0
        self.own_stream = False  # it cannot share the stream of another domain of ours

    # -- in ------------------------------------------------------------------------------------

    def send(self, stanza: Element) -> None:
        """Raises StanzaError where there is no use in waiting, or the queue is full."""
        lasting = promised(stanza, self.uplink.router.instances)
        if self.link is None and not lasting and self.failure is not None and self.retry > time.monotonic():
            raise StanzaError(self.failure.condition, self.failure.public)
        o = self.uplink.options
        if len(self.queue) >= o.queue or self.bytes > o.queue_size:
            raise StanzaError("resource-constraint", f"too much waits for {self.remote} already")
        entry = Entry(stanza)
        if lasting:
            self._keep(entry)
        self.enqueue(entry)

    def _keep(self, entry: Entry) -> None:
        outbox.keep("s2s", self.remote, entry, self._unkept)

    def _unkept(self, entry: Entry) -> None:
        """The store failed. What is on its way by now is not sent back: its sender would have both."""
        entry.row = 0
        if entry in self.queue:
            self.queue.remove(entry)
            self.bytes -= len(entry.data)
            outbox.refuse(self.uplink.router, entry)

    def save(self) -> None:
        """The server stops."""
        outbox.save(self.uplink.router, self.queue, worth, self._keep)

    def enqueue(self, entry: Entry) -> None:
        """Behind all that waits."""
        self.queue.append(entry)
        self.bytes += len(entry.data)
        self.pump()

    def requeue(self, entries: Iterable[Entry]) -> None:
        """In front of all that waits: a stream was lost before they were acknowledged."""
        before = list(entries)
        self.queue.extendleft(reversed(before))
        self.bytes += sum(len(entry.data) for entry in before)

    # -- out -----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Sends what waits, as far as the stream takes it; without a stream, asks for one."""
        link = self.link
        if link is None:
            if self.queue or self in self.uplink.left:
                self._connect()
            return
        while self.queue and self.link is link:
            if link.full:
                link.held.add(self)
                return
            entry = self.queue.popleft()
            self.bytes -= len(entry.data)
            link.transmit(self, entry)

    def _connect(self) -> None:
        if self.retry <= time.monotonic():
            self.uplink.connect(self)
        elif not self.slot:
            heartbeat.at(self.retry, self)

    def attach(self, link: Traffic) -> None:
        """The other side lets us send on this stream. What the last one left, and this one cannot resume, comes first."""
        left = self.uplink.left.pop(self, None)
        if left is not None:
            left.give_back()
        self.link = link
        self.failure = None
        self.retry = 0.0
        heartbeat.cancel(self)
        self.pump()

    def delivered(self, entry: Entry) -> None:
        """The other server has it."""
        outbox.forget(entry)

    def detach(self, lived: float) -> None:
        """The stream is gone, after so many seconds: one that breaks again and again is not opened at once."""
        self.link = None
        self.failures = 0 if lived > STEADY else self.failures + 1
        self.retry = time.monotonic() + min(
            BACK_OFF, 2.0 ** min(self.failures, 10) - 2 if self.failures else 0
        )
        self.pump()

    def failed(self, failure: Failure) -> None:
        """No stream came up. What can wait does, the rest goes back."""
        self.link = None
        self.failure = failure
        self.failures += 1
        self.retry = time.monotonic() + min(BACK_OFF, 2.0 ** min(self.failures, 10))
        self._expire(lambda entry: failure.final or not entry.row)

    def due(self, now: float) -> float | None:
        """The next attempt."""
        self._expire(lambda entry: False)
        self.pump()
        return None

    def _expire(self, hopeless: Callable[[Entry], bool]) -> None:
        """Sends back what is hopeless, or has waited for too long."""
        failure = self.failure or Failure("remote-server-timeout", f"{self.remote} does not answer")
        oldest = time.monotonic() - self.uplink.options.patience
        back = [entry for entry in self.queue if hopeless(entry) or entry.queued_at <= oldest]
        if back:
            gone = set(map(id, back))
            self.queue = deque(e for e in self.queue if id(e) not in gone)
            self.bytes = sum(len(e.data) for e in self.queue)
            for entry in back:
                self.bounce(entry, failure)
        if self.queue and self.link is None:
            heartbeat.at(max(self.retry, time.monotonic()), self)

    def bounce(self, entry: Entry, failure: Failure) -> None:
        self.delivered(entry)
        self.uplink.router.bounce(entry.stanza, StanzaError(failure.condition, failure.public))

    @property
    def idle(self) -> bool:
        """Nothing is remembered here that would be missed."""
        return self.link is None and not self.queue and self.retry <= time.monotonic()
