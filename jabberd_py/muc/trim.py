"""Owners let the beginning of the room's archive go, or all of it (ProtoXEP "MAM: Trim Command")."""

from __future__ import annotations

from typing import Any

from .. import archive
from ..hooks import Option, iq
from ..jsm import answers
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .feature import Feature
from .room import Room


class Trim(Feature):
    """Removes messages up to one from the archive and from the history."""

    allowed = Option(bool, True, "may owners remove messages from the archives of their rooms?")

    def room_features(self, room: Room) -> list[str]:
        kept_by = self.host.archive
        return [archive.TRIM] if self.allowed and kept_by is not None and kept_by.keeps(room) else []

    @iq("set", archive.TRIM, "trim", to="room")
    def trim(self, request: Element) -> Any:
        room: Room = self.host.room(request)
        if not self.allowed:
            raise StanzaError("not-allowed", "archives are kept here")
        if room.power(request.from_) != "owner":
            raise StanzaError("forbidden", "you do not own this room")
        upto = archive.trim_upto(request, room.address)

        def work(reader: archive.Reader) -> None:
            archive.remove(room.address, upto)
            if "history" in self.host.modules:
                self.host["history"].trim(room, upto)

        return answers.for_anybody(self.host.router, request, work)
