"""An occupant: a bare address under a nick in a room, with a role."""

from __future__ import annotations

from ..fanout import Copies
from ..xmpp.element import Element
from .seats import Seat

MUC = "http://jabber.org/protocol/muc"
USER = f"{MUC}#user"
ADMIN = f"{MUC}#admin"
OWNER = f"{MUC}#owner"
X_USER = f"{USER} x"
HATS = "urn:xmpp:hats:0 hats"
"""Children of a stanza, as `Element.kids` has them."""


class Occupant:
    """Occupancy is one thing, its sessions are another: one user's clients share the nick.

    user      the bare address, as text
    sessions  full address -> its `Seat`
    shown     the full address whose presence the others see: the last that said something
    hats      XML of the <hats/> (XEP-0317) that its presence bears, or nothing
    badge     XML that everything bears which goes out in the occupant's name, and its `Element.kids`
    seen      have the others been shown its presence?
    look      how it looks to those who come, while some do (`showing.look`)
    """

    __slots__ = ("badge", "hats", "look", "nick", "role", "seen", "sessions", "shown", "user")

    def __init__(self, user: str, nick: str, role: str) -> None:
        self.user, self.nick, self.role = user, nick, role
        self.sessions: dict[str, Seat] = {}
        self.shown, self.seen = "", True
        self.hats = b""
        self.badge: tuple[bytes, tuple[str, ...]] = (b"", ())
        self.look: tuple[tuple[object, ...], Copies] | None = None

    @property
    def presence(self) -> Element:
        """What the others see."""
        return self.sessions[self.shown].presence

    def drop(self, full: str) -> None:
        """That session is out."""
        self.sessions.pop(full, None)
        if self.shown == full:
            self.shown = next(reversed(self.sessions), "")

    def __repr__(self) -> str:
        return f"<Occupant {self.nick}: {self.user}, {self.role}>"


def without(stanza: Element, *kids: str) -> Element:
    """The stanza without such children, each named as in `Element.kids`."""
    twin = Element.parsed(stanza.name, stanza.ns, dict(stanza.attrs))
    for child in stanza.children:
        if isinstance(child, str) or (f"{child.ns} {child.name}" if child.ns else child.name) not in kids:
            twin.append(child)
    return twin


def cleaned(stanza: Element, reserved: frozenset[str]) -> Element:
    """The stanza without what only the room itself may say."""
    return stanza if reserved.isdisjoint(stanza.kids) else without(stanza, *reserved)


def lean(presence: Element) -> Element:
    """The part of a presence that a room keeps. Its sender and its recipient are left out. Equal lists of children share one
    list."""
    attrs = {key: value for key, value in presence.attrs.items() if key in ("id", "xml:lang")}
    kids = presence.kids
    if len(_kids) > 1000:
        _kids.clear()
    return Element.raw("presence", presence.ns, attrs, presence.inner, _kids.setdefault(tuple(kids), kids))


_kids: dict[tuple[str, ...], list[str]] = {}


def added(stanza: Element, xml: bytes, *kids: str) -> Element:
    """The stanza with more XML at its end, which stands by itself in ``jabber:client``: nothing is parsed."""
    return Element.raw(stanza.name, stanza.ns, stanza.attrs, stanza.inner + xml, [*stanza.kids, *kids])
