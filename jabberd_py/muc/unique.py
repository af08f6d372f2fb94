"""Names of rooms that nobody has taken yet (once XEP-0045 section 10.1.4)."""

from __future__ import annotations

import secrets

from ..hooks import iq
from ..xmpp.element import Element
from .feature import Feature

NS = "http://jabber.org/protocol/muc#unique"


class Unique(Feature):
    """Thinks of a name for a new room."""

    @iq("get", NS, "unique")
    def name_it(self, request: Element) -> Element:
        return Element("unique", NS, secrets.token_hex(12))
