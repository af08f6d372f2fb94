"""Reading and writing nodes, items, affiliations and subscriptions.

Nodes, with their affiliations and subscriptions, are read once for an owner and stay in memory (`nodes_of`). Items stay in the
database. Functions with an underscore run in the writer.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from ..xdb import cached, xdb
from .config import Config, stored
from .tables import PubsubAffiliation, PubsubItem, PubsubNode, PubsubSubscription


class Subscription(NamedTuple):
    state: str
    subid: str


class Node:
    """A node in memory.

    affiliations   bare address -> owner, publisher, publish-only, member or outcast
    subscriptions  address -> `Subscription`
    turn           grows with every publish: who reads the last item sees by it that there is a newer one
    """

    __slots__ = ("affiliations", "config", "created", "name", "subscriptions", "turn")

    def __init__(self, name: str, config: Config, created: float) -> None:
        self.name, self.config, self.created = name, config, created
        self.affiliations: dict[str, str] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.turn = 0


class Nodes(dict[str, Node]):
    """The nodes of one owner by name. ``weight``: what they count for in the cache."""

    __slots__ = ("weight",)

    weight: int


class Item(NamedTuple):
    id: str
    publisher: str
    published: float
    payload: str


def key(node: str, item: str) -> str:
    return hashlib.sha256(f"{node}\0{item}".encode()).hexdigest()


# -- reading ---------------------------------------------------------------------------------


@xdb.prepared(str)
def _nodes(owner: str) -> Any:
    n = PubsubNode
    return n.select(n.name, n.config, n.created).where(n.owner == owner).order_by(n.id)


@xdb.prepared(str)
def _affiliations(owner: str) -> Any:
    a = PubsubAffiliation
    return a.select(a.node, a.jid, a.affiliation).where(a.owner == owner).order_by(a.id)


@xdb.prepared(str)
def _subscriptions(owner: str) -> Any:
    s = PubsubSubscription
    return s.select(s.node, s.jid, s.state, s.subid).where(s.owner == owner).order_by(s.id)


@cached(size=500_000, weigh=attrgetter("weight"))
def nodes_of(owner: str) -> Nodes:
    """Shared by all readers. Whoever has committed a change makes it here too (`known`)."""
    nodes = Nodes()
    nodes.weight = 1
    for name, config, created in _nodes(owner):
        nodes[name] = Node(name, stored(json.loads(config)), created)
    if nodes:
        for name, jid, affiliation in _affiliations(owner):
            if name in nodes:
                nodes[name].affiliations[jid] = affiliation
        for name, jid, state, subid in _subscriptions(owner):
            if name in nodes:
                nodes[name].subscriptions[jid] = Subscription(state, subid)
        parts = (len(each.affiliations) + len(each.subscriptions) for each in nodes.values())
        nodes.weight += 4 * len(nodes) + sum(parts)
    return nodes


def known(owner: str) -> Nodes:
    """The nodes in memory, after a commit: the caller changes them as it changed the store. If they are not in memory, they
    are not read before somebody asks."""
    nodes = nodes_of.get(owner)
    if nodes is None:
        nodes_of.forget(owner)  # somebody may be reading what was there before the commit
        return Nodes()
    return nodes


@xdb.prepared(str, str, int)
def _newest(owner: str, node: str, count: int) -> Any:
    i = PubsubItem
    mine = (i.owner == owner) & (i.node == node)
    return (
        i.select(i.item, i.publisher, i.published, i.payload).where(mine).order_by(i.id.desc()).limit(count)
    )


def newest(owner: str, node: str, count: int) -> list[Item]:
    """The items that were published last, the newest first."""
    return [Item(*row) for row in _newest(owner, node, count)]


def _rows(query: Any) -> list[tuple[Any, ...]]:
    return list(query.tuples())


def _items() -> Any:
    i = PubsubItem
    return i.select(i.item, i.publisher, i.published, i.payload)


def some(owner: str, node: str, ids: Sequence[str]) -> list[Item]:
    """Those of the named items that there are, in the order of the names."""
    i = PubsubItem
    keys = [key(node, each) for each in ids]
    query = _items().where(i.owner == owner, i.key.in_(keys))
    found = {row[0]: Item(*row) for row in _rows(query)}
    return [found[each] for each in dict.fromkeys(ids) if each in found]


def ids(owner: str, node: str) -> list[str]:
    """The ids of all items, the oldest first."""
    i = PubsubItem
    query = i.select(i.item).where(i.owner == owner, i.node == node).order_by(i.id)
    return [id for (id,) in _rows(query)]


def number_of(owner: str, node: str, item: str) -> int | None:
    """The row of an item, None: there is none."""
    i = PubsubItem
    return i.select(i.id).where(i.owner == owner, i.key == key(node, item)).scalar()


def page(owner: str, node: str, count: int, after: int | None, before: int | None) -> list[Item]:
    """At most ``count`` items, the oldest first: those next to row ``after``, or those next before row ``before``; with
    neither, the newest."""
    i = PubsubItem
    mine = (i.owner == owner) & (i.node == node)
    if after is not None:
        query = _items().where(mine, i.id > after).order_by(i.id)
        return [Item(*row) for row in _rows(query.limit(count))]
    if before is not None:
        mine &= i.id < before
    query = _items().where(mine).order_by(i.id.desc())
    return [Item(*row) for row in _rows(query.limit(count))][::-1]


def count(owner: str, node: str, before: int | None = None) -> int:
    """How many items there are, or how many stand before that row."""
    i = PubsubItem
    query = i.select(i.id).where(i.owner == owner, i.node == node)
    return query.count() if before is None else query.where(i.id < before).count()


# -- writing: in the writer ------------------------------------------------------------------------


def _create(owner: str, name: str, config: Config, limit: int, affiliations: dict[str, str]) -> str:
    """What came of it: made, exists, full."""
    mine = PubsubNode.owner == owner
    if PubsubNode.select(PubsubNode.id).where(mine, PubsubNode.name == name).exists():
        return "exists"
    if PubsubNode.select(PubsubNode.id).where(mine).count() >= limit:
        return "full"
    text = json.dumps(config.differences())
    PubsubNode.insert(owner=owner, name=name, config=text, created=time.time()).execute()
    for jid, affiliation in affiliations.items():
        PubsubAffiliation.insert(owner=owner, node=name, jid=jid, affiliation=affiliation).execute()
    return "made"


def _configure(owner: str, name: str, config: Config) -> None:
    n = PubsubNode
    text = json.dumps(config.differences())
    n.update(config=text).where(n.owner == owner, n.name == name).execute()


def _publish(owner: str, name: str, items: Sequence[Item], most: int) -> list[str] | None:
    """Stores the items, and drops the oldest past ``most``; returns the ids of the dropped. None: the node is gone."""
    if (
        not PubsubNode.select(PubsubNode.id)
        .where(PubsubNode.owner == owner, PubsubNode.name == name)
        .exists()
    ):
        return None
    i = PubsubItem
    keys = [key(name, each.id) for each in items]
    i.delete().where(i.owner == owner, i.key.in_(keys)).execute()
    for each, itskey in zip(items, keys, strict=True):
        i.insert(
            owner=owner,
            key=itskey,
            node=name,
            item=each.id,
            publisher=each.publisher,
            published=each.published,
            payload=each.payload,
        ).execute()
    return _trim(owner, name, most)


def _trim(owner: str, name: str, most: int) -> list[str]:
    i = PubsubItem
    mine = (i.owner == owner) & (i.node == name)
    past = i.select(i.id, i.item).where(mine).order_by(i.id.desc()).offset(most).limit(10_000_000)
    rows = _rows(past)
    if rows:
        i.delete().where(mine, i.id <= rows[0][0]).execute()
    return [item for _, item in rows]


def _retract(owner: str, name: str, items: Sequence[str]) -> bool:
    """All of them, or none: False, one of them is not there."""
    i = PubsubItem
    keys = {key(name, each) for each in items}
    mine = (i.owner == owner) & i.key.in_(list(keys))
    if i.select(i.id).where(mine).count() < len(keys):
        return False
    i.delete().where(mine).execute()
    return True


def _purge(owner: str, name: str) -> None:
    PubsubItem.delete().where(PubsubItem.owner == owner, PubsubItem.node == name).execute()


def _delete(owner: str, name: str) -> int:
    for table in (PubsubItem, PubsubAffiliation, PubsubSubscription):
        table.delete().where(table.owner == owner, table.node == name).execute()
    return int(PubsubNode.delete().where(PubsubNode.owner == owner, PubsubNode.name == name).execute())


def _affiliate(owner: str, name: str, affiliations: dict[str, str]) -> None:
    """``none`` removes."""
    a = PubsubAffiliation
    for jid, affiliation in affiliations.items():
        a.delete().where(a.owner == owner, a.node == name, a.jid == jid).execute()
        if affiliation != "none":
            a.insert(owner=owner, node=name, jid=jid, affiliation=affiliation).execute()


def _subscribe(owner: str, name: str, subscriptions: dict[str, Subscription | None]) -> None:
    """None removes."""
    s = PubsubSubscription
    for jid, subscription in subscriptions.items():
        s.delete().where(s.owner == owner, s.node == name, s.jid == jid).execute()
        if subscription is not None:
            state, subid = subscription
            s.insert(
                owner=owner, node=name, jid=jid, state=state, subid=subid, made=int(time.time())
            ).execute()


# -- writing: from the loop -------------------------------------------------------------------------


def create(owner: str, name: str, config: Config, limit: int, affiliations: dict[str, str]) -> str:
    """What came of it, when that is committed: made, exists, full."""
    outcome: str = xdb.save(_create, owner, name, config, limit, affiliations)
    if outcome == "made":
        node = known(owner)[name] = Node(name, config, time.time())
        node.affiliations |= affiliations
    return outcome


def configure(owner: str, name: str, config: Config, most: int) -> None:
    """Returns when committed."""
    xdb.save(_configured, owner, name, config, most)
    node = known(owner).get(name)
    if node is not None:
        node.config = config


def _configured(owner: str, name: str, config: Config, most: int) -> None:
    _configure(owner, name, config)
    _trim(owner, name, most)


def publish(owner: str, name: str, items: Sequence[Item], most: int) -> list[str] | None:
    """As `_publish`, when that is committed."""
    return xdb.save(_publish, owner, name, items, most)


def retract(owner: str, name: str, items: Sequence[str]) -> bool:
    """As `_retract`, when that is committed."""
    return xdb.save(_retract, owner, name, items)


def purge(owner: str, name: str) -> None:
    xdb.save(_purge, owner, name)


def delete(owner: str, name: str) -> bool:
    """False: there was no such node."""
    done: int = xdb.save(_delete, owner, name)
    known(owner).pop(name, None)
    return bool(done)


def affiliate(owner: str, name: str, affiliations: dict[str, str]) -> None:
    """``none`` removes. Returns when committed."""
    xdb.save(_affiliate, owner, name, affiliations)
    node = known(owner).get(name)
    if node is not None:
        for jid, affiliation in affiliations.items():
            node.affiliations.pop(jid, None)
            if affiliation != "none":
                node.affiliations[jid] = affiliation


def subscribe(owner: str, name: str, subscriptions: dict[str, Subscription | None]) -> None:
    """None removes. Returns when committed."""
    xdb.save(_subscribe, owner, name, subscriptions)
    node = known(owner).get(name)
    if node is not None:
        for jid, subscription in subscriptions.items():
            node.subscriptions.pop(jid, None)
            if subscription is not None:
                node.subscriptions[jid] = subscription
