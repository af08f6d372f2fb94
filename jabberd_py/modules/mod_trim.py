"""Users let the beginning of their archive go, or all of it (ProtoXEP "MAM: Trim Command")."""

from __future__ import annotations

from typing import Any

from .. import archive
from ..hooks import Module, Option, iq
from ..jsm import answers
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.protocols import XEP


class Trim(Module):
    """Removes messages up to one from a user's archive. What was not delivered yet waits on, outside of the archive."""

    protocols = (XEP(313, "1.1.3", "Message Archive Management"),)
    needs = ("mam",)
    account_features = (archive.TRIM,)
    allowed = Option(bool, True, "may users remove messages from their archives?")

    @iq("set", archive.TRIM, "trim", to="self")
    def trim(self, request: Element) -> Any:
        user = request.from_.user
        if not self.allowed:
            raise StanzaError("not-allowed", "archives are kept here")
        upto = archive.trim_upto(request, user)
        return answers.later(self.host, request, lambda session: archive.remove(user, upto))
