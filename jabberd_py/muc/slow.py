"""XEP-0500: MUC Slow Mode: who has said something waits before they say more."""

from __future__ import annotations

import time

from ..hooks import Option, duration, on
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.protocols import XEP
from .feature import Feature
from .fields import Number
from .occupant import Occupant
from .ranks import at_least
from .room import Room

REMEMBERED = 1000
"""Speakers of a room above which those are forgotten who have waited long enough."""


class Slow(Feature):
    """Messages of one user with a body keep a distance in time. Admins and owners do not wait."""

    protocols = (XEP(500, "0.1.1", "MUC Slow Mode"),)
    seconds = Number(
        "muc#roomconfig_slow_mode_duration", 0, "Seconds between two messages of one user; 0: no slow mode",
        least=0, most=86_400,
    )  # fmt: skip
    least = Option(duration, "0s", "slow mode of every room, at least; 0: as each room says", min=0)

    def wait(self, room: Room) -> int:
        """Seconds between two messages of one user."""
        return max(self.seconds(room), int(self.least))

    @on("saying", kind="message")
    def check(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        wait = self.wait(room)
        if not wait or not stanza.has("body") or at_least(room.affiliation(occupant.user), "admin"):
            return
        spoke: dict[str, float] = room.memory.setdefault("spoke", {})
        now = time.monotonic()
        if now < spoke.get(occupant.user, -wait) + wait:
            text = f"This room is in slow mode: wait {wait} seconds between two messages."
            raise StanzaError("policy-violation", text, type="wait")
        if len(spoke) >= REMEMBERED:
            room.memory["spoke"] = spoke = {user: at for user, at in spoke.items() if now < at + wait}
        spoke[occupant.user] = now

    def room_info(self, room: Room, form: forms.Form) -> None:
        form.field("muc#roominfo_slow_mode_duration", "text-single", None, self.wait(room))
