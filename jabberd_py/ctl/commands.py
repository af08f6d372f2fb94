"""Commands about the server as a whole; those about accounts are a module's (mod_admin)."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import gevent

from .. import __version__, log
from ..arguments import Duration, Lines
from ..commands import Caller, Failed, outcome
from ..hooks import command
from .configuration import in_thread

if TYPE_CHECKING:
    from ..server import Server

logger = log.get(__name__)
LATEST = 86400.0
"""Seconds that a stop can be delayed."""


class Commands:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.end: gevent.Greenlet | None = None

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
            "memory_bytes": in_thread(_pss),
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
        """Stop the server and start it again, with its configuration read anew. With a mistake in that, nothing is stopped."""
        self._check()
        self._end(caller, delay, announcement, True)

    def _check(self) -> None:
        """Raises Failed: the server could not start again."""
        try:
            self.server.check(in_thread(self.server.settings))
        except Exception as error:  # ConfigError and more: all say in one line what is wrong
            raise Failed(str(error)) from None

    def _go(self, again: bool) -> None:
        try:
            if again:
                self._check()
        except Failed as error:  # somebody has changed the file during the delay
            logger.error("the server is not restarted", reason=str(error))
        else:
            self.server.stop(again)

    def _end(self, caller: Caller, delay: float, announcement: str, again: bool) -> None:
        if delay > LATEST:
            raise ValueError(f"delay: at most {LATEST:.0f} seconds")
        if announcement:
            outcome(self.server.router.commands.run(caller, "announce", {"text": announcement}))
        before, self.end = self.end, gevent.spawn_later(delay, self._go, again)
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
            fresh = in_thread(self.server.settings)
        except Exception as error:
            raise Failed(str(error)) from None
        return [
            {"domain": domain, "modules": " ".join(host.enabled), "trouble": ""}
            for domain, host in fresh.hosts.items()
        ]

    @command("check certificates", needs="config")
    def check_certificates(self) -> list[dict[str, Any]]:
        """Names, keys and dates of the certificates."""
        return [report.row() for report in self.server.certificates.reports()]


def _pss() -> int:
    """What this process costs: its own memory and its share of what others use, too."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
