"""Answers messages to echo@<domain>: the example to copy (docs/writing-a-module.md)."""

from __future__ import annotations

from ..hooks import HANDLED, Module, Option, on
from ..xmpp.element import Element


class Echo(Module):
    """Sends every message for one address back to its sender."""

    default = False
    node = Option(str, "echo", "the name that answers, before the @")

    @on("deliver", kind="message")
    def echo(self, stanza: Element) -> bool | None:
        if stanza.type == "error" or stanza.to.node != self.node:
            return None
        self.host.router.deliver(stanza.copy(to=stanza.from_, from_=stanza.to))
        return HANDLED
