"""XEP-0352: Client State Indication. While nobody looks at a client, unimportant stanzas wait."""

from __future__ import annotations

from ..hooks import HANDLED, Module, Option, on
from ..jsm.notes import HELD, INACTIVE
from ..jsm.session import Session
from ..jsm.stream import ClientStream
from ..xmpp.element import Element
from ..xmpp.ns import CLIENT
from ..xmpp.protocols import XEP

NS = "urn:xmpp:csi:0"
CARBONS = "urn:xmpp:carbons:2"
EVENT = "http://jabber.org/protocol/pubsub#event event"
MUC_USER = "http://jabber.org/protocol/muc#user"
SINGLE = frozenset(
    (
        "urn:xmpp:avatar:metadata",
        "urn:xmpp:avatar:data",
        "urn:xmpp:omemo:2:devices",
        "eu.siacs.conversations.axolotl.devicelist",
        "urn:xmpp:vcard4",
        "http://jabber.org/protocol/nick",
        "http://jabber.org/protocol/mood",
        "http://jabber.org/protocol/activity",
        "http://jabber.org/protocol/tune",
        "http://jabber.org/protocol/geoloc",
    )
)
"""Nodes that hold only one item, by their XEPs: a new item replaces the old one, even with another id."""
CHAT_STATES = "http://jabber.org/protocol/chatstates"
SLIGHT = frozenset((CHAT_STATES, "urn:xmpp:hints", "urn:xmpp:sid:0", "urn:xmpp:occupant-id:0"))
"""Namespaces of children that make a message with a chat state no more important."""

Held = dict[tuple[str, ...], Element]
"""The stanzas that wait for an inactive client, in the order in which they came. A newer one replaces one with the same key."""


class ClientState(Module):
    """Holds back presence, chat states and notifications while a client is inactive."""

    protocols = (XEP(352, "1.0.0", "Client State Indication"),)
    most = Option(int, 500, "stanzas held back for one inactive client; with more, all are sent", min=1)

    @on("features")
    def offer(self, stream: ClientStream, features: Element) -> None:
        if stream.user is not None:
            features.append(Element("csi", NS))

    @on("negotiate")
    def hear(self, stream: ClientStream, element: Element) -> bool | None:
        if element.ns != NS or element.name not in ("active", "inactive") or stream.user is None:
            return None
        session = stream.session
        if session is not None and element.name == "inactive":
            session.notes[INACTIVE] = True
        elif session is not None:
            self.wake(session)
        return HANDLED

    @on("resumed")
    def wake(self, session: Session) -> None:
        """The client is active again. Every new stream begins as active, also when it resumes a session (section 5.2)."""
        session.notes.pop(INACTIVE, None)
        self.flush(session)

    @on("in")
    def hold(self, session: Session, stanza: Element) -> bool | None:
        if session.note(INACTIVE) is None:
            return None
        key = None if stanza.uid else unimportant(stanza)
        if key is None:
            self.flush(session)  # the phone wakes up for this stanza anyway; and the order is kept
            return None
        held: Held = session.notes.setdefault(HELD, {})
        held.pop(key, None)
        held[key] = stanza
        if len(held) > self.most:
            self.flush(session)
        return HANDLED

    @on("stop")
    def keep(self) -> None:
        """The server stops. Sends what was held back: then it is saved with the sessions that can be resumed (XEP-0198)."""
        for session in self.host.sessions:
            self.flush(session)

    def flush(self, session: Session) -> None:
        if session.note(HELD):
            held: Held = session.notes.pop(HELD)
            for stanza in held.values():
                session.send(stanza)  # event `in` is behind them


def unimportant(stanza: Element) -> tuple[str, ...] | None:
    """The key of a stanza that may wait: it replaces a waiting one with the same key. None: it must not wait."""
    sender = stanza.attrs.get("from", "")
    if stanza.name == "presence":
        tells = stanza.type in (None, "unavailable") and not _happened(stanza)
        return ("presence", sender) if tells else None
    kids = stanza.kids
    if stanza.name != "message" or stanza.type == "error" or f"{CLIENT} body" in kids or not kids:
        return None
    if EVENT in kids:
        return _notified(stanza, sender)
    for direction in ("received", "sent"):
        if f"{CARBONS} {direction}" in kids:
            return _copied(stanza, direction)
    chat_state = False
    for kid in kids:
        namespace = kid.rpartition(" ")[0]
        chat_state |= namespace == CHAT_STATES
        if namespace not in SLIGHT and kid != f"{CLIENT} thread" or kid == "urn:xmpp:hints store":
            return None
    return ("state", sender, stanza.attrs.get("type", "")) if chat_state else None


def _happened(presence: Element) -> bool:
    """Does a chat room tell an event with this presence (kicked, renamed, joined...: XEP-0045 section 15.6)? A later presence
    does not tell it again, so it must not be replaced."""
    if f"{MUC_USER} x" not in presence.kids:
        return False
    x = presence.child("x", MUC_USER)
    return x is not None and x.has("status", MUC_USER)


def _notified(stanza: Element, sender: str) -> tuple[str, ...] | None:
    """The key of a pubsub notification (XEP-0060). It replaces one with the same items, or, of a node that holds only one item,
    one of the same node. A notification whose items have no ids replaces none."""
    event = stanza.child("event")
    about = None if event is None else event.payload
    if about is None:
        return None
    node = about.attrs.get("node", "")
    if about.name != "items" or node in SINGLE:
        return ("event", sender, node, about.name)
    ids = [each.attrs.get("id", "") for each in about.elements()]
    return ("event", sender, node, "items", *ids) if ids and all(ids) else None


def _copied(stanza: Element, direction: str) -> tuple[str, ...] | None:
    """A carbon copy is as important as what it copies."""
    if b"<body" in stanza.inner:
        return None
    inner = stanza.child(direction, CARBONS)
    forwarded = None if inner is None else inner.payload
    message = None if forwarded is None else forwarded.child("message", CLIENT)
    key = None if message is None else unimportant(message)
    return None if key is None else (direction, message.attrs.get("to", ""), *key)
