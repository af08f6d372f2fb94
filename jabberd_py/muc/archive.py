"""The room's archive (XEP-0313), its stanza-ids (XEP-0359), and what is taken out of it (XEP-0424, XEP-0425)."""

from __future__ import annotations

import time
from typing import Any

from .. import archive
from ..archive import messages, stones
from ..archive.messages import Message
from ..archive.query import parse_id
from ..archive.stones import RETRACT
from ..hooks import Option, duration, every, iq, on, optional
from ..jsm import answers
from ..jsm.worth import ARCHIVED, worth
from ..xdb import xdb
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from ..xmpp.ns import CLIENT
from ..xmpp.protocols import XEP
from ..xmpp.stamp import utc
from ..xmpp.syntax import name_language
from .feature import Feature
from .fields import Field
from .occupant import Occupant
from .ranks import at_least
from .room import Room
from .speaker import SECRET, Eyes, signed

MODERATE = "urn:xmpp:message-moderate:1"
REASON = 1000
"""Characters of a moderator's reason."""


class Archive(Feature):
    """Keeps what is said, for those who were away."""

    protocols = (
        XEP(313, "1.1.3", "Message Archive Management"),
        XEP(359, "0.7.0", "Unique and Stable Stanza IDs"),
        XEP(424, "0.4.2", "Message Retraction"),
        XEP(425, "0.3.0", "Moderated Message Retraction"),
    )
    keeps = Field("muc#roomconfig_enablearchiving", "boolean", True, "Keep what is said in an archive")
    public = Field(
        "muc#roomconfig_enablelogging",
        "boolean",
        False,
        "Everybody may read the archive, not only occupants and members",
    )
    page = Option(int, 50, "messages in a page for those who do not ask for so many", min=1)
    largest_page = Option(int, 250, "most messages in a page", min=1, max=1000)
    keep_for = Option[float | None](optional(duration), None, "age at which messages go; none: they stay")
    keep_most = Option[int | None](optional(int), None, "messages kept of one room; none: no limit", min=0)

    @on("start")
    def begin(self) -> None:
        self.host.reserved |= {f"{SECRET} x"}

    def room_features(self, room: Room) -> list[str]:
        return [*archive.FEATURES, f"{RETRACT}#tombstone", MODERATE] if self.keeps(room) else []

    def codes(self, room: Room) -> tuple[int, ...]:
        return (170,) if self.logged(room) else ()

    def logged(self, room: Room) -> bool:
        """May everybody read what is said?"""
        return self.keeps(room) and self.public(room)

    @on("configured")
    def tell(self, room: Room, before: dict[str, Any], statuses: set[int]) -> None:
        was = before.get(self.public.var, False) and before.get(self.keeps.var, True)
        if was != self.logged(room):
            statuses.add(170 if self.logged(room) else 171)

    # -- what is kept ----------------------------------------------------------------------------------

    def keep(self, room: Room, occupant: Occupant, stanza: Element, sent: Element) -> Element:
        """The message as it goes out: with its stanza-id, if the archive keeps it. ``sent``: the message as it came; its sender
        gets an error if it cannot be kept, and after a crash need not send it again if it was (XEP-0198)."""
        if not self.keeps(room) or not self.worthy(stanza):
            return stanza
        name_language(stanza)
        xml = signed(room, occupant, stanza, sent.attrs["from"]).to_bytes().decode()
        kept = archive.keep(
            room.address, room.address, occupant.nick, xml, 0, self._unkept, sent, sent.session
        )
        return archive.stamped(stanza, room.address, kept.number)

    def _unkept(self, sent: Element) -> None:
        self.host.router.bounce(
            sent, StanzaError("resource-constraint", "the room cannot keep this now", type="wait")
        )
        session = sent.session
        if session is not None and session.sm is not None:
            session.sm.refused()

    def worthy(self, stanza: Element) -> bool:
        """Conversation and subjects; no chat states (XEP-0313 section 5.1.2)."""
        if stanza.has("subject"):
            return True
        alone = Element.raw("message", CLIENT, {"type": "chat"}, b"", stanza.kids)
        return bool(worth(alone) & ARCHIVED)

    @every(3600)
    def trim(self) -> None:
        keep = self.settings.get("keep_for", self.host.host.options.retention)
        if keep is not None or self.keep_most is not None:
            archive.trim(self.host.domain, keep, self.keep_most)

    # -- who reads it ----------------------------------------------------------------------------------

    def _readable(self, request: Element) -> Room:
        """The room whose archive the sender may read: occupants, members, subscribers, and everybody where it is public."""
        room: Room = self.host.room(request)
        asker: Any = request.from_
        if not self.keeps(room):
            raise StanzaError("service-unavailable", "this room has no archive")
        power = room.power(asker)
        knows = at_least(power, "member") or room.of(asker.user) or self.host.subscribed(room, asker.user)
        if power == "outcast" or not (self.logged(room) or knows):
            raise StanzaError("forbidden", "the archive is for those who are in the room")
        return room

    @iq("get", archive.NS, "query", to="room")
    def fields_of(self, request: Element) -> Element:
        self._readable(request)
        return archive.form(fulltext=False)

    @iq("get", archive.NS, "metadata", to="room")
    def metadata(self, request: Element) -> Any:
        room = self._readable(request).address
        return answers.for_anybody(self.host.router, request, lambda reader: archive.metadata(room))

    @iq("set", archive.NS, "query", to="room")
    def query(self, request: Element) -> Any:
        room, payload = self._readable(request), request.payload
        assert payload is not None and request.from_ is not None
        eyes = Eyes(room, request.from_)
        query = archive.read(payload, fulltext=False)
        limit = query.page.limit(self.page, self.largest_page)
        return answers.for_anybody(
            self.host.router,
            request,
            lambda reader: archive.answer(room.address, query, reader, limit, eyes)[0],
        )

    # -- what is taken out -----------------------------------------------------------------------------

    @iq("set", MODERATE, "moderate", to="room")
    def moderate(self, request: Element) -> None:
        """XEP-0425: a moderator takes back what another has said."""
        room, asker, payload = self.host.room(request), request.from_, request.payload
        if room.role(asker) != "moderator" and not at_least(room.power(asker), "admin"):
            raise StanzaError("forbidden", "moderators take back what others have said")
        if payload.child("retract", RETRACT) is None:
            raise StanzaError("bad-request", "moderation is retraction here")
        id = payload.attrs.get("id", "")
        reason = (payload.text_of("reason", MODERATE) or "")[:REASON]
        moderated = self._moderated(room, asker)
        why = Element("reason", RETRACT, reason) if reason else None
        stone = Element("retracted", RETRACT, moderated, why, stamp=utc(time.time()))
        xdb.release()
        if not archive.bury(room.address, parse_id(id), stone).wait():
            raise StanzaError("item-not-found", "no such message is in the archive")
        room.check_there()
        self._forget(room, id)
        retract = Element("retract", RETRACT, moderated, why, id=id)
        said = Element("message", CLIENT, retract, from_=room.address, type="groupchat", id=f"moderated-{id}")
        kept = archive.keep(room.address, room.address, "", str(said))
        said = archive.stamped(said, room.address, kept.number)
        self.host.hooks.tell("shown", room, said)
        room.sending.all(said, room.everyone)

    def _moderated(self, room: Room, asker: JID | None) -> Element:
        here = room.sessions.get(str(asker)) or next(iter(room.of(asker.user)), None)
        if here is None:
            return Element("moderated", MODERATE, by=room.address)
        badge = from_text(here.badge[0]) if here.badge[0] else None
        return Element("moderated", MODERATE, badge, by=room.at(here.nick))

    @on("said")
    def retracted(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        """XEP-0424: somebody takes back what they have said. Only what bears their occupant-id goes."""
        if not stanza.has("retract", RETRACT) or not self.keeps(room) or not occupant.badge[0]:
            return
        id, badge = stanza.child("retract", RETRACT).attrs.get("id", ""), occupant.badge[0]
        try:
            original = parse_id(id)
        except StanzaError:
            return
        stone = Element("retracted", RETRACT, id=stanza.id, stamp=utc(time.time()))
        messages.write(_retract, room.address, original, badge.decode(), str(stone))
        self._forget(room, id, badge)

    def _forget(self, room: Room, id: str, badge: bytes = b"") -> None:
        if "history" in self.host.modules:
            self.host["history"].drop(room, id, badge)


def _retract(room: str, id: int, badge: str, stone: str) -> None:
    """In the writer."""
    messages.sort_in()
    xml = Message.select(Message.xml).where(Message.id == id, Message.owner == room).scalar()
    if xml is not None and badge in xml and f"<retracted xmlns='{RETRACT}'" not in xml:
        stones.bury(room, id, stone)
