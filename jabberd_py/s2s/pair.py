"""The stanzas of one of our domains that wait for a stream to one other domain."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from .. import log, outbox
from ..heartbeat import heartbeat
from ..jsm.worth import lasts, promised
from ..outbox import Entry
from ..router import Router
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .failures import FAILURES
from .options import S2S

logger = log.get(__name__)

BACK_OFF = 300.0
"""At most this many seconds pass between two attempts to reach a domain."""
STEADY = 60.0
"""A stream that lived for so many seconds does not count as a failed attempt when it breaks."""


class Failure(Exception):
    """Why a domain cannot be reached.

    condition  of the stanza error that senders get
    text       for an administrator
    public     for users, who need not know of our resolvers and routes
    final      waiting will not help
    """

    def __init__(self, condition: str, text: str, final: bool = False, public: str | None = None) -> None:
        super().__init__(text)
        self.condition, self.text, self.final = condition, text, final
        self.public = public or text


class Carrier(Protocol):
    """What a pair needs of the stream on which it sends: a `Traffic`. ``held``: pairs that wait until it is no longer full."""

    held: set[Pair]

    @property
    def full(self) -> bool: ...
    def transmit(self, pair: Pair, entry: Entry) -> None: ...


class Owner(Protocol):
    """What a pair needs of the `Uplink` to which it belongs. ``left``: pair -> the counters of its last stream."""

    options: S2S
    router: Router
    left: dict[Pair, Any]

    def connect(self, pair: Pair) -> None: ...


class Pair:
    """A pair of domains: ``local`` is ours, ``remote`` is the other server's.

    While it has no stream, stanzas wait in ``queue``: all of them until the first attempt to connect fails. After that only
    those with a row in the outbox wait, for ``s2s.patience`` seconds; the senders of the others get an error.

    seeker      the bare address of who was the first to write; "": the server itself
    connection  the stream on which the other side lets us send; None: there is none
    bytes       the size of what waits
    failure     why the last attempt failed; None after a success
    failures    attempts that have failed in a row
    retry       when the next attempt may begin (`time.monotonic`)
    """

    __slots__ = (
        "uplink", "local", "remote", "connection", "queue", "bytes", "failure", "failures", "retry", "slot", "own_stream",
        "seeker",
    )  # fmt: skip

    def __init__(self, uplink: Owner, local: str, remote: str, seeker: str = "") -> None:
        self.uplink = uplink
        self.local, self.remote, self.seeker = local, remote, seeker
        self.connection: Carrier | None = None
        self.queue: deque[Entry] = deque()
        self.bytes = 0
        self.failure: Failure | None = None
        self.failures = 0
        self.retry = 0.0
        self.slot = 0
        self.own_stream = False  # it cannot share the stream of another domain of ours

    # -- in ------------------------------------------------------------------------------------

    def send(self, stanza: Element) -> None:
        """Queues the stanza, and sends it if there is a stream. Raises StanzaError if the last attempt has failed and the
        stanza has no row in the outbox, or if the queue is full. Blocks only while the queue of the writer is full."""
        lasting = promised(stanza, self.uplink.router.instances)
        if (
            self.connection is None
            and not lasting
            and self.failure is not None
            and self.retry > time.monotonic()
        ):
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
        """The store could not keep the row. If the stanza still waits, its sender gets an error. If it was sent meanwhile,
        nothing happens."""
        entry.row = 0
        if entry in self.queue:
            self.queue.remove(entry)
            self.bytes -= len(entry.data)
            outbox.refuse(self.uplink.router, entry)

    def save(self) -> None:
        """To be called when the server stops: see `outbox.save`."""
        outbox.save(self.uplink.router, self.queue, lasts, self._keep)

    def enqueue(self, entry: Entry) -> None:
        """Queues an entry behind all others."""
        self.queue.append(entry)
        self.bytes += len(entry.data)
        self.pump()

    def requeue(self, entries: Iterable[Entry]) -> None:
        """Queues entries in front of all others: their stream ended before they were acknowledged."""
        before = list(entries)
        self.queue.extendleft(reversed(before))
        self.bytes += sum(len(entry.data) for entry in before)

    # -- out -----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Sends what waits until the stream is full. Without a stream, asks the uplink for one. Never blocks."""
        connection = self.connection
        if connection is None:
            if self.queue or self in self.uplink.left:
                self._connect()
            return
        while self.queue and self.connection is connection:
            if connection.full:
                connection.held.add(self)
                return
            entry = self.queue.popleft()
            self.bytes -= len(entry.data)
            connection.transmit(self, entry)

    def _connect(self) -> None:
        if self.retry <= time.monotonic():
            self.uplink.connect(self)
        elif not self.slot:
            heartbeat.at(self.retry, self)

    def wait(self) -> None:
        """What waits gets its error in time even if nobody looks for the other server."""
        if not self.slot:
            heartbeat.at(time.monotonic() + self.uplink.options.patience, self)

    @property
    def writer(self) -> str:
        """Who wrote last, a bare address; "": nothing waits."""
        sender = self.queue[-1].stanza.from_ if self.queue else None
        return "" if sender is None else sender.user

    def attach(self, connection: Carrier) -> None:
        """To be called when the other side lets us send on this stream. If the last stream left unacknowledged stanzas, they
        are sent first."""
        left = self.uplink.left.pop(self, None)
        if left is not None:
            left.give_back()
        self.connection = connection
        FAILURES.forget(self.local, self.remote)
        self.failure = None
        self.retry = 0.0
        heartbeat.cancel(self)
        self.pump()

    def delivered(self, entry: Entry) -> None:
        """The other server has it."""
        outbox.forget(entry)

    def detach(self, lived: float) -> None:
        """To be called when the stream has ended, which was up for ``lived`` seconds. After several short-lived streams the
        next one is opened later."""
        self.connection = None
        self.failures = 0 if lived > STEADY else self.failures + 1
        self.retry = time.monotonic() + min(
            BACK_OFF, 2.0 ** min(self.failures, 10) - 2 if self.failures else 0
        )
        self.pump()

    def failed(self, failure: Failure) -> None:
        """To be called when no stream came up. Entries with a row in the outbox wait on; the senders of the others get an
        error."""
        self.connection = None
        self.failure = failure
        self.failures += 1
        self.retry = time.monotonic() + min(BACK_OFF, 2.0 ** min(self.failures, 10))
        waited = len(self.queue)
        self._expire(lambda entry: failure.final or not entry.row)
        FAILURES.note(self.local, self.remote, failure.text, waited - len(self.queue))

    def try_now(self) -> None:
        """Does not wait for the next attempt any longer."""
        self.failures, self.retry = 0, 0.0
        heartbeat.cancel(self)
        self.pump()

    def due(self, now: float) -> float | None:
        """The next attempt."""
        self._expire(lambda entry: False)
        self.pump()
        return None

    def _expire(self, hopeless: Callable[[Entry], bool]) -> None:
        """Sends an error for every entry that is ``hopeless``, or has waited for longer than ``s2s.patience``."""
        failure = self.failure or Failure("remote-server-timeout", f"{self.remote} does not answer")
        oldest = time.monotonic() - self.uplink.options.patience
        back = [entry for entry in self.queue if hopeless(entry) or entry.queued_at <= oldest]
        if back:
            gone = set(map(id, back))
            self.queue = deque(e for e in self.queue if id(e) not in gone)
            self.bytes = sum(len(e.data) for e in self.queue)
            for entry in back:
                self.bounce(entry, failure)
        if self.queue and self.connection is None:
            heartbeat.at(max(self.retry, time.monotonic()), self)

    def bounce(self, entry: Entry, failure: Failure) -> None:
        self.delivered(entry)
        self.uplink.router.bounce(entry.stanza, StanzaError(failure.condition, failure.public))

    @property
    def idle(self) -> bool:
        """May this pair be forgotten? Nothing waits, and there is no stream and no back-off time."""
        return self.connection is None and not self.queue and self.retry <= time.monotonic()
