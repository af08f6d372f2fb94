"""The presence of occupants as a room writes it, with its <x/> of role and affiliation (XEP-0045 section 7.2.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ..xmpp.element import Element
from ..xmpp.ns import CLIENT
from .occupant import HATS, USER, X_USER, Occupant, added

if TYPE_CHECKING:
    from .room import Room


class Leave(NamedTuple):
    """Why an occupant is no longer in the room, or no longer under that nick.

    statuses  codes, for everybody
    actor     the nick of who did it
    nick      the new nick, if it is only a change of that
    more      what else stands in <x/>: <destroy/>
    marks     what features put into <x/>
    """

    statuses: tuple[int, ...] = ()
    reason: str = ""
    actor: str = ""
    nick: str = ""
    more: Element | None = None
    marks: tuple[Element, ...] = ()


GOES = Leave()


def item(
    room: Room,
    occupant: Occupant,
    jid: str | None,
    role: str,
    leave: Leave = GOES,
    affiliation: str | None = None,
) -> Element:
    """<item/> of an occupant; ``jid`` is for those who may see it."""
    affiliation = room.affiliation(occupant.user) if affiliation is None else affiliation
    made = Element("item", USER, affiliation=affiliation, role=role, jid=jid, nick=leave.nick or None)
    if leave.actor:
        made.append(Element("actor", USER, nick=leave.actor))
    if leave.reason:
        made.append(Element("reason", USER, leave.reason))
    return made


def available(
    room: Room, occupant: Occupant, jid: bool, statuses: Iterable[int] = (), why: Leave = GOES
) -> Element:
    """What an occupant shows; without ``to``. ``why``: the actor and the reason of a change."""
    x = Element(
        "x", USER, item(room, occupant, occupant.shown if jid else None, occupant.role, why), *why.marks
    )
    return _dressed(room, occupant, occupant.presence, x, statuses, None)


def unavailable(
    room: Room,
    occupant: Occupant,
    jid: str | None,
    leave: Leave,
    statuses: Iterable[int] = (),
    said: Element | None = None,
) -> Element:
    """The occupant goes; ``jid`` is for those who may see it. ``said``: the unavailable presence of its own."""
    role = occupant.role if leave.nick else "none"
    affiliation = "none" if leave.more is not None else None
    x = Element("x", USER, item(room, occupant, jid, role, leave, affiliation), *leave.marks)
    if leave.more is not None:
        x.append(leave.more)
    bare = said if said is not None else Element("presence", CLIENT)
    return _dressed(room, occupant, bare, x, statuses, "unavailable")


def ended(room: Room, venue: Element) -> Element:
    """The room goes, as those hear it who are not in. ``venue``: <destroy/>."""
    x = Element("x", USER, Element("item", USER, affiliation="none", role="none"), venue)
    return Element("presence", CLIENT, x, from_=room.address, type="unavailable")


def _dressed(
    room: Room, occupant: Occupant, presence: Element, x: Element, statuses: Iterable[int], type: str | None
) -> Element:
    for code in statuses:
        x.append(Element("status", USER, code=code))
    more = (*occupant.badge[1], *((HATS,) if occupant.hats else ()))
    stanza = added(presence, x.to_bytes() + occupant.badge[0] + occupant.hats, X_USER, *more)
    stanza.attrs = {"from": room.at(occupant.nick)}
    if type is not None:
        stanza.attrs["type"] = type
    for key in ("id", "xml:lang"):
        if key in presence.attrs:
            stanza.attrs[key] = presence.attrs[key]
    return stanza
