"""XEP-0157: Contact Addresses for XMPP Services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..hooks import Module, Option, list_of
from ..xmpp.element import Element
from ..xmpp.forms import Form
from ..xmpp.protocols import XEP

SERVER_INFO = "http://jabber.org/network/serverinfo"


def uri(text: str) -> str:
    """An address as the form has it: ``mailto:abuse@example.org``, ``xmpp:...``, ``https://...``."""
    scheme, colon, rest = text.partition(":")
    if not (colon and rest and scheme.replace("+", "").isalnum()) or any(c.isspace() for c in text):
        raise ValueError(f"must be a URI such as mailto:abuse@example.org, not {text[:60]!r}")
    return text


class Contact(Module):
    """Shows whom to write to, in the domain's service discovery. Values are URIs: mailto:, xmpp:, https:."""

    protocols = (XEP(157, "1.1.1", "Contact Addresses for XMPP Services"),)
    anywhere = True
    abuse = Option[list[str]](list_of(uri), [], "where to report abuse")
    admin = Option[list[str]](list_of(uri), [], "the administrators")
    feedback = Option[list[str]](list_of(uri), [], "where to send feedback")
    sales = Option[list[str]](list_of(uri), [], "where to buy")
    security = Option[list[str]](list_of(uri), [], "where to report holes")
    status = Option[list[str]](list_of(uri), [], "where to read about outages")
    support = Option[list[str]](list_of(uri), [], "where to find help")

    def __init__(self, host: Any, settings: Mapping[str, Any] | None = None) -> None:
        """``more``: fields that other modules add to the form, with their values."""
        super().__init__(host, settings)
        self.more: dict[str, str] = {}

    def disco_forms(self) -> list[Element]:
        given = [(name, getattr(self, name)) for name in self.options() if getattr(self, name)]
        if not given and not self.more:
            return []
        form = Form("result", form_type=SERVER_INFO)
        for name, value in self.more.items():
            form.field(name, "text-single", value=value)
        for name, addresses in given:
            form.field(f"{name}-addresses", "list-multi", value=addresses)
        return [form.element()]
