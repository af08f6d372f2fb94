"""Who hears of a node: its subscribers, and those of the collections that it is in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..net.turns import fairly
from ..xmpp.jid import JID, parse
from .engine import Engine
from .notify import Headers, Readers
from .options import PLAIN, SHOWS, Subscription
from .store import Node

DEEP = 100
"""Collections that one event goes up to."""


def readers(engine: Engine, owner: str, node: Node, about: str) -> Iterator[Readers]:
    """The addresses of those who are subscribed, may read the node and want the event, each once. ``about``: items, nodes (the
    node itself), or children (a collection's, XEP-0248)."""
    above = list(_above(engine, owner, node)) if engine.collections else []
    if not above:
        yield from _direct(engine, owner, node, about)
        return
    told = set[str]()
    for headers, jids in _direct(engine, owner, node, about):
        told.update(jid.full for jid in jids)
        yield headers, jids
    through: dict[str, list[tuple[str, str]]] = {}
    for collection, depth in above:
        for each in _interested(engine, owner, node, collection, depth, about):
            if each.jid not in told:
                header = ("Collection", collection.name)
                if header not in through.setdefault(each.jid, []):
                    through[each.jid].append(header)
    alike: dict[Headers, list[JID]] = {}
    for full, why in through.items():
        alike.setdefault(tuple(why), []).append(parse(full))
    yield from alike.items()


def _direct(engine: Engine, owner: str, node: Node, about: str) -> Iterator[Readers]:
    may_read = engine.reader_test(owner, node)
    if about == "children" or node.config.presence_based_delivery:
        others: Iterable[str] = list(node.subscriptions)
    else:
        plain, others, _ = node.sort()
        if plain:
            yield (), plain if may_read is None else [jid for jid in fairly(plain) if may_read(jid.user)]
    alike: dict[Headers, list[JID]] = {}
    for user in fairly(others):
        mine = node.subscriptions.get(user, ())
        if about == "children":
            mine = tuple(each for each in mine if _covers(each, 0, about))
        if not mine or may_read is not None and not may_read(user):
            continue
        subids: dict[str, list[str]] = {}
        for each in mine:
            if _wants(engine, node, each):
                subids.setdefault(each.jid, []).append(each.subid)
        for jid, ids in subids.items():
            several = len(ids) > 1 and about == "items"
            headers = tuple(("SubID", id) for id in ids) if several else ()
            alike.setdefault(headers, []).append(parse(jid))
    yield from alike.items()


def _wants(engine: Engine, node: Node, one: Subscription) -> bool:
    """Is the event for this subscriber now?"""
    options, only_available = one.options, node.config.presence_based_delivery
    if one.state != "subscribed":
        return False
    if options is not PLAIN and (not options.deliver or one.over):
        return False
    filtered = options is not PLAIN and options.show_values != SHOWS
    if not only_available and not filtered and not options.temporary:
        return True
    shows = engine.shows(one.jid)
    if shows is None:
        return True
    return any(show in options.show_values for show in shows)


def _above(engine: Engine, owner: str, node: Node) -> Iterator[tuple[Node, int]]:
    """The collections that the node is in, and how far it is below them, the nearest first; each once."""
    nodes = engine.nodes(owner)
    if not (node.config.collection or nodes.root.subscriptions):
        return
    seen, level, depth = {node.name}, [node], 0
    while level and len(seen) < DEEP:
        depth += 1
        parents = list[Node]()
        for each in level:
            if each is nodes.root:
                continue
            for name in each.config.collection or ("",):
                parent = nodes.find(name)
                if parent is not None and name not in seen:
                    seen.add(name)
                    parents.append(parent)
                    yield parent, depth
        level = parents


def _interested(
    engine: Engine, owner: str, node: Node, collection: Node, depth: int, about: str
) -> Iterable[Subscription]:
    """Subscriptions to the collection that are for an event of the node. Who may not read the node itself gets nothing of it,
    whatever the collection's access model is."""
    may_read = engine.reader_test(owner, collection), engine.reader_test(owner, node)
    for user, mine in fairly(list(collection.subscriptions.items())):
        wanted = [each for each in mine if _covers(each, depth, about) and _wants(engine, node, each)]
        if wanted and all(test is None or test(user) for test in may_read):
            yield from wanted


def _covers(one: Subscription, depth: int, about: str) -> bool:
    """Is a subscription to a collection for events of nodes that are so far below it?"""
    if about == "children":
        about, depth = "nodes", depth + 1
    deep = one.options.subscription_depth
    return one.options.subscription_type in (about, "all") and (deep is None or depth <= deep)
