"""The room's form, and its end, by its owners (XEP-0045 section 10)."""

from __future__ import annotations

from typing import Any

from ..hooks import iq
from ..net.turns import fairly
from ..xdb import Ticket
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from . import changes
from .feature import Feature
from .fields import FORM_TYPE, Field
from .occupant import OWNER, USER
from .room import Room

LENGTH = 1000


class Owner(Feature):
    """Owners set up the room, and destroy it."""

    needs = ("lock",)
    owners = Field[list[str]]("muc#roomconfig_roomowners", "jid-multi", [], "Owners", most=200)
    admins = Field[list[str]]("muc#roomconfig_roomadmins", "jid-multi", [], "Admins", most=1000)

    @iq("get", OWNER, "query", to="room")
    def show(self, request: Element) -> Element:
        room = self._owned(request)
        return Element("query", OWNER, self.form(room).element())

    def form(self, room: Room) -> forms.Form:
        """The room's form, filled in."""
        form = forms.Form("form", f"Settings of {room.address}", None, FORM_TYPE)
        for field in self.host.fields.values():
            field.show(form, self.value(room, field))
        return form

    def value(self, room: Room, field: Field[Any]) -> Any:
        if field in (self.owners, self.admins):
            wanted = "owner" if field is self.owners else "admin"
            return [jid for jid, each in room.affiliations.items() if each.affiliation == wanted]
        return field(room)

    def _owned(self, request: Element) -> Room:
        """Raises StanzaError."""
        room = self.host.room(request)
        if room.power(request.from_) != "owner":
            raise StanzaError("forbidden", "you do not own this room")
        return room

    @iq("set", OWNER, "query", to="room")
    def change(self, request: Element) -> None:
        room = self._owned(request)
        x, destroy = request.payload.child("x", forms.NS), request.payload.child("destroy", OWNER)
        if destroy is not None and x is None:
            self._destroy(room, _venue(destroy))
        elif x is None or x.type not in ("submit", "cancel"):
            raise StanzaError("bad-request", "a form that is submitted, or <destroy/>")
        elif x.type == "submit":
            self.submit(room, x, request)
        elif self.host["lock"].locked(room):
            self._destroy(room)  # section 10.1.3

    def _destroy(self, room: Room, venue: Element | None = None) -> None:
        """Returns when the store does not have it any more."""
        room.destroy(venue)
        self.host.forgotten(room.address)

    # -- the form --------------------------------------------------------------------------------------

    def submit(self, room: Room, x: Element, request: Element) -> None:
        """What the form names changes, all else stays. Raises StanzaError; returns when it is kept."""
        try:
            values = forms.read(x)
        except ValueError as error:
            raise StanzaError("bad-request", str(error)) from None
        self.put(room, values, request)

    def put(self, room: Room, values: dict[str, list[str]], request: Element) -> None:
        """The same, of fields by name. ``request``: from whom they come."""
        if values.get("FORM_TYPE", [FORM_TYPE]) != [FORM_TYPE]:
            raise StanzaError("bad-request", f"FORM_TYPE is {FORM_TYPE}")
        try:
            read = {var: field.read(values[var]) for var, field in self.host.fields.items() if var in values}
        except ValueError as error:
            raise StanzaError("not-acceptable", str(error)) from None
        lists = {each: read.pop(each.var) for each in (self.owners, self.admins) if each.var in read}
        self.host.hooks.call("configuring", room, read, request)
        self._apply(room, read, request.from_, lists)

    def _apply(
        self, room: Room, read: dict[str, Any], by: JID | None, lists: dict[Field[Any], list[str]]
    ) -> None:
        with changes.alone(room):
            tickets = self._written(room, read, by, lists)
        for ticket in tickets:
            ticket.wait()

    def _written(
        self, room: Room, read: dict[str, Any], by: JID | None, lists: dict[Field[Any], list[str]]
    ) -> list[Ticket]:
        wanted = self._affiliations(room, lists)
        before, opened = dict(room.config), self.host["lock"].locked(room)
        for var, value in read.items():
            if value == self.host.fields[var].default:
                room.config.pop(var, None)
            else:
                room.config[var] = value
        self.host["lock"].open(room)
        tickets = [room.save()]
        actor = next((each.nick for each in room.of(by.user)), "")
        for user, affiliation in fairly(wanted.items()):
            tickets.append(changes.affiliate(room, user, affiliation, actor) or tickets[0])
        statuses: set[int] = set()
        self.host.hooks.tell("configured", room, before, statuses)
        if before != room.config and (statuses or not opened):
            room.announce(*(sorted(statuses) or (104,)))
        return tickets

    def _affiliations(self, room: Room, lists: dict[Field[Any], list[str]]) -> dict[str, str]:
        """Who is to be what, by the lists of owners and admins, which are whole. Raises StanzaError."""
        wanted: dict[str, str] = {}
        for field, affiliation in ((self.admins, "admin"), (self.owners, "owner")):
            if field not in lists:
                continue
            listed = set(lists[field])
            for jid, each in room.affiliations.items():
                if each.affiliation == affiliation and jid not in listed:
                    wanted.setdefault(jid, "admin" if affiliation == "owner" else "none")
            for jid in lists[field]:
                if "@" not in jid:
                    raise StanzaError("not-acceptable", "a domain cannot own a room")
                wanted[jid] = affiliation
        after = {jid: each.affiliation for jid, each in room.affiliations.items()} | wanted
        if "owner" not in after.values():
            raise StanzaError("conflict", "a room needs an owner")
        return {jid: each for jid, each in wanted.items() if room.affiliation(jid) != each}


def _venue(asked: Element) -> Element:
    """<destroy/> for the occupants: where to meet instead, and why (section 10.9). Raises StanzaError."""
    made = Element("destroy", USER)
    if "jid" in asked.attrs:
        try:
            made.attrs["jid"] = str(parse(asked.attrs["jid"]))
        except ValueError as error:
            raise StanzaError("jid-malformed", str(error)) from None
    for name in ("password", "reason"):
        text = asked.text_of(name, OWNER)
        if text:
            made.append(Element(name, USER, text[:LENGTH]))
    return made
