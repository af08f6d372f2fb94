"""Reading and writing nodes and items.

Nodes, with their affiliations and subscriptions (`people`), are read once for an owner and stay in memory (`nodes_of`). Items
stay in the database. Functions with an underscore run in the writer.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from ..net.turns import fairly, share
from ..xdb import cached, spoilt, xdb
from ..xmpp.element import Element
from ..xmpp.large import grown
from .config import Config
from .node import Node, Nodes
from .options import Subscription, stored
from .tables import PubsubAffiliation, PubsubItem, PubsubNode, PubsubSubscription

IDS = 100
"""Items that are looked up by their ids at a time."""
HEAVY = 100
"""Characters of a configuration that weigh as much in the cache as one subscription."""


class Item(NamedTuple):
    id: str
    publisher: str
    published: float
    payload: str


def config_text(config: Config) -> str:
    """As it is stored."""
    return json.dumps(config.differences())


@lru_cache(1000)
def config_of(text: str) -> Config:
    """What is stored that way. Nodes that are alike share it, since a configuration takes a kilobyte."""
    return Config.stored(json.loads(text))


def key(node: str, item: str) -> str:
    return hashlib.sha256(f"{node}\0{item}".encode()).hexdigest()


def intact(owner: str, table: str, text: str | None) -> Element | None:
    """The element that is stored in that table; None if there is none, or it is damaged. Blocks if it is long."""
    try:
        return grown(text, fairly) if text else None
    except ValueError as error:
        spoilt(table, owner, error)
        return None


# -- reading ---------------------------------------------------------------------------------


@xdb.prepared(str)
def _nodes(owner: str) -> Any:
    n = PubsubNode
    return n.select(n.name, n.config, n.created, n.creator).where(n.owner == owner).order_by(n.id)


@xdb.prepared(str)
def _affiliations(owner: str) -> Any:
    a = PubsubAffiliation
    return a.select(a.node, a.jid, a.affiliation).where(a.owner == owner).order_by(a.id)


@xdb.prepared(str)
def _subscriptions(owner: str) -> Any:
    s = PubsubSubscription
    return s.select(s.node, s.bare, s.jid, s.subid, s.state, s.options).where(s.owner == owner).order_by(s.id)


@cached(size=500_000, weigh=attrgetter("weight"))
def nodes_of(owner: str) -> Nodes:
    """Shared by all readers. Whoever has committed a change makes it here too (`known`). Those of a service stay, and weigh
    nothing."""
    nodes, configs = Nodes(owner), 0
    for name, config, created, creator in _nodes(owner):
        nodes.add(Node(name, config_of(config), created, creator))
        configs += len(config) // HEAVY
    if nodes or "@" not in owner:  # a service's root has subscribers, even if there is nothing in it
        for name, jid, affiliation in _affiliations(owner):
            if name in nodes:
                nodes.affiliate(nodes[name], jid, affiliation)
        for name, user, jid, subid, state, options in _subscriptions(owner):
            node = nodes.find(name)
            if node is not None:
                one = Subscription(jid, subid, state, stored({} if options == "{}" else json.loads(options)))
                nodes.put(node, user, (*node.subscriptions.get(user, ()), one))
    if "@" in owner:
        nodes.weight = 1 + configs + 4 * len(nodes) + nodes.people[""]
    return nodes


def known(owner: str) -> Nodes:
    """The nodes in memory, after a commit: the caller changes them as it changed the store. If they are not in memory, they
    are not read before somebody asks."""
    nodes = nodes_of.get(owner)
    if nodes is None:
        nodes_of.forget(owner)  # somebody may be reading what was there before the commit
        return Nodes(owner)
    return nodes


@xdb.prepared(str, str, int)
def _newest(owner: str, node: str, count: int) -> Any:
    i = PubsubItem
    mine = (i.owner == owner) & (i.node == node)
    return (
        i.select(i.item, i.publisher, i.published, i.payload).where(mine).order_by(i.id.desc()).limit(count)
    )


@xdb.prepared(str, str, int)
def past(owner: str, node: str, most: int) -> Any:
    """The number of the newest item that is too many, if one is."""
    i = PubsubItem
    mine = (i.owner == owner) & (i.node == node)
    return i.select(i.id).where(mine).order_by(i.id.desc()).offset(most).limit(1)


def newest(owner: str, node: str, count: int) -> list[Item]:
    """The items that were published last, the newest first."""
    return [Item(*row) for row in _newest(owner, node, count)]


def rows_of(query: Any) -> list[tuple[Any, ...]]:
    return list(query.tuples())


def _items() -> Any:
    i = PubsubItem
    return i.select(i.item, i.publisher, i.published, i.payload)


def some(owner: str, node: str, ids: Sequence[str]) -> list[Item]:
    """Those of the named items that there are, in the order of the names."""
    i = PubsubItem
    keys = [key(node, each) for each in ids]
    query = _items().where(i.owner == owner, i.key.in_(keys))
    found = {row[0]: Item(*row) for row in rows_of(query)}
    return [found[each] for each in dict.fromkeys(ids) if each in found]


def publishers(owner: str, node: str, ids: Sequence[str]) -> dict[str, str]:
    """Who published those of the named items that there are, by their ids. Others have their turns meanwhile."""
    i, found, began = PubsubItem, dict[str, str](), 0.0
    for begin in range(0, len(ids), IDS):
        began = share(began)
        keys = [key(node, each) for each in ids[begin : begin + IDS]]
        found.update(rows_of(i.select(i.item, i.publisher).where(i.owner == owner, i.key.in_(keys))))
    return {each: found[each] for each in ids if each in found}


def _living(owner: str, node: str, since: float) -> Any:
    """Condition: items of the node that were published after that Unix time."""
    mine = (PubsubItem.owner == owner) & (PubsubItem.node == node)
    return mine & (PubsubItem.published > since) if since else mine


def number_of(owner: str, node: str, item: str, order: str = "id") -> int | None:
    """Where an item stands in that order, None: there is none. ``order``: id (by the last publication) or born (by the
    first)."""
    i = PubsubItem
    return i.select(getattr(i, order)).where(i.owner == owner, i.key == key(node, item)).scalar()


class Cut(NamedTuple):
    """Which items are asked for: those that stand behind ``after``, or before ``before``, in that order; both None: all.
    ``since``: published after that Unix time."""

    after: int | None = None
    before: int | None = None
    order: str = "id"
    since: float = 0.0

    def where(self, owner: str, node: str) -> Any:
        column, mine = getattr(PubsubItem, self.order), _living(owner, node, self.since)
        if self.after is not None:
            return mine & (column > self.after)
        return mine if self.before is None else mine & (column < self.before)


def page(owner: str, node: str, count: int, cut: Cut, newest: bool) -> list[tuple[int, Item]]:
    """At most ``count`` items, in order: the first of the cut, or the last (``newest``), which come in the opposite order. With
    each comes the number where it stands."""
    i, column = PubsubItem, getattr(PubsubItem, cut.order)
    query = i.select(column, i.item, i.publisher, i.published, i.payload).where(cut.where(owner, node))
    rows = rows_of(query.order_by(column.desc() if newest else column).limit(count))
    return [(number, Item(*row)) for number, *row in rows]


def names(owner: str, node: str, count: int, cut: Cut, newest: bool) -> list[tuple[int, str]]:
    """As `page`, but only the ids."""
    i, column = PubsubItem, getattr(PubsubItem, cut.order)
    query = i.select(column, i.item).where(cut.where(owner, node))
    return rows_of(query.order_by(column.desc() if newest else column).limit(count))


# -- writing: in the writer ------------------------------------------------------------------------


def there(owner: str, name: str) -> bool:
    """Is there such a node? In the writer, where nothing comes in between."""
    n = PubsubNode
    return bool(n.select(n.id).where(n.owner == owner, n.name == name).exists())


def _create(
    owner: str, name: str, config: Config, limits: tuple[int, int], creator: str, affiliations: dict[str, str]
) -> str:
    """What came of it: made, exists, full."""
    mine = PubsubNode.owner == owner
    if there(owner, name):
        return "exists"
    theirs = mine & (PubsubNode.creator == creator)
    for limit, which in zip(limits, (mine, theirs), strict=True):
        if PubsubNode.select(PubsubNode.id).where(which).count() >= limit:
            return "full"
    older = (PubsubItem.owner == owner) & (PubsubItem.node == name)
    PubsubItem.delete().where(older).execute()
    text = config_text(config)
    PubsubNode.insert(
        owner=owner, name=name, config=text, created=time.time(), creator=creator, expire=config.item_expire
    ).execute()
    for jid, affiliation in affiliations.items():
        PubsubAffiliation.insert(owner=owner, node=name, jid=jid, affiliation=affiliation).execute()
    return "made"


@xdb.prepared(str, str, int)
def _up_to(owner: str, node: str, number: int) -> Any:
    """The ids of the items up to that number."""
    i = PubsubItem
    return i.select(i.item).where(_old(owner, node, number)).order_by(i.id.desc())


@xdb.prepared(str, str, int)
def _drop(owner: str, node: str, number: int) -> Any:
    return PubsubItem.delete().where(_old(owner, node, number))


def _old(owner: str, node: str, number: int) -> Any:
    """Condition: items of the node up to that number."""
    return (PubsubItem.owner == owner) & (PubsubItem.node == node) & (PubsubItem.id <= number)


def trim(owner: str, name: str, most: int) -> None:
    """Drops the oldest items past ``most``."""
    found = past(owner, name, most)
    if found:
        _drop(owner, name, found[0][0])


def trimmed(owner: str, name: str, most: int) -> list[str]:
    """Trims the node; returns the ids of what was dropped."""
    found = past(owner, name, most)
    if not found:
        return []
    number = found[0][0]
    ids = [id for (id,) in _up_to(owner, name, number)]
    _drop(owner, name, number)
    return ids


def _retract(owner: str, name: str, items: Sequence[str], all_: bool) -> list[str]:
    """The ids of those that went. ``all_``: if one of them is not there, none goes."""
    i = PubsubItem
    keys = {key(name, each) for each in items}
    mine = (i.owner == owner) & i.key.in_(list(keys))
    found = {id for (id,) in rows_of(i.select(i.item).where(mine))}
    if all_ and len(found) < len(keys):
        return []
    i.delete().where(mine).execute()
    return [each for each in dict.fromkeys(items) if each in found]


def _delete(owner: str, name: str) -> int:
    for table in (PubsubItem, PubsubAffiliation, PubsubSubscription):
        table.delete().where(table.owner == owner, table.node == name).execute()
    return int(PubsubNode.delete().where(PubsubNode.owner == owner, PubsubNode.name == name).execute())


# -- writing: from the loop -------------------------------------------------------------------------


def create(
    owner: str, name: str, config: Config, limits: tuple[int, int], creator: str, affiliations: dict[str, str]
) -> str:
    """What came of it, when that is committed: made, exists, full. ``limits``: how many nodes there may be in all, and of this
    creator."""
    outcome: str = xdb.save(_create, owner, name, config, limits, creator, affiliations)
    if outcome == "made":
        node = Node(name, config, time.time(), creator)
        node.surplus = 0
        nodes = known(owner)
        nodes.add(node)
        for jid, affiliation in affiliations.items():
            nodes.affiliate(node, jid, affiliation)
    return outcome


def clear(owner: str, name: str, most: int) -> None:
    """Removes the items past ``most``, which the node is about to keep. Returns when they are gone; others write in
    between."""
    found = past(owner, name, most)
    if found:
        xdb.clear(PubsubItem, _old(owner, name, found[0][0]))


def retract(owner: str, name: str, items: Sequence[str], all_: bool = True) -> list[str]:
    """As `_retract`, when that is committed."""
    gone: list[str] = xdb.save(_retract, owner, name, items, all_)
    _uncount(owner, name)
    return gone


def _uncount(owner: str, name: str) -> None:
    """Nobody knows any more how many items the node has."""
    node = known(owner).get(name)
    if node is not None:
        node.counted = None


def purge(owner: str, name: str) -> None:
    """Removes the items that are there now. Returns when the last one is gone; others write in between."""
    clear(owner, name, 0)
    _uncount(owner, name)


def delete(owner: str, node: Node) -> bool:
    """False: there was no such node. What is long goes first, a piece at a time; the node itself goes last."""
    if node.gone:
        return False
    node.gone = True
    try:
        for table in (PubsubItem, PubsubSubscription):
            xdb.clear(table, (table.owner == owner) & (table.node == node.name))
        done: int = xdb.save(_delete, owner, node.name)
    except BaseException:
        node.gone = False
        nodes_of.forget(owner)  # subscriptions may be gone already
        raise
    known(owner).remove(node.name)
    return bool(done)


def expired(owner: str, name: str, until: float) -> bool:
    """Removes the items that were published before that Unix time. True, when committed: there were some."""
    i = PubsubItem
    old = (i.owner == owner) & (i.node == name) & (i.published <= until)
    if not i.select(i.id).where(old).exists():  # nearly always; the writer need not look
        return False
    return xdb.clear(i, old) > 0
