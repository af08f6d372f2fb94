"""What other modules publish in an account's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..xmpp.jid import parse
from . import store
from .config import Config
from .owners import changing
from .requests import Requests
from .store import Item


class OnBehalf(Requests):
    """``checks``: name of a node -> what looks at new items before they are published there (account, items), and raises
    StanzaError."""

    checks: dict[str, Callable[[str, list[Item]], None]]

    def publish_for(self, user: str, name: str, config: Config, items: list[Item]) -> None:
        """Returns when that is committed; a node that there is not yet is made with ``config``. One that a client has made
        keeps as many items as ``config`` says: otherwise the new ones would push out those that other clients rely on.
        Raises StanzaError, StoreError."""
        node = self.nodes(user).get(name) or self.make(user, parse(user), name, config)
        if self.most(node.config) < self.most(config):
            with changing.of(user):
                wider = replace(node.config, persist_items=True, max_items=config.max_items)
                store.configure(user, {name: (wider, self.most(wider))})
        self.put(user, node, items)

    def retract_for(self, user: str, name: str, ids: list[str]) -> None:
        """Removes those of the items that are still there, and tells who hears of the node."""
        node = self.nodes(user).get(name)
        if node is not None:
            self.withdraw(user, node, ids, all_=False)

    def check(self, owner: str, name: str, items: list[Item]) -> None:
        check = self.checks.get(name)
        if check is not None:
            check(owner, items)
