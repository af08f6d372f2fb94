"""XEP-0463: MUC Affiliations Versioning: who enters gets what has changed in the lists since they were last in.

A version is a sum over the hashes of all affiliations. So it needs no place in the store, outlives restarts, and is the same
again when the lists are.
"""

from __future__ import annotations

import hashlib
from collections import deque
from itertools import islice
from typing import NamedTuple

from ..hooks import on
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from ..xmpp.ns import CLIENT
from ..xmpp.protocols import XEP
from .changes import Change
from .feature import Feature
from .occupant import MUC, USER, Occupant
from .room import Room

NS = "urn:xmpp:muc:affiliations:0"
LISTS = ("owner", "admin", "member", "outcast")
REMEMBERED = 1000
"""Changes of one room that are remembered while it is awake; who asks for more gets the whole lists."""
IN_ONE = 500
"""Affiliations in one message."""


class Step(NamedTuple):
    """A change, from the version ``since`` to the next one."""

    since: str
    user: str
    before: str
    after: str


class Versions(Feature):
    """Tells of affiliations: to those who enter and ask, and to those who are in."""

    protocols = (XEP(463, "0.2.0", "MUC Affiliations Versioning"),)
    needs = ("admin",)
    room_namespaces = (NS,)

    def version(self, room: Room) -> str:
        """Of the lists as they are now."""
        return f"{self._sum(room):016x}"

    def _sum(self, room: Room) -> int:
        known: int | None = room.memory.get("version")
        if known is None:
            known = sum(_hash(jid, each.affiliation) for jid, each in room.affiliations.items()) % 2**64
            room.memory["version"] = known
        return known

    def marks(self, room: Room) -> tuple[Element, ...]:
        return (Element("mav", NS, until=self.version(room)),)

    # -- who is in -------------------------------------------------------------------------------------

    @on("affiliating")
    def changed(self, room: Room, change: Change) -> None:
        """The lists have changed already; `memory` may know them as they were."""
        step = _hash(change.user, change.after) - _hash(change.user, change.before)
        if "version" in room.memory:
            room.memory["version"] = (room.memory["version"] + step) % 2**64
        until = self._sum(room)
        since = f"{(until - step) % 2**64:016x}"
        steps = room.memory.setdefault("versions", deque((), REMEMBERED))
        steps.append(Step(since, change.user, change.before, change.after))
        mark = Element("mav", NS, since=since, until=self.version(room))
        change.marks = (*change.marks, mark)
        if not room.of(change.user):
            why = Element("reason", USER, change.reason) if change.reason else None
            item = Element("item", USER, why, affiliation=change.after, jid=change.user, role="none")
            banned = Element("status", USER, code=301) if change.after == "outcast" else None
            told = Element("message", CLIENT, Element("x", USER, mark, item, banned), from_=room.address)
            of = (change.before, change.after)
            room.sending.all(
                told, [full for full, each in room.sessions.items() if self._told(room, each, of)]
            )

    def _told(self, room: Room, occupant: Occupant, of: tuple[str, str]) -> bool:
        power = room.affiliation(occupant.user)
        sees = self.host["admin"].sees
        return all(sees(room, power, occupant.role, each) for each in of if each != "none")

    # -- who enters ------------------------------------------------------------------------------------

    @on("greeting")
    def show(self, room: Room, occupant: Occupant, full: str, stanza: Element) -> None:
        x = stanza.child("x", MUC) if stanza.has("x", MUC) else None
        asked = None if x is None else x.child("mav", NS)
        if asked is None:
            return
        try:
            messages = self._answers(room, stanza.from_, asked.attrs.get("since"))
        except StanzaError as error:
            element = error.element()
            element.attrs["by"] = room.address
            messages = [Element("message", CLIENT, element, type="error", id=stanza.id)]
        for each in messages:
            room.sending.one(each.copy(from_=room.address, to=full))

    def _answers(self, room: Room, asker: JID | None, since: str | None) -> list[Element]:
        """The messages, without addresses. Raises StanzaError."""
        power, role, sees = room.power(asker), room.role(asker), self.host["admin"].sees
        lists = [each for each in LISTS if sees(room, power, role, each)]
        if "member" not in lists:
            raise StanzaError("forbidden", "the lists of this room are not for you")
        if since == self.version(room):
            return []
        steps = self._since(room, since)
        if steps is None:
            items = [(jid, each.affiliation) for jid, each in room.affiliations.items()]
            since = None
        else:
            if any(each.user == asker.user and each.before in ("none", "outcast") for each in steps):
                raise StanzaError("forbidden", "you had no right to see that version")
            steps = [each for each in steps if each.before in (*lists, "none")]
            items = list({each.user: each.after for each in steps}.items())
        items = [each for each in items if each[1] in (*lists, "none")]
        return self._messages(room, items, since)

    def _since(self, room: Room, since: str | None) -> list[Step] | None:
        """The changes since that version. None: it is not known."""
        steps: deque[Step] = room.memory.get("versions") or deque()
        at = max((at for at, each in enumerate(steps) if each.since == since), default=None)
        return None if at is None else list(islice(steps, at, None))

    def _messages(self, room: Room, items: list[tuple[str, str]], since: str | None) -> list[Element]:
        until = self.version(room)
        parts = [items[at : at + IN_ONE] for at in range(0, len(items), IN_ONE)] or [[]]
        made = []
        for number, part in enumerate(parts, 1):
            upto = until if number == len(parts) else f"{until}-{number}"
            x = Element("x", USER, Element("mav", NS, since=since, until=upto))
            x.append(*(Element("item", USER, jid=jid, affiliation=each) for jid, each in part))
            made.append(Element("message", CLIENT, x))
            since = upto
        return made


def _hash(user: str, affiliation: str) -> int:
    if affiliation == "none":
        return 0
    return int.from_bytes(hashlib.blake2b(f"{affiliation} {user}".encode(), digest_size=8).digest())
