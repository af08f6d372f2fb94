"""Members-only rooms may let users ask for membership; an admin decides (XEP-0045 section 9.9)."""

from __future__ import annotations

from typing import Any

from ..hooks import HANDLED, Option, on
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.ns import CLIENT
from .feature import Feature
from .fields import Field
from .occupant import Occupant
from .ranks import at_least
from .register import FORM_TYPE, NICK
from .room import Room

ALLOW, WHO = "muc#register_allow", "muc#jid"


class Approval(Feature):
    """Requests for membership, which wait until an admin has seen them."""

    needs = ("members", "register")
    open = Field(
        "x-muc#roomconfig_membershiprequests", "boolean", False, "In a members-only room, users may ask to be let in"
    )  # fmt: skip
    most = Option(int, 100, "requests of one room that may wait", min=1)

    def needed(self, room: Room, user: str) -> bool:
        """Has an admin to decide about this user's registration?"""
        only = self.host["members"].says(room)
        return bool(only and self.open(room) and not at_least(room.affiliation(user), "member"))

    def ask(self, room: Room, user: str, nick: str) -> None:
        """Keeps the request, and shows it to the admins who are in. Returns when it is kept. Raises StanzaError."""
        waiting: dict[str, str] = room.notes.setdefault("asking", {})
        if len(waiting) >= self.most and user not in waiting:
            raise StanzaError("resource-constraint", "too many requests wait already", type="wait")
        waiting[user] = nick
        ticket = room.save()
        admins = [full for full, each in room.sessions.items() if self._decides(room, each)]
        room.sending.all(self._form(room, user, nick), admins)
        ticket.wait()

    def _decides(self, room: Room, occupant: Occupant) -> bool:
        return at_least(room.affiliation(occupant.user), "admin")

    @on("entered")
    def show(self, room: Room, occupant: Occupant, full: str, stanza: Element) -> None:
        """What has come while no admin was in."""
        waiting = room.notes.get("asking")
        if waiting and self._decides(room, occupant):
            for user, nick in waiting.items():
                room.sending.one(self._form(room, user, nick).copy(to=full))

    def _form(self, room: Room, user: str, nick: str) -> Element:
        form = (
            forms.Form("form", "Registration request", "To let this person in, tick the box and submit.", FORM_TYPE)
            .field(WHO, "jid-single", "Address", user)
            .field(NICK, "text-single", "Nick", nick)
            .field(ALLOW, "boolean", "Allow this person to register with the room?", False)
        )  # fmt: skip
        return Element("message", CLIENT, form.element(), from_=room.address)

    @on("forgotten")
    def forget(self, room: Room, user: str) -> None:
        room.notes.get("asking", {}).pop(user, None)

    @on("addressed", kind="message")
    def decided(self, room: Room, occupant: Occupant | None, stanza: Element) -> bool | None:
        x = stanza.child("x", forms.NS) if stanza.has("x", forms.NS) else None
        if x is None:
            return None
        try:
            values = forms.read(x, FORM_TYPE)
        except ValueError:
            return None
        if not at_least(room.power(stanza.from_), "admin"):
            raise StanzaError("forbidden", "admins of the room decide about that")
        try:
            allowed = x.type == "submit" and forms.boolean(values.get(ALLOW, ["0"]))
        except ValueError:
            raise StanzaError("bad-request") from None
        waiting: dict[str, Any] = room.notes.get("asking", {})
        user = (values.get(WHO) or [""])[0]
        if user not in waiting:
            raise StanzaError("item-not-found", "there is no such request any more")
        nick = waiting.pop(user)
        room.save()
        if allowed and room.affiliation(user) == "none":
            free = self.host["register"].holder(room, nick) in (None, user)
            self.host["register"].enrol(room, user, nick if free else "")
        return HANDLED
