"""Bounds what waits for all slow readers together. The buffer of a stream bounds what waits for that one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

ENOUGH = 0.9
"""After the limit was exceeded, streams are cut off until this part of it is left. To sort the streams costs more than to cut
them off, so it must not be done for each single one."""


class Slow(Protocol):
    """A stream whose socket has not taken all."""

    def cut_off(self, reason: str) -> None:
        """Ends it and forgets what waits. Must not block."""


class Backlog:
    """``limit`` in bytes. Only streams whose socket takes no more are counted, so a stream that is read costs nothing."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.total = 0
        self.waiting: dict[Slow, int] = {}

    def weigh(self, stream: Slow, size: int) -> None:
        """Notes that ``size`` bytes wait for the peer of that stream now. If all together exceed the limit, the streams with
        most bytes waiting are cut off."""
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
