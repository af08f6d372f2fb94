"""What service discovery shows of nodes, and of what is offered (XEP-0060 sections 5 and 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..net.turns import fairly
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.ns import DISCO_INFO, DISCO_ITEMS
from ..xmpp.stamp import utc
from .fields import PREFIX
from .listing import items_of
from .names import FILTER, META_DATA, NS, ORDER
from .owners import Owners
from .pages import page
from .store import Node

BOTH = (
    "config-node",
    "config-node-max",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "instant-nodes",
    "item-ids",
    "last-published",
    "leased-subscription",
    "manage-subscriptions",
    "member-affiliation",
    "meta-data",
    "modify-affiliations",
    "multi-items",
    "multi-subscribe",
    "outcast-affiliation",
    "persistent-items",
    "presence-notifications",
    "publish",
    "publish-node-full",
    "publish-only-affiliation",
    "publish-options",
    "publisher-affiliation",
    "purge-nodes",
    "retract-items",
    "retrieve-affiliations",
    "retrieve-default",
    "retrieve-default-sub",
    "retrieve-items",
    "retrieve-subscriptions",
    "rsm",
    "subscribe",
    "subscription-notifications",
    "subscription-options",
)
"""What the engine can do."""

PEP = (*BOTH, "auto-create", "auto-subscribe", "filtered-notifications")
SERVICE = (*BOTH, "collections", "get-pending", "multi-collection", "multi-collections")
"""XEP-0248 calls one of them by two names."""
MORE = (ORDER, f"{ORDER}@{NS}")
PUBLISHERS = 50
"""Of a node with more of them, so many are shown: it tells who asks whom he may ask."""
LOOKED_AT = 100
"""Nodes that a request goes through at the price of one stanza."""


def features(names: Iterable[str], access_models: Iterable[str]) -> tuple[str, ...]:
    access = (f"{NS}#access-{model}" for model in access_models)
    return (NS, *(f"{NS}#{name}" for name in names), *access, *MORE)


def node_item(owner: str, node: Node) -> Element:
    return Element("item", DISCO_ITEMS, jid=owner, node=node.name, name=node.config.title or None)


def node_info(engine: Owners, owner: str, node: Node) -> Element:
    """Sections 5.3 and 5.4: what it is, and its metadata: what the configuration says to everybody, and what is known beside
    it."""
    config = node.config
    form = engine.public_form(owner, config, META_DATA)
    publishers = [jid for jid, each in node.affiliations.items() if each in ("publisher", "publish-only")]
    readers = sum(any(one.state == "subscribed" for one in mine) for mine in node.subscriptions.values())
    form.field(PREFIX + "creation_date", "text-single", "When it was made", utc(node.created))
    form.field(PREFIX + "creator", "jid-single", "Who made it", node.creator or owner)
    form.field(PREFIX + "owner", "jid-multi", "Who owns it", node.owners or [owner])
    form.field(PREFIX + "publisher", "jid-multi", "Who publishes here", publishers[:PUBLISHERS])
    form.field(PREFIX + "num_subscribers", "text-single", "How many are subscribed", str(readers))
    return _described(node, config.title).append(form.element())


def closed_info(node: Node) -> Element:
    """Section 5.3, for somebody who may not read the node: only what it is. Clients ask before they subscribe. The answer to
    their subscription tells what is missing (section 6.1.3)."""
    return _described(node, "")


def _described(node: Node, name: str) -> Element:
    identity = Element(
        "identity", DISCO_INFO, category="pubsub", type=node.config.node_type, name=name or None
    )
    return Element("query", DISCO_INFO, identity, Element("feature", DISCO_INFO, var=NS))


def node_items(engine: Owners, owner: str, node: Node, request: Element) -> Element:
    """Section 5.5: a leaf's items, or a collection's nodes that the asker may see (XEP-0248 section 4.2)."""
    if node.config.is_collection:
        return nodes_in(engine, owner, node, request, lambda node: True)
    return items_of(engine, owner, node, request)


def nodes_in(
    engine: Owners, owner: str, parent: Node, request: Element, wanted: Callable[[Node], bool]
) -> Element:
    """The nodes in a collection, in the order in which they came."""
    nodes = engine.nodes(owner)
    if parent is nodes.root:
        found = [node for node in list(nodes.values()) if not node.config.collection]
    else:
        found = [nodes[name] for name in list(nodes.children.get(parent.name, ())) if name in nodes]
    return nodes_of(engine, owner, request, [node for node in fairly(found) if wanted(node)])


def nodes_of(
    engine: Owners, owner: str, request: Element, nodes: list[Node], before: Iterable[Element] = ()
) -> Element:
    """Those of the nodes that the asker may see, in pages (XEP-0059). ``before``: <item/>s that stand in front of them. Raises
    StanzaError."""
    asker = request.from_
    assert asker is not None
    engine.charge(request, len(nodes) // LOOKED_AT)
    rows: dict[str, Element | Node] = {each.attrs["jid"]: each for each in before}
    rows.update((node.name, node) for node in fairly(nodes) if engine.reads(owner, node, asker))

    def row(id: str) -> Element:
        found = rows[id]
        return node_item(owner, found) if isinstance(found, Node) else found

    items, more = page(engine, request, list(rows), row)
    query = Element("query", DISCO_ITEMS, *items)
    if more is not None:
        query.append(more)
    query.serialise(fairly)
    return query


def wanted(query: Element | None) -> Callable[[Node], bool]:
    """XEP-0462: which nodes somebody asks for, by their types. Raises StanzaError (bad-request)."""
    asked = query.child("filter", FILTER) if query is not None else None
    if asked is None:
        return lambda node: True
    form = asked.child("x", forms.NS)
    try:
        values = forms.read(form, FILTER) if form is not None else {}
    except ValueError as error:
        raise StanzaError("bad-request", str(error)) from None
    known = [var for var in ("included-types", "excluded-types") if var in values]
    if len(known) != 1:
        raise StanzaError("bad-request", "included-types, or excluded-types")
    types, included = frozenset(values[known[0]]), known[0] == "included-types"
    return lambda node: (node.config.type in types) is included
