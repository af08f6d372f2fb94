"""Persistent and temporary rooms (XEP-0045 section 10)."""

from __future__ import annotations

from typing import Any

from ..hooks import Option, on
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .feature import Feature
from .fields import Field
from .room import Room


class Persistent(Feature):
    """Whether a room lasts when nobody is in."""

    lasting = Field("muc#roomconfig_persistentroom", "boolean", False, "The room lasts when nobody is in")
    allowed = Option(
        bool, True, "may users make rooms persistent? If not, only administrators of the server may"
    )

    def says(self, room: Room) -> bool:
        return self.lasting(room)

    def room_features(self, room: Room) -> list[str]:
        return ["muc_persistent" if self.lasting(room) else "muc_temporary"]

    @on("configuring")
    def check(self, room: Room, values: dict[str, Any], stanza: Element) -> None:
        wants = values.get(self.lasting.var) and not self.lasting(room)
        if wants and not self.allowed and not self.host.is_admin(stanza.from_):
            raise StanzaError("not-acceptable", "rooms are temporary here")

    @on("configured")
    def look(self, room: Room, before: dict[str, Any], statuses: set[int]) -> None:
        """A room that nobody is in and that is to last no longer goes."""
        if not room.sessions and not self.host.lasts(room) and not room.gone:
            room.destroy()
