"""What was said before one came (XEP-0045 sections 7.2.13 and 7.2.14)."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from .. import archive
from ..archive import pages
from ..archive.query import LAST
from ..hooks import Option, on
from ..net.turns import fairly
from ..xdb.numbers import when
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.ns import DELAY
from ..xmpp.parser import reread
from ..xmpp.rsm import Page
from ..xmpp.stamp import parse, utc
from .feature import Feature
from .fields import Number
from .occupant import MUC, Occupant, added
from .room import Room
from .speaker import unsigned

ADDRESS = "http://jabber.org/protocol/address"
BYTES = 512 * 1024
"""Of one room's history, at most."""


class Said(NamedTuple):
    """``id``: its stanza-id, where the archive has it. ``by``: the full address of its sender, if all knew that then."""

    when: float
    stanza: Element
    id: str
    by: str = ""


class History(Feature):
    """Those who enter get the last messages."""

    length = Number("muc#maxhistoryfetch", 20, "Most messages that those who enter get", least=0, most=1000)
    usual = Number(
        "muc#roomconfig_defaulthistorymessages", 20, "Messages that those get who do not say how many",
        least=0, most=1000,
    )  # fmt: skip
    most = Option(int, 100, "messages of each room that are remembered", min=0, max=1000)

    @on("said")
    def remember(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        if not stanza.has("body"):
            return  # chat states and subjects are no conversation
        kept: deque[Said] | None = room.memory.get("history")
        if kept is None and "recalling" not in room.memory and self._archived(room):
            return  # who comes next recalls it with all that was said before
        if kept is None or kept.maxlen != self.most:
            kept = room.memory["history"] = deque(kept or (), self.most)
        now = time.time()
        by = occupant.shown if self.host.open_to_all(room) else ""
        kept.append(Said(now, _late(room, stanza, now), str(stanza.uid or ""), by))
        if len(stanza.inner) * self.most > BYTES:  # fewer where they are long
            while sum(len(each.stanza.inner) for each in kept) > BYTES:
                kept.popleft()

    @on("coming")
    def recall(self, room: Room) -> None:
        """What was said before the room slept, or the server was started anew."""
        if "history" in room.memory or not self._archived(room):
            return
        room.memory["recalling"] = True
        try:
            said = self._recalled(room)
        finally:
            room.memory.pop("recalling", None)
        known = {each.id for each in said}
        said.extend(each for each in room.memory.get("history", ()) if each.id not in known)
        room.memory["history"] = said

    def _recalled(self, room: Room) -> deque[Said]:
        """The last messages of the archive. Blocks."""
        query = archive.Query(None, 0, LAST, None, None, None, None, "", False, Page(before=""))
        found = pages.page(room.address, query, self.most).ids
        said = deque[Said]((), self.most)
        left = BYTES
        for id, xml in fairly(pages.rows(room.address, found[::-1])):
            xml, by = unsigned(xml)
            left -= len(xml)
            if left < 0:
                break
            stanza = reread(xml.encode())
            if stanza.has("body"):
                late = archive.stamped(_late(room, stanza, when(id)), room.address, id)
                said.appendleft(Said(when(id), late, str(id), by))
        return said

    def _archived(self, room: Room) -> bool:
        return self.host.archive is not None and bool(self.host.archive.keeps(room))

    def room_info(self, room: Room, form: forms.Form) -> None:
        form.field(self.length.var, "text-single", None, min(self.length(room), self.most))

    def drop(self, room: Room, id: str, badge: bytes = b"") -> None:
        """That message was taken back. ``badge``: only if it bears that."""
        kept = room.memory.get("history")
        if kept is None:
            return
        room.memory["history"] = deque(
            (each for each in kept if each.id != id or badge not in each.stanza.inner), self.most
        )

    def trim(self, room: Room, upto: int) -> None:
        """Messages up to that number were removed from the archive."""
        kept = room.memory.get("history")
        if kept is None:
            return
        room.memory["history"] = deque((each for each in kept if int(each.id or 0) > upto), self.most)

    @on("entered")
    def show(self, room: Room, occupant: Occupant, full: str, stanza: Element) -> None:
        """Subscribers have got it already."""
        if self.host.subscribed(room, occupant.user):
            return
        for said in self.wanted(room, full, stanza):
            room.sending.one(said)

    def _for(self, room: Room, full: str, said: Said) -> Element:
        """The message as that session gets it."""
        stanza = said.stanza.copy(to=full)
        if said.by and self.host.open_to_all(room):
            address = Element("address", ADDRESS, type="ofrom", jid=said.by)
            stanza = added(stanza, Element("addresses", ADDRESS, address).to_bytes(), f"{ADDRESS} addresses")
        return stanza

    def wanted(self, room: Room, full: str, stanza: Element) -> list[Element]:
        """The last messages, as few as every limit says: the client's, the room's, the service's."""
        kept: deque[Said] = room.memory.get("history") or deque()
        x = stanza.child("x", MUC) if stanza.has("x", MUC) else None
        asked = None if x is None else x.child("history", MUC)
        attrs = {} if asked is None else asked.attrs
        most = min(self.length(room), _number(attrs.get("maxstanzas"), 10**6 if attrs else self.usual(room)))
        chars = _number(attrs.get("maxchars"), 10**9)
        since = time.time() - _number(attrs.get("seconds"), 10**9)
        with suppress(KeyError, ValueError):
            since = max(since, parse(attrs["since"]))
        found: list[Element] = []
        for each in islice(reversed(kept), most):
            said = self._for(room, full, each)
            chars -= len(str(said)) if "maxchars" in attrs else 0
            if each.when < since or chars < 0:
                break
            found.append(said)
        return found[::-1]


def _late(room: Room, stanza: Element, now: float) -> Element:
    """The message as those get it who come later. A delay that its sender put in stays (section 7.9)."""
    stamp = f"<delay xmlns='{DELAY}' from='{room.address}' stamp='{utc(now, fraction=True)}'/>"
    return added(stanza.copy(), stamp.encode(), f"{DELAY} delay")


def _number(text: str | None, default: int) -> int:
    text = (text or "").strip()
    return min(int(text[:10]), 10**9) if text.isascii() and text.isdigit() else default
