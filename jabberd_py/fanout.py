"""Many readers, one text: a stanza is serialised once, and the start tag written anew for each reader.

    fan = Fan(router)                                  # one for each sender whose stanzas must stay in order: a room, a node
    fan.send((stanza, occupants))                      # addresses (`JID`): of sessions here, of components, of other servers
    fan.send((for_all, others), (with_more, moderators))     # variants of one stanza, each for its own readers
    fan.add((stanza, occupants))                       # the same, for who must not wait
    fan.one(stanza)                                    # to its own ``to``, in the same order
    fan.later(100, made)                               # variants that an iterator makes when it is their turn

Each reader gets what was sent first before what was sent next. The work is done in turns with everything else: the loop is
never held for much longer than `turns.SLICE`.

What waits at the same time goes out together: each reader gets all that is for it at once. So one look-up, one look at the
reader's lists and one write to its socket serve many stanzas. After it has delivered, a Fan rests (`REST`), that more may
gather: the more it has to do, the less each copy costs.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import length_hint
from typing import TYPE_CHECKING, Any

from gevent.event import Event

from . import log
from .net.turns import SLICE, begin, pause
from .xdb import xdb
from .xmpp import ns
from .xmpp.element import Element
from .xmpp.jid import JID, parse
from .xmpp.serialise import ATTRIBUTE, attributes

if TYPE_CHECKING:
    from .router import Router

logger = log.get(__name__)
PLAIN = re.compile(r"[^&<>'\t\n\r]*").fullmatch
ENDS = {name: f"</{name}>".encode() for name in ("message", "presence", "iq")}
WAITING = 200_000
"""Copies of one sender that may wait: about a second's work. Who sends more waits until some were delivered (`Fan.wait`)."""
HELD = 4 * 1024 * 1024
"""Bytes of memory that they may take."""
STANZA = 1000
"""Bytes of memory that a stanza takes beside its text."""
LOOK = 8
"""After so many copies the clock is looked at: one takes a few microseconds, or some dozens to another server."""
TOGETHER = 4096
"""About so many copies are gathered before the first of them is delivered."""
TEXT = 256 * 1024
"""Bytes of memory: when so much is gathered, it is delivered. A reader can take it at once."""
SORTED = 256
"""After so many of them the clock is looked at: one takes a fraction of a microsecond."""
REST = 50e-6
"""Seconds for each reader that a Fan rests after it has delivered: a few times what the writes to the sockets take. One of a
hundred readers writes to them 200 times a second at most."""
LONGEST_REST = 0.01


def quoted(to: str) -> bytes:
    """An address as it stands in a start tag."""
    return (to if PLAIN(to) else to.translate(ATTRIBUTE)).encode()


class Copies:
    """One stanza for many readers. ``stanza.attrs["to"]`` does not matter. Nobody changes the stanza any more. It may be sent
    again, by the same sender.

    start   the start tag up to the value of ``to``; ``rest``: all that follows this value. Both with its quotation mark
    shared  the stanza for who only looks at it: the next reader's copy is the same Element, with another ``to``. Who keeps it
            calls `part`
    noted   what the Instance of the last readers found out about the stanza, for the next copy
    """

    __slots__ = ("attrs", "inner", "kids", "name", "noted", "ns", "rest", "shared", "start")

    def __init__(self, stanza: Element) -> None:
        self.name, self.ns = stanza.name, stanza.ns
        self.inner, self.kids = stanza.inner, stanza.kids
        self.attrs = {key: value for key, value in stanza.attrs.items() if key != "to"}
        xmlns = "" if stanza.ns == ns.CLIENT else attributes({"xmlns": stanza.ns})
        self.start = f"<{stanza.name}{xmlns}{attributes(self.attrs)} to='".encode()
        self.rest = b"'>" + self.inner + ENDS[stanza.name] if self.inner else b"'/>"
        self.noted: Any = (None,)
        self.part()

    def element(self, to: str) -> Element:
        """The stanza for that reader."""
        return Element.raw(self.name, self.ns, {**self.attrs, "to": to}, self.inner, self.kids)

    def part(self) -> None:
        """Somebody keeps `shared`: the next readers get another one."""
        self.shared = self.element("")

    def data(self, to: bytes) -> bytes:
        """As it stands in a client's stream. ``to``: the reader, `quoted`."""
        return self.start + to + self.rest


Bundle = Sequence[Copies]
"""What one reader gets at once, in order."""
Variant = tuple["Element | Copies", Iterable[JID]]


def as_copies(stanza: Element | Copies) -> Copies:
    return stanza if isinstance(stanza, Copies) else Copies(stanza)


def breathe(began: float) -> float:
    """Blocks for this greenlet's next turn if it has had `SLICE` since ``began``. Returns when its turn began."""
    if time.monotonic() - began <= SLICE:
        return began
    xdb.release()
    pause()
    return time.monotonic()


class Tally:
    """Counts ``copies``."""

    __slots__ = ("copies",)

    def __init__(self) -> None:
        self.copies = 0


class Fan:
    """The outbox of one sender. Its greenlet lives only while there is something to deliver.

    queue    (copies, bytes of memory, variants) of each stanza that waits
    weight   copies that wait, all together; ``size``: bytes of memory
    waiting  who waits to send more
    tally    counts the copies that were delivered; several Fans may share it
    rested   when it goes on at the earliest (`time.monotonic`)
    """

    __slots__ = ("__weakref__", "queue", "rested", "router", "size", "tally", "waiting", "weight")

    def __init__(self, router: Router, tally: Tally | None = None) -> None:
        self.router, self.tally = router, tally or Tally()
        self.queue: deque[tuple[int, int, Iterable[Variant]]] = deque()
        self.weight = self.size = 0
        self.rested = 0.0
        self.waiting: deque[Event] | None = None

    def send(self, *variants: Variant) -> None:
        """Delivers each stanza to its readers, in order, soon. Errors come back to the stanza's sender, as of what
        `Router.deliver` gets. Does not wait for the deliveries; blocks while the Fan is `busy`. ``variants``: (stanza,
        addresses); the readers are gone through later, so give a list that nobody changes."""
        self.wait()
        self.add(*variants)

    def add(self, *variants: Variant) -> None:
        """The same, without a bound. Never blocks: who calls this asks whether the Fan is `busy`, or calls `wait`, before."""
        weight = sum(length_hint(readers, 1) for _, readers in variants)
        self.later(weight, variants, sum(len(stanza.inner) for stanza, _ in variants))

    def all(self, stanza: Element, readers: Iterable[JID | str]) -> None:
        """One stanza for all of these addresses, which may be text. Never blocks."""
        self.add((stanza, [parse(each) if isinstance(each, str) else each for each in readers]))

    def one(self, stanza: Element) -> None:
        """A stanza with a ``to``. Never blocks."""
        to = stanza.to
        assert to is not None
        self.add((stanza, (to,)))

    def later(self, weight: int, variants: Iterable[Variant], size: int = 0) -> None:
        """Variants that are made when it is their turn, of about ``weight`` copies, from ``size`` bytes of text. Never blocks;
        the iterator must not either."""
        size += STANZA
        self.queue.append((weight, size, variants))
        self.weight += weight
        self.size += size
        if len(self.queue) == 1:
            begin(self._run, self.rested and self.rested - time.monotonic())

    @property
    def busy(self) -> bool:
        """Does so much wait that who can should send nothing more now?"""
        return self.weight > WAITING or self.size > HELD

    def wait(self, seconds: float | None = None) -> None:
        """Blocks while the Fan is `busy`, for so many seconds at most, behind those who wait already. Hold no database
        connection meanwhile."""
        if not self.waiting and not self.busy:
            return
        self.waiting = deque() if self.waiting is None else self.waiting
        event = Event()
        self.waiting.append(event)
        try:
            event.wait(seconds)
        finally:
            if not event.is_set():
                self.waiting.remove(event)

    def _run(self) -> None:
        try:
            self._work()
        finally:
            xdb.release()

    def _work(self) -> None:
        queue, instances, began = self.queue, self.router.instances, time.monotonic()
        while queue:
            taken, pairs = self._gather()
            uplink, copied, readers, look = self.router.uplink, 0, 0, LOOK
            try:
                for jid, bundle in pairs:
                    try:
                        instances.get(jid.domain, uplink).deliver_copies(bundle, jid)
                    except Exception:
                        logger.exception("a copy could not be delivered", to=str(jid))
                    readers += 1
                    copied += len(bundle)
                    if copied >= look:
                        look, began = copied + LOOK, breathe(began)
            except Exception:
                logger.exception("a stanza could not be delivered to all its readers")
            self.tally.copies += copied
            before = self.size
            for _ in range(taken):
                weight, size, _ = queue.popleft()
                self.weight -= weight
                self.size -= size
                if self.waiting:
                    self._go_on()
            if before - self.size >= TEXT:
                began = breathe(0)  # the sockets take it before there is more
            self.rested = time.monotonic() + min(readers * REST, LONGEST_REST)

    def _gather(self) -> tuple[int, Iterable[tuple[JID, Bundle]]]:
        """What comes next: how many of the queue, and (reader, copies for it) pairs. May block."""
        queue, taken, gathered, size, look, began = self.queue, 0, 0, 0, SORTED, time.monotonic()
        alike: list[tuple[Iterable[JID], list[Copies]]] = []  # readers, and what all of them get
        while taken < len(queue) and gathered < TOGETHER and size < TEXT:
            _, text, variants = queue[taken]
            try:
                for stanza, readers in variants:
                    copies = as_copies(stanza)
                    if alike and alike[-1][0] is readers:
                        alike[-1][1].append(copies)
                    else:
                        alike.append((readers, [copies]))
                    gathered += length_hint(readers, 1)
                    if gathered >= look:
                        look, began = gathered + SORTED, breathe(began)
            except Exception:
                logger.exception("a stanza could not be delivered to all its readers")
            size += text
            taken += 1
        if len(alike) == 1:  # most often: all is for the same readers, and nothing is to be sorted
            readers, bundle = alike[0]
            return taken, zip(readers, repeat(bundle))
        rows, number = dict[str, tuple[JID, list[Copies]]](), 0
        for readers, bundle in alike:
            try:
                for jid in readers:
                    row = rows.get(jid.full)
                    if row is None:
                        rows[jid.full] = jid, list(bundle)
                    else:
                        row[1].extend(bundle)
                    number += 1
                    if not number % SORTED:
                        began = breathe(began)
            except Exception:
                logger.exception("a stanza could not be delivered to all its readers")
        return taken, rows.values()

    def _go_on(self) -> None:
        """Lets one greenlet that waits to send go on. If nothing is left to deliver, lets all of them go on."""
        waiting = self.waiting
        while waiting and not (self.busy and self.queue):
            waiting.popleft().set()
            if self.queue:
                break
