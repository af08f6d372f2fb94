"""What service discovery shows of nodes, and of what is offered (XEP-0060 sections 5 and 10)."""

from __future__ import annotations

from collections.abc import Iterable

from ..net.turns import fairly
from ..xmpp.element import Element
from ..xmpp.ns import DISCO_INFO, DISCO_ITEMS
from ..xmpp.stamp import utc
from . import store
from .config import PREFIX
from .names import META_DATA, NS
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
    "member-affiliation",
    "meta-data",
    "modify-affiliations",
    "manage-subscriptions",
    "multi-items",
    "outcast-affiliation",
    "persistent-items",
    "publish",
    "publish-only-affiliation",
    "publish-options",
    "publisher-affiliation",
    "purge-nodes",
    "retract-items",
    "retrieve-affiliations",
    "retrieve-default",
    "retrieve-items",
    "retrieve-subscriptions",
    "rsm",
    "subscribe",
)
"""What the engine can do."""

PEP = (*BOTH, "auto-create", "auto-subscribe", "filtered-notifications", "presence-notifications")


def features(names: Iterable[str], access_models: Iterable[str]) -> tuple[str, ...]:
    access = (f"{NS}#access-{model}" for model in access_models)
    return (NS, *(f"{NS}#{name}" for name in names), *access)


def node_item(owner: str, node: Node) -> Element:
    return Element("item", DISCO_ITEMS, jid=owner, node=node.name, name=node.config.title or None)


def node_info(node: Node, access_models: Iterable[str]) -> Element:
    """Section 5.3 and 5.4: what it is, and its metadata."""
    form = node.config.form("result", META_DATA, access_models)
    form.field(PREFIX + "creation_date", "text-single", "When it was made", utc(node.created))
    return Element(
        "query",
        DISCO_INFO,
        Element("identity", DISCO_INFO, category="pubsub", type="leaf", name=node.config.title or None),
        Element("feature", DISCO_INFO, var=NS),
        form.element(),
    )


def node_items(owner: str, node: Node) -> Element:
    """Section 5.5."""
    found = fairly(store.ids(owner, node.name)) if node.config.persist_items else ()
    query = Element("query", DISCO_ITEMS, *(Element("item", DISCO_ITEMS, jid=owner, name=id) for id in found))
    query.serialise(fairly)
    return query
