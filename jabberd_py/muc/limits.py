"""How many may be in a room, how much they may say, how fast (XEP-0045 sections 7.2.9 and 13.7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..hooks import Option, on, size
from ..instance import Instance
from ..net.karma import Karma
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .feature import Feature
from .fields import Field
from .occupant import Occupant
from .ranks import at_least
from .room import Room

CHOICES = (
    *((each, each) for each in ("10", "20", "30", "50", "100", "200", "500", "1000", "2000", "5000")),
    ("none", "As many as the service allows"),
)
SPARE = 20
"""Owners and admins who enter a full room."""


class Most(Field[str]):
    """A list of numbers to choose from, and ``none``; any other number is taken, too."""

    def _known(self, value: str) -> str:
        text = value.strip()
        if text.isascii() and text.isdigit() and len(text) < 10 and int(text):
            return str(int(text))
        return super()._known(value)

    def show(self, form: forms.Form, value: str) -> None:
        known = {each for each, _ in self.choices}
        choices = self.choices if value in known else ((value, value), *self.choices)
        form.field(self.var, self.type, self.label, value, choices)


class Limits(Feature):
    """Bounds of a room and of each occupant."""

    most = Most("muc#roomconfig_maxusers", "list-single", "none", "Most occupants", choices=CHOICES)
    occupants = Option(int, 5000, "occupants of one room", min=1)
    sessions = Option(int, 20, "sessions of one occupant", min=1)
    nicks = Option(int, 5, "nicks of one account in a room", min=1)
    nick = Option(int, 100, "characters of a nick", min=1)
    presence = Option(size, "4 KiB", "largest presence", min=256)
    message = Option(size, "64 KiB", "largest message to all", min=1024)
    messages = Option(float, 10.0, "messages a second of one occupant, in the long run", min=0.01)
    burst = Option(int, 100, "messages that one occupant may send at once", min=1)
    presences = Option(
        float,
        1.0,
        "joins, nicks, registrations and changes of presence a second of one account in a room, in the long run",
        min=0.01,
    )
    presence_burst = Option(
        int, 60, "joins, nicks, registrations and changes of presence of one account at once", min=1
    )

    def __init__(self, host: Instance, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.said, self.shown = Karma(self.messages, self.burst), Karma(self.presences, self.presence_burst)

    def configure(self, settings: Mapping[str, Any]) -> None:
        super().configure(settings)
        self.said.limit(self.messages, self.burst)
        self.shown.limit(self.presences, self.presence_burst)

    def limit(self, room: Room) -> int:
        """Occupants that the room takes."""
        chosen = self.most(room)
        return min(int(chosen), self.occupants) if chosen.isdigit() else self.occupants

    @on("entering")
    def enough(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        self.look(room, occupant, stanza)
        if len(occupant.sessions) >= self.sessions:
            raise StanzaError("resource-constraint", "too many sessions under this nick", type="wait")
        if occupant.sessions:
            return
        if len(room.of(occupant.user)) >= self.nicks:
            raise StanzaError("resource-constraint", "too many nicks of one account", type="wait")
        spare = SPARE if at_least(room.power(stanza.from_), "admin") else 0
        if len(room.occupants) >= self.limit(room) + spare:
            raise StanzaError("service-unavailable", "the room is full", type="wait")

    def bears(self, presence: Element) -> bool:
        """Is it small enough to be shown to all?"""
        return len(presence.inner) <= self.presence

    @on("updating")
    def look(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        if not self.bears(stanza):
            raise StanzaError("policy-violation", f"a presence may have {self.presence} bytes")
        self.count(room, occupant.user)

    def count(self, room: Room, user: str) -> None:
        """That account changes something in that room: its presence, its nick, its registration. Raises StanzaError."""
        if not self.shown.spend((room.address, user)):
            raise StanzaError("resource-constraint", "too many changes, wait a little", type="wait")

    @on("naming")
    def short(self, room: Room, occupant: Occupant, nick: str, stanza: Element) -> None:
        if len(nick) > self.nick:
            raise StanzaError("not-acceptable", f"a nick may have {self.nick} characters")

    @on("saying", kind="message")
    def moderate(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        if len(stanza.inner) > self.message:
            raise StanzaError("policy-violation", f"a message may have {self.message} bytes")
        if not self.said.spend((room.address, occupant.user)):
            raise StanzaError("resource-constraint", "too many messages, wait a little", type="wait")

    @on("whispering", kind="message")
    def quietly(self, room: Room, occupant: Occupant, target: Occupant, stanza: Element) -> None:
        self.moderate(room, occupant, stanza)
