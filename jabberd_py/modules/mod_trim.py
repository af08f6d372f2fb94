"""Users let the beginning of their archive go, or all of it (ProtoXEP "MAM: Trim Command")."""

from __future__ import annotations

from typing import Any

from .. import archive
from ..hooks import Module, Option, iq, on
from ..jsm import answers
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.protocols import XEP


class Trim(Module):
    """Removes messages up to one from a user's archive. What was not delivered yet waits on, outside of the archive."""

    protocols = (XEP(313, "1.1.3", "Message Archive Management"),)
    allowed = Option(bool, True, "may users remove messages from their archives?")

    @on("start", "reload")
    def announce(self) -> None:
        """Without mod_mam there is no archive."""
        self.account_features = (archive.TRIM,) if "mam" in self.host.modules else ()

    @iq("set", archive.TRIM, "trim", to="self")
    def trim(self, request: Element) -> Any:
        user = request.from_.user
        if "mam" not in self.host.modules:
            raise StanzaError("service-unavailable")
        if not self.allowed:
            raise StanzaError("not-allowed", "archives are kept here")
        upto = archive.trim_upto(request, user)
        return answers.later(self.host, request, lambda session: archive.remove(user, upto))
