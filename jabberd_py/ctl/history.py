"""How the server has been doing for the last hour, and what its log has said: for the console, and for who has no journal."""

from __future__ import annotations

import os
import resource
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .. import log
from ..archive import messages
from ..hooks import command
from ..xdb import StoreError
from ..xdb.numbers import at

if TYPE_CHECKING:
    from ..server import Server

EVERY = 10.0
"""Seconds between two samples."""
SAMPLES = 360
"""An hour of them."""
MOST = 1000
PAGE = os.sysconf("SC_PAGE_SIZE")


class Sample(NamedTuple):
    """Figures of one moment. ``cpu``: percent of one processor since the last sample; ``messages``: those that were kept, in
    a second; ``memory``: bytes of the process, without what it shares with others."""

    time: float
    sessions: int
    messages: float
    cpu: float
    memory: int


class History:
    """Of a `Server`."""

    def __init__(self, server: Server) -> None:
        self.server = server
        log.remember()
        self.samples: deque[Sample] = deque(maxlen=SAMPLES)
        self.cpu, self.asked = _cpu(), time.monotonic()
        self.since = time.time()

    def sample(self) -> None:
        """Takes one; a job of the server."""
        now, cpu, then = time.monotonic(), _cpu(), time.time()
        passed = max(now - self.asked, 0.001)
        self.samples.append(
            Sample(
                then,
                sum(host.sessions.count for host in self.server.hosts),
                round(_kept(self.since) / passed, 2),
                round(100 * (cpu - self.cpu) / passed, 2),
                memory(),
            )
        )
        self.cpu, self.asked, self.since = cpu, now, then

    @command("history")
    def history(self) -> dict[str, Any]:
        """The last hour in figures, one every ten seconds: sessions, messages a second, percent of a processor, memory."""
        return {"every_seconds": EVERY} | {
            name: [getattr(each, name) for each in self.samples] for name in Sample._fields
        }

    @command("log show")
    def show(
        self,
        level: Literal["info", "warning", "error"] = "info",
        text: str = "",
        last: int = 200,
        requests: bool = False,
    ) -> list[dict[str, Any]]:
        """The last lines of the log, newest first, from a level on. ``text``: only lines that have it in them; ``requests``:
        also those about each request to the web server. The server remembers a thousand; the journal has more."""
        return _chosen(log.recent(level, requests), text, last)

    @command("log audit")
    def audit(self, text: str = "", last: int = 200) -> list[dict[str, Any]]:
        """Who has changed what, and who has signed in to the console, newest first. The server remembers a thousand; the
        journal has more (lines of `audit`)."""
        return _chosen(log.audited(), text, last)


def _chosen(lines: list[log.Line], text: str, last: int) -> list[dict[str, Any]]:
    if not 1 <= last <= MOST:
        raise ValueError(f"last: from 1 to {MOST}")
    wanted, found = text.casefold(), list[dict[str, Any]]()
    for line in reversed(lines):
        if wanted and not any(wanted in str(value).casefold() for value in line.values()):
            continue
        found.append(line)
        if len(found) == last:
            break
    return found


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def memory() -> int:
    """Bytes that the process has to itself, more or less: resident, less what is shared."""
    fields = Path("/proc/self/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * PAGE


def _kept(since: float) -> int:
    """Rows of the archive since that Unix time. 0, too, if it cannot be read."""
    first = at(int(since * 1000))
    try:
        return sum(
            table.select().where(table.id > first).count() for table in (messages.Message, messages.Fresh)
        )
    except Exception as error:
        if isinstance(error, StoreError) or type(error).__module__.startswith("peewee"):
            return 0
        raise
