"""What a kept message bears when it is delivered: its stanza-id (XEP-0359) and, when it waited, its delay (XEP-0203)."""

from __future__ import annotations

from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.stamp import utc

SID = "urn:xmpp:sid:0"


def stamped(stanza: Element, user: str, id: int) -> Element:
    """A copy with our stanza-id in it and nobody else's in our name (XEP-0359 section 5)."""
    if f"{SID} stanza-id" in stanza.kids:
        stanza = unforged(stanza, user)
    twin = Element.raw(
        stanza.name,
        stanza.ns,
        stanza.attrs,
        b"%b<stanza-id xmlns='urn:xmpp:sid:0' by='%b' id='%d'/>" % (stanza.inner, user.encode(), id),
        [*stanza.kids, f"{SID} stanza-id"],
    )
    twin.uid = id
    return twin


def delayed(stanza: Element, domain: str, since: float) -> Element:
    """A copy that says in the name of ``domain`` since when it waited (Unix time); only we do that (XEP-0203 section 6)."""
    if f"{ns.DELAY} delay" in stanza.kids:
        for delay in stanza.all("delay", ns.DELAY):
            if delay.attrs.get("from") == domain:
                stanza.remove(delay)
    return Element.raw(
        stanza.name,
        stanza.ns,
        stanza.attrs,
        b"%b<delay xmlns='urn:xmpp:delay' from='%b' stamp='%b'/>"
        % (stanza.inner, domain.encode(), utc(since).encode()),
        [*stanza.kids, f"{ns.DELAY} delay"],
    )


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
