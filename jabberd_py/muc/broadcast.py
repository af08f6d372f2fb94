"""Whose presence is shown to all (XEP-0045, `muc#roomconfig_presencebroadcast`)."""

from __future__ import annotations

from typing import Any

from ..hooks import on
from .feature import Feature
from .fields import Field
from .occupant import Occupant
from .room import Room

ROLES = (("moderator", "Moderators"), ("participant", "Participants"), ("visitor", "Visitors"))


class Broadcast(Feature):
    """Presence of some roles is shown to nobody else, where the room says so."""

    roles = Field(
        "muc#roomconfig_presencebroadcast", "list-multi", [each for each, _ in ROLES], "Whose presence is shown to all",
        choices=ROLES,
    )  # fmt: skip

    def shows(self, room: Room, occupant: Occupant) -> bool:
        return occupant.role in self.roles(room)

    @on("configured")
    def set_up(self, room: Room, before: dict[str, Any], statuses: set[int]) -> None:
        """Who is shown from now on comes into view; who is no longer shown goes out of view."""
        was, now = before.get(self.roles.var, self.roles.default), self.roles(room)
        for occupant in list(room.occupants.values()):
            if occupant.role in now and occupant.role not in was:
                room.publish(occupant)
            elif occupant.role in was and occupant.role not in now:
                room.hide(occupant)
