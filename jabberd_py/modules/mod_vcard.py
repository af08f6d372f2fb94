"""XEP-0054: vcard-temp."""

from __future__ import annotations

from typing import Any

from ..hooks import Module, Option, iq, size
from ..xdb import xdb
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError
from ..xmpp.protocols import XEP

NS = "vcard-temp"


class VCard(Module):
    """Keeps a visiting card of each user, which everybody may read."""

    protocols = (XEP(54, "1.3.0", "vcard-temp"),)
    features = (NS,)
    account_features = (NS,)
    max_size = Option(size, "128 KiB", "largest vCard, photo and all")

    @iq("get", NS, "vCard", to="self")
    def own(self, request: Element) -> Element:
        card = self.get(request.from_.user)
        if card is None:
            raise StanzaError("item-not-found", "you have no vCard yet")
        return card

    @iq("get", NS, "vCard", to="user")
    def other(self, request: Element) -> Element:
        card = self.get(str(request.to))
        if card is None:
            raise StanzaError("service-unavailable")  # as for an account that does not exist
        return card

    @iq("set", NS, "vCard", to="self")
    def store(self, request: Element) -> None:
        card: Any = request.payload
        if self.host.options.anonymous:
            raise StanzaError("not-allowed", "guests have no vCard")
        self.set(request.from_.user, card)

    @iq("set", NS, "vCard", to="user")
    def forbid(self, request: Element) -> None:
        raise StanzaError("forbidden")

    # -- for other modules -------------------------------------------------------------------

    def get(self, user: str) -> Element | None:
        text = xdb.get(user, NS)
        return None if text is None else from_text(text)

    def set(self, user: str, card: Element) -> None:
        """Returns when it is safely stored; an empty vCard removes it. Raises StanzaError."""
        text = str(card)
        if len(text.encode()) > self.max_size:
            raise StanzaError("policy-violation", f"a vCard may have {self.max_size} bytes")
        xdb.set(user, NS, text if card.payload is not None else None)
