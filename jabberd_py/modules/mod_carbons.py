"""XEP-0280: Message Carbons, by all the rules of its section 6.1."""

from __future__ import annotations

from collections import deque

from ..archive.query import forwardable
from ..archive.stamps import genuine, stamped
from ..hooks import Module, iq, on
from ..jsm.notes import CARBONS, COPIED, SENT
from ..jsm.session import Session
from ..net.turns import fairly
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.large import unfold
from ..xmpp.ns import CLIENT, FORWARD
from ..xmpp.protocols import XEP

NS = "urn:xmpp:carbons:2"
MUC_USER = "http://jabber.org/protocol/muc#user"
NEVER_COPIED = frozenset(
    (f"{NS} private", f"{NS} received", f"{NS} sent", "urn:xmpp:hints no-copy", "urn:xmpp:mam:2 result")
)
"""A message with one of these children is not copied. Copies have such a child themselves."""
CHAT = frozenset(("urn:xmpp:receipts", "http://jabber.org/protocol/chatstates", "urn:xmpp:chat-markers:0"))
REMEMBERED = 50
"""A session remembers the ids of this many copied messages: an error that answers one of them is copied, too."""


class Carbons(Module):
    """Gives all of a user's clients both sides of all conversations."""

    protocols = (
        XEP(280, "1.0.1", "Message Carbons"),
        XEP(297, "1.0", "Stanza Forwarding"),
    )
    features = (NS, "urn:xmpp:carbons:rules:0")
    account_features = features

    @on("start")
    def start(self) -> None:
        self.users = (
            self.host.sessions.users
        )  # most users have one session: the look-up is all that a message costs

    @iq("set", NS, "enable", to="self")
    @iq("set", NS, "disable", to="self")
    def switch(self, request: Element) -> None:
        session = self.host.sessions.find(request.from_)
        if session is None:
            raise StanzaError("not-allowed")
        if request.payload.name == "enable":
            session.notes[CARBONS] = True
        else:
            session.notes.pop(CARBONS, None)

    @iq("set", NS, "enable", to="user")
    @iq("set", NS, "disable", to="user")
    def refuse(self, request: Element) -> None:
        raise StanzaError("not-allowed")

    @on("out", kind="message")
    def sent(self, session: Session, stanza: Element) -> None:
        if len(self.users.get(session.user, ())) < 2 and session.jid.resource is not None:
            return  # a component that speaks in the user's name has no session among them
        others = self._enabled(session.user, [session])
        if not others or not self._eligible(session, stanza, False):
            return
        to = stanza.to
        if to is None or to.user == session.user:
            return  # a message to oneself is copied when it is received
        id = session.note(SENT)
        if id is not None:
            stanza = stamped(genuine(stanza, session.user), session.user, id)
        self._copy("sent", session, stanza, others)

    @on("received", "offline")
    def received(self, user: str, stanza: Element, sessions: list[Session] | None = None) -> None:
        if sessions and len(self.users.get(user, ())) < 2:
            return
        got = sessions or []
        author = stanza.session
        others = self._enabled(user, got if author is None else [*got, author])
        others = [session for session in others if self.host.permits(session, stanza)]
        if others and self._eligible(got[0] if got else None, stanza, True):
            self._copy("received", got[0] if got else None, stanza, others)

    def _enabled(self, user: str, but: list[Session]) -> list[Session]:
        return [
            session for session in self.host.sessions.of(user) if session.note(CARBONS) and session not in but
        ]

    def _eligible(self, session: Session | None, stanza: Element, received: bool) -> bool:
        """May the message be copied (section 6.1)? ``session``: the one that has sent or received it."""
        kids, type = stanza.kids, stanza.type
        if type in ("groupchat", "headline") or not NEVER_COPIED.isdisjoint(kids):
            return False
        if type == "error":
            return session is not None and stanza.id in (session.note(COPIED) or ())
        if "jabber:x:conference x" in kids:
            return True
        if f"{MUC_USER} x" in kids:
            unfold(stanza, fairly)
            if stanza.child("x", MUC_USER).has("invite", MUC_USER):
                return True
            if received and "/" in stanza.attrs.get("from", ""):
                return False  # the room itself sends it to every client that is in
        if type == "chat" or f"{CLIENT} body" in kids:
            return True
        return any(kid.rpartition(" ")[0] in CHAT for kid in kids)

    def _copy(self, direction: str, session: Session | None, stanza: Element, others: list[Session]) -> None:
        if session is not None and stanza.id:
            if session.note(COPIED) is None:
                session.notes[COPIED] = deque(maxlen=REMEMBERED)
            session.notes[COPIED].append(stanza.id)
        forwarded = f"<forwarded xmlns='{FORWARD}'>{forwardable(str(stanza))}</forwarded>"
        inner = f"<{direction} xmlns='{NS}'>{forwarded}</{direction}>".encode()
        for other in others:
            attrs = {"from": other.user, "to": other.full}
            if stanza.type is not None:
                attrs["type"] = stanza.type
            copy = Element.raw("message", CLIENT, attrs, inner, [f"{NS} {direction}"])
            self.host.deliver_to(other, copy)
