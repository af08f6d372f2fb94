"""Many readers, one text: a stanza is serialised once, and the start tag written anew for each reader.

    fan = Fan(router)                                  # one for each sender whose stanzas must stay in order: a room, a node
    fan.send((stanza, occupants))                      # addresses (`JID`): of sessions here, of components, of other servers
    fan.send((for_all, others), (with_more, moderators))     # variants of one stanza, each for its own readers

What was sent first is delivered to all before what was sent next. The work is done in turns with everything else: the loop is
never held for longer than `turns.SLICE`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event

from . import log
from .net.turns import fairly
from .xdb import xdb
from .xmpp import ns
from .xmpp.element import Element
from .xmpp.jid import JID
from .xmpp.serialise import ATTRIBUTE, attributes

if TYPE_CHECKING:
    from .instance import Instance
    from .router import Router

logger = log.get(__name__)
PLAIN = re.compile(r"[^&<>'\t\n\r]*").fullmatch
WAITING = 1000
"""Stanzas of one sender that may wait; who sends more waits until some were delivered."""

Readers = Iterable[JID]


class Copies:
    """One stanza for many readers. ``stanza.attrs["to"]`` does not matter. Nobody changes the stanza any more. ``noted``: what
    an Instance found out about the stanza, for the next copy."""

    __slots__ = ("stanza", "inner", "kids", "attrs", "start", "end", "noted")

    def __init__(self, stanza: Element) -> None:
        self.stanza = stanza
        self.inner, self.kids = stanza.inner, stanza.kids
        self.attrs = {key: value for key, value in stanza.attrs.items() if key != "to"}
        xmlns = "" if stanza.ns == ns.CLIENT else attributes({"xmlns": stanza.ns})
        self.start = f"<{stanza.name}{xmlns}{attributes(self.attrs)} to='".encode()
        self.end = b"'>%b</%b>" % (self.inner, stanza.name.encode()) if self.inner else b"'/>"
        self.noted: dict[Instance, Any] = {}

    def element(self, to: str) -> Element:
        """The stanza for that reader."""
        return Element.raw(self.stanza.name, self.stanza.ns, {**self.attrs, "to": to}, self.inner, self.kids)

    def data(self, to: str) -> bytes:
        """The same as it stands in a client's stream."""
        if not PLAIN(to):
            to = to.translate(ATTRIBUTE)
        return b"%b%b%b" % (self.start, to.encode(), self.end)


class Fan:
    """The outbox of one sender. Its greenlet lives only while there is something to deliver."""

    __slots__ = ("router", "queue", "room")

    def __init__(self, router: Router) -> None:
        self.router = router
        self.queue: deque[tuple[tuple[Element, Readers], ...]] = deque()
        self.room: Event | None = None

    def send(self, *variants: tuple[Element, Readers]) -> None:
        """Delivers each stanza to its readers, in order, soon. Errors come back to the stanza's sender, as of what
        `Router.deliver` gets. Does not wait for the deliveries; blocks while `WAITING` stanzas wait. ``variants``: (stanza,
        addresses); the readers are gone through later, so give a list that nobody changes."""
        while len(self.queue) >= WAITING:
            self.room = self.room or Event()
            self.room.wait()
        self.queue.append(variants)
        if len(self.queue) == 1:
            gevent.spawn(self._work)

    def _work(self) -> None:
        instances, uplink = self.router.instances, self.router.uplink
        for copies, jid in fairly(self._each()):
            try:
                instances.get(jid.domain, uplink).deliver_copy(copies, jid)
            except Exception:
                logger.exception("a copy could not be delivered", to=str(jid))
        xdb.release()

    def _each(self) -> Iterator[tuple[Copies, JID]]:
        while self.queue:
            for stanza, readers in self.queue[0]:
                try:
                    copies = Copies(stanza)
                    for jid in readers:
                        yield copies, jid
                except Exception:
                    logger.exception("a stanza could not be delivered to all its readers")
            self.queue.popleft()
            if self.room is not None:
                self.room.set()
                self.room = None
