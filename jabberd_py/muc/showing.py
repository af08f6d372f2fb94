"""How occupants see each other: presence of one for all, and of all for one who comes (XEP-0045 sections 7.2 and 7.7)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..fanout import Copies, Variant
from ..heartbeat import heartbeat
from ..xmpp.element import Element
from .occupant import Occupant
from .presence import available

if TYPE_CHECKING:
    from .room import Room


AT_ONCE = 32
"""Presences for one who comes that are made by the same rules of the room."""
REMEMBERED = 3.0
"""Seconds after the last who came for which a room remembers how its occupants look: more than a KiB of each."""


class Looks:
    """How the occupants of a room look, while people come. ``slot`` belongs to the wheel of deadlines."""

    __slots__ = ("room", "slot")

    def __init__(self, room: Room) -> None:
        self.room, self.slot = room, 0

    def due(self, now: float) -> None:
        """Nobody comes any more."""
        for each in self.room.occupants.values():
            each.look = None
        self.room.memory.pop("looks", None)


def look(room: Room, occupant: Occupant, open: bool) -> Copies:
    """The occupant's presence for those who see no more than all do; ``open``: all see real addresses. It is made once for all
    who come: who changes more of what `available` writes than is looked at here calls `publish`."""
    affiliation = room.affiliation(occupant.user)
    key = (occupant.presence, occupant.nick, occupant.role, occupant.badge, occupant.hats, affiliation, open)
    if occupant.look is None or occupant.look[0] != key:
        occupant.look = key, Copies(available(room, occupant, open))
        looks = room.memory.get("looks")
        if looks is None:
            looks = room.memory["looks"] = Looks(room)
        heartbeat.at(time.monotonic() + REMEMBERED, looks)
    return occupant.look[1]


def spread(room: Room, occupant: Occupant, plain: Element | Copies, full: Element) -> None:
    """One of the two to every session of others: ``full`` to who may see real addresses."""
    if room.service.open_to_all(room):
        plain = full
    room.service.hooks.tell("shown", room, plain)
    own, here = frozenset(occupant.sessions.values()), room.everyone

    def variants() -> Iterator[Variant]:
        moderators, others = here.split(own)
        yield full, moderators
        yield plain, others

    room.sending.later(len(here), variants(), len(plain.inner) + len(full.inner))


def greet(room: Room, occupant: Occupant, full: str) -> None:
    """The presence of all others for one session, made when it is its turn. Who comes later is not among them: that is told
    to all."""
    seat, here = occupant.sessions[full], room.everyone

    def others() -> Iterator[Variant]:
        reader = (seat.jid,)
        all_ = list({other.occupant: None for other in here.seats() if not other.left})
        for at in range(0, len(all_), AT_ONCE):
            if seat.left:
                return  # it has left meanwhile
            open = room.service.open_to_all(room)
            more = room.sees(occupant) and not open
            for each in all_[at : at + AT_ONCE]:
                if each is not occupant and each.sessions and room.service.broadcasts(room, each):
                    yield available(room, each, True) if more else look(room, each, open), reader

    room.sending.later(len(room.occupants), others())
