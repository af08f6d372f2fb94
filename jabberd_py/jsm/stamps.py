"""What a kept message bears when it is delivered: its stanza-id (XEP-0359) and, when it waited, its delay (XEP-0203)."""

from __future__ import annotations

from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.protocols import XEP
from ..xmpp.stamp import utc

PROTOCOLS = (
    XEP(203, "2.0", "Delayed Delivery"),
    XEP(359, "0.7.0", "Unique and Stable Stanza IDs"),
)

SID = "urn:xmpp:sid:0"
STANZA_ID = f"{SID} stanza-id"
DELAY = f"{ns.DELAY} delay"


def stamped(stanza: Element, user: str, id: int) -> Element:
    """A copy with our stanza-id in it and nobody else's in our name (XEP-0359 section 5)."""
    return _with(stanza, user, id, b"", ())


def late(stanza: Element, user: str, id: int, domain: str, since: float) -> Element:
    """The same, and it says in the name of ``domain`` since when it waited (Unix time); only we do (XEP-0203 section 6)."""
    if DELAY in stanza.kids:
        for delay in stanza.all("delay", ns.DELAY):
            if delay.attrs.get("from") == domain:
                stanza.remove(delay)
    said = f"<delay xmlns='urn:xmpp:delay' from='{domain}' stamp='{utc(since)}'/>".encode()
    return _with(stanza, user, id, said, (DELAY,))


def _with(stanza: Element, user: str, id: int, more: bytes, kids: tuple[str, ...]) -> Element:
    if STANZA_ID in stanza.kids:
        stanza = unforged(stanza, user)
    twin = Element.raw(
        stanza.name,
        stanza.ns,
        stanza.attrs,
        b"%b%b<stanza-id xmlns='urn:xmpp:sid:0' by='%b' id='%d'/>" % (stanza.inner, more, user.encode(), id),
        [*stanza.kids, *kids, STANZA_ID],
    )
    twin.uid = id
    return twin


def unforged(stanza: Element, user: str) -> Element:
    """Without stanza-ids that claim to be by ``user``'s account."""
    twin = Element.parsed(stanza.name, stanza.ns, stanza.attrs)
    return twin.append(
        *(
            child
            for child in stanza.children
            if isinstance(child, str)
            or (child.name, child.ns) != ("stanza-id", SID)
            or child.attrs.get("by") != user
        )
    )
