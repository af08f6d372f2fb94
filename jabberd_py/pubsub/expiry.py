"""What ends by itself: items, and subscriptions."""

from __future__ import annotations

import time

from ..hooks import every
from ..net.turns import fairly
from ..xdb import xdb
from . import counting, people, store
from .options import Subscription
from .owners import Owners

AT_ONCE = 1000
"""Subscriptions of one round."""


class Expiry(Owners):
    """Looks around once a minute. What has expired is neither shown nor used before that."""

    def has(self, owner: str) -> bool:
        """Does this face answer for that owner?"""
        raise NotImplementedError

    @every(60)
    def expire(self) -> None:
        with xdb.unit():
            self._items(time.time())
            self._subscriptions(time.time())

    def _items(self, now: float) -> None:
        for owner, name, seconds in fairly(counting.expiring()):
            if self.has(owner) and store.expired(owner, name, now - seconds):
                node = self.nodes(owner).get(name)
                if node is not None:
                    self.changed(owner, node)

    def _subscriptions(self, now: float) -> None:
        for owner, name, jid, subid in fairly(people.over(now, AT_ONCE)):
            if not self.has(owner):
                continue
            node = self.nodes(owner).find(name)
            mine = () if node is None else node.subscriptions.get(people.user_of(jid), ())
            gone = [each for each in mine if (each.jid, each.subid) == (jid, subid)]
            if node is None or not gone:
                people.unsubscribe(owner, name, [Subscription(jid, subid, "none")], now)
            else:
                self.set_subscriptions(owner, node, [], gone, now)
