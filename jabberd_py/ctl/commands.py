"""Commands about the server as a whole; those about accounts are a module's (mod_admin)."""

from __future__ import annotations

import os
import resource
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import gevent
from gevent.event import AsyncResult
from greenlet import getcurrent

from .. import __version__, log
from ..arguments import Duration, Lines
from ..commands import Caller, Failed, outcome
from ..hooks import Progress, command
from ..xdb import Store, archive, health

if TYPE_CHECKING:
    from ..server import Server

LATEST = 86400.0
"""Seconds that a stop can be delayed."""


class Commands:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.end: gevent.Greenlet | None = None
        self.checking: AsyncResult[list[dict[str, Any]]] | None = None
        """The check of the store that is under way."""

    @command("stats")
    def stats(self) -> dict[str, Any]:
        """How the server is doing."""
        server, usage = self.server, resource.getrusage(resource.RUSAGE_SELF)
        store = server.store
        return {
            "version": __version__,
            "process": os.getpid(),
            "uptime_seconds": round(time.time() - server.started),
            "hosts": [host.domain for host in server.hosts],
            "sessions": sum(host.sessions.count for host in server.hosts),
            "streams": len(server.c2s.clients),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
            "memory_bytes": _pss(),
            "store_queue": len(store.writer._queue) if store else 0,
            "store_trouble": store.trouble if store else "closed",
        }

    @command("components")
    def components(self) -> list[dict[str, Any]]:
        """The external components: who is connected, what waits for them, what went wrong."""
        return self.server.components.rows()

    @command("reload", changes=True)
    def reload(self) -> str | None:
        """Read the configuration and the certificates again; on a mistake all stays as it was."""
        try:
            restart = self.server.reload()
        except Exception as error:  # ConfigError and more: all say in one line what is wrong
            raise Failed(str(error)) from None
        return f"done; these change with the next start: {', '.join(restart)}" if restart else None

    @command("stop", changes=True)
    def stop(self, caller: Caller, delay: Duration = 0.0, announcement: Lines = "") -> None:
        """Stop the server, after a delay if wanted; all who are online are told the announcement before."""
        self._end(caller, delay, announcement, False)

    @command("restart", changes=True)
    def restart(self, caller: Caller, delay: Duration = 0.0, announcement: Lines = "") -> None:
        """Stop the server and start it again, with its configuration read anew."""
        self._end(caller, delay, announcement, True)

    def _end(self, caller: Caller, delay: float, announcement: str, again: bool) -> None:
        if delay > LATEST:
            raise ValueError(f"delay: at most {LATEST:.0f} seconds")
        if announcement:
            outcome(self.server.router.commands.run(caller, "announce", {"text": announcement}))
        before, self.end = self.end, gevent.spawn_later(delay, self.server.stop, again)
        if before is not None:
            before.kill(block=False)  # what was said last counts

    @command("watch", live=True)
    def watch(self, level: Literal["debug", "info", "warning", "error"] = "info") -> log.Tail:
        """Show the log as it is written."""
        return log.tail(level)

    @command("check config", needs="config")
    def check_config(self) -> list[dict[str, Any]]:
        """Would the configuration, as it is written now, be accepted?"""
        try:
            fresh = self.server.settings()
        except Exception as error:
            raise Failed(str(error)) from None
        return [
            {"domain": domain, "modules": " ".join(host.enabled), "trouble": ""}
            for domain, host in fresh.hosts.items()
        ]

    @command("check store")
    def check_store(self) -> list[dict[str, Any]]:
        """Is the store sound? Damage, room, versions, rows, trouble with writing. It reads all of the store; who asks meanwhile
        gets the same answer."""
        if self.checking is not None:
            return list(self.checking.get())
        self.checking = AsyncResult()
        try:
            found = self._check_store()
        except BaseException as error:
            self.checking.set_exception(
                error if isinstance(error, Exception) else Failed("the check was broken off")
            )
            raise
        else:
            self.checking.set(found)
            return found
        finally:
            self.checking = None

    def _check_store(self) -> list[dict[str, Any]]:
        store = self._store()
        last = [
            {"check": "last commit", "found": "lost" if lost else "went well", "trouble": lost or ""}
            for lost in [store.writer.trouble]
        ]
        if store.db.unread:
            last.append({"check": "last read", "found": "failed", "trouble": store.db.unread})
        found = [{"check": "at the start", "found": "", "trouble": each} for each in store.found]
        return [*health.check(store.db, store.tables, _slowly), *last, *found]

    @command("backup", changes=True)
    def backup(self, file: Path, caller: Caller) -> Iterator[Any]:
        """Write the store, as it is at one moment, and the certificates to a new file (.tar.gz)."""
        store = self._store()
        data, folder = self.server.data.resolve(), self.server.certificates.folder
        # The unit lets the server write to its own folder only: from there jabberctl moves it, who may write elsewhere.
        moved = caller.face == "jabberctl" and not file.is_relative_to(data)
        made = data / f".{secrets.token_hex(4)}-{file.name}" if moved else file
        for step in archive.backup(str(made), store.db, store.tables, folder, _slowly):
            if isinstance(step, tuple):
                yield Progress(*step)
            else:
                yield step | ({"move": str(file)} if moved else {})

    def _store(self) -> Store:
        if self.server.store is None:
            raise Failed("the server has no store")
        return self.server.store

    @command("check certificates", needs="config")
    def check_certificates(self) -> list[dict[str, Any]]:
        """Names, keys and dates of the certificates."""
        return [report.row() for report in self.server.certificates.reports()]


def _slowly(function: Callable[..., Any], *args: Any) -> Any:
    """In a thread, while the server goes on."""
    hub = gevent.get_hub()
    if getcurrent() is hub:  # a command that was broken off is cleaned up there, where nothing can wait
        return function(*args)
    return hub.threadpool.apply(function, args)


def _pss() -> int:
    """What this process costs: its own memory and its share of what others use, too."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
