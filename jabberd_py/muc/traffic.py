"""What happens to a stanza for a room, or for one of its occupants."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..fanout import HELD, WAITING
from ..hooks import HANDLED
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from ..xmpp.ns import CLIENT, STANZAS
from .occupant import MUC, USER
from .presence import GOES, Leave, available

if TYPE_CHECKING:
    from .occupant import Occupant
    from .room import Room
    from .service import Rooms

GONE = frozenset((
    "gone", "item-not-found", "recipient-unavailable", "redirect", "remote-server-not-found", "remote-server-timeout",
    "service-unavailable", "jid-malformed",
))  # fmt: skip
"""Errors that say: nobody is there any more (section 14.1.2, ghosts)."""


DISCO = "http://jabber.org/protocol/disco#"
PATIENCE = 10.0
"""Seconds that a client's stream waits for a busy room."""
ENTRY = 10
"""What it costs to enter, in stanzas (karma): the store is asked, and the others are told."""
FULL = 4
"""Past so many times what makes a room busy, it takes no more from anybody."""


def deliver(service: Rooms, stanza: Element, to: JID) -> None:
    """Blocks if the room is busy. Raises StanzaError."""
    if service.silent and stanza.from_ is not None:
        service.silent.pop(stanza.from_.domain, None)
    room = service.rooms.get(to.user)
    if room is not None and room.sending.busy and (stanza.name != "iq" or stanza.type == "set"):
        _busy(room, stanza)
    if stanza.name == "iq" and to.resource is None:
        _asked(service, stanza)
        return
    room = service.rooms.get(to.user) or service.find(to.user)
    name = stanza.name
    if stanza.type == "error" and name != "iq":
        if room is not None:
            _error(room, stanza)
        return
    full = str(stanza.from_)
    occupant = None if room is None else room.sessions.get(full)
    if occupant is not None:
        occupant.sessions[full].heard = int(time.monotonic())
    if name == "message":
        _message(service, room, stanza, to)
    elif name == "presence":
        _presence(service, room, stanza, to)
    else:
        _iq(service, room, stanza, to)


def _busy(room: Room, stanza: Element) -> None:
    """The room has much to send. A client of ours that speaks or changes the room waits: nothing more is read from it. Another
    server's stream carries many users and does not wait. Who goes may always go. Raises StanzaError."""
    session, sending = stanza.session, room.sending
    if stanza.type in ("error", "unavailable"):
        return
    if stanza.name != "presence" and session is not None and session.jid.resource is not None:
        xdb.release()
        sending.wait(PATIENCE)
    elif stanza.name != "presence" and sending.weight > WAITING * FULL:
        raise StanzaError("resource-constraint", "the room is busy", type="wait")
    if sending.size > HELD * FULL:
        raise StanzaError("resource-constraint", "the room is busy", type="wait")


def _presence(service: Rooms, room: Room | None, stanza: Element, to: JID) -> None:
    type, full = stanza.type, str(stanza.from_)
    occupant = None if room is None else room.sessions.get(full)
    if type == "unavailable":
        if room is not None and occupant is not None:
            _goes(service, room, occupant, stanza)
    elif type == "probe":
        if to.resource is not None:
            _probed(room, occupant, stanza, to.resource)
    elif type is None:
        if to.resource is None:
            if room is None or occupant is None or stanza.has("x", MUC):
                raise StanzaError("jid-malformed", "a nick is needed: room@service/nick")
            room.update(occupant, full, stanza)
            return
        if stanza.from_.resource is None:
            raise StanzaError("jid-malformed", "a session enters, no bare address")
        joins = stanza.has("x", MUC)
        if room is None or occupant is None:
            _come(service, room, stanza, to, joins)
        elif occupant.nick != to.resource:
            room.rename(occupant, full, to.resource, stanza)
            if joins:
                _again(room, occupant, full, stanza)
        elif joins:
            _again(room, occupant, full, stanza)
        else:
            room.update(occupant, full, stanza)


def _goes(service: Rooms, room: Room, occupant: Occupant, stanza: Element) -> None:
    lock: Any = service.modules.get("lock")
    leave = GOES
    if lock is not None and lock.given_up(room):
        leave = Leave(more=Element("destroy", USER, Element("reason", USER, "The room was not set up.")))
    said = service.presentable(room, occupant, stanza)
    limits: Any = service.modules.get("limits")
    room.leave(str(stanza.from_), leave, said if limits is None or limits.bears(said) else None)


def _come(service: Rooms, room: Room | None, stanza: Element, to: JID, joins: bool) -> None:
    """Somebody who is not in the room wants to be."""
    if stanza.session is not None:
        stanza.session.work += ENTRY
    if not joins and not service.groupchat_1:
        _lost(service, stanza, to)
    elif room is not None:
        service.hooks.tell("coming", room)  # it may block
        if service.rooms.get(room.address) is not room:
            _come(service, service.find(room.address), stanza, to, joins)
        elif str(stanza.from_) in room.sessions:
            _again(room, room.sessions[str(stanza.from_)], str(stanza.from_), stanza)
        else:
            room.enter(stanza, to.resource or "")
    else:
        room = service.make(stanza, to.user)
        made = not room.sessions
        try:
            room.enter(stanza, to.resource or "", (201,) if made else ())
        except StanzaError:
            if made and not room.sessions:
                room.destroy()
            raise


def _again(room: Room, occupant: Occupant, full: str, stanza: Element) -> None:
    if stanza.session is not None:
        stanza.session.work += ENTRY
    room.again(occupant, full, stanza)


def _lost(service: Rooms, stanza: Element, to: JID) -> None:
    """A client believes that it is in the room (section 7.2.16)."""
    why = Element("reason", USER, "You are not in the room.")
    x = Element("x", USER, Element("item", USER, why, affiliation="none", role="none"))
    for code in (110, 307, 333):
        x.append(Element("status", USER, code=code))
    service.router.deliver(Element("presence", CLIENT, x, from_=to, to=stanza.from_, type="unavailable"))


def _probed(room: Room | None, asker: Occupant | None, stanza: Element, nick: str) -> None:
    """Somebody wants to know how an occupant is. Only occupants learn it; others get the same error, whether or not there is
    such a room. Raises StanzaError."""
    if room is None or asker is None:
        raise StanzaError("not-acceptable", "you are not in this room")
    target = room.occupants.get(nick)
    if target is None:
        x = Element("x", USER, Element("item", USER, affiliation="none", role="none"))
        room.sending.one(
            Element("presence", CLIENT, x, from_=room.at(nick), to=stanza.from_, type="unavailable")
        )
    elif target is asker or room.service.broadcasts(room, target):
        statuses = (110,) if target is asker else ()
        room.sending.one(available(room, target, room.sees(asker), statuses).copy(to=stanza.from_))


def _message(service: Rooms, room: Room | None, stanza: Element, to: JID) -> None:
    if room is None:
        raise StanzaError("item-not-found", "there is no such room")
    occupant = room.sessions.get(stanza.attrs["from"])
    if to.resource is None:
        if occupant is None:
            occupant = service.speaker(room, stanza)
        if stanza.type == "groupchat":
            if occupant is None:
                raise StanzaError("not-acceptable", "you are not in this room")
            room.say(occupant, stanza)
        elif service.hooks.call("addressed", room, occupant, stanza) is not HANDLED:
            raise StanzaError(
                "not-acceptable" if occupant is None else "bad-request", "a room takes groupchat messages"
            )
        return
    if stanza.type == "groupchat":
        raise StanzaError("bad-request", "groupchat messages go to the room")
    if occupant is None:
        raise StanzaError("not-acceptable", "you are not in this room")
    target = room.occupants.get(to.resource)
    if target is None:
        raise StanzaError("item-not-found", "nobody has that nick")
    room.whisper(occupant, target, stanza)


def _asked(service: Rooms, stanza: Element) -> None:
    """An IQ for the room itself. Discovery does not wake it."""
    request = stanza.type in ("get", "set")
    if request and not stanza.kids[0].startswith(DISCO) and service.find(stanza.to.user) is None:
        raise StanzaError("item-not-found", "there is no such room")
    service.answer("room", stanza)


def _iq(service: Rooms, room: Room | None, stanza: Element, to: JID) -> None:
    request = stanza.type in ("get", "set")
    if room is None:
        if request:
            raise StanzaError("not-acceptable", "you are not in this room", type="cancel")
        return
    occupant, target = room.sessions.get(str(stanza.from_)), room.occupants.get(to.resource or "")
    if not request:
        if "relay" in service.modules:
            service["relay"].answered(room, stanza, to.resource)
    elif occupant is None:
        disco = stanza.kids[0].startswith(DISCO)  # section 6.6
        raise StanzaError(
            "bad-request" if disco else "not-acceptable", "you are not in this room", type="cancel"
        )
    elif target is None:
        raise StanzaError("item-not-found", "nobody has that nick")
    elif service.hooks.call("asking", room, occupant, target, stanza) is not HANDLED:
        raise StanzaError("service-unavailable")


def conditions(stanza: Element) -> set[str]:
    """What an error says."""
    error = stanza.child("error", CLIENT)
    return set() if error is None else {each.name for each in error.elements() if each.ns == STANZAS}


def _error(room: Room, stanza: Element) -> None:
    """What the room sent came back."""
    full = str(stanza.from_)
    if full not in room.sessions:
        room.service.hooks.tell("returned", room, stanza)
        return
    jid = stanza.from_
    assert jid is not None
    if stanza.name == "presence" and stanza.session is not None:  # the client itself refuses what it is sent
        room.leave(full, Leave((333,), "an error was sent to the room"))
    # a session that is still there only blocks somebody in the room (XEP-0191)
    elif conditions(stanza) & GONE and not room.service.router.has_session(jid):
        room.leave(full, Leave((333,), "the session cannot be reached"))
