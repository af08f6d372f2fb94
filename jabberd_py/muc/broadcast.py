"""Whose presence is shown to all (XEP-0045, `muc#roomconfig_presencebroadcast`)."""

from __future__ import annotations

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
