"""How much room the items of one owner take.

Nothing is counted at each publish: what is published is added up, and what goes is not taken off. An owner who seems to have
too much is counted again, node by node, behind everything else. Until that is done nothing more is published there.
"""

from __future__ import annotations

import time
from collections import OrderedDict

import gevent

from .. import log
from ..net.turns import fairly
from ..xdb import StoreError, xdb
from . import store

OWNERS = 10_000
"""Owners whose sum is known; the next one makes the server forget the one it has known for the longest time."""
AGAIN = 60.0
"""Seconds between two counts of one owner."""
logger = log.get(__name__)


class Sum:
    """Characters that are in use, at most. ``counted``: when, in monotonic seconds."""

    __slots__ = ("counted", "counting", "used")

    def __init__(self) -> None:
        self.used, self.counted, self.counting = 0, 0.0, False


class Quota:
    """Shared by all greenlets."""

    def __init__(self) -> None:
        self.sums: OrderedDict[str, Sum] = OrderedDict()

    def take(self, owner: str, size: int, most: int) -> bool:
        """So much more is published; False: it may not be. Does not block."""
        one = self.sums.get(owner)
        if one is None:
            one = self.sums[owner] = Sum()
            if len(self.sums) > OWNERS:
                self.sums.popitem(last=False)
            self._begin(owner, one)
        if one.used + size <= most:
            one.used += size
            return True
        if not one.counting and time.monotonic() - one.counted > AGAIN:
            self._begin(owner, one)
        return False

    def _begin(self, owner: str, one: Sum) -> None:
        one.counting = True
        gevent.spawn(self._count, owner, one)

    def _count(self, owner: str, one: Sum) -> None:
        before, total = one.used, 0
        try:
            with xdb.unit():
                for name in fairly(list(store.nodes_of(owner))):
                    total += store.size_of(owner, name)
            one.used = total + max(one.used - before, 0)
        except StoreError as error:
            logger.debug("the items could not be counted", owner=owner, error=str(error))
        finally:
            one.counting, one.counted = False, time.monotonic()


quota = Quota()
