"""Which messages are worth keeping: XEP-0160 section 3, XEP-0313 section 5.1.1, XEP-0334."""

from __future__ import annotations

from collections.abc import Container

from ..xmpp.element import Element
from ..xmpp.protocols import XEP
from ..xmpp.subscription import TYPES

PROTOCOLS = (
    XEP(249, "1.2", "Direct MUC Invitations"),
    XEP(334, "1.0.0", "Message Processing Hints"),
)

SPOOLED, ARCHIVED = 1, 2
_worthy = frozenset(
    (
        "jabber:client body",
        "urn:xmpp:hints store",
        "urn:xmpp:receipts received",
        "urn:xmpp:chat-markers:0 received",
        "urn:xmpp:chat-markers:0 displayed",
        "urn:xmpp:chat-markers:0 acknowledged",
        "urn:xmpp:message-correct:0 replace",
        "urn:xmpp:message-retract:1 retract",
        "urn:xmpp:reactions:0 reactions",
        "urn:xmpp:fasten:0 apply-to",
        "urn:xmpp:eme:0 encryption",
        "eu.siacs.conversations.axolotl encrypted",
        "urn:xmpp:omemo:2 encrypted",
        "jabber:x:conference x",
        "http://jabber.org/protocol/muc#user x",
        "jabber:x:encrypted x",
    )
)

_states = "http://jabber.org/protocol/chatstates"
_ephemeral = frozenset(
    (
        *(f"{_states} {state}" for state in ("active", "composing", "paused", "inactive", "gone")),
        "jabber:client thread",
        "http://jabber.org/protocol/nick nick",
        "urn:xmpp:hints no-copy",
        "urn:xmpp:hints no-permanent-store",
        "urn:xmpp:sid:0 origin-id",
        "urn:xmpp:sid:0 stanza-id",
        "urn:xmpp:delay delay",
        "http://jabber.org/protocol/pubsub#event event",  # the node has it
        "http://jabber.org/protocol/shim headers",
    )
)
"""Children that mean nothing later, to somebody who was not there."""


_chat_states = frozenset(kid for kid in _ephemeral if kid.startswith(_states))
_silent = _ephemeral | {f"urn:xmpp:hints {hint}" for hint in ("no-store", "no-copy", "no-permanent-store")}


def missed(stanza: Element) -> bool:
    """Must the sender get an error if nobody gets this message (RFC 6121 section 8.5)? False for an error, a headline, and a
    message with nothing but a chat state."""
    if stanza.attrs.get("type") in ("error", "headline"):
        return False
    kids = stanza.kids
    return _chat_states.isdisjoint(kids) or not _silent.issuperset(kids)


def worth(stanza: Element, of_room: bool = False) -> int:
    """The bits `SPOOLED` and `ARCHIVED`: whether a message is to be stored for a user who is away, and in the archive, by its
    type and its content (XEP-0160 section 3, XEP-0313 section 5.1.1, XEP-0334). ``of_room``: what a room says counts, too."""
    type = stanza.attrs.get("type")
    if type in ("error", "headline") or (type == "groupchat" and not of_room):
        return 0
    kids = stanza.kids
    if "urn:xmpp:hints no-store" in kids:
        return 0
    if _worthy.isdisjoint(kids):
        return 0 if _ephemeral.issuperset(kids) else SPOOLED
    if "urn:xmpp:hints no-permanent-store" in kids:
        return SPOOLED
    return SPOOLED | ARCHIVED


def lasts(stanza: Element) -> bool:
    """Would it be missed if it were lost? A message that is worth it, and what changes a subscription: the roster of its
    sender says already that it was sent."""
    if stanza.name == "presence":
        return stanza.attrs.get("type") in TYPES
    return stanza.name == "message" and worth(stanza) > 0


def promised(stanza: Element, ours: Container[str]) -> bool:
    """Would it be missed, and may its sender believe that we have it (XEP-0198)? ``ours``: the domains of this server; another
    server may ask for acknowledgements, a component cannot."""
    if stanza.name != "message":
        return lasts(stanza)
    session = stanza.session
    if session is not None:
        told = session.sm is not None
    else:
        sender = stanza.from_
        told = sender is not None and sender.domain not in ours
    return told and worth(stanza) > 0
