"""Owners ask whose subscriptions wait for them (XEP-0060 section 8.7)."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..adhoc import Dialogue, Values, refusal
from ..net.turns import fairly
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.jid import JID
from .consent import question
from .hierarchy import Hierarchy
from .names import SUBSCRIBE_AUTHORIZATION
from .store import Node

GET_PENDING_NAME = "Subscriptions that wait for approval"


class Approval(Hierarchy):
    """The command by which owners of a service's nodes ask who waits."""

    domain: str

    def pending(self, request: Element) -> Dialogue | None:
        """An ad-hoc command (XEP-0050): first the nodes, then the questions about one of them. For those who own a node."""
        asker: Any = request.from_
        if not self._own_nodes(asker):
            return None
        return Dialogue(
            GET_PENDING_NAME, partial(self._ask_again, asker), (partial(self._with_pending, asker),)
        )

    def _ask_again(self, asker: JID, values: Values) -> list[Element]:
        if len(names := values.get("pubsub#node", [])) != 1:
            raise refusal("bad-payload", "which node?")
        node = self.own_node(self.domain, names[0], asker)
        for mine in fairly(list(node.subscriptions.values())):
            for one in mine:
                if one.state == "pending":
                    self.outbox.send(question(self.domain, node, one).copy(to=asker))
        return []

    def _own_nodes(self, asker: JID) -> list[Node]:
        return [
            node
            for node in fairly(list(self.nodes(self.domain).values()))
            if self.affiliation(self.domain, node, asker) == "owner"
        ]

    def _with_pending(self, asker: JID, values: Values) -> forms.Form:
        names = [
            (node.name, node.name)
            for node in self._own_nodes(asker)
            if any(one.state == "pending" for mine in node.subscriptions.values() for one in mine)
        ]
        form = forms.Form("form", form_type=SUBSCRIBE_AUTHORIZATION)
        return form.field("pubsub#node", "list-single", "Of which node?", options=names)
