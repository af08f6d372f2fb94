"""What a room sends, in order.

A room has one outbox, so that all its occupants see the same order, however many senders there are. A greenlet of its own
works it off, in turns with everything else; nobody who speaks waits for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

import gevent

from ..net.turns import fairly
from ..xdb import xdb
from ..xmpp.element import Element

if TYPE_CHECKING:
    from ..router import Router


class Sending:
    """``weight``: how many stanzas are on their way."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.queue: deque[tuple[int, Iterable[Element]]] = deque()
        self.weight = 0
        self.running = False

    def one(self, stanza: Element) -> None:
        """A stanza with a ``to``."""
        self._put(1, (stanza,))

    def all(self, stanza: Element, recipients: Collection[str]) -> None:
        """One stanza for many full addresses: the copies share their inner bytes."""
        if recipients:
            self._put(len(recipients), _copies(stanza, recipients))

    def later(self, weight: int, make: Callable[[], Iterable[Element]]) -> None:
        """Stanzas that are made when it is their turn, about ``weight`` of them."""
        self._put(weight, _made(make))

    def _put(self, weight: int, stanzas: Iterable[Element]) -> None:
        self.queue.append((weight, stanzas))
        self.weight += weight
        if not self.running:
            self.running = True
            gevent.spawn(self._run)

    def _run(self) -> None:
        deliver = self.router.deliver
        try:
            with xdb.unit():
                while self.queue:
                    weight, stanzas = self.queue.popleft()
                    for stanza in fairly(stanzas):
                        deliver(stanza)
                    self.weight -= weight
        finally:
            self.running = False
            if self.queue:  # it was ended from outside
                self.running = True
                gevent.spawn(self._run)


def _copies(stanza: Element, recipients: Iterable[str]) -> Iterable[Element]:
    name, ns, attrs, inner, kids = stanza.name, stanza.ns, stanza.attrs, stanza.inner, stanza.kids
    for to in recipients:
        yield Element.raw(name, ns, {**attrs, "to": to}, inner, kids)


def _made(make: Callable[[], Iterable[Element]]) -> Iterable[Element]:
    yield from make()
