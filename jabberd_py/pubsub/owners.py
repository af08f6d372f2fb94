"""The requests of XEP-0060 section 8: what owners do with their nodes."""

from __future__ import annotations

import secrets

from ..net.turns import fairly
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from . import notify, store
from .engine import AFFILIATIONS
from .items import form_of
from .names import NODE_CONFIG, NS, OWNER, refusal, unsupported
from .requests import Requests, subscription_element
from .store import Node, Subscription

STATES = frozenset(("subscribed", "none"))


class Owners(Requests):
    """Making, configuring and removing nodes; who may do what with them, and who is subscribed."""

    def make_node(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 8.1, with or without a configuration; without a name the node gets one."""
        if not self.may_create(owner, asker):
            raise self.forbidden(owner, asker)
        name = verb.attrs.get("node") or secrets.token_urlsafe(12)
        assert request.payload is not None
        configure = request.payload.child("configure", NS)
        form = form_of(configure)
        config = self.defaults
        if form is not None and form.type != "cancel":
            config = self.wanted(config, self.read_form(form, NODE_CONFIG))
        outcome = self.create_node(owner, asker, name, config)
        if outcome == "exists":
            raise StanzaError("conflict")
        if outcome == "full":
            raise refusal("not-allowed", "max-nodes-exceeded")
        return Element("pubsub", NS, Element("create", NS, node=name))

    def show_form(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 8.2: the form."""
        node = self.own_node(owner, verb.attrs.get("node"), asker)
        form = node.config.form("form", NODE_CONFIG, self.access_models).element()
        return Element("pubsub", OWNER, Element("configure", OWNER, form, node=node.name))

    def default_form(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 8.3: what new nodes are like."""
        if not self.may_create(owner, asker):
            raise self.forbidden(owner, asker)
        form = self.defaults.form("form", NODE_CONFIG, self.access_models).element()
        return Element("pubsub", OWNER, Element("default", OWNER, form))

    def set_form(self, owner: str, asker: JID, verb: Element, request: Element) -> None:
        node = self.own_node(owner, verb.attrs.get("node"), asker)
        form = form_of(verb)
        if form is None or form.type not in ("submit", "cancel"):
            raise StanzaError("bad-request", "a data form, submitted or cancelled")
        if form.type == "cancel":
            return
        config = self.wanted(node.config, self.read_form(form, NODE_CONFIG))
        store.configure(owner, node.name, config, self.most(config) if config.persist_items else 0)
        self.recheck(owner, node)
        if config.notify_config:
            shown = str(config.form("result", NODE_CONFIG, self.access_models).element())
            self.tell(owner, node, notify.node_event(
                owner, node.name, config.notification_type, "configuration",
                shown if config.deliver_payloads else "",
            ))  # fmt: skip

    def delete_node(self, owner: str, asker: JID, verb: Element, request: Element) -> None:
        """Section 8.4. Where it went (<redirect/>) is told to subscribers."""
        node = self.own_node(owner, verb.attrs.get("node"), asker)
        redirect = verb.child("redirect", OWNER)
        uri = "" if redirect is None else redirect.attrs.get("uri", "")
        if not store.delete(owner, node.name):
            raise StanzaError("item-not-found")
        self.changed(owner, node)
        if node.config.notify_delete:
            inner = f"<redirect uri='{notify.attribute(uri)}'/>" if uri else ""
            self.tell(owner, node, notify.node_event(
                owner, node.name, node.config.notification_type, "delete", inner
            ))  # fmt: skip

    def purge_node(self, owner: str, asker: JID, verb: Element, request: Element) -> None:
        """Section 8.5."""
        node = self.own_node(owner, verb.attrs.get("node"), asker)
        if not node.config.persist_items:
            raise unsupported("persistent-items")
        store.purge(owner, node.name)
        self.changed(owner, node)
        if node.config.notify_retract:
            self.tell(
                owner, node, notify.node_event(owner, node.name, node.config.notification_type, "purge")
            )

    # -- affiliations -----------------------------------------------------------------------------

    def affiliated(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 8.9.1."""
        node = self.own_node(owner, verb.attrs.get("node"), asker)
        all_ = (
            dict(node.affiliations) if not self.rules(owner, asker) else {owner: "owner", **node.affiliations}
        )
        rows = (
            Element("affiliation", OWNER, jid=jid, affiliation=each) for jid, each in fairly(all_.items())
        )
        return Element("pubsub", OWNER, Element("affiliations", OWNER, *rows, node=node.name))

    def affiliate(self, owner: str, asker: JID, verb: Element, request: Element) -> None:
        """Section 8.9.2: only what changes."""
        node = self.own_node(owner, verb.attrs.get("node"), asker)
        wanted: dict[str, str] = {}
        for each in fairly(verb.all("affiliation", OWNER)):
            affiliation = each.attrs.get("affiliation")
            if affiliation is None:
                continue
            if affiliation not in AFFILIATIONS:
                raise StanzaError("bad-request", "no such affiliation")
            wanted[self._address(each).user] = affiliation
        if not wanted:
            return
        left = {**node.affiliations, **wanted}
        if not self.keeps_owner(owner, left, wanted):
            raise StanzaError("not-acceptable", "the owner stays the owner")
        if sum(each != "none" for each in left.values()) > self.max_affiliations:
            raise StanzaError("policy-violation", f"a node has at most {self.max_affiliations} affiliations")
        store.affiliate(owner, node.name, wanted)
        self.recheck(owner, node)

    def keeps_owner(self, owner: str, all_: dict[str, str], changed: dict[str, str]) -> bool:
        """Would the node still have an owner?"""
        return "owner" in all_.values()

    # -- subscriptions ----------------------------------------------------------------------------

    def subscribers(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 8.8.1."""
        node = self.own_node(owner, verb.attrs.get("node"), asker)
        found = fairly(list(node.subscriptions.items()))
        rows = (subscription_element(OWNER, jid, each) for jid, each in found)
        return Element("pubsub", OWNER, Element("subscriptions", OWNER, *rows, node=node.name))

    def set_subscribers(self, owner: str, asker: JID, verb: Element, request: Element) -> None:
        """Section 8.8.2: only what changes; who is concerned is told."""
        node = self.own_node(owner, verb.attrs.get("node"), asker)
        wanted: dict[str, Subscription | None] = {}
        for each in fairly(verb.all("subscription", OWNER)):
            state = each.attrs.get("subscription")
            if state not in STATES:
                raise StanzaError("bad-request", "subscribed, or none")
            jid = str(self._address(each))
            old = node.subscriptions.get(jid)
            if state == "none":
                if old is not None:
                    wanted[jid] = None
            elif old is None or old.state != "subscribed":
                wanted[jid] = Subscription("subscribed", secrets.token_hex(8))
        more = sum(each is not None for jid, each in wanted.items() if jid not in node.subscriptions)
        if len(node.subscriptions) + more > self.max_subscriptions:
            raise refusal("policy-violation", "too-many-subscriptions", type="wait")
        self._set(owner, node, wanted)

    def _set(self, owner: str, node: Node, wanted: dict[str, Subscription | None]) -> None:
        if wanted:
            store.subscribe(owner, node.name, wanted)
            for jid, each in fairly(wanted.items()):
                state = "none" if each is None else each.state
                self.outbox.send(notify.subscription_event(owner, node.name, jid, state))

    def recheck(self, owner: str, node: Node) -> None:
        """Who may no longer read the node is no longer subscribed, and hears of it."""
        gone: dict[str, Subscription | None] = {}
        for jid, each in fairly(list(node.subscriptions.items())):
            if each.state == "pending":
                if node.affiliations.get(jid.partition("/")[0]) == "outcast":
                    gone[jid] = None
            elif self.closed(owner, node, parse(jid)) is not None:
                gone[jid] = None
        self._set(owner, node, gone)

    def forbidden(self, owner: str, asker: JID) -> StanzaError:
        return StanzaError("forbidden")

    def _address(self, element: Element) -> JID:
        try:
            return parse(element.attrs["jid"])
        except KeyError:
            raise refusal("bad-request", "jid-required") from None
        except ValueError as error:
            raise StanzaError("jid-malformed", str(error)) from None


Owners.methods = {
    **Requests.methods,
    (NS, "set", "create"): Owners.make_node,
    (OWNER, "get", "configure"): Owners.show_form,
    (OWNER, "set", "configure"): Owners.set_form,
    (OWNER, "get", "default"): Owners.default_form,
    (OWNER, "set", "delete"): Owners.delete_node,
    (OWNER, "set", "purge"): Owners.purge_node,
    (OWNER, "get", "affiliations"): Owners.affiliated,
    (OWNER, "set", "affiliations"): Owners.affiliate,
    (OWNER, "get", "subscriptions"): Owners.subscribers,
    (OWNER, "set", "subscriptions"): Owners.set_subscribers,
}
