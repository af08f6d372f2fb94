"""A service that sends every message back: the example to copy (docs/writing-a-service.md)."""

from __future__ import annotations

from ..hooks import HANDLED, Option, on
from ..service import Service
from ..xmpp.element import Element


class Echo(Service):
    """Sends every message for any of its addresses back to its sender."""

    category, type, title = "automation", "echo", "Echo"
    default = False
    prefix = Option(
        str, "echo", "label before the host's name that makes its address, unless 'address' says otherwise"
    )

    @on("deliver", kind="message")
    def echo(self, stanza: Element) -> bool | None:
        if stanza.type == "error":
            return None
        self.router.deliver(stanza.copy(to=stanza.from_, from_=stanza.to))
        return HANDLED
