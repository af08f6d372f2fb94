"""Roles and affiliations by request: kick, voice, ban, members, admins, owners, and their lists (XEP-0045 sections 8 to 10)."""

from __future__ import annotations

from typing import NamedTuple

from ..hooks import Option, iq
from ..net.turns import fairly
from ..xdb import Ticket
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.prep import resourceprep
from . import changes
from .broadcast import ROLES as ROLE_NAMES
from .feature import Feature
from .fields import Field
from .occupant import ADMIN, Occupant
from .ranks import AFFILIATIONS, ROLES, at_least, check_affiliation, check_role
from .room import Room


class Item(NamedTuple):
    """What a request changes: an occupant's role, or an address's affiliation."""

    occupant: Occupant | None
    user: str
    role: str
    affiliation: str
    nick: str | None
    reason: str


class Admin(Feature):
    """Moderators, admins and owners run the room."""

    lists = Field(
        "muc#roomconfig_getmemberlist", "list-multi", ["moderator"], "Who else may get the list of members",
        choices=ROLE_NAMES,
    )  # fmt: skip
    needs = ("register",)
    items = Option(int, 1000, "changes in one request", min=1)
    affiliations = Option(int, 20_000, "affiliations of one room", min=10)
    reason = Option(int, 1000, "characters of a reason", min=0)

    # -- lists -----------------------------------------------------------------------------------------

    @iq("get", ADMIN, "query", to="room")
    def show(self, request: Element) -> Element:
        room, items = self.host.room(request), request.payload.all("item", ADMIN)
        if len(items) != 1:
            raise StanzaError("bad-request", "one list, please")
        role, affiliation = items[0].attrs.get("role"), items[0].attrs.get("affiliation")
        query = Element("query", ADMIN)
        if affiliation in AFFILIATIONS and role is None and affiliation != "none":
            self.may_see(room, request.from_, affiliation)
            here = {occupant.user: occupant.nick for occupant in room.occupants.values()}
            for jid, each in fairly(list(room.affiliations.items())):
                if each.affiliation == affiliation:
                    nick = each.nick or here.get(jid) if affiliation != "outcast" else None
                    item = Element("item", ADMIN, affiliation=affiliation, jid=jid, nick=nick or None)
                    query.append(item.append(Element("reason", ADMIN, each.reason)) if each.reason else item)
        elif role in ROLES and affiliation is None and role != "none":
            self._may_see_roles(room, request.from_, role)
            for occupant in fairly(list(room.occupants.values())):
                if occupant.role == role:
                    now = room.affiliation(occupant.user)
                    query.append(
                        Element(
                            "item", ADMIN, affiliation=now, jid=occupant.shown, nick=occupant.nick, role=role
                        )
                    )
        else:
            raise StanzaError("bad-request", "the list of which role or affiliation?")
        return query

    def may_see(self, room: Room, asker: JID | None, affiliation: str) -> None:
        """Sections 9.2, 9.5, 10.5 and 10.8. Raises StanzaError."""
        if not self.sees(room, room.power(asker), room.role(asker), affiliation):
            raise StanzaError("forbidden")

    def sees(self, room: Room, power: str, role: str, affiliation: str) -> bool:
        """May somebody with that power and role see the list of that affiliation?"""
        if affiliation == "outcast" or at_least(power, "admin"):
            return at_least(power, "admin")
        public = self.host.open_to_all(room)
        if public and power == "member":
            return True
        if affiliation == "member":
            return role in self.lists(room) and (public or role == "moderator")
        return bool(public and role != "none")

    def _may_see_roles(self, room: Room, asker: JID | None, role: str) -> None:
        """Sections 8.5 and 9.8. Raises StanzaError."""
        admin = at_least(room.power(asker), "admin")
        if not admin and (role == "moderator" or room.role(asker) != "moderator"):
            raise StanzaError("forbidden")

    # -- changes ---------------------------------------------------------------------------------------

    @iq("set", ADMIN, "query", to="room")
    def change(self, request: Element) -> None:
        """All of it, or nothing (section 9.2)."""
        room, asker = self.host.room(request), request.from_
        elements = request.payload.all("item", ADMIN)
        if not elements:
            raise StanzaError("bad-request", "what?")
        if len(elements) > self.items:
            raise StanzaError("policy-violation", f"at most {self.items} changes at a time")
        with changes.alone(room):
            tickets = self._change(room, asker, elements)
        for ticket in tickets:
            if ticket is not None:
                ticket.wait()

    def _change(self, room: Room, asker: JID | None, elements: list[Element]) -> list[Ticket | None]:
        items = [self._item(room, each) for each in fairly(elements)]
        if len({(each.occupant, each.user, each.role != "") for each in items}) < len(items):
            raise StanzaError("bad-request", "an address or a nick is named twice")
        for each in fairly(items):
            self._check(room, asker, each)
        self._check_owners(room, asker, items)
        session = room.sessions.get(str(asker))
        known = [session] if session is not None else room.of(asker.user)
        actor = known[0].nick if known else ""
        tickets: list[Ticket | None] = []
        for each in fairly(items):
            if each.role:
                if each.occupant is not None and room.occupants.get(each.occupant.nick) is each.occupant:
                    changes.give(room, each.occupant, each.role, actor, each.reason)
            else:
                tickets.append(
                    changes.affiliate(room, each.user, each.affiliation, actor, each.reason, each.nick)
                )
        return tickets

    def _item(self, room: Room, item: Element) -> Item:
        """Raises StanzaError."""
        attrs = item.attrs
        role, affiliation, nick = attrs.get("role"), attrs.get("affiliation"), attrs.get("nick")
        reason = (item.text_of("reason", ADMIN) or "")[: self.reason]
        if (role is None) == (affiliation is None):
            raise StanzaError("bad-request", "either a role or an affiliation")
        occupant = room.occupants.get(nick) if nick else None
        if role is not None:
            if role not in ROLES or not nick:
                raise StanzaError("bad-request", "which role, and whose?")
            if occupant is None:
                raise StanzaError("item-not-found", "nobody has that nick")
            return Item(occupant, occupant.user, role, "", None, reason)
        if affiliation not in AFFILIATIONS:
            raise StanzaError("bad-request", "there is no such affiliation")
        jid = attrs.get("jid")
        if jid is None:
            if not nick:
                raise StanzaError("bad-request", "whose affiliation?")
            if occupant is None:
                raise StanzaError("item-not-found", "nobody has that nick")
            return Item(None, occupant.user, "", affiliation, None, reason)
        try:
            user = parse(jid).user
            nick = resourceprep(nick) if nick else nick
        except ValueError as error:
            raise StanzaError("jid-malformed", str(error)) from None
        if "@" not in user and affiliation not in ("outcast", "none"):
            raise StanzaError("jid-malformed", "a domain can only be banned")
        return Item(None, user, "", affiliation, nick, reason)

    def _check(self, room: Room, asker: JID | None, item: Item) -> None:
        """Raises StanzaError."""
        power, before = room.power(asker), room.affiliation(item.user)
        if item.occupant is not None:
            check_role(room.role(asker), power, before, item.occupant.role, item.role)
            return
        oneself = asker is not None and item.user in (asker.user, asker.domain)
        if item.affiliation == "outcast" and oneself and at_least(power, "admin"):
            raise StanzaError("conflict", "you cannot ban yourself")
        check_affiliation(power, before, item.affiliation)
        if item.nick and self.host["register"].holder(room, item.nick) not in (None, item.user):
            raise StanzaError("conflict", "that nick is reserved")
        self.check_list(room, item.user)

    def check_list(self, room: Room, user: str) -> None:
        """Raises StanzaError."""
        if len(room.affiliations) >= self.affiliations and user not in room.affiliations:
            raise StanzaError("resource-constraint", "the room's lists are full", type="wait")

    def _check_owners(self, room: Room, asker: JID | None, items: list[Item]) -> None:
        """Section 10.4: one owner stays."""
        after = set(room.owners())
        for each in items:
            if each.affiliation == "owner":
                after.add(each.user)
            elif each.affiliation:
                after.discard(each.user)
        if not after and room.owners():
            raise StanzaError("conflict", "a room needs an owner")
