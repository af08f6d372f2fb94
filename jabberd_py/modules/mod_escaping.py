"""XEP-0106: JID Escaping. Clients and gateways write ``\\20`` for a blank in an address, ``\\40`` for an @, and so on.

For the server these are characters like others: it compares addresses as they are on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..hooks import Module
from ..xmpp.errors import StanzaError
from ..xmpp.protocols import XEP

BLANK = "\\20"


class Escaping(Module):
    """Tells clients that names of accounts may have escaped characters, and keeps blanks away from their ends."""

    protocols = (XEP(106, "1.1.1", "JID Escaping"),)
    features = ("jid\\20escaping",)

    def __init__(self, host: Any, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        host.users.names.append(self.check)

    def check(self, user: str) -> None:
        """A rule for the names of new accounts. Raises StanzaError (not-acceptable)."""
        name = user.partition("@")[0]
        if name.startswith(BLANK) or name.endswith(BLANK):
            raise StanzaError("not-acceptable", "a name neither begins nor ends with a blank")
