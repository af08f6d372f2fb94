"""A crash of the server, and what those learn whose streams are resumed after it (XEP-0198).

The server forgets in a crash what a client had not acknowledged: the client would see people who have left. When it is back, it
gets everybody's presence once more, and those go whose nicks are free now. It gets what was said since its stream was lost; the
last second may come twice, under the same stanza-ids. Who was thrown out meanwhile is told.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import gevent
from peewee import CharField, FloatField, TextField

from ..fanout import Variant
from ..hooks import Option, duration, every, on
from ..instance import Instance
from ..net.turns import fairly
from ..xdb import OWNER_LENGTH, JidField, Table, xdb
from ..xmpp.element import Element
from ..xmpp.jid import parse
from ..xmpp.ns import CLIENT
from .feature import Feature
from .occupant import USER
from .presence import available
from .room import Room


class Departure(Table):
    """A session no longer has that nick. ``jid``: its full address. ``at``: Unix time."""

    owner = CharField(max_length=OWNER_LENGTH)
    service = CharField(max_length=OWNER_LENGTH)
    jid = JidField()
    nick = TextField()
    at = FloatField()

    class Meta:
        indexes = ((("owner",), False), (("at",), False))


class Recovery(Feature):
    """After a crash, clients whose streams are resumed see the room as it is."""

    tables = (Departure,)
    remember = Option(
        duration,
        "10m",
        "time for which the store knows who has left, for those who resume their streams after a crash",
        min=1,
    )

    def __init__(self, host: Instance, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.started = self.until = 0.0
        self.places: dict[str, list[Room]] = defaultdict(list)
        """Full address of a session of before the start -> the rooms that it is in."""
        self.free: dict[str, set[str]] = defaultdict(set)
        """Room -> nicks that were given up before the start."""
        self.left: dict[str, list[str]] = defaultdict(list)
        """Full address -> where it was until shortly before the start, as room/nick."""

    # -- before ----------------------------------------------------------------------------------------

    @on("departed")
    def note(self, room: Room, nick: str, sessions: Iterable[str]) -> None:
        now, service = time.time(), self.host.domain
        xdb.write(_note, [(room.address, service, each, nick, now) for each in sessions])

    @every(300)
    def tidy(self) -> None:
        xdb.write(_tidy, self.host.domain, time.time() - self.remember)
        if self.until < time.time():
            for each in (self.places, self.free, self.left):
                each.clear()

    # -- afterwards ------------------------------------------------------------------------------------

    @on("restored")
    def look(self) -> None:
        """Who may come back, and what may they have missed?"""
        self.started = now = time.time()
        self.until = now + self.remember
        for room in list(self.host.rooms.values()):
            for full in fairly(list(room.sessions)):
                if self.host.router.has_session(parse(full)):
                    self.places[full].append(room)
        rows: Any = Departure.select(Departure.owner, Departure.jid, Departure.nick)
        rows = rows.where(Departure.service == self.host.domain, Departure.at > now - self.remember)
        for address, full, nick in fairly(rows.tuples()):
            self.free[address].add(nick)
            if self.host.router.has_session(parse(full)):
                self.left[full].append(f"{address}/{nick}")

    @on("recovered")
    def found(self, full: str, since: float) -> None:
        if full in self.places or full in self.left:
            gevent.spawn(self._catch_up, full, since)

    def _catch_up(self, full: str, since: float) -> None:
        with xdb.unit():
            for where in self.left.pop(full, ()):
                room = self.host.rooms.get(where.partition("/")[0])
                if room is None or full not in room.sessions:
                    self.host.router.deliver(_gone(where, full, 110, 333))
            for room in self.places.pop(full, ()):
                if full in room.sessions:
                    self.host.hooks.tell("coming", room)  # it may block
                    if full in room.sessions:
                        self._show(room, full, since)

    def _show(self, room: Room, full: str, since: float) -> None:
        def gone() -> Iterator[Variant]:
            for nick in self.free.get(room.address, ()):
                if nick not in room.occupants:
                    yield _gone(room.at(nick), full), (parse(full),)

        room.sending.later(1, gone())
        occupant = room.sessions[full]
        room.greet(occupant, full)
        room.sending.one(available(room, occupant, True, (110,)).copy(to=full))
        said = [each for each in room.memory.get("history", ()) if each.when < self.started]
        since = min([since, *(each.when - 1 for each in said[-1:])])
        for each in said:
            if each.when >= since:
                room.sending.one(each.stanza.copy(to=full))


def _gone(where: str, to: str, *statuses: int) -> Element:
    """Unavailable presence of an occupant who is unknown by now."""
    x = Element("x", USER, Element("item", USER, affiliation="none", role="none"))
    for code in statuses:
        x.append(Element("status", USER, code=code))
    return Element("presence", CLIENT, x, from_=where, to=to, type="unavailable")


# -- in the writer ---------------------------------------------------------------------------------------


def _note(rows: list[tuple[str, str, str, str, float]]) -> None:
    fields = (Departure.owner, Departure.service, Departure.jid, Departure.nick, Departure.at)
    Departure.insert_many(rows, fields=fields).execute()


def _tidy(service: str, before: float) -> None:
    Departure.delete().where(Departure.at < before, Departure.service == service).execute()
