"""Privacy lists as values (XEP-0016): items, lists, and whether a list denies a stanza. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ..xdb import spoilt
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse

NS = "jabber:iq:privacy"
KINDS = ("message", "iq", "presence-in", "presence-out")
SUBSCRIPTIONS = ("both", "to", "from", "none")
LARGEST = 2**32 - 1
NAME_LENGTH = 256
"""Characters of a list's or a group's name."""

NONE: frozenset[str] = frozenset()
ENTRY = 200
"""The weight in the cache of an account or of a list without its items."""

Contact = Callable[[], Any]
"""Returns the roster item of the address that is judged (``.state``, ``.groups``), or None."""


class Item(NamedTuple):
    """One rule. If ``type`` is None, it matches everybody. If ``kinds`` is empty, it matches all stanzas, in and out."""

    order: int
    deny: bool
    type: str | None = None
    value: str | None = None
    kinds: frozenset[str] = NONE

    @property
    def blocks(self) -> bool:
        """Is it an item of the block list (XEP-0191 section 5)?"""
        return self.deny and self.type == "jid" and not self.kinds

    def element(self) -> Element:
        kinds = (Element(kind, NS) for kind in KINDS if kind in self.kinds)
        action = "deny" if self.deny else "allow"
        return Element("item", NS, *kinds, type=self.type, value=self.value, action=action, order=self.order)


class List:
    """One list, prepared for `denies`. Its items for plain addresses are in a dict: many cost no more than one."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.items = tuple(sorted(items, key=lambda item: item.order))
        self._by_jid: dict[str, Item] = {}
        self._others = []
        for item in self.items:
            if item.type == "jid" and not item.kinds and item.value is not None:
                self._by_jid.setdefault(item.value, item)
            else:
                self._others.append(item)

    def denies(self, jid: JID, kind: str, contact: Contact) -> bool:
        """Does the list deny a stanza from or to ``jid``? ``kind``: one of `KINDS`; any other word matches only rules for all
        stanzas."""
        names = [str(jid), jid.user, jid.domain]
        if jid.resource is not None:
            names.append(f"{jid.domain}/{jid.resource}")
        hits = [self._by_jid[name] for name in names if name in self._by_jid]
        first = min(hits, key=lambda item: item.order) if hits else None
        for item in self._others:
            if first is not None and first.order < item.order:
                break
            if (not item.kinds or kind in item.kinds) and _matches(item, names, contact):
                return item.deny
        return first is not None and first.deny

    @property
    def blocked(self) -> list[str]:
        return [item.value for item in self.items if item.blocks and item.value is not None]


def _matches(item: Item, names: list[str], contact: Contact) -> bool:
    if item.type is None:
        return True
    if item.type == "jid":
        return item.value in names
    entry = contact()
    if item.type == "group":
        return entry is not None and item.value in entry.groups
    return item.value == ("none" if entry is None else entry.state.subscription)


class Kept:
    """A list as it is stored. It is compiled when it is needed for the first time. ``text``: JSON, an array [order, deny, type,
    value, [kind, ...]] for each item."""

    __slots__ = ("text", "_list")

    def __init__(self, text: str, compiled: List | None = None) -> None:
        self.text, self._list = text, compiled

    @classmethod
    def of(cls, items: Iterable[Item]) -> Kept:
        made = List(items)
        return cls(json.dumps([[*item[:4], sorted(item.kinds)] for item in made.items]), made)

    @property
    def list(self) -> List:
        if self._list is None:
            try:
                self._list = List(
                    Item(order, deny, type, value, frozenset(kinds) if kinds else NONE)
                    for order, deny, type, value, kinds in json.loads(self.text)
                )
            except (ValueError, TypeError) as error:  # its owner can make it anew
                spoilt("privacy_list", self.text, error)
                self._list = List(())
        return self._list


class Lists:
    """All lists of an account, by name, and the name of the default one. Nobody changes the object."""

    def __init__(self, lists: dict[str, Kept], default: str | None = None) -> None:
        self.lists, self.default = lists, default

    @property
    def weight(self) -> int:
        """The weight in the cache: roughly the characters in memory."""
        return ENTRY + sum(ENTRY + len(kept.text) for kept in self.lists.values())

    def get(self, name: str | None) -> List | None:
        kept = None if name is None else self.lists.get(name)
        return None if kept is None else kept.list

    @property
    def blocked(self) -> list[str]:
        """The block list of XEP-0191."""
        default = self.get(self.default)
        return default.blocked if default else []

    def having(self, name: str, items: Iterable[Item]) -> Lists:
        """A copy with that list added or replaced. Without ``items`` the list is removed."""
        kept, items = {key: each for key, each in self.lists.items() if key != name}, list(items)
        if items:
            kept[name] = Kept.of(items)
        return Lists(kept, self.default if self.default in kept else None)

    def blocking(self, jids: Iterable[str]) -> Lists:
        """A copy in which exactly these addresses are blocked. Their items come before all other items of the default list."""
        name, default = self.default, self.get(self.default)
        if name is None or default is None:
            name, number = "blocklist", 1
            while name in self.lists:
                number += 1
                name = f"blocklist-{number}"
        rest = [item for item in default.items if not item.blocks] if default else []
        blocks = [Item(0, True, "jid", jid) for jid in jids]
        items = [item._replace(order=order) for order, item in enumerate([*blocks, *rest], 1)]
        made = self.having(name, items)
        return Lists(made.lists, name if items else None)


def read_items(elements: Iterable[Element], most: int) -> list[Item]:
    """The items of a <list/>. Raises StanzaError."""
    items: list[Item] = []
    for element in elements:
        if len(items) == most:
            raise StanzaError("not-acceptable", f"a list has at most {most} items")
        items.append(_item(element))
    if len({item.order for item in items}) < len(items):
        raise StanzaError("bad-request", "two items have the same order")
    return items


def _item(element: Element) -> Item:
    attrs = element.attrs
    type, value, order = attrs.get("type"), attrs.get("value"), attrs.get("order", "").strip()
    kinds = frozenset(child.name for child in element.elements())
    good = element.name == "item" and attrs.get("action") in ("allow", "deny") and kinds <= set(KINDS)
    if not good or not (order.isascii() and order.isdigit() and len(order) <= 10 and int(order) <= LARGEST):
        raise StanzaError("bad-request")
    if type == "jid":
        try:
            value = str(parse(value or ""))
        except ValueError as error:
            raise StanzaError("bad-request", str(error)) from None
    elif type == "subscription":
        if value not in SUBSCRIPTIONS:
            raise StanzaError("bad-request", "no such subscription")
    elif type == "group":
        if not value or len(value) > NAME_LENGTH:
            raise StanzaError("bad-request", "no such group")
    elif type is not None:
        raise StanzaError("bad-request", "no such type of item")
    if kinds == set(KINDS):
        kinds = frozenset()
    return Item(int(order), attrs["action"] == "deny", type, None if type is None else value, kinds or NONE)


def read(element: Element) -> Lists:
    """Reads a <query/> with all lists and <default/>. Raises StanzaError."""
    lists = {
        each.attrs.get("name", ""): Kept.of(_item(item) for item in each.elements())
        for each in element.all("list")
    }
    if not all(0 < len(name) <= NAME_LENGTH for name in lists):
        raise StanzaError("bad-request", "a list has no name, or a very long one")
    default = element.child("default")
    return Lists(lists, None if default is None else default.attrs.get("name"))
