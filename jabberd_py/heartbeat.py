"""The heartbeat (a word of jabberd 1.x): one greenlet keeps all deadlines, with a timer wheel.

An object with a deadline waits in the slot of its second. So ten thousand waiting streams cost nothing before their deadlines.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import gevent

from . import log

logger = log.get(__name__)


class Timed(Protocol):
    """Something with a deadline. ``slot`` belongs to the wheel."""

    slot: int

    def due(self, now: float) -> float | None:
        """Called when the deadline has come, to the second. Returns the next deadline (`time.monotonic`) or None. Must not
        block."""


class Heartbeat:
    def __init__(self) -> None:
        self.slots: dict[int, set[Timed]] = {}
        self.jobs: list[tuple[float, Callable[[], object], list[float]]] = []
        self.greenlet: gevent.Greenlet | None = None
        self.second = int(time.monotonic())

    def at(self, when: float, timed: Timed) -> None:
        """Calls ``timed.due`` when ``time.monotonic()`` has reached ``when``, to the second. Replaces its last deadline."""
        self.cancel(timed)
        slot = timed.slot = max(int(when) + 1, self.second + 1)
        self.slots.setdefault(slot, set()).add(timed)

    def cancel(self, timed: Timed) -> None:
        waiting = self.slots.get(timed.slot)
        if waiting is not None:
            waiting.discard(timed)
        timed.slot = 0

    def every(self, seconds: float, job: Callable[[], object]) -> Callable[[], None]:
        """Runs ``job`` every so many seconds in a greenlet of its own, never twice at a time. Returns a function that stops
        it."""
        entry = (seconds, job, [time.monotonic() + seconds])
        self.jobs.append(entry)
        return lambda: self.jobs.remove(entry) if entry in self.jobs else None

    def start(self) -> None:
        if self.greenlet is None:
            self.second = int(time.monotonic())
            self.greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        if self.greenlet is not None:
            self.greenlet.kill(block=False)
            self.greenlet = None

    def _run(self) -> None:
        while True:
            gevent.sleep(1 - time.monotonic() % 1)
            self.beat(time.monotonic())

    def beat(self, now: float) -> None:
        """Calls everything that is due at ``now``."""
        while self.second < int(now):
            self.second += 1
            for timed in self.slots.pop(self.second, ()):
                timed.slot = 0
                try:
                    again = timed.due(now)
                    if again is not None:
                        self.at(again, timed)
                except Exception:
                    logger.exception("a deadline failed")
        for seconds, job, when in self.jobs:
            if when[0] <= now:
                when[0] = float("inf")
                gevent.spawn(self._job, seconds, job, when)

    def _job(self, seconds: float, job: Callable[[], object], when: list[float]) -> None:
        try:
            job()
        except Exception:
            logger.exception("a periodic job failed")
        when[0] = time.monotonic() + seconds


heartbeat = Heartbeat()
