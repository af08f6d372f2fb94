"""How much room the items of one owner take, and those in the nodes that one address has made there.

Nothing is counted at each publish: what is published is added up, and what goes is not taken off. If it seems to be too much,
it is counted again, some items at a time, behind everything else. Until that is done nothing more is published there.
"""

from __future__ import annotations

import time
from collections import OrderedDict

import gevent

from .. import log
from ..net.turns import share
from ..xdb import StoreError, xdb
from . import counting, store

SUMS = 10_000
"""Sums that are known; the next one makes the server forget the oldest."""
AGAIN = 60.0
"""Seconds between two counts of one sum, at least."""
RARE = 100
"""A count takes one part in so many of the time, at most."""
CHUNK = 10
"""Items that are measured at a time: the database reads the whole of them."""
logger = log.get(__name__)


class Sum:
    """Characters that are in use, at most. ``creator``: only in nodes that this address has made; empty: in all. ``next``: when
    they may be counted again, in monotonic seconds."""

    __slots__ = ("counting", "creator", "next", "owner", "used")

    def __init__(self, owner: str, creator: str) -> None:
        self.owner, self.creator = owner, creator
        self.used, self.next, self.counting = 0, 0.0, False


class Quota:
    """Shared by all greenlets."""

    def __init__(self) -> None:
        self.sums: OrderedDict[tuple[str, str], Sum] = OrderedDict()

    def take(self, owner: str, creator: str, size: int, limits: tuple[int, int]) -> bool:
        """So many characters more are published in a node of that creator's; False: they may not be. ``limits``: of the owner,
        and of the creator. Does not block."""
        all_, theirs = self._of(owner, ""), self._of(owner, creator)
        if all_.used + size <= limits[0] and theirs.used + size <= limits[1]:
            all_.used += size
            theirs.used += size
            return True
        for one, most in zip((all_, theirs), limits, strict=True):
            if one.used + size > most and not one.counting and time.monotonic() > one.next:
                self._begin(one)
        return False

    def _of(self, owner: str, creator: str) -> Sum:
        one = self.sums.get((owner, creator))
        if one is None:
            one = self.sums[owner, creator] = Sum(owner, creator)
            if len(self.sums) > SUMS:
                self.sums.popitem(last=False)
            self._begin(one)
        return one

    def _begin(self, one: Sum) -> None:
        one.counting = True
        gevent.spawn(self._count, one)

    def _count(self, one: Sum) -> None:
        before, total, began = one.used, 0, time.monotonic()
        try:
            with xdb.unit():
                for node in list(store.nodes_of(one.owner).values()):
                    if one.creator in ("", node.creator):
                        total += self._measure(one.owner, node.name)
            one.used = total + max(one.used - before, 0)
        except StoreError as error:
            logger.debug("the items could not be counted", owner=one.owner, error=str(error))
        finally:
            now = time.monotonic()
            one.counting, one.next = False, now + max(AGAIN, RARE * (now - began))

    def _measure(self, owner: str, node: str) -> int:
        """Characters of all payloads in the node. Others have their turns meanwhile."""
        total, last, turn = 0, 0, 0.0
        while rows := counting.sizes(owner, node, last, CHUNK):
            total += sum(size for _, size in rows)
            last = rows[-1][0]
            xdb.release()
            turn = share(turn)
        return total


quota = Quota()
