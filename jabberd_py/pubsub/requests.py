"""Which request is whose; and those about subscriptions (XEP-0060 sections 5 and 6)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

from ..net.turns import fairly
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from . import notify, store
from .items import Items
from .names import NS, refusal, unsupported
from .store import Node, Subscription

UNSUPPORTED = {
    "options": "subscription-options",
    "redirect": "delete-nodes",
    "collection": "collections",
}
"""Verbs that are not here, and the feature that they belong to."""


class Requests(Items):
    """Answers for nodes of any owner."""

    def respond(self, owner: str, request: Element) -> Any:
        """The payload of the result, None, or LATER. Raises StanzaError."""
        payload, asker = request.payload, request.from_
        assert payload is not None and asker is not None
        verbs = list(payload.elements())
        if not verbs or verbs[0].ns != payload.ns:
            raise StanzaError("bad-request")
        verb = verbs[0]
        method = self.methods.get((payload.ns, request.type, verb.name))
        if method is None:
            if verb.name in UNSUPPORTED:
                raise unsupported(UNSUPPORTED[verb.name])
            raise StanzaError("bad-request")
        return method(self, owner, asker, verb, request)

    methods: dict[tuple[str, str | None, str], Callable[..., Any]] = {}

    # -- subscriptions ----------------------------------------------------------------------------

    def subscribe(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 6.1."""
        node = self.node(owner, verb.attrs.get("node"), asker)
        jid = self._subscriber(verb, asker)
        if jid.user != asker.user:
            raise refusal("bad-request", "invalid-jid")
        if node.config.access_model == "authorize":
            pending = self.affiliation(owner, node, asker) not in ("owner", "publisher", "member")
            refused = self.closed(owner, node, asker) if not pending else None
        else:
            pending, refused = False, self.closed(owner, node, asker)
        if refused is not None:
            raise refused
        old = node.subscriptions.get(str(jid))
        if old is not None and old.state == "pending":
            raise refusal("not-authorized", "pending-subscription")
        if old is None:
            if len(node.subscriptions) >= self.max_subscriptions:
                raise refusal("policy-violation", "too-many-subscriptions", type="wait")
            old = Subscription("pending" if pending else "subscribed", secrets.token_hex(8))
            store.subscribe(owner, node.name, {str(jid): old})
            if not pending and node.config.send_last_published_item != "never":
                self.send_last(owner, node, str(jid))
        return Element("pubsub", NS, subscription_element(NS, str(jid), old, node.name))

    def send_last(self, owner: str, node: Node, to: str) -> None:
        """The last item of the node, if there is one."""
        config = node.config
        while config.persist_items:
            turn = node.turn
            newest = store.newest(owner, node.name, 1)
            if node.turn != turn:
                continue  # another one was published while the database was asked
            if newest:
                self.outbox.send(notify.last_event(
                    owner, node.name, config.notification_type, newest[0], config.deliver_payloads
                ).copy(to=to))  # fmt: skip
            break

    def unsubscribe(self, owner: str, asker: JID, verb: Element, request: Element) -> None:
        """Section 6.2."""
        node = self.node(owner, verb.attrs.get("node"), asker)
        jid = self._subscriber(verb, asker)
        if jid.user != asker.user:
            raise StanzaError("forbidden")
        old = node.subscriptions.get(str(jid))
        if old is None:
            raise refusal("unexpected-request", "not-subscribed", type="cancel")
        if verb.attrs.get("subid", old.subid) != old.subid:
            raise refusal("not-acceptable", "invalid-subid")
        store.subscribe(owner, node.name, {str(jid): None})

    def _subscriber(self, verb: Element, asker: JID) -> JID:
        try:
            return parse(verb.attrs["jid"])
        except KeyError:
            raise refusal("bad-request", "jid-required") from None
        except ValueError:
            raise refusal("bad-request", "invalid-jid") from None

    def subscriptions(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 5.6: the asker's own, of one node or of all."""
        rows = (
            subscription_element(NS, jid, each, node.name)
            for node in self._asked(owner, asker, verb)
            for jid, each in node.subscriptions.items()
            if jid.partition("/")[0] == asker.user
        )
        return Element("pubsub", NS, Element("subscriptions", NS, *rows, node=verb.attrs.get("node")))

    def affiliations(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 5.7: the asker's own, of one node or of all."""
        rows = (
            Element("affiliation", NS, node=node.name, affiliation=affiliation)
            for node in self._asked(owner, asker, verb)
            if (affiliation := self.affiliation(owner, node, asker)) != "none"
        )
        return Element("pubsub", NS, Element("affiliations", NS, *rows, node=verb.attrs.get("node")))

    def _asked(self, owner: str, asker: JID, verb: Element) -> Iterator[Node]:
        name = verb.attrs.get("node")
        if name is not None:
            return iter((self.node(owner, name, asker),))
        return fairly(list(self.nodes(owner).values()))


def subscription_element(ns: str, jid: str, subscription: Subscription, node: str | None = None) -> Element:
    subid = subscription.subid if subscription.state == "subscribed" else None
    return Element("subscription", ns, node=node, jid=jid, subid=subid, subscription=subscription.state)


Requests.methods = {
    (NS, "get", "items"): Requests.items,
    (NS, "set", "publish"): Requests.publish,
    (NS, "set", "retract"): Requests.retract,
    (NS, "set", "subscribe"): Requests.subscribe,
    (NS, "set", "unsubscribe"): Requests.unsubscribe,
    (NS, "get", "subscriptions"): Requests.subscriptions,
    (NS, "get", "affiliations"): Requests.affiliations,
}
