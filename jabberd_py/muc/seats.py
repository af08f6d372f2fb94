"""Who is in a room, session by session. What was sent to all goes to those who were in then, although it is delivered later:
a snapshot of the seats costs nothing, however many there are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING

from ..xmpp.element import Element
from ..xmpp.jid import JID

if TYPE_CHECKING:
    from .occupant import Occupant

_address = attrgetter("jid")


class Seat:
    """One session of an occupant.

    jid       its full address
    presence  its last one, as the room shows it (without ``to`` and ``from``)
    left      when it was taken out, in the count of `Seats`; 0: it is in
    heard     when it last spoke, or changed its presence (`time.monotonic`, whole seconds)
    watched   is it asked for signs of life?
    """

    __slots__ = ("heard", "jid", "left", "occupant", "presence", "watched")

    def __init__(self, jid: JID, occupant: Occupant, presence: Element) -> None:
        self.jid, self.occupant, self.presence = jid, occupant, presence
        self.left, self.heard, self.watched = 0, int(time.monotonic()), False


class Seats:
    """All seats of a room in the order in which they were taken. Who has left stays in the list for a while. So a stanza that
    waits is for the first so many of a list, without those who had left before."""

    __slots__ = ("last", "list", "now", "vacant")

    def __init__(self) -> None:
        self.list: list[Seat] = []
        self.now = 0
        self.vacant = 0
        self.last: Snapshot | None = None

    def __len__(self) -> int:
        return len(self.list) - self.vacant

    def add(self, seat: Seat) -> None:
        self.list.append(seat)

    def remove(self, seat: Seat) -> None:
        self.now += 1
        seat.left = self.now
        self.vacant += 1
        if self.vacant > 32 and self.vacant * 2 > len(self.list):
            self.list = [each for each in self.list if not each.left]
            self.vacant = 0

    def snapshot(self) -> Snapshot:
        """The same object as the last time if nobody has come or gone: a `Fan` gathers what is for the same readers."""
        last = self.last
        if last is None or not last.tells_of(self):
            last = self.last = Snapshot(self)
        return last


class Snapshot:
    """Those who were in at one moment. Iterating yields their addresses."""

    __slots__ = ("_count", "_list", "_now", "_size")

    def __init__(self, seats: Seats) -> None:
        self._list, self._count, self._now, self._size = seats.list, len(seats.list), seats.now, len(seats)

    def __len__(self) -> int:
        return self._size

    def tells_of(self, seats: Seats) -> bool:
        """Are the same in now?"""
        return self._list is seats.list and self._count == len(seats.list) and self._now == seats.now

    def seats(self) -> Iterator[Seat]:
        now = self._now
        for seat in islice(self._list, self._count):
            if not seat.left or seat.left > now:
                yield seat

    def split(self, own: frozenset[Seat]) -> tuple[list[JID], list[JID]]:
        """(moderators, others) without ``own``, by the roles that they have when this is called."""
        moderators: list[JID] = []
        others: list[JID] = []
        for seat in self.seats():
            if seat not in own:
                (moderators if seat.occupant.role == "moderator" else others).append(seat.jid)
        return moderators, others

    def __iter__(self) -> Iterator[JID]:
        if self._size == self._count:  # none of them had left; then no Python code runs for each
            return map(_address, islice(self._list, self._count))
        return map(_address, self.seats())
