"""Public and hidden rooms (XEP-0045 section 6.3)."""

from __future__ import annotations

from ..hooks import Option
from .feature import Feature
from .fields import Field
from .room import Room


class Hidden(Feature):
    """Whether the list of rooms shows a room."""

    public = Field(
        "muc#roomconfig_publicroom", "boolean", True, "Everybody finds the room in the list of rooms"
    )
    allowed = Option(bool, True, "may rooms be public?")

    def says(self, room: Room) -> bool:
        return self.allowed and self.public(room) and "locked" not in room.notes

    def room_features(self, room: Room) -> list[str]:
        return ["muc_public" if self.says(room) else "muc_hidden"]
