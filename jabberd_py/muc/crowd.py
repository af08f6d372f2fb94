"""Rooms of many: who has no voice comes and goes unseen there; of several presences in a short time the last one is shown."""

from __future__ import annotations

import time
from typing import Any

from ..heartbeat import heartbeat
from ..hooks import Option, duration, on
from ..xmpp.element import Element
from .feature import Feature
from .occupant import Occupant
from .room import Room


class Held:
    """Occupants of one room whose new presence is not shown yet."""

    __slots__ = ("occupants", "room", "slot")

    def __init__(self, room: Room) -> None:
        self.room, self.slot = room, 0
        self.occupants: dict[Occupant, None] = {}

    def due(self, now: float) -> None:
        """The interval is over."""
        self.show()

    def show(self) -> None:
        """Shows all of them as they are now."""
        heartbeat.cancel(self)
        occupants, self.occupants = self.occupants, {}
        for each in occupants:
            if self.room.occupants.get(each.nick) is each:
                self.room.publish(each)


class Crowd(Feature):
    """Makes a room of many occupants quieter."""

    crowd = Option(int, 500, "occupants above which a room is a crowd", min=1)
    interval = Option(
        duration,
        "2s",
        "time in which the last presence of an occupant of a crowd is the one that is shown",
        min=0,
    )

    def is_one(self, room: Room) -> bool:
        return len(room.occupants) > self.crowd

    def hides(self, room: Room, occupant: Occupant) -> bool:
        """Is the presence of that occupant shown to nobody else?"""
        return occupant.role in ("visitor", "none") and self.is_one(room)

    def holds(self, room: Room, occupant: Occupant) -> bool:
        """Does the new presence of an occupant wait? A newer one then takes its place. A message ends the interval: what is
        said after a presence is seen after it."""
        if not self.interval or not self.is_one(room):
            return False
        held = room.memory.get("held")
        if held is None:
            held = room.memory["held"] = Held(room)
        if not held.occupants:
            heartbeat.at(time.monotonic() + self.interval, held)
        held.occupants[occupant] = None
        return True

    @on("said")
    def before_message(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        self._show(room)

    @on("whispering", kind="message")
    def before_private(self, room: Room, occupant: Occupant, target: Occupant, stanza: Element) -> None:
        self._show(room)

    def _show(self, room: Room) -> None:
        held: Any = room.memory.get("held")
        if held is not None and held.occupants:
            held.show()
