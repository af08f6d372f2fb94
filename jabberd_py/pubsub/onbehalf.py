"""What other modules publish in an account's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..xmpp.jid import parse
from .config import Config
from .owners import changing
from .requests import Requests
from .store import Item


class OnBehalf(Requests):
    """Both are filled by the modules that know a node.

    checks  name of a node -> what looks at new items before they are published there (account, items), and raises StanzaError
    usual   name of a node -> its configuration, if a client that makes it says nothing else
    """

    checks: dict[str, Callable[[str, list[Item]], None]]
    usual: dict[str, Config]

    def defaults_of(self, name: str) -> Config:
        return self.usual.get(name, self.defaults)

    def publish_for(self, user: str, name: str, config: Config, items: list[Item]) -> None:
        """Returns when that is committed; a node that there is not yet is made with ``config``. Raises StanzaError,
        StoreError."""
        node = self.nodes(user).get(name) or self.make(user, parse(user), name, config)
        if node.config != self._fit(node.config, config):
            with changing.of(f"{user} {name}"):
                fit = self._fit(node.config, config)
                self.configured(user, parse(user), node, fit)
            self.recheck(user, node)
        self.put(user, node, items)

    def _fit(self, now: Config, config: Config) -> Config:
        """A client may have made the node. It has to keep as many items as ``config`` says: otherwise new ones would push out
        what others rely on. What ``config`` keeps from others, nobody else may read there."""
        if self.most(now) < self.most(config):
            now = replace(now, persist_items=True, max_items=config.max_items)
        return replace(now, access_model="whitelist") if config.access_model == "whitelist" else now

    def retract_for(self, user: str, name: str, ids: list[str]) -> None:
        """Removes those of the items that are still there, and tells who hears of the node."""
        node = self.nodes(user).get(name)
        if node is not None:
            self.withdraw(user, node, ids, all_=False)

    def check(self, owner: str, name: str, items: list[Item]) -> None:
        check = self.checks.get(name)
        if check is not None:
            check(owner, items)
