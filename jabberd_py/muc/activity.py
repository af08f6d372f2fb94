"""XEP-0502: MUC Activity Indicator: about how many messages an hour a public room has."""

from __future__ import annotations

import time

from ..hooks import on
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.protocols import XEP
from .feature import Feature
from .occupant import Occupant
from .room import Room

FIELD = "{urn:xmpp:muc-activity}message-activity"
HOURS = 24
HOUR = 3600


class Activity(Feature):
    """Counts messages by the hour. The room's notes keep ``[the hour of the newest count, [counts, the newest first]]``."""

    protocols = (XEP(502, "0.1.0", "MUC Activity Indicator"),)
    needs = ("persistent", "hidden", "members", "password")

    @on("said")
    def count(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        if not stanza.has("body") or stanza.has("replace", "urn:xmpp:message-correct:0"):
            return
        before = room.notes.get("activity")
        counts = self._counts(room)
        counts[0] += 1
        if before is not None and before[0] != room.notes["activity"][0]:
            room.save()  # once an hour

    def _counts(self, room: Room) -> list[int]:
        """The counts up to this hour."""
        now = int(time.time()) // HOUR
        hour, counts = room.notes.get("activity") or (now, [0])
        counts = ([0] * min(max(now - hour, 0), HOURS) + counts)[:HOURS]
        room.notes["activity"] = [max(now, hour), counts]
        return counts

    def public(self, room: Room) -> bool:
        """May everybody know? Only of rooms that last, that are listed and that everybody may enter."""
        service = self.host
        closed = service["members"].says(room) or service["password"].of(room) is not None
        return bool(service["hidden"].says(room) and service["persistent"].says(room) and not closed)

    def room_info(self, room: Room, form: forms.Form) -> None:
        if self.public(room):
            hours = min(max((time.time() - room.created) / HOUR, 1.0), HOURS)
            form.field(FIELD, "text-single", "Messages per hour", f"{sum(self._counts(room)) / hours:.2f}")
