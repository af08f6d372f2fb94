"""Occupants of other servers who were silent for long are asked whether they are still there (XEP-0410 seen from the room).

An error that says that nobody is there takes somebody out. Who does not answer may be slow, and stays; but then their server
is asked, too. If for long nothing at all comes from that server, its occupants are out: it takes stanzas and answers none.
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
from ..xmpp.jid import JID, parse
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
REMEMBERED = 1000
"""Servers that do not answer, at most; with more, all have their time once more."""
UNCLEAR = frozenset(("service-unavailable", "feature-not-implemented"))
"""Says a client that knows no pings, or a server whose user is away."""


class Watch:
    """The silence of one session. ``asked``: when it was asked last (`time.monotonic`). ``slot`` belongs to the wheel of
    deadlines."""

    __slots__ = ("asked", "feature", "room", "seat", "slot")

    def __init__(self, feature: Alive, room: Room, seat: Seat) -> None:
        self.feature, self.room, self.seat, self.slot, self.asked = feature, room, seat, 0, 0
        heartbeat.at(seat.heard + (feature.silence or 0), self)

    def due(self, now: float) -> float | None:
        silence = self.feature.silence
        if self.seat.left or silence is None:
            return None
        again = max(self.seat.heard, self.asked) + silence
        if again > now:
            return again
        return None if self.feature.ask(self) else now + LATER


class Alive(Feature):
    """Finds occupants of other servers who have vanished."""

    silence = Option[float | None](
        optional(duration),
        "15m",
        "silence after which an occupant of another server is asked; none: never",
        min=1,
    )
    patience = Option(duration, "30s", "time that an occupant, or its server, has for an answer", min=0.1)
    given_up = Option(
        duration,
        "1h",
        "time without a sign of another server after which its silent occupants are out",
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
        seat, room, began = watch.seat, watch.room, time.monotonic()
        try:
            with xdb.unit():
                answer = self._answer(room.address, seat.jid)
                if answer is not None:
                    self._heard(room, seat, answer)
                elif self._is_silent(domain, began) and not seat.left:
                    room.leave(str(seat.jid), Leave((333,), "nothing comes from its server"))
        finally:
            self.asking[domain] -= 1
            if not self.asking[domain]:
                del self.asking[domain]
            watch.asked = int(time.monotonic())
            heartbeat.at(watch.asked + (self.silence or LATER), watch)

    def _answer(self, sender: str, to: JID) -> Element | None:
        """To a ping; an error is an answer, too. None: there is none in time."""
        ping = Element("iq", CLIENT, Element("ping", PING), type="get", from_=sender, to=to)
        try:
            return self.host.ask(ping, self.patience)
        except StanzaError:
            return None

    def _is_silent(self, domain: str, since: float) -> bool:
        """Has nothing come from that server for long? ``since``: when an occupant was asked who has not answered."""
        silent = self.host.silent
        if len(silent) >= REMEMBERED:
            silent.clear()
        silent.setdefault(domain, since)
        if self._answer(self.host.domain, parse(domain)) is not None:
            silent.pop(domain, None)
        return time.monotonic() - silent.get(domain, time.monotonic()) >= self.given_up

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
