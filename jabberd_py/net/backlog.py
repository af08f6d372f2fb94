"""What waits for slow readers, of many streams together: one that does not read is stopped by its own buffer, a crowd of
them by this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

ENOUGH = 0.9
"""The part of the limit that is left when it was exceeded: to look for the largest costs more than to cut them off."""


class Slow(Protocol):
    """A stream whose socket has not taken all."""

    def cut_off(self, reason: str) -> None:
        """Ends it and forgets what waits. Must not block."""


class Backlog:
    """``limit`` in bytes. Only streams whose socket would not take more are told of here: who reads costs nothing."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.total = 0
        self.waiting: dict[Slow, int] = {}

    def weigh(self, stream: Slow, size: int) -> None:
        """``size`` bytes wait for that stream's peer now. Too much in all: those with the most waiting are cut off."""
        self.total += size - self.waiting.pop(stream, 0)
        if size:
            self.waiting[stream] = size
            if self.total > self.limit:
                self._cut()

    def _cut(self) -> None:
        largest: Callable[[Slow], int] = self.waiting.__getitem__
        for stream in sorted(self.waiting, key=largest, reverse=True):
            stream.cut_off("too much waits for those who do not read")
            if self.total <= self.limit * ENOUGH:
                break


UNBOUNDED = Backlog(float("inf"))
