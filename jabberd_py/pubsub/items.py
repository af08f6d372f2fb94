"""Publishing and retracting (XEP-0060 sections 7.1 and 7.2)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ..hooks import LATER
from ..net.turns import fairly
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from . import notify, publishing, store
from .config import Config
from .names import NS, PUBLISH_OPTIONS, refusal, unsupported
from .publishing import Full, Gone
from .quota import quota
from .reading import AT_ONCE, Reading
from .store import Item, Node
from .tables import NAME_LENGTH
from .usual import Usual, Values, fields

MANY = 1 << 20
"""Characters that go out to subscribers at the price of one stanza."""
CONFIG = 16_384
"""Characters of a node's configuration: all of them are in memory while anybody uses the owner's nodes."""

LONG_ID = f"an item's id has at most {NAME_LENGTH} characters"


def form_of(parent: Element | None) -> Element | None:
    return None if parent is None else parent.child("x", forms.NS)


class Items(Reading):
    """Publishing and retracting, for nodes of any owner."""

    def publish(self, owner: str, asker: JID, verb: Element, request: Element) -> Any:
        """Section 7.1."""
        make = partial(self._new_items, asker, verb)
        return self._publish(owner, asker, verb.attrs.get("node"), self._options(request), make, request)

    def publish_usual(self, owner: str, asker: JID, usual: Usual, request: Element) -> Any:
        """The same, read in another way."""
        make = partial(self._usual_item, asker, usual)
        return self._publish(owner, asker, usual.node, usual.options, make, request)

    def _publish(
        self,
        owner: str,
        asker: JID,
        name: str | None,
        options: Values,
        make: Callable[[Config], list[Item]],
        request: Element,
    ) -> Any:
        """``make``: the items, for a node of that configuration; raises StanzaError."""
        if not name:
            raise refusal("bad-request", "nodeid-required")
        node = self.nodes(owner).get(name)
        if node is None:
            if not self.auto_create or not self.may_create(owner, asker):
                raise self.missing(owner, asker)
        elif not self.publishes(owner, node, asker):
            raise StanzaError("forbidden")
        elif node.config.is_collection:
            raise unsupported("publish")
        config = self.wanted(self.defaults_of(name), options) if node is None else node.config
        if node is not None and options:
            self._check(node, options)
        items = make(config)
        self.check(owner, name, items)
        if node is None:
            node = self.make(owner, asker, name, config)
        if options:  # somebody else may have made it, or configured it, meanwhile
            self._check(node, options)
        self.put(owner, node, items)
        if node.subscriptions:
            size = sum(len(item.payload) for item in items)
            self.charge(request, size * len(node.subscriptions) // MANY)
        self.host.router.reply(notify.published_answer(request, name, items))
        return LATER

    def check(self, owner: str, name: str, items: list[Item]) -> None:
        """Raises StanzaError: that node does not take these items."""

    def put(self, owner: str, node: Node, items: list[Item]) -> None:
        """Publishes: what is kept is committed when this returns, and subscribers are about to be told. Raises StanzaError."""
        config, dropped = node.config, list[str]()
        if config.keeps and items:
            size = sum([len(item.payload) for item in items])
            if not quota.take(owner, node.creator, size, self.room()):
                raise StanzaError("resource-constraint", "the items here take too much room", type="wait")
            try:
                dropped = publishing.publish(owner, node, items, self.most(config))
            except Full:
                raise refusal("conflict", "node-full") from None
            except Gone:
                raise StanzaError("item-not-found") from None
        self.changed(owner, node)
        if config.deliver_notifications:
            if dropped and config.notify_retract:
                self.tell(owner, node, lambda: notify.retract_event(
                    owner, node.name, config.notification_type, dropped
                ), "items")  # fmt: skip
            self.tell(owner, node, lambda: notify.items_event(
                owner, node.name, config.notification_type, items, config.deliver_payloads, self.reply_to(owner, node)
            ), "items")  # fmt: skip

    def _options(self, request: Element) -> Values:
        """The form of <publish-options/>."""
        payload = request.payload
        assert payload is not None
        options = payload.child("publish-options", NS)
        if options is None:
            return {}
        form = form_of(options)
        if form is None:
            raise StanzaError("bad-request", "publish options are a data form")
        return self.read_form(form, PUBLISH_OPTIONS)

    def read_form(self, form: Element, form_type: str) -> Values:
        """Raises StanzaError (bad-request)."""
        try:
            return fields(form, form_type)
        except ValueError as error:
            raise StanzaError("bad-request", str(error)) from None

    def wanted(self, config: Config, values: dict[str, list[str]]) -> Config:
        """The configuration with these fields. Raises StanzaError."""
        if "pubsub#access_model" in values and values["pubsub#access_model"] not in [
            [each] for each in self.access_models
        ]:
            raise refusal("not-acceptable", "unsupported-access-model")
        try:
            wanted = config.changed(values)
        except ValueError as error:
            raise StanzaError("not-acceptable", str(error)) from None
        if not self.collections and (wanted.is_collection or wanted.collection or wanted.children):
            raise unsupported("collections")
        if wanted is not config and len(store.config_text(wanted)) > CONFIG:
            raise StanzaError("not-acceptable", f"a configuration has at most {CONFIG} characters")
        return wanted

    def _check(self, node: Node, options: Values) -> None:
        """Has the node the configuration that the publisher expects? Raises StanzaError (conflict)."""
        config, agreed = node.config, node.agreed
        if agreed is not None and agreed[0] is options and agreed[1] is config and agreed[2] is self.settings:
            return  # most often: a client says the same each time
        try:
            wanted = config.changed(options)
        except ValueError as error:
            raise refusal("conflict", "precondition-not-met", str(error)) from None
        if self.comparable(wanted) != self.comparable(config):
            raise refusal("conflict", "precondition-not-met")
        node.agreed = options, config, self.settings

    def comparable(self, config: Config) -> dict[str, Any]:
        """A number that stands for 'max' is as good as the word."""
        return config.differences() | {"max_items": self.most(config)}

    def _new_items(self, asker: JID, verb: Element, config: Config) -> list[Item]:
        """What is published. Raises StanzaError."""
        elements = list(verb.elements())
        for each in elements:
            if each.name != "item" or each.ns != NS:
                raise StanzaError("bad-request")
        if not elements and (config.keeps or config.deliver_payloads):
            raise refusal("bad-request", "item-required")
        if elements and not config.keeps and not config.deliver_payloads:
            raise refusal("bad-request", "item-forbidden")
        if len(elements) > (min(AT_ONCE, self.most(config)) if config.keeps else AT_ONCE):
            raise refusal("not-allowed", "max-items-exceeded")
        now = time.time()
        found: dict[str, Item] = {}
        for element in fairly(elements):
            id = element.attrs.get("id") or secrets.token_hex(8)
            if len(id) > NAME_LENGTH:
                raise StanzaError("not-acceptable", LONG_ID)
            found.pop(id, None)
            found[id] = Item(id, asker.user, now, self._payload(element, config))
        return list(found.values())

    def _usual_item(self, asker: JID, usual: Usual, config: Config) -> list[Item]:
        """What is published. Raises StanzaError."""
        if not config.keeps and not config.deliver_payloads:
            raise refusal("bad-request", "item-forbidden")
        if len(usual.item) > NAME_LENGTH:
            raise StanzaError("not-acceptable", LONG_ID)
        return [Item(usual.item, asker.user, time.time(), self._fitting(usual.payload, config))]

    def _payload(self, item: Element, config: Config) -> str:
        payloads = list(item.elements())
        if len(payloads) > 1:
            raise refusal("bad-request", "invalid-payload", "one element, or none")
        if not payloads:
            if config.deliver_payloads:
                raise refusal("bad-request", "payload-required")
            return ""
        return self._fitting(payloads[0].to_bytes("\0"), config)  # it says its namespace, whatever that is

    def _fitting(self, data: bytes, config: Config) -> str:
        """The text of a payload that is not too large. Raises StanzaError."""
        most = min(config.max_payload_size or self.max_payload, self.max_payload)
        if len(data) > most:
            raise refusal("not-acceptable", "payload-too-big", f"a payload has at most {most} bytes")
        return data.decode()

    def retract(self, owner: str, asker: JID, verb: Element, request: Element) -> None:
        """Section 7.2."""
        node = self.node(owner, verb.attrs.get("node"), asker)
        ids = [each.attrs.get("id", "") for each in verb.all("item", NS)]
        if not ids or not all(ids):
            raise refusal("bad-request", "item-required")
        if len(ids) > AT_ONCE:
            raise StanzaError("policy-violation", f"at most {AT_ONCE} items at a time")
        affiliation = self.affiliation(owner, node, asker)
        if affiliation != "owner" and not self.publishes(owner, node, asker):
            raise StanzaError("forbidden")
        if node.config.is_collection or not node.config.keeps:
            raise unsupported("persistent-items")
        self.settle(owner, node)
        if affiliation != "owner":
            found = store.publishers(owner, node.name, ids)
            if any(publisher != asker.user for publisher in found.values()):
                raise StanzaError("forbidden", "somebody else published that")
        told = node.config.notify_retract
        if "notify" in verb.attrs:
            told = verb.attrs["notify"] in ("1", "true")
        self.withdraw(owner, node, ids, told)

    def withdraw(self, owner: str, node: Node, ids: list[str], told: bool = True, all_: bool = True) -> None:
        """Removes the items; ``told``: subscribers hear of it. ``all_``: all of them or none. Raises StanzaError
        (item-not-found): one is not there."""
        gone = store.retract(owner, node.name, ids, all_)
        if not gone:
            if all_:
                raise StanzaError("item-not-found")
            return
        self.changed(owner, node)
        if told and node.config.deliver_notifications:
            type = node.config.notification_type
            self.tell(owner, node, lambda: notify.retract_event(owner, node.name, type, gone), "items")

    # -- nodes ------------------------------------------------------------------------------------

    def make(self, owner: str, asker: JID, name: str, config: Config) -> Node:
        """A new node; one that has come up meanwhile is as good. Raises StanzaError."""
        outcome = self.create_node(owner, asker, name, config)
        node = self.nodes(owner).get(name)
        if outcome == "full" or node is None:
            raise refusal("not-allowed", "max-nodes-exceeded")
        return node

    def create_node(self, owner: str, asker: JID, name: str, config: Config) -> str:
        if len(name) > NAME_LENGTH:
            raise StanzaError("not-acceptable", f"a node's name has at most {NAME_LENGTH} characters")
        affiliations = {} if self.rules(owner, asker) else {asker.user: "owner"}
        return store.create(owner, name, config, self.limits(), asker.user, affiliations)
