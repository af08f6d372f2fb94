"""Marks in a stored message: its stanza-id (XEP-0359) and, if it has waited, its delay (XEP-0203)."""

from __future__ import annotations

from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.jid import parse
from ..xmpp.protocols import XEP
from ..xmpp.stamp import utc

PROTOCOLS = (
    XEP(203, "2.0", "Delayed Delivery"),
    XEP(359, "0.7.0", "Unique and Stable Stanza IDs"),
)

SID = "urn:xmpp:sid:0"
STANZA_ID = f"{SID} stanza-id"
DELAY = f"{ns.DELAY} delay"
STAMPS = frozenset((STANZA_ID, DELAY))
"""Children that only we may add in our name."""


def stamped(stanza: Element, user: str, id: int) -> Element:
    """A copy with our stanza-id in it (XEP-0359 section 5)."""
    return _with(stanza, user, id, b"", ())


def late(stanza: Element, user: str, id: int, domain: str, since: float) -> Element:
    """Like `stamped`, and with a delay: ``domain`` tells since when the message has waited (Unix time)."""
    said = f"<delay xmlns='urn:xmpp:delay' from='{domain}' stamp='{utc(since)}'/>".encode()
    return _with(stanza, user, id, said, (DELAY,))


def _with(stanza: Element, user: str, id: int, more: bytes, kids: tuple[str, ...]) -> Element:
    twin = Element.raw(
        stanza.name,
        stanza.ns,
        dict(stanza.attrs),
        b"%b%b<stanza-id xmlns='urn:xmpp:sid:0' by='%b' id='%d'/>" % (stanza.inner, more, user.encode(), id),
        [*stanza.kids, *kids, STANZA_ID],
    )
    twin.uid = id
    return twin


def may_speak(stanza: Element) -> bool:
    """Could its stanza-ids or delays speak in somebody's name? Never builds the tree: XML has one way to write the name of an
    attribute, so a text without these letters has no such attribute. (Our own last items of a node have a delay without.)"""
    kids = stanza.kids
    if STAMPS.isdisjoint(kids):
        return False
    inner = stanza.inner
    return STANZA_ID in kids and b"by" in inner or DELAY in kids and b"from" in inner


def genuine(stanza: Element, user: str) -> Element:
    """The stanza without the stanza-ids and delays that strangers have added in the name of ``user``, a bare address of ours,
    or of the domain of ``user`` (XEP-0359 section 5, XEP-0203 section 6). Returns the stanza itself if there are none."""
    ours = (user, user.rpartition("@")[2])
    own = stanza.attrs.get("from") == ours[1]
    kept = [
        child
        for child in stanza.children
        if isinstance(child, str)
        or not (
            (child.name, child.ns) == ("stanza-id", SID)
            and _by(child.attrs.get("by")) in ours
            or (child.name, child.ns) == ("delay", ns.DELAY)
            and not own
            and _by(child.attrs.get("from")) in ours
        )
    ]
    if len(kept) == len(stanza.children):
        return stanza
    twin = Element.parsed(stanza.name, stanza.ns, dict(stanza.attrs)).append(*kept)
    twin.session = stanza.session
    return twin


def claimed(stanza: Element) -> frozenset[str | None]:
    """The bare addresses in whose name its stanza-ids and delays speak: `genuine` changes nothing for anybody else."""
    if not may_speak(stanza):
        return frozenset()
    ids, delays = stanza.all("stanza-id", SID), stanza.all("delay", ns.DELAY)
    return frozenset(
        [*(_by(each.attrs.get("by")) for each in ids), *(_by(each.attrs.get("from")) for each in delays)]
    )


def has_id(stanza: Element, user: str) -> bool:
    """Has it a stanza-id of the user's account?"""
    return STANZA_ID in stanza.kids and any(
        _by(child.attrs.get("by")) == user for child in stanza.all("stanza-id", SID)
    )


def _by(address: str | None) -> str | None:
    """The bare address, prepared; None if it is none."""
    try:
        return None if address is None else parse(address).user
    except ValueError:
        return None
