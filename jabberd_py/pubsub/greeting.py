"""Last items for clients that have come (XEP-0163 section 4.3.4)."""

from __future__ import annotations

from collections import deque
from typing import Any

import gevent

from .. import log
from ..net.karma import Karma
from ..net.turns import fairly, queue
from ..xdb import xdb
from ..xmpp.jid import parse
from . import store
from .audience import Audience
from .subscribing import Subscribing

logger = log.get(__name__)
AT_ONCE = 50
"""Last items that a client gets before others have their turn."""
GREETINGS = 10_000
"""Clients that have just come and wait for the last items; past that, who causes more does the work."""
GREETED = 512 << 10
"""Characters of last items that the clients of one address get at once; what may wait for a client (``c2s.buffer``) is more."""
RATE = GREETED / 10
"""Characters a second that they get when they have got those."""
ROOM = GREETED // 4
"""With less than that left the next one waits: an item may be so large, or a little larger."""
SOON = 2.0
"""Seconds, until that is looked at again."""


class Greeting(Subscribing):
    """For accounts. ``greetings``: account, client and nodes, in order. ``late``: (account, client) -> nodes whose last items
    wait because the client has got many. ``greeted``: how much of `GREETED` each bare address has got."""

    present: Audience

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.greetings: deque[tuple[str, str, frozenset[str]]] = deque()
        self.late: dict[tuple[str, str], frozenset[str]] = {}
        self.greeted = Karma(RATE, GREETED)

    def shown_to(self, owner: str, user: str) -> bool:
        """Does that bare address see the account's presence?"""
        raise NotImplementedError

    def greet(self, user: str, full: str, wants: frozenset[str]) -> None:
        """A client that has come gets the last items of what it wants, at its turn."""
        if not wants or store.nodes_of.get(user) == {}:
            return
        if len(self.greetings) >= GREETINGS:
            self._greet(user, full, wants)
            return
        self.greetings.append((user, full, wants))
        if len(self.greetings) == 1:
            gevent.spawn(self._greet_all)

    def _greet_all(self) -> None:
        with xdb.unit():
            for _ in fairly(iter(lambda: bool(self.greetings), False)):
                try:
                    self._greet(*self.greetings[0])
                except Exception:
                    logger.exception("a client did not get the last items", account=self.greetings[0][0])
                finally:
                    self.greetings.popleft()

    def _greet(self, user: str, full: str, wants: frozenset[str]) -> None:
        client, done = parse(full), set[str]()
        for number, name in enumerate(wants & store.nodes_of(user).keys(), 1):
            if not number % AT_ONCE:
                queue()
            node = store.nodes_of(user).get(name)
            if (
                node is None
                or node.config.send_last_published_item != "on_sub_and_presence"
                or not node.config.deliver_notifications
            ):
                continue
            if self.present.find(user, full) is None:
                return
            own = client.user == user
            if own or self.shown_to(user, client.user) and self.reads(user, node, client):
                left = self.greeted.left(client.user)
                if left < ROOM:
                    self._postpone(user, full, wants - done)
                    return
                self.greeted.spend(client.user, min(self.send_last(user, node, full), left))
            done.add(name)

    def _postpone(self, user: str, full: str, wants: frozenset[str]) -> None:
        """The client gets the others when it has had time for those that it got."""
        if (user, full) not in self.late:
            if len(self.late) >= GREETINGS:
                return
            gevent.spawn_later(SOON, self._greet_late, user, full)
        self.late[user, full] = wants | self.late.get((user, full), frozenset())

    def _greet_late(self, user: str, full: str) -> None:
        self.greet(user, full, self.late.pop((user, full)))
