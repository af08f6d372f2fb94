"""Nodes in memory. No I/O here."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..net.turns import fairly
from ..xdb import Ticket
from ..xmpp.jid import JID, parse
from .config import Config
from .options import PLAIN, Subscription

temporary: dict[str, set[tuple[str, str]]] = {}
"""Bare address -> (owner, node) of subscriptions that end when the subscriber goes."""


KEPT = 10
"""Nodes whose `Kinds` are kept: those of a large node take a few megabytes."""

_kept: deque[Node] = deque()


class Kinds(NamedTuple):
    """The subscribers of a node. Nobody changes this.

    plain    addresses of users who have one subscription, which is for all events
    others   bare addresses of all other users
    changes  those of the node of which this tells
    """

    plain: Sequence[JID]
    others: Sequence[str]
    changes: int


class Counted(NamedTuple):
    """How many items a node had; ``at``: when (`time.monotonic`)."""

    number: int
    at: float


class Node:
    """A node in memory.

    creator        the bare address of who made it
    affiliations   bare address -> owner, publisher, publish-only, member or outcast
    subscriptions  bare address -> its subscriptions, of which none is missing and none is empty
    coming         bare address -> its new subscriptions that are not committed yet: they count where there is a limit
    turn           grows with every publish: who reads the last item sees by it that there is a newer one
    surplus        how many items it may have above its number (`publishing`); None: that is not known
    counted        how many items it had not long ago, if that is known
    trimming       the write that drops what is too many
    gone           it is being deleted: nothing is published to it any more
    agreed         publish options that fit the node: (options, its configuration, settings of the server), or None
    changes        grows with every change of the subscriptions; ``kinds``: see `sort`
    """

    __slots__ = (
        "affiliations", "agreed", "changes", "coming", "config", "counted", "created", "creator", "gone", "kinds", "name",
        "subscriptions", "surplus", "trimming", "turn",
    )  # fmt: skip

    def __init__(self, name: str, config: Config, created: float, creator: str = "") -> None:
        self.name, self.config, self.created, self.creator = name, config, created, creator
        self.affiliations: dict[str, str] = {}
        self.subscriptions: dict[str, tuple[Subscription, ...]] = {}
        self.coming: dict[str, tuple[Subscription, ...]] = {}
        self.turn = 0
        self.surplus: int | None = None
        self.counted: Counted | None = None
        self.trimming: Ticket | None = None
        self.gone = False
        self.agreed: tuple[Mapping[str, list[str]], Config, Mapping[str, Any]] | None = None
        self.changes = 0
        self.kinds: Kinds | None = None

    @property
    def owners(self) -> list[str]:
        return [jid for jid, affiliation in self.affiliations.items() if affiliation == "owner"]

    def all_of(self, user: str) -> tuple[Subscription, ...]:
        """The subscriptions of a bare address, with those that are not committed yet."""
        return (*self.subscriptions.get(user, ()), *self.coming.get(user, ()))

    @property
    def addresses(self) -> int:
        """How many addresses are subscribed, or are about to be."""
        return len(self.subscriptions) + sum(user not in self.subscriptions for user in self.coming)

    def sort(self) -> Kinds:
        """The subscribers, sorted once for all events until one comes or goes. A long node waits for turns meanwhile."""
        kinds = self.kinds
        if kinds is not None and kinds.changes == self.changes:
            return kinds
        changes, plain, others = self.changes, list[JID](), list[str]()
        for user, mine in fairly(list(self.subscriptions.items())):
            one = mine[0]
            if len(mine) == 1 and one.options is PLAIN and one.state == "subscribed":
                plain.append(parse(one.jid))
            else:
                others.append(user)
        kinds = self.kinds = Kinds(plain, others, changes)
        if self not in _kept:
            _kept.append(self)
            if len(_kept) > KEPT:
                _kept.popleft().kinds = None
        return kinds


ROOT = Config(node_type="collection")


def weight(user: str) -> int:
    """What one subscription or affiliation of an address counts."""
    return 1 + len(user) // 200


class Nodes(dict[str, Node]):
    """The nodes of one ``owner`` by name.

    root      the collection of all nodes that are in no other (XEP-0248 section 8.1); its name is empty
    children  collection -> the nodes in it, in order
    of        bare address -> nodes to which it is subscribed
    people    bare address -> subscriptions and affiliations to the nodes that it has made; "" -> to all nodes. Those of a long
              address count more (`weight`), because they stay in memory
    weight    what they count for in the cache
    """

    __slots__ = ("children", "of", "owner", "people", "root", "weight")

    def __init__(self, owner: str) -> None:
        super().__init__()
        self.owner = owner
        self.root = Node("", ROOT, 0.0)
        self.children: dict[str, dict[str, None]] = {}
        self.of: dict[str, set[str]] = {}
        self.people: Counter[str] = Counter()
        self.weight = 0

    def find(self, name: str) -> Node | None:
        """With the root, whose name is empty."""
        return self.get(name) if name else self.root

    def add(self, node: Node) -> None:
        self[node.name] = node
        self.link(node)

    def link(self, node: Node) -> None:
        for parent in node.config.collection:
            self.children.setdefault(parent, {})[node.name] = None

    def unlink(self, node: Node) -> None:
        for parent in node.config.collection:
            self.children.get(parent, {}).pop(node.name, None)

    def remove(self, name: str) -> None:
        node = self.pop(name, None)
        if node is not None:
            self.unlink(node)
            self.children.pop(name, None)
            self._count(node, -sum(map(weight, node.affiliations)))
            self._count(node, -sum(len(mine) * weight(user) for user, mine in node.subscriptions.items()))
            for user in node.subscriptions:
                self.of.get(user, set()).discard(name)

    def put(self, node: Node, user: str, subscriptions: tuple[Subscription, ...]) -> None:
        """These are all that the user has to the node."""
        self._count(node, (len(subscriptions) - len(node.subscriptions.get(user, ()))) * weight(user))
        node.changes += 1
        if subscriptions:
            node.subscriptions[user] = subscriptions
            if any(each.options.temporary for each in subscriptions):
                temporary.setdefault(user, set()).add((self.owner, node.name))
            self.of.setdefault(user, set()).add(node.name)
            return
        node.subscriptions.pop(user, None)
        names = self.of.get(user)
        if names is not None:
            names.discard(node.name)
            if not names:
                del self.of[user]

    def affiliate(self, node: Node, user: str, affiliation: str) -> None:
        """``none`` removes."""
        before = len(node.affiliations)
        node.affiliations.pop(user, None)
        if affiliation != "none":
            node.affiliations[user] = affiliation
        self._count(node, (len(node.affiliations) - before) * weight(user))

    def _count(self, node: Node, more: int) -> None:
        for whose in {"", node.creator}:
            self.people[whose] += more
            if not self.people[whose]:
                del self.people[whose]
