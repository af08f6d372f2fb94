"""Registration with a room: membership, and a nick that is one's own (XEP-0045 sections 7.10 and 7.12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..hooks import iq, on
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.lookalikes import skeleton
from ..xmpp.ns import DISCO_INFO
from ..xmpp.prep import resourceprep
from . import changes
from .feature import Feature
from .fields import Field
from .occupant import Occupant
from .ranks import at_least
from .room import Room

if TYPE_CHECKING:
    from ..xdb import Ticket

NS = "jabber:iq:register"
FORM_TYPE = "http://jabber.org/protocol/muc#register"
NODE = "x-roomuser-item"
NICK = "muc#register_roomnick"


class Register(Feature):
    """Occupants become members, and their nicks are kept for them."""

    allowed = Field(
        "muc#roomconfig_allowregistration", "boolean", True, "Users may register with the room, in open rooms"
    )
    needs = ("members",)
    room_namespaces = (NS,)

    @on("naming")
    def reserved(self, room: Room, occupant: Occupant, nick: str, stanza: Element) -> None:
        """Section 7.2.9: a nick that is another's."""
        if self.holder(room, nick) not in (None, occupant.user):
            raise StanzaError("conflict", "that nick is reserved")

    def holder(self, room: Room, nick: str) -> str | None:
        """The bare address for which that nick, or one that looks like it, is reserved."""
        return room.reserved.get(skeleton(nick))

    @iq("get", NS, "query", to="room")
    def ask(self, request: Element) -> Element:
        room, user = self.host.room(request), request.from_.user
        kept = room.affiliations.get(user)
        if kept is not None and kept.nick:
            known = Element("registered", NS), Element("username", NS, kept.nick)
            return Element("query", NS, *known, self.form(room, user, kept.nick))
        self._check(room, user)
        text = Element("instructions", NS, "Which nick shall be yours?")
        return Element("query", NS, text, self.form(room, user))

    def form(self, room: Room, user: str, nick: str | None = None) -> Element:
        """The form of registration. ``nick``: the one that is filled in."""
        form = forms.Form("form", "Registration with the room", "Which nick shall be yours?", FORM_TYPE)
        form.field(NICK, "text-single", "Nick", nick, required=True)
        self.host.hooks.tell("registering", room, user, form)
        return form.element()

    @iq("set", NS, "query", to="room")
    def register(self, request: Element) -> None:
        room, user, query = self.host.room(request), request.from_.user, request.payload
        if "limits" in self.host.modules:
            self.host["limits"].count(room, user)
        if query.has("remove", NS):
            self._remove(room, user)
            return
        self._check(room, user)
        x = query.child("x", forms.NS)
        if x is None:
            raise StanzaError("bad-request", "a data form is needed")
        if x.type == "cancel":
            return
        try:
            values = forms.read(x, FORM_TYPE)
            (nick,) = values.get(NICK, [])
            nick = resourceprep(nick.strip())
        except ValueError:
            raise StanzaError("bad-request", "the form needs a nick") from None
        self._check_nick(room, user, nick, request)
        if "offline" in self.host.modules:
            self.host["offline"].check(room, user, values)
        if self._asks(room, user):
            self.host["approval"].ask(room, user, nick)
            return
        tickets = [self.enrol(room, user, nick)]
        self.host.hooks.tell("enrolled", room, user, values, tickets)
        for ticket in tickets:
            if ticket is not None:
                ticket.wait()

    def _asks(self, room: Room, user: str) -> bool:
        """Has an admin to decide about that user's registration?"""
        module = self.host.modules.get("approval")
        return module is not None and module.needed(room, user)

    def enrol(self, room: Room, user: str, nick: str) -> Ticket | None:
        """Makes the user a member, and the nick theirs. Does not wait."""
        now = room.affiliation(user)
        return changes.affiliate(room, user, now if at_least(now, "member") else "member", nick=nick)

    def _check_nick(self, room: Room, user: str, nick: str, request: Element) -> None:
        """Raises StanzaError; a conflict has a form with a nick that is free."""
        try:
            room.check_nick(next(iter(room.of(user)), Occupant(user, nick, "none")), nick, request)
        except StanzaError as error:
            if error.condition != "conflict":
                raise
            if "nicks" not in self.host.modules:
                raise
            other = self.host["nicks"].another(room, user, nick)
            offer = Element("query", NS, self.form(room, user, other))
            raise StanzaError("conflict", f"{error.text}; {other} is free", offer) from None

    def _check(self, room: Room, user: str) -> None:
        """May they register? Raises StanzaError."""
        now = room.affiliation(user)
        if now == "outcast":
            raise StanzaError("forbidden", "you are banned from this room")
        if at_least(now, "member"):
            return
        closed = self.host["members"].says(room) and not self._asks(room, user)
        if not self.allowed(room) or closed:
            raise StanzaError("not-allowed", "this room does not let you register")
        alone = Occupant(user, "", "none")
        room.rank(alone)
        if alone.role == "visitor" or any(each.role == "visitor" for each in room.of(user)):
            raise StanzaError("not-allowed", "who has no voice asks for it; members have it")
        self.host.check_list(room, user)

    def _remove(self, room: Room, user: str) -> None:
        kept = room.affiliations.get(user)
        if kept is None or kept.affiliation == "outcast":
            raise StanzaError("registration-required", "you are not registered")
        after = "none" if kept.affiliation == "member" else kept.affiliation
        tickets = [changes.affiliate(room, user, after, nick="")]
        self.host.hooks.tell("enrolled", room, user, {}, tickets)
        for ticket in tickets:
            if ticket is not None:
                ticket.wait()

    def room_node(self, room: Room, request: Element, node: str) -> Element | None:
        """Section 7.12: which nick is mine?"""
        if node != NODE or request.payload.ns != DISCO_INFO:
            return None
        query = Element("query", DISCO_INFO, node=NODE)
        kept = room.affiliations.get(request.from_.user)
        if kept is not None and kept.nick:
            query.append(Element("identity", DISCO_INFO, category="conference", type="text", name=kept.nick))
        return query
