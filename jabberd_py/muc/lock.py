"""New rooms are locked until their owner has set them up (XEP-0045 section 10.1)."""

from __future__ import annotations

import time

from ..hooks import Option, duration, every, on
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .feature import Feature
from .occupant import MUC, Occupant
from .room import Room


class Lock(Feature):
    """Nobody but its owner enters a new room before it is set up."""

    locking = Option(bool, True, "are new rooms locked until their owner has set them up?")
    patience = Option(duration, "1h", "time after which a room goes that was not set up", min=1)

    def locked(self, room: Room) -> bool:
        return "locked" in room.notes

    @on("founded")
    def close(self, room: Room, stanza: Element) -> None:
        """Old clients do not know of it."""
        if self.locking and stanza.has("x", MUC):
            room.notes["locked"] = time.time()

    def open(self, room: Room) -> None:
        """It is set up."""
        room.notes.pop("locked", None)

    @on("entering")
    def refuse(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        """Section 7.2.10."""
        if self.locked(room) and room.affiliation(occupant.user) != "owner":
            raise StanzaError("item-not-found", "the room is not open yet")

    def given_up(self, room: Room) -> bool:
        """Does the last session go before the room is set up? The room goes with it (section 10.1.3, `give_up`)."""
        return self.locked(room) and len(room.sessions) == 1

    @on("left")
    def give_up(self, room: Room, occupant: Occupant) -> None:
        """Its owner has left, or was lost, before it was set up."""
        if self.locked(room) and not room.sessions and not room.gone:
            room.destroy()

    @every(300)
    def tidy(self) -> None:
        for room in list(self.host.rooms.values()):
            if self.locked(room) and room.notes["locked"] + self.patience < time.time():
                room.destroy()
