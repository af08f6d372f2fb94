"""The configuration of a node (XEP-0060 section 8.2, XEP-0248 section 7.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .fields import (
    ADDRESSES,
    BOOLEAN,
    NUMBER_OR_MAX,
    PARENTS,
    PREFIX,
    TEXT,
    TEXTS,
    Fields,
    one_of,
    option,
)

__all__ = ["ACCESS_MODELS", "PREFIX", "Config"]

ACCESS_MODELS = ("open", "presence", "roster", "whitelist", "authorize")
OF_COLLECTIONS = (
    "children",
    "children_association_policy",
    "children_association_whitelist",
    "children_max",
)
OF_LEAVES = (
    "publish_model",
    "persist_items",
    "max_items",
    "publish_node_full",
    "item_expire",
    "max_payload_size",
    "deliver_payloads",
    "notify_retract",
    "itemreply",
    "send_last_published_item",
)


LANGUAGES = (
    "ar bg bn ca cs da de el en es et eu fa fi fr ga he hi hr hu id it ja ko lt lv ms nl no pl pt ro ru sk sl sr sv"
    " sw ta th tr uk ur vi zh"
)
LANGUAGE = TEXT._replace(type="list-single", choices=tuple(LANGUAGES.split()))
"""A form offers some; any other is taken as well."""
GROUPS = TEXTS._replace(type="list-multi")
"""A form offers those of the roster of who asks for it; any other is taken as well."""


@dataclass(frozen=True)
class Config(Fields):
    """How a node behaves. ``max_items`` None: as many as the server allows; ``item_expire`` None: they stay. ``collection`` are
    the node's parents; ``children`` is what a form says of it, the store has only the parents."""

    never: ClassVar[tuple[str, ...]] = ("tempsub", "purge_offline", "body_xslt", "dataform_xslt")

    title: str = option(TEXT, "", "A short name for the node")
    description: str = option(TEXT, "", "What the node is about")
    type: str = option(TEXT, "", "The type of node data, usually a namespace")
    language: str = option(LANGUAGE, "", "The default language of the node")
    contact: tuple[str, ...] = option(ADDRESSES, (), "Whom to ask about the node")
    node_type: str = option(one_of("leaf", "collection"), "leaf", "Whether the node contains items or nodes")
    collection: tuple[str, ...] = option(PARENTS, (), "The collections of which this node is a child")
    children: tuple[str, ...] = option(TEXTS, (), "The nodes of which this node is a parent")
    children_association_policy: str = option(
        one_of("all", "owners", "whitelist"), "owners", "Who may associate nodes with this collection"
    )
    children_association_whitelist: tuple[str, ...] = option(
        ADDRESSES, (), "Who may associate nodes with this collection, if there is a whitelist"
    )
    children_max: int | None = option(
        NUMBER_OR_MAX, None, "How many children it may have: a number, or 'max'"
    )
    access_model: str = option(one_of(*ACCESS_MODELS), "open", "Who may subscribe and retrieve items")
    roster_groups_allowed: tuple[str, ...] = option(GROUPS, (), "Roster groups that may subscribe")
    subscribe: bool = option(BOOLEAN, True, "Whether to allow subscriptions")
    publish_model: str = option(one_of("publishers", "subscribers", "open"), "publishers", "Who may publish")
    persist_items: bool = option(BOOLEAN, True, "Whether to keep items")
    max_items: int | None = option(NUMBER_OR_MAX, None, "How many items to keep: a number, or 'max'")
    publish_node_full: str = option(
        one_of("retract-oldest", "discard-oldest", "reject"),
        "discard-oldest",
        "What happens when something is published and the node is full",
    )
    item_expire: int | None = option(NUMBER_OR_MAX, None, "Seconds after which items go, or 'max'")
    max_payload_size: int | None = option(NUMBER_OR_MAX, None, "The largest payload, in bytes, or 'max'")
    deliver_notifications: bool = option(BOOLEAN, True, "Whether to notify subscribers")
    deliver_payloads: bool = option(BOOLEAN, True, "Whether notifications have the payload in them")
    presence_based_delivery: bool = option(BOOLEAN, False, "Whether to notify only those who are available")
    notify_config: bool = option(BOOLEAN, False, "Whether to notify of a new configuration")
    notify_delete: bool = option(BOOLEAN, True, "Whether to notify of the node's deletion")
    notify_retract: bool = option(BOOLEAN, True, "Whether to notify of items that are removed")
    notify_sub: bool = option(BOOLEAN, False, "Whether to notify owners of new and former subscribers")
    notification_type: str = option(one_of("normal", "headline"), "headline", "The type of notifications")
    itemreply: str = option(
        one_of("owner", "publisher", "none"), "none", "Whom items name as their publisher"
    )
    send_last_published_item: str = option(
        one_of("never", "on_sub", "on_sub_and_presence"), "never", "When to send the last published item"
    )

    @property
    def is_collection(self) -> bool:
        return self.node_type == "collection"

    @property
    def keeps(self) -> bool:
        """Does the node keep items?"""
        return self.persist_items and self.max_items != 0
