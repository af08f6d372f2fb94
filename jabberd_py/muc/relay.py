"""IQs from one occupant to another, without showing either's address; and XEP-0410: the room answers a ping to oneself."""

from __future__ import annotations

import hashlib
import hmac

from ..hooks import HANDLED, on
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from ..xmpp.ns import PING
from ..xmpp.protocols import XEP
from .feature import Feature
from .fields import Field
from .occupant import Occupant
from .room import Room

MAX_ID = 512
ASKED_OF_ACCOUNTS = frozenset(
    ("vcard-temp", "urn:ietf:params:xml:ns:vcard-4.0", "http://jabber.org/protocol/pubsub")
)
"""What is asked of somebody's account, as the client itself does not know: vCards, avatars, keys of OMEMO."""


class Relay(Feature):
    """Takes IQ requests of occupants to others, and the answers back."""

    protocols = (XEP(410, "1.2.0", "MUC Self-Ping"),)
    needs = ("occupant_id",)
    room_namespaces = ("http://jabber.org/protocol/muc#self-ping-optimization",)
    allowed = Field("allow_query_users", "boolean", True, "Occupants may send requests to others' clients")

    def room_info(self, room: Room, form: forms.Form) -> None:
        form.field(self.allowed.var, "boolean", None, self.allowed(room))

    @on("asking", kind="iq")
    def pass_on(self, room: Room, occupant: Occupant, target: Occupant, stanza: Element) -> bool:
        """Section 14 of XEP-0045. The id says which session asks, as only we can read it."""
        namespace, _, name = stanza.kids[0].rpartition(" ")
        if target is occupant and (namespace, name) == (PING, "ping"):
            self.host.router.reply(stanza.reply())
            return HANDLED
        account = namespace in ASKED_OF_ACCOUNTS
        if not (self.allowed(room) or account or occupant.role == "moderator"):
            raise StanzaError("forbidden", "this room passes no requests on")
        if not target.sessions:
            raise StanzaError("recipient-unavailable")
        id = f"{self._mark(room, str(stanza.from_))}-{stanza.id}"
        if len(id) > MAX_ID:
            raise StanzaError("policy-violation", "the id is too long")
        to = target.user if account else target.shown
        self.host.router.deliver(stanza.copy(from_=room.at(occupant.nick), to=to, id=id))
        return HANDLED

    def answered(self, room: Room | None, stanza: Element, nick: str) -> None:
        """An IQ result or error, for the occupant of that nick, comes back from the client or the account of another."""
        asker = None if room is None else room.occupants.get(nick)
        sender = stanza.from_
        mark, _, id = (stanza.id or "").partition("-")
        if room is None or asker is None or not id:
            return
        replier = room.sessions.get(str(sender)) or next(iter(room.of(sender.user)), None)
        full = next(
            (each for each in asker.sessions if hmac.compare_digest(self._mark(room, each), mark)), None
        )
        if full is not None and replier is not None:
            self.host.router.reply(stanza.copy(from_=room.at(replier.nick), to=parse(full), id=id))

    def _mark(self, room: Room, full: str) -> str:
        secret = self.host["occupant_id"].secret
        return hmac.new(secret, f"{room.address}\0iq\0{full}".encode(), hashlib.sha256).hexdigest()[:16]
