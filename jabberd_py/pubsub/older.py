"""What accounts kept in an older form before there was a node for it. It is moved once, account by account, after the first
start with the node. Afterwards no login has to look for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from .. import log
from ..net.turns import fairly
from ..xdb import Table, xdb

logger = log.get(__name__)


PAGE = 100
"""Accounts that are looked up at a time."""


class Older:
    """``where``: which rows of ``table`` hold the older form. ``move``: moves that of one account, if it is not moved yet.
    ``left``: False when all accounts are done. Until then ``move`` must be called at an account's login, too, and at any time
    for an account that was imported."""

    def __init__(
        self, host: Any, name: str, table: type[Table], where: Any, move: Callable[[str], None]
    ) -> None:
        self.host, self.table, self.where, self.move = host, table, where, move
        self.key = f"jabberd_py:moved:{name}"
        self.left = False

    def start(self) -> None:
        """To be called at the start of the host. Does not wait for the accounts."""
        if not self.host.options.anonymous and xdb.get(self.host.domain, self.key) is None:
            self.left = True
            gevent.spawn(self._all)

    def _all(self) -> None:
        with xdb.unit():
            last = ""
            while page := self._page(last):
                for owner in fairly(page):
                    try:
                        self.move(owner)
                    except Exception:  # whatever is wrong with that account
                        logger.exception("an older form could not be moved", user=owner)
                last = page[-1]
            xdb.set(self.host.domain, self.key, "done")
        self.left = False

    def _page(self, last: str) -> list[str]:
        owner = self.table.owner
        rows: Any = self.table.select(owner).where(
            self.where, owner > last, owner.endswith("@" + self.host.domain)
        )
        return [row[0] for row in rows.order_by(owner).limit(PAGE).tuples()]
