"""Who sees real addresses: moderators, or everybody (XEP-0045 sections 7.2.3 and 7.2.4)."""

from __future__ import annotations

from typing import Any

from ..hooks import on
from .feature import Feature
from .fields import Field
from .room import Room


class Whois(Feature):
    """Semi-anonymous and non-anonymous rooms."""

    who = Field(
        "muc#roomconfig_whois", "list-single", "moderators", "Who sees the real addresses of others",
        choices=(("moderators", "Moderators only"), ("anyone", "Everybody")),
    )  # fmt: skip

    def says(self, room: Room) -> bool:
        return self.who(room) == "anyone"

    def codes(self, room: Room) -> tuple[int, ...]:
        return (100,) if self.says(room) else ()

    def room_features(self, room: Room) -> list[str]:
        return ["muc_nonanonymous" if self.says(room) else "muc_semianonymous"]

    @on("configured")
    def tell(self, room: Room, before: dict[str, Any], statuses: set[int]) -> None:
        """Section 10.2.1. Addresses that are open now are shown."""
        was, now = before.get(self.who.var) == "anyone", self.says(room)
        if was == now:
            return
        statuses.add(172 if now else 173)
        if now:
            for occupant in list(room.occupants.values()):
                room.publish(occupant)
