"""Reports about occupants and about rooms (ProtoXEP "Group Chat Reporting")."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from .. import log
from ..archive.messages import Message, readable
from ..archive.query import parse_id
from ..archive.stamps import SID
from ..hooks import Option, iq, on
from ..net.karma import Karma
from ..net.turns import fairly
from ..words import clean
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from ..xmpp.large import grown
from ..xmpp.ns import CLIENT
from .feature import Feature
from .occupant import Occupant
from .occupant_id import NS as OCCUPANT_ID
from .ranks import at_least
from .room import Room

NS = "urn:xmpp:gcreport:0"
REPORT = "urn:xmpp:reporting:1"
REASONS = {"urn:xmpp:reporting:spam": "spam", "urn:xmpp:reporting:abuse": "abuse"}
NAMED = 20
"""Messages that a report may name."""
KEPT = 50
"""Reports of one room that wait for an admin to come in."""

logger = log.get(__name__)


class Reports(Feature):
    """Reports about occupants go to the room's admins, those about rooms to the administrators of the server. Nobody learns who
    has reported. A room's notes keep ``reports`` that no admin has seen: their XML."""

    name = "reports"
    needs = ("occupant_id",)
    features = (NS,)
    room_namespaces = (NS,)
    text = Option(int, 1000, "characters of an explanation; a longer one is cut", min=0)
    rate = Option(float, 0.02, "reports a second of one user, in the long run", min=0.0001)
    burst = Option(int, 10, "reports of one user at once", min=1)

    @on("start", "reload")
    def start(self) -> None:
        self.karma = Karma(self.rate, self.burst)

    def _report(self, request: Element) -> Element:
        """The <report/>, as it is passed on: without what may show who has sent it. Raises StanzaError."""
        report = request.payload.child("report", REPORT)
        if report is None or report.attrs.get("reason") not in REASONS:
            raise StanzaError("bad-request", "a report with a reason is needed")
        if not self.karma.spend(request.from_.user):
            raise StanzaError("resource-constraint", "too many reports, wait a little", type="wait")
        text = (report.text_of("text", REPORT) or "").strip()[: self.text]
        made = Element("report", REPORT, reason=report.attrs["reason"])
        return made.append(Element("text", REPORT, text)) if text else made

    @iq("set", NS, "report-participant", to="room")
    def participant(self, request: Element) -> None:
        room: Room = self.host.room(request)
        if room.role(request.from_) == "none":
            raise StanzaError("not-acceptable", "you are not in this room")
        id = request.payload.child("occupant-id", OCCUPANT_ID)
        wanted = "" if id is None else id.attrs.get("id", "")
        if not wanted:
            raise StanzaError("bad-request", "who?")
        report = self._report(request)
        said = self._said(room, request, wanted)
        if said is not None:
            report.append(Element("stanza-id", SID, id=str(said[0]), by=room.address))
        ids = self.host["occupant_id"]
        here = (each.nick for each in room.occupants.values() if ids.id(room, each.user) == wanted)
        nick = next(here, None if said is None else said[1])
        room.check_there()
        if nick is None:
            raise StanzaError("item-not-found", "there is no such occupant")
        self._tell(room, nick, wanted, report)

    def _said(self, room: Room, request: Element, occupant: str) -> tuple[int, str] | None:
        """Number and nick of the message that is reported, if it is from that occupant."""
        numbers = []
        for each in request.payload.child("report", REPORT).all("stanza-id", SID)[:NAMED]:
            if each.attrs.get("by", room.address) == room.address:
                with suppress(StanzaError):
                    numbers.append(parse_id(each.attrs.get("id", "")))
        if not numbers:
            return None
        readable()
        for number in fairly(numbers):
            mine = Message.select(Message.xml).where(Message.id == number, Message.owner == room.address)
            xml = mine.scalar()
            if xml is not None:
                stanza = grown(xml, fairly)
                if occupant in [mark.attrs.get("id") for mark in stanza.all("occupant-id", OCCUPANT_ID)]:
                    return number, str(parse(stanza.attrs["from"]).resource)
        return None

    def _tell(self, room: Room, nick: str, occupant: str, report: Element) -> None:
        why, text = REASONS[report.attrs["reason"]], report.text_of("text", REPORT)
        whole = Element("report-participant", NS, Element("occupant-id", OCCUPANT_ID, id=occupant), report)
        body = Element("body", CLIENT, f"{nick} was reported ({why})" + (f": {text}" if text else "."))
        message = Element("message", CLIENT, body, whole, from_=room.address)
        admins = [full for full, each in room.sessions.items() if self._runs(room, each)]
        room.sending.all(message, admins)
        if not admins:
            waiting: list[str] = room.notes.setdefault("reports", [])
            waiting.append(str(message))
            del waiting[:-KEPT]
            room.save().wait()
        logger.info("an occupant was reported", room=room.address, nick=nick, reason=why)

    def _runs(self, room: Room, occupant: Occupant) -> bool:
        return at_least(room.affiliation(occupant.user), "admin")

    @on("entered")
    def show(self, room: Room, occupant: Occupant, full: str, stanza: Element) -> None:
        """What has come while no admin was in."""
        if "reports" in room.notes and self._runs(room, occupant):
            for each in room.notes.pop("reports"):
                room.sending.one(from_text(each).copy(to=full))
            room.save()

    @iq("set", NS, "report-chat")
    def chat(self, request: Element) -> None:
        payload: Any = request.payload
        try:
            room = self.host.find(parse(payload.text_of("jid", NS) or "").user)
        except ValueError as error:
            raise StanzaError("jid-malformed", str(error)) from None
        if room is None:
            raise StanzaError("item-not-found", "there is no such room")
        report, asker = self._report(request), request.from_
        text = clean(report.text_of("text", REPORT) or "")
        reason = REASONS[report.attrs["reason"]]
        logger.warning("a room was reported", room=room.address, by=asker.user, reason=reason, text=text)
        home = self.host.router.instances.get(asker.domain)
        if home is not None and home.has_users:
            home.hooks.tell("reported", asker.user, room.address, payload.child("report", REPORT))
