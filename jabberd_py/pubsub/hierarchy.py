"""XEP-0248: collections, nodes that contain nodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import ClassVar

from ..hooks import Option
from ..net.turns import share
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from . import notify
from .alone import Alone
from .config import Config
from .configuring import Change, configure
from .names import OWNER, refusal
from .requests import Requests
from .store import Node

MANY = 20
"""Collections that one node may be in."""
Link = tuple[str, str]
"""(parent, child), names of nodes."""
waiting, linking = Alone(), Alone()
"""By user, and by owner: see `Hierarchy._linking`."""


class Hierarchy(Requests):
    """The store keeps each node's parents, in its configuration. A node without any is in the root. Who associates two nodes
    owns the child, and may put something into the parent."""

    collections = True
    methods: ClassVar = {**Requests.methods, (OWNER, "set", "collection"): "associate"}
    max_children = Option(int, 1000, "nodes in one collection", min=1)

    # -- changes of the graph -----------------------------------------------------------------------

    @contextmanager
    def _linking(self, owner: str, user: str) -> Iterator[None]:
        """One at a time changes which nodes are in which collections: what he has looked at stays as it is until that is
        committed. Of one user only one change waits for that, whatever else he sends."""
        with waiting.of(user), linking.of(owner):
            yield

    def made(self, owner: str, asker: JID, name: str, config: Config) -> Node:
        nodes = self.nodes(owner)
        if name in nodes:
            raise StanzaError("conflict")
        if config.children and not config.is_collection:
            raise refusal("not-allowed", "invalid-options", "a leaf has no children")
        links = [(parent, name) for parent in config.collection] + [
            (name, child) for child in config.children
        ]
        with self._linking(owner, asker.user) if links else nullcontext():
            changes = self._below(owner, asker, name, config.children)
            self._check_links(owner, asker, name, changes | {name: replace(config, children=())}, links)
            node = super().made(owner, asker, name, replace(config, children=()))
            configure(owner, dict.fromkeys(changes, Change(into=(name,))))
        type = node.config.notification_type
        self.tell(owner, node, lambda: notify.node_event(owner, name, type, "create"))
        self._announce(owner, [(name, child) for child in config.children], "associate")
        return node

    def configured(self, owner: str, asker: JID, node: Node, config: Config) -> None:
        old = self.shown(owner, node)
        if old.is_collection and not config.is_collection:
            raise refusal("not-allowed", "invalid-options", "a collection stays one")
        if config.children and not config.is_collection:
            raise refusal("not-allowed", "invalid-options", "a leaf has no children")
        self._fits(config, len(config.children))
        if set(old.children) != set(config.children) or set(old.collection) != set(config.collection):
            with self._linking(owner, asker.user):
                self._relink(owner, asker, node, config)
        super().configured(owner, asker, node, config)

    def _relink(self, owner: str, asker: JID, node: Node, config: Config) -> None:
        """The node is in these collections, and has these children, from now on. Raises StanzaError."""
        old, name = self.shown(owner, node), node.name
        more = [child for child in config.children if child not in old.children]
        less = [child for child in old.children if child not in config.children]
        into = tuple(parent for parent in config.collection if parent not in old.collection)
        out = tuple(parent for parent in old.collection if parent not in config.collection)
        below = self._below(owner, asker, name, more)
        links = [*((parent, name) for parent in into), *((name, child) for child in more)]
        self._check_links(owner, asker, name, below | {name: replace(config, children=())}, links)
        changes = {name: Change(into=into, out=out)} | dict.fromkeys(more, Change(into=(name,)))
        configure(owner, changes | dict.fromkeys(less, Change(out=(name,))))
        self._announce(owner, links, "associate")
        gone = [*((parent, name) for parent in out), *((name, child) for child in less)]
        self._announce(owner, gone, "dissociate")

    def deleted(self, owner: str, node: Node, uri: str = "") -> None:
        """Deletes the node. Its children stay in their other collections, or come into the root. That holds for children that
        came while it was being deleted, too."""
        self._empty(owner, node)
        super().deleted(owner, node, uri)
        self._empty(owner, node)

    def _empty(self, owner: str, node: Node) -> None:
        if self.nodes(owner).children.get(node.name):
            with self._linking(owner, node.creator):
                children = list(self.nodes(owner).children.get(node.name, ()))
                if children:
                    configure(owner, dict.fromkeys(children, Change(out=(node.name,))))

    def delete_node(self, owner: str, asker: JID, verb: Element, request: Element) -> None:
        if not verb.attrs.get("node"):
            raise StanzaError("not-allowed", "the root stays")
        super().delete_node(owner, asker, verb, request)

    def associate(self, owner: str, asker: JID, verb: Element, request: Element) -> None:
        """Sections 7.5 and 7.6: one child comes into a collection, or leaves it."""
        with self._linking(owner, asker.user):
            parent = self.node(owner, verb.attrs.get("node"), asker)
            wish = next(verb.elements(), None)
            if wish is None or wish.name not in ("associate", "dissociate") or wish.ns != OWNER:
                raise StanzaError("bad-request")
            child = self.node(owner, wish.attrs.get("node"), asker)
            link, is_in = (parent.name, child.name), parent.name in child.config.collection
            if wish.name == "dissociate":
                if "owner" not in (self.affiliation(owner, each, asker) for each in (parent, child)):
                    raise StanzaError("forbidden")
                if not is_in:
                    raise StanzaError("bad-request", "it is not in there")
                configure(owner, {child.name: Change(out=(parent.name,))})
            else:
                changes = self._below(owner, asker, parent.name, [child.name])
                self._check_links(owner, asker, child.name, changes, [] if is_in else [link])
                if is_in:
                    return
                configure(owner, {child.name: Change(into=(parent.name,))})
        self._announce(owner, [link], wish.name)

    # -- what a change comes to -----------------------------------------------------------------------

    def _below(
        self, owner: str, asker: JID, parent: str, children: tuple[str, ...] | list[str]
    ) -> dict[str, Config]:
        """The configurations of the asker's nodes, once they are in that collection, too. Raises StanzaError."""
        found = {}
        for name in children:
            config = self.own_node(owner, name, asker).config
            found[name] = replace(config, collection=tuple(dict.fromkeys((*config.collection, parent))))
        return found

    def _check_links(
        self, owner: str, asker: JID, name: str, changes: dict[str, Config], links: list[Link]
    ) -> None:
        """May the asker make these links, and is there no circle? ``name``: the node that is in all of them. Raises
        StanzaError."""
        nodes = self.nodes(owner)
        if any(len(config.collection) > MANY for config in changes.values()):
            raise refusal("not-allowed", "invalid-options", f"a node is in at most {MANY} collections")
        if links and self._is_circular(owner, name, changes):
            raise refusal("not-allowed", "invalid-options", "a node cannot be in itself")
        more: dict[str, int] = {}
        for parent, _ in links:
            more[parent] = more.get(parent, 0) + 1
        for parent, number in more.items():
            node = nodes.get(parent)
            config = changes.get(parent) or (node.config if node is not None else None)
            if config is None or node is not None and node.gone:
                raise StanzaError("item-not-found", "there is no such collection")
            if not config.is_collection:
                raise refusal("not-allowed", "invalid-options", "a leaf has no children")
            if node is not None and not self._may_associate(owner, node, asker):
                raise StanzaError("forbidden")
            self._fits(config, len(nodes.children.get(parent, ())) + number)

    def _fits(self, config: Config, children: int) -> None:
        """May such a collection have so many children? Raises StanzaError."""
        most = config.children_max
        if children > (self.max_children if most is None else min(most, self.max_children)):
            raise refusal("not-allowed", "max-nodes-exceeded")

    def _may_associate(self, owner: str, node: Node, asker: JID) -> bool:
        policy = node.config.children_association_policy
        if policy == "all" or self.affiliation(owner, node, asker) == "owner":
            return True
        return policy == "whitelist" and asker.user in node.config.children_association_whitelist

    def _is_circular(self, owner: str, name: str, changes: dict[str, Config]) -> bool:
        """Is the node above itself, once the changes are made? Others have their turns meanwhile."""
        nodes = self.nodes(owner)
        seen, left, turn = set[str](), [name], 0.0
        while left:
            turn = share(turn)
            each = left.pop()
            node = nodes.get(each)
            config = changes.get(each) or (node.config if node is not None else Config())
            for parent in config.collection:
                if parent == name:
                    return True
                if parent not in seen:
                    seen.add(parent)
                    left.append(parent)
        return False

    def _announce(self, owner: str, links: list[Link], verb: str) -> None:
        """Section 5.3.2: the collection's subscribers hear which nodes came into it, or left it."""
        for parent, child in links:
            node = self.nodes(owner).get(parent)
            weight = 0 if node is None else self.hearers(owner, node)
            if node is not None and weight and node.config.deliver_notifications:
                inner = f"<{verb} node='{notify.attribute(child)}'/>"
                event = notify.node_event(owner, parent, node.config.notification_type, "collection", inner)
                audience = partial(self._who_know, owner, node, child)
                self.outbox.put(owner, node, notify.Event(event, weight, audience))

    def _who_know(self, owner: str, collection: Node, child: str) -> Iterator[notify.Readers]:
        """Who may not read the child does not hear that there is one."""
        node = self.nodes(owner).get(child)
        if node is not None:
            may_read = self.reader_test(owner, node)
            for headers, jids in self.audience(owner, collection, "children"):
                yield headers, jids if may_read is None else [jid for jid in jids if may_read(jid.user)]
