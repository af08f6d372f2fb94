"""Changes of roles and affiliations, once they were checked (XEP-0045 sections 8.2 to 10.8)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..xmpp.errors import StanzaError
from . import store
from .presence import GOES, Leave
from .ranks import ROLES, at_least
from .store import Affiliation

if TYPE_CHECKING:
    from ..xdb import Ticket
    from ..xmpp.element import Element
    from .occupant import Occupant
    from .room import Room

NOBODY = Affiliation("none")


class Change:
    """Of one address's affiliation. Who hears of it in event ``affiliating`` may set ``out``: the status code with which the
    address is thrown out, and add to ``marks``: elements in the <x/> of the presence that tells of it."""

    def __init__(self, user: str, before: str, after: str, reason: str = "") -> None:
        self.user, self.before, self.after, self.reason = user, before, after, reason
        self.out = 301 if after == "outcast" else 0
        self.marks: tuple[Element, ...] = ()


@contextmanager
def alone(room: Room) -> Iterator[None]:
    """Nobody else changes the room's lists between the look at what is allowed and the last change, although others have their
    turns meanwhile. Raises StanzaError."""
    if "changing" in room.memory:
        raise StanzaError("resource-constraint", "somebody else changes the room's lists", type="wait")
    room.memory["changing"] = True
    try:
        yield
    finally:
        room.memory.pop("changing", None)


def give(room: Room, occupant: Occupant, role: str, actor: str = "", reason: str = "") -> None:
    """Another role for an occupant; ``none`` is a kick. ``actor``: the nick of who did it."""
    if role == occupant.role:
        return
    room.service.hooks.tell("given", room, occupant, role)
    if role == "none":
        room.remove(occupant, Leave((307,), reason, actor))
        return
    was = room.sees(occupant)
    occupant.role = role
    _show(room, occupant, was, Leave(reason=reason, actor=actor))


def affiliate(
    room: Room, user: str, affiliation: str, actor: str = "", reason: str = "", nick: str | None = None
) -> Ticket | None:
    """Another affiliation for a bare address or a domain. ``nick``: the one to reserve; empty: none; None: as it is. Does not
    wait; returns the ticket of what was written, or None: nothing has changed."""
    if room.gone:  # meanwhile; the next room of that name must not have it
        return None
    old = room.affiliations.get(user, NOBODY)
    kept = "" if affiliation in ("outcast", "none") else old.nick if nick is None else nick
    new = Affiliation(affiliation, kept, reason or (old.reason if affiliation == old.affiliation else ""))
    if new == old:
        return None
    room.reserve(user, old.nick, kept)
    if affiliation == "none":
        room.affiliations.pop(user, None)
    else:
        room.affiliations[user] = new
    ticket = store.affiliate(room.address, user, None if affiliation == "none" else new)
    if affiliation != old.affiliation:
        change = Change(user, old.affiliation, affiliation, reason)
        room.service.hooks.tell("affiliating", room, change)
        for occupant in list(room.occupants.values()):
            if occupant.user == user or "@" not in user and _banned(room, occupant, user):
                _apply(room, occupant, change, actor, reason)
    return ticket


def _apply(room: Room, occupant: Occupant, change: Change, actor: str, reason: str) -> None:
    if change.out:
        room.remove(occupant, Leave((change.out,), reason, actor, marks=change.marks))
        return
    role, was = occupant.role, room.sees(occupant)
    room.rank(occupant)
    lower = ROLES.index(role) > ROLES.index(occupant.role)
    if lower and at_least(change.after, "member") and not at_least(change.before, "admin"):
        occupant.role = role  # a moderator who becomes a member stays a moderator (section 5.1.3)
    _show(room, occupant, was, Leave(reason=reason, actor=actor, marks=change.marks))


def _banned(room: Room, occupant: Occupant, domain: str) -> bool:
    return occupant.user.rpartition("@")[2] == domain and room.affiliation(occupant.user) == "outcast"


def again(room: Room, occupant: Occupant) -> None:
    """The room has other rules now: the occupant gets the role that they give."""
    role, was = occupant.role, room.sees(occupant)
    room.rank(occupant)
    if occupant.role != role:
        _show(room, occupant, was)


def _show(room: Room, occupant: Occupant, was: bool, why: Leave = GOES) -> None:
    """``was``: did the occupant see the others' real addresses before?"""
    if occupant.seen and not room.service.broadcasts(room, occupant):
        room.hide(occupant)
    for full in occupant.sessions:
        room.keep(occupant, full)
    room.publish(occupant, why=why)
    if room.sees(occupant) and not was:
        for full in occupant.sessions:
            room.greet(occupant, full)
