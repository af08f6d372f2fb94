"""What accounts and pubsub services have in common: who may what with a node, and who is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

from ..hooks import Option, size
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from . import config as configuration
from . import options, publishing
from .config import Config
from .names import refusal
from .notify import Event, Outbox, Readers
from .store import Node, Nodes, nodes_of

PUBLISHERS = frozenset(("owner", "publisher", "publish-only"))
BARRED = frozenset(("outcast", "publish-only"))
READERS = frozenset(("owner", "publisher", "member"))
ROWS = 10
"""Rows of the store that a request changes at the price of one stanza."""
AFFILIATIONS = frozenset((*PUBLISHERS, *READERS, "outcast", "none"))


class Engine(ABC):
    """One face of publish-subscribe. ``owner`` is whose nodes they are: an account's bare address, or the service's domain.
    Where it is an argument, it exists.

    defaults       the configuration of a new node
    access_models  those that make sense here
    auto_create    is a node made by publishing to it?
    collections    can nodes contain nodes (XEP-0248)?
    """

    defaults: Config
    access_models: tuple[str, ...]
    auto_create = False
    collections = False
    host: Any
    settings: dict[str, Any]
    outbox: Outbox

    max_nodes = Option(int, 1000, "nodes of one owner", min=1)
    max_items = Option(int, 1000, "items of one node; what 'max' stands for in a node's configuration", min=1)
    max_payload = Option(size, "192 KiB", "largest payload of an item")
    max_bytes = Option(size, "64 MiB", "payloads of all items of one owner")
    max_subscriptions = Option(int, 1000, "addresses that are subscribed to one node", min=1)
    max_subscriptions_each = Option(int, 10, "subscriptions of one address to one node", min=1)
    max_people = Option(int, 20_000, "subscriptions to all nodes of one owner, and affiliations", min=1)
    max_affiliations = Option(int, 1000, "addresses with an affiliation to one node", min=1)

    # -- what the faces say ---------------------------------------------------------------------

    def defaults_of(self, name: str) -> Config:
        """The configuration of a new node of that name, as far as whoever makes it says nothing else."""
        return self.defaults

    @abstractmethod
    def rules(self, owner: str, jid: JID) -> bool:
        """Does ``jid`` own all of the owner's nodes?"""

    @abstractmethod
    def may_create(self, owner: str, jid: JID) -> bool:
        """May they make nodes?"""

    @abstractmethod
    def limits(self) -> tuple[int, int]:
        """How many nodes there may be: of one owner, and of those the ones that one address has made."""

    def room(self) -> tuple[int, int]:
        """How many characters payloads may have: of all items of one owner, and of those in nodes that one address has made."""
        return self.max_bytes, self.max_bytes

    def crowd(self) -> tuple[int, int]:
        """How many subscriptions and affiliations there may be: to all nodes of one owner, and to those that one address has
        made."""
        return self.max_people, self.max_people

    @abstractmethod
    def sees(self, owner: str, node: Node, user: str) -> bool:
        """Does that bare address see the presence of the node's owner?"""

    @abstractmethod
    def in_groups(self, owner: str, node: Node, user: str) -> bool:
        """Has the node's owner put that bare address into one of the groups of the roster that the node is for?"""

    @abstractmethod
    def missing(self, owner: str, jid: JID) -> StanzaError:
        """What they are told of a node that there is not."""

    @abstractmethod
    def audience(self, owner: str, node: Node, about: str) -> Iterator[Readers]:
        """The addresses that an event of the node goes to, each once. ``about``: items, or nodes (the node itself)."""

    def shows(self, jid: str) -> list[str] | None:
        """The presence of that bare or full address, one of `options.SHOWS` for each client; None: nobody knows."""
        shown: list[str] | None = self.host.router.presence_of(parse(jid))
        return shown

    def groups_of(self, jid: JID) -> list[str]:
        """The groups of that user's roster; none if there is no such account here."""
        host: Any = self.host.router.instances.get(jid.domain)
        if host is None or "roster" not in host.modules or not host.users.exists(jid.user):
            return []
        groups: list[str] = host["roster"].groups_of(jid.user)
        return groups

    # -- nodes ------------------------------------------------------------------------------------

    def nodes(self, owner: str) -> Nodes:
        return nodes_of(owner)

    def node(self, owner: str, name: str | None, jid: JID) -> Node:
        """Raises StanzaError: nodeid-required, or no such node."""
        if not name:
            raise refusal("bad-request", "nodeid-required")
        node = self.nodes(owner).get(name)
        if node is None:
            raise self.missing(owner, jid)
        return node

    def own_node(self, owner: str, name: str | None, jid: JID) -> Node:
        """A node that they own. Raises StanzaError."""
        node = self.node(owner, name, jid)
        if self.affiliation(owner, node, jid) != "owner":
            raise StanzaError("forbidden")
        return node

    def crowded(self, owner: str, node: Node, more: int) -> bool:
        """Would so many subscriptions and affiliations more be too many?"""
        people = self.nodes(owner).people
        return any(
            people[whose] + more > most for whose, most in zip(("", node.creator), self.crowd(), strict=True)
        )

    def charge(self, request: Element, stanzas: int) -> None:
        """The request is as much work as so many stanzas."""
        if stanzas and request.session is not None:
            request.session.work += stanzas

    def changed(self, owner: str, node: Node) -> None:
        """The items of the node are others now."""
        node.turn += 1

    def most(self, config: Config) -> int:
        """How many items such a node keeps."""
        if not config.keeps or config.is_collection:
            return 0
        return self.max_items if config.max_items is None else min(config.max_items, self.max_items)

    def hidden(self, config: Config) -> tuple[str, ...]:
        """Fields of the configuration that such a node does not have."""
        if not self.collections:
            return ("node_type", "collection", *configuration.OF_COLLECTIONS)
        return configuration.OF_LEAVES if config.is_collection else configuration.OF_COLLECTIONS

    def hidden_options(self, node: Node | None) -> tuple[str, ...]:
        """Options of subscriptions that such a node does not have."""
        return () if node is not None and node.config.is_collection else options.OF_COLLECTIONS

    def reply_to(self, owner: str, node: Node) -> str | None:
        """Whom an item names as its publisher: "publisher", an address, or None: nobody."""
        wish = node.config.itemreply
        if wish == "owner":
            return node.owners[0] if node.owners else owner
        return None if wish == "none" else wish

    def tell(self, owner: str, node: Node, make: Callable[[], Element], about: str = "nodes") -> None:
        """Sends an event to all who are to have it; where nobody listens, it is not made. May block."""
        weight = self.hearers(owner, node)
        if weight:
            self.outbox.put(owner, node, Event(make(), weight, lambda: self.audience(owner, node, about)))

    def hearers(self, owner: str, node: Node) -> int:
        """About how many hear of the node; 0: nobody can. Quick."""
        above = self.collections and (node.config.collection or self.nodes(owner).root.subscriptions)
        return len(node.subscriptions) + bool(above)

    def settle(self, owner: str, node: Node) -> None:
        """To be called before items of the node are read, but for the newest one. May block; raises StoreError."""
        publishing.settle(owner, node, self.most(node.config))

    # -- who may what -----------------------------------------------------------------------------

    def affiliation(self, owner: str, node: Node, jid: JID) -> str:
        return "owner" if self.rules(owner, jid) else node.affiliations.get(jid.user, "none")

    def closed(self, owner: str, node: Node, jid: JID) -> StanzaError | None:
        """Why they may not read the node, or None: they may."""
        affiliation = self.affiliation(owner, node, jid)
        if affiliation in READERS:
            return None
        if affiliation in BARRED:
            return StanzaError("forbidden")
        model = node.config.access_model
        if model == "open":
            return None
        if model == "whitelist":
            return refusal("not-allowed", "closed-node")
        if model == "authorize":
            return None if subscribed(node, jid) else refusal("not-authorized", "not-subscribed")
        if not self.sees(owner, node, jid.user):
            return refusal("not-authorized", "presence-subscription-required")
        if model == "roster" and not self.in_groups(owner, node, jid.user):
            return refusal("not-authorized", "not-in-roster-group")
        return None

    def reads(self, owner: str, node: Node, jid: JID) -> bool:
        return self.closed(owner, node, jid) is None

    def reader_test(self, owner: str, node: Node) -> Callable[[str], bool] | None:
        """For many: may that bare address read the node? None: everybody may."""
        if node.config.access_model == "open":
            barred = {user for user, each in node.affiliations.items() if each in BARRED}
            return (lambda user: user not in barred) if barred else None
        return lambda user: self.reads(owner, node, parse(user))

    def publishes(self, owner: str, node: Node, jid: JID) -> bool:
        affiliation = self.affiliation(owner, node, jid)
        if affiliation in PUBLISHERS:
            return True
        model = node.config.publish_model
        if affiliation == "outcast" or model == "publishers":
            return False
        return model == "open" or subscribed(node, jid)


def subscribed(node: Node, jid: JID) -> bool:
    """Has any subscription of theirs been approved?"""
    return any(each.state == "subscribed" and not each.over for each in node.subscriptions.get(jid.user, ()))
