"""The store, as an administrator sees it: how large it is, and whether it is sound."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import gevent

from .. import log
from ..commands import Failed
from ..hooks import command
from ..xdb import Store, health, xdb
from ..xmpp.stamp import utc
from .aside import aside

if TYPE_CHECKING:
    from ..server import Server

Row = dict[str, Any]
logger = log.get(__name__)


class Storage:
    """Of a `Server`. A check reads the whole store, so there is one at a time, and whoever asks meanwhile gets its result."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.job: gevent.Greenlet[[], list[Row]] | None = None
        self.begun = self.ended = 0.0
        self.rows: list[Row] = []

    @command("store show")
    def show(self) -> dict[str, Any]:
        """How large the store is, whether it takes what is written, and what the last check of it has found."""
        store = self._store()
        return {
            **health.sizes(store.db),
            "waiting": len(store.writer._queue),
            "trouble": store.trouble,
            "check_begun": utc(self.begun) if self.job is not None else None,
            "last_check": utc(self.ended) if self.ended else None,
            "last_rows": self.rows,
        }

    @command("check store")
    def check(self, background: bool = False) -> list[Row]:
        """Is the store sound? Damage, room, versions, rows, trouble with writing. It reads all of the store; whoever
        asks meanwhile gets the same answer. `background`: begin it; `store show` has the result later."""
        store = self._store()
        if self.job is None:
            self.begun, self.job = time.time(), gevent.spawn(self._check, store)
        if background:
            return []
        job = self.job
        xdb.release()
        return list(job.get())

    def _check(self, store: Store) -> list[Row]:
        try:
            rows = health.check(store.db, store.tables, aside)
        except Exception as error:
            logger.exception("the check of the store failed")
            rows = [{"check": "store", "found": "not known", "trouble": f"the check failed: {error}"}]
        finally:
            self.job = None
            xdb.release()
        lost = store.writer.trouble
        rows.append({"check": "last commit", "found": "lost" if lost else "went well", "trouble": lost or ""})
        if store.db.unread:
            rows.append({"check": "last read", "found": "failed", "trouble": store.db.unread})
        rows += [{"check": "at the start", "found": "", "trouble": each} for each in store.found]
        self.rows, self.ended = rows, time.time()
        return rows

    def _store(self) -> Store:
        if self.server.store is None:
            raise Failed("the server has no store")
        return self.server.store
