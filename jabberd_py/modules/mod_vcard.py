"""XEP-0054: vcard-temp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..hooks import Module, Option, iq, size
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.large import payload_text
from ..xmpp.protocols import XEP

NS = "vcard-temp"


class VCard(Module):
    """Keeps a visiting card of each user, which everybody may read."""

    protocols = (XEP(54, "1.3.0", "vcard-temp"),)
    features = (NS,)
    account_features = (NS,)
    max_size = Option(size, "128 KiB", "largest vCard, photo and all")

    def __init__(self, host: Any, settings: Mapping[str, Any] | None = None) -> None:
        """``views``: modules that have parts of the vCard: ``shown(user, asker, text)`` gives what the asker sees of it, as
        text or None, ``stored(user, card)`` is told of a new one."""
        super().__init__(host, settings)
        self.views: list[Any] = []

    def account_works(self) -> bool:
        return not self.host.options.anonymous

    @iq("get", NS, "vCard", to="self")
    def own(self, request: Element) -> Any:
        return self._show(request, request.from_.user, StanzaError("item-not-found", "you have no vCard yet"))

    @iq("get", NS, "vCard", to="user")
    def other(self, request: Element) -> Any:
        return self._show(request, str(request.to), StanzaError("service-unavailable"))  # as for no account

    def _show(self, request: Element, user: str, none: StanzaError) -> Any:
        text = xdb.get(user, NS)
        for view in self.views:
            text = view.shown(user, request.from_, text)
        if text is None:
            raise none
        return self.host.answer_stored(request, "document", user, text, Element("vCard", NS))

    @iq("set", NS, "vCard", to="self")
    def store(self, request: Element) -> None:
        card: Any = request.payload
        if self.host.options.anonymous:
            raise StanzaError("not-allowed", "guests have no vCard")
        text = payload_text(request)
        if len(text.encode()) > self.max_size:
            raise StanzaError("policy-violation", f"a vCard may have {self.max_size} bytes")
        self.keep(request.from_.user, card, text)

    def keep(self, user: str, card: Element, text: str) -> None:
        """Blocks until it is stored. ``text``: the card as XML. An empty card removes the one that is kept. Raises StanzaError:
        the old one is kept."""
        old = xdb.get(user, NS)
        xdb.set(user, NS, text if card.payload is not None else None)
        try:
            for view in self.views:
                view.stored(user, card)
        except StanzaError:
            xdb.set(user, NS, old)
            raise

    @iq("set", NS, "vCard", to="user")
    def forbid(self, request: Element) -> None:
        raise StanzaError("forbidden")
