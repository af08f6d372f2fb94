"""Whose nick is whose: the room may give another one than was asked for, or let nobody change theirs (XEP-0045 sections 7.6
and 7.10)."""

from __future__ import annotations

from ..hooks import on
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.lookalikes import skeleton
from .feature import Feature
from .fields import Field
from .occupant import Occupant
from .room import Room

TRIES = 1000


class Nicks(Feature):
    """Nicks that the room chooses, and nicks that stay."""

    needs = ("register",)
    own_only = Field(
        "x-muc#roomconfig_reservednick", "boolean", False, "Who has registered a nick uses no other"
    )
    changing = Field("x-muc#roomconfig_canchangenick", "boolean", True, "Occupants may change their nicks")
    visitors = Field(
        "muc#roomconfig_allowvisitornickchange", "boolean", True, "Visitors may change their nicks"
    )

    def given(self, room: Room, user: str, wanted: str) -> str:
        """The nick that this user gets. It differs from ``wanted`` where the room ties users to their registered nicks, and
        where somebody else has taken a registered nick: nobody is locked out by that."""
        kept = room.affiliations.get(user)
        own = "" if kept is None else kept.nick
        if own and self.own_only(room):
            wanted = own
        if own and skeleton(own) == skeleton(wanted) and not self._free(room, user, own):
            return self.another(room, user, own)
        return wanted

    def _free(self, room: Room, user: str, nick: str) -> bool:
        other = room.taken.get(skeleton(nick))
        holder = self.host["register"].holder(room, nick)
        return (other is None or other.user == user) and holder in (None, user)

    def another(self, room: Room, user: str, nick: str) -> str:
        """A free nick that is like the one that is not free; that one where none is found."""
        found = (each for number in range(2, TRIES) if self._free(room, user, each := f"{nick} {number}"))
        return next(found, nick)

    @on("updating")
    def check(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        """A moderator may always change theirs."""
        if stanza.to.resource == occupant.nick or occupant.role == "moderator":
            return
        if not self.changing(room) or occupant.role == "visitor" and not self.visitors(room):
            raise StanzaError("not-acceptable", "nicks cannot be changed in this room")
