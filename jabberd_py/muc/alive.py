"""Occupants of other servers who were silent for long are asked whether they are still there (XEP-0410 seen from the room).

Only an error that says that nobody is there takes somebody out; who is slow, or does not answer, stays.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from gevent.pool import Pool

from ..heartbeat import heartbeat
from ..hooks import Option, duration, on, optional
from ..instance import Instance
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.ns import CLIENT, HINTS, PING
from .feature import Feature
from .occupant import Occupant
from .presence import Leave
from .room import Room
from .seats import Seat
from .traffic import GONE, conditions

AT_ONCE = 20
"""Occupants who are asked at a time..."""
OF_ONE = 4
"""...and those of one server among them: one that never answers keeps nobody else from being asked."""
LATER = 5.0
"""Seconds until who could not be asked has another turn."""
UNCLEAR = frozenset(("service-unavailable", "feature-not-implemented"))
"""Says a client that knows no pings, or a server whose user is away."""


class Watch:
    """The silence of one session. ``slot`` belongs to the wheel of deadlines."""

    __slots__ = ("feature", "room", "seat", "slot")

    def __init__(self, feature: Alive, room: Room, seat: Seat) -> None:
        self.feature, self.room, self.seat, self.slot = feature, room, seat, 0
        heartbeat.at(seat.heard + (feature.silence or 0), self)

    def due(self, now: float) -> float | None:
        silence = self.feature.silence
        if self.seat.left or silence is None:
            return None
        if self.seat.heard + silence > now:
            return float(self.seat.heard + silence)
        return None if self.feature.ask(self) else now + LATER


class Alive(Feature):
    """Finds occupants of other servers who have vanished."""

    silence = Option[float | None](
        optional(duration),
        "15m",
        "silence after which an occupant of another server is asked; none: never",
        min=1,
    )

    def __init__(self, host: Instance, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.pool = Pool(AT_ONCE)
        self.asking: Counter[str] = Counter()

    @on("entered")
    def watch(self, room: Room, occupant: Occupant, full: str, stanza: Element) -> None:
        seat = occupant.sessions[full]
        here = self.host.router.instances.get(seat.jid.domain)
        if self.silence is not None and not seat.watched and (here is None or not here.has_users):
            seat.watched = True
            Watch(self, room, seat)

    @on("restored")
    def watch_all(self) -> None:
        """After a restart."""
        for room in list(self.host.rooms.values()):
            for full, occupant in list(room.sessions.items()):
                self.watch(room, occupant, full, occupant.presence)

    @on("stop")
    def stop(self) -> None:
        self.pool.kill()

    def ask(self, watch: Watch) -> bool:
        """Asks soon. False: too many are being asked."""
        domain = watch.seat.jid.domain
        if self.pool.full() or self.asking[domain] >= OF_ONE:
            return False
        self.asking[domain] += 1
        self.pool.spawn(self._ask, watch, domain)
        return True

    def _ask(self, watch: Watch, domain: str) -> None:
        seat, room = watch.seat, watch.room
        ping = Element("iq", CLIENT, Element("ping", PING), type="get", from_=room.address, to=seat.jid)
        try:
            with xdb.unit():
                self._heard(room, seat, self.host.ask(ping))
        except StanzaError:
            pass  # no answer: a slow one
        finally:
            self.asking[domain] -= 1
            if not self.asking[domain]:
                del self.asking[domain]
            seat.heard = int(time.monotonic())
            heartbeat.at(seat.heard + (self.silence or LATER), watch)

    def _heard(self, room: Room, seat: Seat, answer: Element) -> None:
        found = conditions(answer) if answer.type == "error" else set()
        if seat.left or not found & GONE:
            return
        if found <= UNCLEAR:  # a message to nobody comes back, and a client that gets it says nothing
            hint = Element("no-store", HINTS)
            room.sending.one(
                Element("message", CLIENT, hint, type="groupchat", from_=room.address, to=seat.jid)
            )
        else:
            room.leave(str(seat.jid), Leave((333,), "the session cannot be reached"))
