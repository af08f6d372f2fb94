"""Members-only rooms (XEP-0045 sections 7.2.7 and 9.4)."""

from __future__ import annotations

from typing import Any

from ..hooks import on
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .changes import Change
from .feature import Feature
from .fields import Field
from .occupant import Occupant
from .presence import Leave
from .ranks import at_least
from .room import Room


class Members(Feature):
    """Only members enter, where the room says so."""

    only = Field("muc#roomconfig_membersonly", "boolean", False, "Only members may enter")

    def says(self, room: Room) -> bool:
        return self.only(room)

    def room_features(self, room: Room) -> list[str]:
        return ["muc_membersonly" if self.only(room) else "muc_open"]

    @on("entering")
    def check(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        if self.only(room) and not at_least(room.power(stanza.from_), "member"):
            raise StanzaError("registration-required", "you are no member of this room")

    @on("affiliating")
    def changed(self, room: Room, change: Change) -> None:
        if self.only(room) and change.after == "none":
            change.out = 321

    @on("configured")
    def set_up(self, room: Room, before: dict[str, Any], statuses: set[int]) -> None:
        """Section 10.2: who is no member has to go."""
        if self.only(room) and not before.get(self.only.var):
            for occupant in list(room.occupants.values()):
                if not at_least(room.affiliation(occupant.user), "member"):
                    room.remove(occupant, Leave((322,)))
