"""What accounts kept in an older form before there was a node for it. It is moved once, account by account, after the first
start with the node. Afterwards no login has to look for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from .. import log
from ..xdb import xdb

logger = log.get(__name__)


class Older:
    """``move``: moves one account's, if there is anything to move; ``left``: False when all accounts are done. Until then
    ``move`` must be called at an account's login, too, and at any time for an account that was imported."""

    def __init__(self, host: Any, name: str, move: Callable[[str], None]) -> None:
        self.host, self.move = host, move
        self.key = f"jabberd_py:moved:{name}"
        self.left = False

    def start(self) -> None:
        """To be called at the start of the host. Does not wait for the accounts."""
        if not self.host.options.anonymous and xdb.get(self.host.domain, self.key) is None:
            self.left = True
            gevent.spawn(self._all)

    def _all(self) -> None:
        with xdb.unit():
            for page in self.host.users.pages():
                for account in page:
                    try:
                        self.move(account.owner)
                    except Exception:  # whatever is wrong with that account
                        logger.exception("an older form could not be moved", user=account.owner)
            xdb.set(self.host.domain, self.key, "done")
        self.left = False
