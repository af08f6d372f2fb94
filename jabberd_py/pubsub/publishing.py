"""Publishing.

To publish means to write one row, without a query, in one statement with those of others. So a node may hold a few more items
than its configuration says: its *surplus*. Every so often the oldest go (`trim`), and always before somebody reads (`settle`).
Only nodes that refuse what is too many, or tell of what goes, are counted at each publish (`_publish_exactly`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peewee import fn

from ..xdb import Ticket, xdb
from ..xdb.numbers import FUTURE, above, next_id
from ..xdb.writer import Insert
from .counting import count
from .node import Node
from .store import Item, key, past, trim, trimmed
from .tables import PubsubItem

COLUMNS = ("id", "owner", "key", "node", "item", "publisher", "published", "born", "payload")
KEY, KEPT = ("owner", "key"), ("born",)
"""An item that is published again takes the place of the older one, and keeps this."""
SURPLUS = 20
"""A node is trimmed when so many items were published since the last time, or a tenth of what it keeps, if that is more."""


class Full(Exception):
    """The node takes no more items."""


class Gone(Exception):
    """The node is being deleted."""


def begin() -> None:
    """To be called when the store was opened: new items come behind all that there are."""
    above(PubsubItem.select(fn.MAX(PubsubItem.id)).where(PubsubItem.id < FUTURE).scalar())


def publish(owner: str, node: Node, items: Sequence[Item], most: int) -> list[str]:
    """Returns when the items are committed: the ids of those that went for them, if the node tells of such. ``most``: how many
    it keeps. Raises Full, Gone, StoreError."""
    if node.gone:
        raise Gone
    name, full = node.name, node.config.publish_node_full
    rows = [_row(next_id(), owner, name, item) for item in items]
    if full != "discard-oldest":
        dropped: list[str] = xdb.save(_publish_exactly, owner, name, rows, most, full == "reject")
        return dropped
    node.surplus = (node.surplus or 0) + len(items)
    ticket = xdb.rows(PubsubItem, rows, COLUMNS, KEY, KEPT, sum([len(item.payload) for item in items]))
    if node.surplus >= max(SURPLUS, most // 10):
        _let_trim(owner, node, most)
    xdb.release()
    ticket.wait()
    return []


def _row(number: int, owner: str, node: str, item: Item) -> tuple[Any, ...]:
    id, publisher, published, payload = item
    return number, owner, key(node, id), node, id, publisher, published, number, payload


def _let_trim(owner: str, node: Node, most: int) -> None:
    """Does not wait until the writer has done it."""
    ticket = node.trimming = xdb.write(trim, owner, node.name, most)
    node.surplus = 0

    def failed(ticket: Ticket) -> None:
        if ticket.error is not None:
            node.surplus = None

    ticket.then(failed)


def settle(owner: str, node: Node, most: int) -> None:
    """To be called before items are read. ``most``: how many the node keeps. Raises StoreError."""
    for _ in range(3):  # who publishes all the time cannot keep a reader waiting
        if node.trimming is not None and not node.trimming.done:
            xdb.release()
            node.trimming.wait()
        surplus = node.surplus
        if surplus == 0:
            break
        if past(owner, node.name, most):
            _let_trim(owner, node, most)
        elif xdb.newest is None and node.surplus == surplus:
            node.surplus = 0
        else:
            break


def _publish_exactly(
    owner: str, name: str, rows: Sequence[tuple[Any, ...]], most: int, reject: bool
) -> list[str]:
    """Stores the rows (of `COLUMNS`), and drops the oldest past ``most``; returns the ids of the dropped. Raises Full if it
    shall rather ``reject``."""
    i = PubsubItem
    same = (i.owner == owner) & i.key.in_([row[COLUMNS.index("key")] for row in rows])
    if reject and count(owner, name) + len(rows) - i.select(i.id).where(same).count() > most:
        raise Full
    Insert(i._meta.database, i, COLUMNS, KEY, KEPT).run(i._meta.database, rows)
    return trimmed(owner, name, most)
