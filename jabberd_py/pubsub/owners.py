"""What owners do with their nodes (XEP-0060 sections 8.1 to 8.5)."""

from __future__ import annotations

import secrets
from dataclasses import replace

from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from . import notify, store
from .alone import Alone
from .config import Config
from .configuring import Change, configure
from .engine import ROWS
from .items import form_of
from .names import NODE_CONFIG, NS, OWNER, refusal, unsupported
from .store import Node
from .subscribing import Subscribing

PRIVATE = ("children_association_whitelist", "roster_groups_allowed", "children")
"""Fields of a configuration that only owners see."""
changing = Alone()
"""Who changes the configuration of a node (owner and name): what he has looked at stays as it is until that is committed."""


class Owners(Subscribing):
    """Making, configuring, emptying and removing nodes."""

    def make_node(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 8.1, with or without a configuration; without a name the node gets one."""
        if not self.may_create(owner, asker):
            raise self.forbidden(owner, asker)
        name = verb.attrs.get("node") or secrets.token_hex(8)  # a command would take -a for an option
        assert request.payload is not None
        form = form_of(request.payload.child("configure", NS))
        config = self.defaults_of(name)
        if form is not None and form.type != "cancel":
            config = self.wanted(config, self.read_form(form, NODE_CONFIG))
        self.made(owner, asker, name, config)
        return Element("pubsub", NS, Element("create", NS, node=name))

    def made(self, owner: str, asker: JID, name: str, config: Config) -> Node:
        """Makes the node. Raises StanzaError."""
        outcome = self.create_node(owner, asker, name, config)
        if outcome == "exists":
            raise StanzaError("conflict")
        node = self.nodes(owner).get(name)
        if outcome == "full" or node is None:
            raise refusal("not-allowed", "max-nodes-exceeded")
        return node

    # -- configuration ------------------------------------------------------------------------------

    def shown(self, owner: str, node: Node) -> Config:
        """The configuration, with the node's children."""
        children = self.nodes(owner).children.get(node.name, ())
        return replace(node.config, children=tuple(children)) if children else node.config

    def config_form(
        self, config: Config, type: str, form_type: str = NODE_CONFIG, asker: JID | None = None
    ) -> Element:
        """``type``: form, or result. ``asker``: the groups of that user's roster are offered."""
        groups = self.groups_of(asker) if asker else ()
        offered = {"access_model": self.access_models, "roster_groups_allowed": groups}
        return config.form(type, form_type, self.hidden(config), offered).element()

    def public_form(self, owner: str, config: Config, form_type: str) -> forms.Form:
        """What everybody may know of it: no people, no groups, and no nodes that are not open."""
        nodes = self.nodes(owner)
        parents = (nodes.get(name) for name in config.collection)
        seen = [each.name for each in parents if each is not None and each.config.access_model == "open"]
        models = {"access_model": self.access_models}
        hidden = (*self.hidden(config), *PRIVATE)
        return replace(config, collection=tuple(seen)).form("result", form_type, hidden, models)

    def show_form(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 8.2: the form."""
        node = self.own_node(owner, verb.attrs.get("node"), asker)
        form = self.config_form(self.shown(owner, node), "form", asker=asker)
        return Element("pubsub", OWNER, Element("configure", OWNER, form, node=node.name))

    def default_form(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 8.3: what new nodes are like; collections, if it asks for their type (XEP-0248 section 7.3)."""
        if not self.may_create(owner, asker):
            raise self.forbidden(owner, asker)
        config = self.defaults
        if verb.attrs.get("type") == "collection":
            if not self.collections:
                raise unsupported("collections")
            config = replace(config, node_type="collection")
        form = self.config_form(config, "form", asker=asker)
        return Element("pubsub", OWNER, Element("default", OWNER, form))

    def set_form(self, owner: str, asker: JID, verb: Element, request: Element) -> None:
        name = verb.attrs.get("node")
        self.own_node(owner, name, asker)
        form = form_of(verb)
        if form is None or form.type not in ("submit", "cancel"):
            raise StanzaError("bad-request", "a data form, submitted or cancelled")
        if form.type == "cancel":
            return
        values = self.read_form(form, NODE_CONFIG)
        with changing.of(f"{owner} {name}"):
            node = self.own_node(owner, name, asker)
            old = self.shown(owner, node)
            config = self.wanted(old, values)
            self.charge(request, len(set(config.children) ^ set(old.children)) // ROWS)
            self.configured(owner, asker, node, config)
            node = self.nodes(owner).get(node.name, node)  # nodes may have been read anew meanwhile
        self.recheck(owner, node)
        self.changed(owner, node)
        if config.notify_config:
            shown = self.public_form(owner, node.config, NODE_CONFIG).element()
            inner = str(shown) if config.deliver_payloads else ""
            self.tell(owner, node, lambda: notify.node_event(
                owner, node.name, config.notification_type, "configuration", inner
            ))  # fmt: skip

    def configured(self, owner: str, asker: JID, node: Node, config: Config) -> None:
        """The node gets that configuration. Raises StanzaError."""
        most = self.most(config)
        fewer = most != self.most(node.config)
        if fewer:
            store.clear(owner, node.name, most)
        if not configure(owner, {node.name: Change(config, most if fewer else None)}):
            raise StanzaError("item-not-found")

    # -- the end --------------------------------------------------------------------------------------

    def delete_node(self, owner: str, asker: JID, verb: Element, request: Element) -> None:
        """Section 8.4. Where it went (<redirect/>) is told to subscribers."""
        node = self.own_node(owner, verb.attrs.get("node"), asker)
        redirect = verb.child("redirect", OWNER)
        self.deleted(owner, node, "" if redirect is None else redirect.attrs.get("uri", ""))

    def deleted(self, owner: str, node: Node, uri: str = "") -> None:
        """Removes the node. Raises StanzaError."""
        inner = f"<redirect uri='{notify.attribute(uri)}'/>" if uri else ""
        event = notify.node_event(owner, node.name, node.config.notification_type, "delete", inner)
        if not store.delete(owner, node):
            raise StanzaError("item-not-found")
        self.changed(owner, node)
        if node.config.notify_delete:
            self.tell(owner, node, lambda: event)
            for each in [one for mine in list(node.subscriptions.values()) for one in mine]:
                if each.state == "pending":
                    self.outbox.send(event.copy(to=each.jid))

    def orphaned(self, owner: str, name: str) -> None:
        """An owner's account is gone: a node that nobody owns any more goes, too."""
        node = self.nodes(owner).get(name)
        if node is not None and not node.owners and not node.gone:
            self.deleted(owner, node)

    def purge_node(self, owner: str, asker: JID, verb: Element, request: Element) -> None:
        """Section 8.5."""
        self.purged(owner, self.own_node(owner, verb.attrs.get("node"), asker))

    def purged(self, owner: str, node: Node) -> None:
        """Removes all items. Raises StanzaError."""
        if node.config.is_collection or not node.config.keeps:
            raise unsupported("persistent-items")
        store.purge(owner, node.name)
        self.changed(owner, node)
        if node.config.notify_retract:
            type = node.config.notification_type
            self.tell(owner, node, lambda: notify.node_event(owner, node.name, type, "purge"), "items")

    def forbidden(self, owner: str, asker: JID) -> StanzaError:
        return StanzaError("forbidden")
