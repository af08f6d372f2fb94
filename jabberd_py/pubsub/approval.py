"""Owners ask whose subscriptions wait for them (XEP-0060 section 8.7)."""

from __future__ import annotations

import secrets
from typing import Any

from ..hooks import iq
from ..net.turns import fairly
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from ..xmpp.ns import DISCO_INFO, DISCO_ITEMS
from .consent import question
from .hierarchy import Hierarchy
from .names import COMMANDS, GET_PENDING, SUBSCRIBE_AUTHORIZATION

GET_PENDING_NAME = "Subscriptions that wait for approval"


class Approval(Hierarchy):
    """The command by which owners of a service's nodes ask who waits."""

    @iq("set", COMMANDS, "command")
    def get_pending(self, request: Element) -> Any:
        """Section 8.7, an ad-hoc command (XEP-0050): first the nodes, then the questions about one of them."""
        command: Any = request.payload
        asker: Any = request.from_
        owner = str(request.attrs["to"])
        if command.attrs.get("node") != GET_PENDING:
            raise StanzaError("item-not-found")
        session = command.attrs.get("sessionid") or secrets.token_hex(8)
        if command.attrs.get("action") == "cancel":
            return _command(session, "canceled")
        x = command.child("x", forms.NS)
        if x is None:
            return _command(session, "executing", self._nodes_with_pending(owner, asker))
        try:
            (name,) = forms.read(x)["pubsub#node"]
        except (KeyError, ValueError):
            raise StanzaError("bad-request", "which node?") from None
        node = self.own_node(owner, name, asker)
        for mine in fairly(list(node.subscriptions.values())):
            for one in mine:
                if one.state == "pending":
                    self.outbox.send(question(owner, node, one).copy(to=asker))
        return _command(session, "completed")

    def _nodes_with_pending(self, owner: str, asker: JID) -> Element:
        own = [
            node
            for node in fairly(list(self.nodes(owner).values()))
            if self.affiliation(owner, node, asker) == "owner"
        ]
        if not own:
            raise StanzaError("forbidden")
        names = [
            (node.name, node.name)
            for node in own
            if any(one.state == "pending" for mine in node.subscriptions.values() for one in mine)
        ]
        form = forms.Form("form", form_type=SUBSCRIBE_AUTHORIZATION)
        return form.field("pubsub#node", "list-single", "Of which node?", options=names).element()

    def command_node(self, request: Element, owner: str, name: str) -> Element | None:
        """Service discovery of the command."""
        if request.payload.ns == DISCO_ITEMS and name == COMMANDS:
            item = Element("item", DISCO_ITEMS, jid=owner, node=GET_PENDING, name=GET_PENDING_NAME)
            return Element("query", DISCO_ITEMS, item)
        if request.payload.ns == DISCO_INFO and name == GET_PENDING:
            return Element(
                "query",
                DISCO_INFO,
                Element(
                    "identity", DISCO_INFO, category="automation", type="command-node", name=GET_PENDING_NAME
                ),
                *(Element("feature", DISCO_INFO, var=var) for var in (COMMANDS, forms.NS)),
            )
        return None


def _command(session: str, status: str, *children: Element) -> Element:
    return Element("command", COMMANDS, *children, node=GET_PENDING, sessionid=session, status=status)
