"""Many readers, one text: a stanza is serialised once, and the start tag written anew for each reader.

    fan = Fan(router)                                  # one for each sender whose stanzas must stay in order: a room, a node
    fan.send((stanza, occupants))                      # addresses (`JID`): of sessions here, of components, of other servers
    fan.send((for_all, others), (with_more, moderators))     # variants of one stanza, each for its own readers
    fan.add((stanza, occupants))                       # the same, for who must not wait
    fan.one(stanza)                                    # to its own ``to``, in the same order
    fan.later(100, made)                               # variants that an iterator makes when it is their turn

What was sent first is delivered to all before what was sent next. The work is done in turns with everything else: the loop is
never held for longer than `turns.SLICE`.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable
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
FORMS = {name: (b"%b%b'>%b</" + name.encode() + b">", b"%b%b'/>%b") for name in ("message", "presence", "iq")}
"""Name of a stanza -> its form with something in it, and with nothing: start tag up to the value of ``to``, reader, content."""
WAITING = 200_000
"""Copies of one sender that may wait: about a second's work. Who sends more waits until some were delivered (`Fan.wait`)."""
HELD = 4 * 1024 * 1024
"""Bytes of memory that they may take."""
STANZA = 1000
"""Bytes of memory that a stanza takes beside its text."""
LOOK = 8
"""After so many copies the clock is looked at: one takes a few microseconds, or some dozens to another server."""


def quoted(to: str) -> bytes:
    """An address as it stands in a start tag."""
    return (to if PLAIN(to) else to.translate(ATTRIBUTE)).encode()


class Copies:
    """One stanza for many readers. ``stanza.attrs["to"]`` does not matter. Nobody changes the stanza any more. It may be sent
    again, by the same sender.

    noted  what the Instance of the last readers found out about the stanza, for the next copy
    """

    __slots__ = ("_shared", "attrs", "form", "inner", "kids", "name", "noted", "ns", "start")

    def __init__(self, stanza: Element) -> None:
        self.name, self.ns = stanza.name, stanza.ns
        self.inner, self.kids = stanza.inner, stanza.kids
        self.attrs = {key: value for key, value in stanza.attrs.items() if key != "to"}
        xmlns = "" if stanza.ns == ns.CLIENT else attributes({"xmlns": stanza.ns})
        self.start = f"<{stanza.name}{xmlns}{attributes(self.attrs)} to='".encode()
        full, empty = FORMS[stanza.name]
        self.form = full if self.inner else empty
        self.noted: Any = (None,)
        self._shared: Element | None = None

    def element(self, to: str) -> Element:
        """The stanza for that reader."""
        return Element.raw(self.name, self.ns, {**self.attrs, "to": to}, self.inner, self.kids)

    def shared(self, to: str) -> Element:
        """The same, for who only looks at it: the next reader's copy is the same Element. Who keeps it calls `part`."""
        if self._shared is None:
            self._shared = self.element(to)
        else:
            self._shared.attrs["to"] = to
        return self._shared

    def part(self) -> None:
        """Somebody keeps what `shared` gave: the next readers get another one."""
        self._shared = None

    def data(self, to: bytes) -> bytes:
        """As it stands in a client's stream. ``to``: the reader, `quoted`."""
        return self.form % (self.start, to, self.inner)


Variant = tuple["Element | Copies", Iterable[JID]]


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
    """

    __slots__ = ("queue", "router", "size", "tally", "waiting", "weight")

    def __init__(self, router: Router, tally: Tally | None = None) -> None:
        self.router, self.tally = router, tally or Tally()
        self.queue: deque[tuple[int, int, Iterable[Variant]]] = deque()
        self.weight = self.size = 0
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
            begin(self._run)

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
        queue, began, copied, counted = self.queue, time.monotonic(), 0, 0
        while queue:
            weight, size, variants = queue[0]
            instances, uplink = self.router.instances, self.router.uplink
            try:
                for stanza, readers in variants:
                    copies = stanza if isinstance(stanza, Copies) else Copies(stanza)
                    for jid in readers:
                        try:
                            instances.get(jid.domain, uplink).deliver_copy(copies, jid)
                        except Exception:
                            logger.exception("a copy could not be delivered", to=str(jid))
                        copied += 1
                        if not copied % LOOK and time.monotonic() - began > SLICE:
                            xdb.release()
                            pause()
                            began = time.monotonic()
            except Exception:
                logger.exception("a stanza could not be delivered to all its readers")
            queue.popleft()
            self.tally.copies += copied - counted
            counted = copied
            self.weight -= weight
            self.size -= size
            if self.waiting:
                self._go_on()

    def _go_on(self) -> None:
        """Lets one greenlet that waits to send go on. If nothing is left to deliver, lets all of them go on."""
        waiting = self.waiting
        while waiting and not (self.busy and self.queue):
            waiting.popleft().set()
            if self.queue:
                break
