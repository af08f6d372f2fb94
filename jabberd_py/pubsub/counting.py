"""How many items nodes have, and how large these are."""

from __future__ import annotations

import time

from peewee import fn

from ..net.turns import share
from .node import Counted, Node
from .store import Cut, rows_of
from .tables import PubsubItem, PubsubNode

PIECE = 2000
"""Items that are counted at a time."""
LARGE, FRESH = 1000, 10.0
"""How many items a node with more than so many has is found out again after so many seconds, not at each page."""


def count(owner: str, node: str, cut: Cut = Cut()) -> int:  # noqa: B008
    """How many items there are in the cut."""
    return PubsubItem.select(PubsubItem.id).where(cut.where(owner, node)).count()


def counts(owner: str) -> dict[str, int]:
    """How many items there are, by node."""
    i = PubsubItem
    query = i.select(i.node, fn.COUNT(i.id)).where(i.owner == owner).group_by(i.node)
    return dict(rows_of(query))


def sizes(owner: str, node: str, after: int, count: int) -> list[tuple[int, int]]:
    """(number, characters of the payload) of at most so many items behind that number, in order."""
    i = PubsubItem
    mine = (i.owner == owner) & (i.node == node) & (i.id > after)
    length = fn.LENGTH(i.payload, coerce=False)  # else peewee makes text of it, as the payload is
    return rows_of(i.select(i.id, length).where(mine).order_by(i.id).limit(count))


def expiring() -> list[tuple[str, str, int]]:
    """(owner, node, seconds) of all nodes whose items expire."""
    n = PubsubNode
    return rows_of(n.select(n.owner, n.name, n.expire).where(n.expire.is_null(False)))


def total(owner: str, node: Node, since: float) -> int:
    """How many items the node has that were published after that Unix time; of a large node, how many there were not long ago.
    Others have their turns meanwhile."""
    counted, now = node.counted, time.monotonic()
    if counted is not None and counted.number > LARGE and now - counted.at < FRESH:
        return counted.number
    i, number, last, began = PubsubItem, 0, 0, 0.0
    while True:
        began = share(began)
        where = Cut(after=last, since=since).where(owner, node.name)
        end = i.select(i.id).where(where).order_by(i.id).offset(PIECE - 1).limit(1).scalar()
        if end is None:
            break
        number, last = number + PIECE, end
    number += i.select(i.id).where(where).count()
    node.counted = Counted(number, now)
    return number


def index(owner: str, name: str, all_: int, length: int, back: bool, before: Cut | None) -> int | None:
    """How many items stand before the first one of a page (XEP-0059): of ``length`` items of ``all_``. ``before``: what stands
    there; None: the page is at the beginning, or at the end (``back``). In the middle of a large node that is not told."""
    if before is None:
        return max(all_ - length, 0) if back else 0
    return None if all_ > LARGE else count(owner, name, before)
