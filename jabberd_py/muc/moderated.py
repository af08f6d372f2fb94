"""Moderated rooms: who has no affiliation has no voice, and may ask for it (XEP-0045 sections 7.13 and 8.6)."""

from __future__ import annotations

from typing import Any

from ..hooks import HANDLED, Option, duration, on
from ..net.karma import Karma
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.ns import CLIENT
from . import changes
from .feature import Feature
from .fields import Field
from .occupant import Occupant, without
from .room import Room

REQUEST = "http://jabber.org/protocol/muc#request"
BURST = 3
"""Times that a visitor may ask for voice at once."""
MOST = 1000
"""Roles of those who left that a room remembers."""


class Moderated(Feature):
    """Visitors may listen only."""

    active = Field("muc#roomconfig_moderatedroom", "boolean", False, "Only those who have voice may speak")
    requests = Field("muc#roomconfig_allowvoicerequests", "boolean", True, "Visitors may ask for voice")
    statuses = Field(
        "muc#roomconfig_allowvisitorstatus", "boolean", True, "The status texts of visitors are shown"
    )

    patience = Option(
        duration, "1m", "time after which a visitor may ask for voice again, in the long run", min=1
    )

    @on("start", "reload")
    def start(self) -> None:
        self.karma = Karma(1 / self.patience, BURST)

    def room_features(self, room: Room) -> list[str]:
        return ["muc_moderated" if self.active(room) else "muc_unmoderated"]

    @on("ranked")
    def rank(self, room: Room, occupant: Occupant) -> None:
        """Sections 5.1 and 5.1.2: what a moderator said of somebody lasts while they are away."""
        if occupant.role == "participant":
            said = room.memory.get("voice", {}).get(occupant.user)
            if said is not None and room.affiliation(occupant.user) == "none":
                occupant.role = said
            elif self.active(room) and room.affiliation(occupant.user) == "none":
                occupant.role = "visitor"

    @on("given")
    def remember(self, room: Room, occupant: Occupant, role: str) -> None:
        if role in ("visitor", "participant"):
            known = room.memory.setdefault("voice", {})
            known.pop(occupant.user, None)
            known[occupant.user] = role
            if len(known) > MOST:
                del known[next(iter(known))]

    @on("saying", kind="message")
    def check(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        if occupant.role == "visitor":
            raise StanzaError("forbidden", "you have no voice in this room")

    def modest(self, room: Room, occupant: Occupant, presence: Element) -> Element:
        """The presence as the room shows it."""
        if occupant.role != "visitor" or not presence.has("status") or self.statuses(room):
            return presence
        return without(presence, f"{CLIENT} status")

    @on("configured")
    def set_up(self, room: Room, before: dict[str, Any], statuses: set[int]) -> None:
        if self.active(room) != bool(before.get(self.active.var)):
            room.memory.pop("voice", None)
            for occupant in list(room.occupants.values()):
                if occupant.role in ("visitor", "participant"):
                    changes.again(room, occupant)

    # -- asking for voice ------------------------------------------------------------------------------

    @on("addressed", kind="message")
    def asked(self, room: Room, occupant: Occupant | None, stanza: Element) -> bool | None:
        x = stanza.child("x", forms.NS) if stanza.has("x", forms.NS) else None
        if x is None:
            return None
        try:
            form = forms.read(x, REQUEST)
        except ValueError:
            return None
        if occupant is None:
            raise StanzaError("not-acceptable", "you are not in this room")
        if "muc#request_allow" in form:
            self._decided(room, occupant, x, form)
        else:
            self._ask(room, occupant, form)
        return HANDLED

    def _ask(self, room: Room, occupant: Occupant, form: dict[str, list[str]]) -> None:
        """Section 8.6: the moderators get a form."""
        if not self.requests(room):
            raise StanzaError("forbidden", "visitors cannot ask for voice here")
        if form.get("muc#role", ["participant"]) != ["participant"]:
            raise StanzaError("bad-request", "voice is what can be asked for")
        if occupant.role != "visitor":
            return
        if not self.karma.spend((room.address, occupant.user)):
            raise StanzaError("resource-constraint", "you have asked for voice, wait a little", type="wait")
        approval = (
            forms.Form("form", "Voice request", "To grant voice, tick the box and submit.", REQUEST)
            .field(
                "muc#role", "list-single", "Requested role", "participant", [("participant", "Participant")]
            )
            .field("muc#jid", "jid-single", "Address", occupant.shown)
            .field("muc#roomnick", "text-single", "Nick", occupant.nick)
            .field("muc#request_allow", "boolean", "Grant voice to this person?", False)
        )
        stanza = Element("message", CLIENT, approval.element(), from_=room.address)
        moderators = [full for full, each in room.sessions.items() if each.role == "moderator"]
        room.sending.all(stanza, moderators)

    def _decided(self, room: Room, occupant: Occupant, x: Element, form: dict[str, list[str]]) -> None:
        if occupant.role != "moderator":
            raise StanzaError("forbidden", "moderators grant voice")
        try:
            allowed = x.type == "submit" and forms.boolean(form["muc#request_allow"])
        except ValueError:
            raise StanzaError("bad-request") from None
        target = room.occupants.get((form.get("muc#roomnick") or [""])[0])
        who = (form.get("muc#jid") or [""])[0]
        if target is None or who and target.user != who.partition("/")[0]:
            raise StanzaError("item-not-found", "who has asked does not have that nick any more")
        if allowed and target.role == "visitor":
            changes.give(room, target, "participant", occupant.nick)
