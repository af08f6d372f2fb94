"""One greenlet at a time does something for one owner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gevent.lock import BoundedSemaphore
from greenlet import getcurrent

from ..xdb import xdb


class Turn:
    """``holder``: the greenlet whose turn it is; ``users``: it and those that wait."""

    def __init__(self) -> None:
        self.lock, self.users = BoundedSemaphore(), 0
        self.holder: Any = None


class Alone:
    """``turns``: owner -> who does it, and who waits."""

    def __init__(self) -> None:
        self.turns: dict[str, Turn] = {}

    @contextmanager
    def of(self, owner: str) -> Iterator[bool]:
        """Waits for its turn. False: it is this greenlet's turn already."""
        turn = self.turns.setdefault(owner, Turn())
        if turn.holder is getcurrent():
            yield False
            return
        turn.users += 1
        try:
            xdb.release()
            with turn.lock:
                turn.holder = getcurrent()
                try:
                    yield True
                finally:
                    turn.holder = None
        finally:
            turn.users -= 1
            if not turn.users:
                self.turns.pop(owner, None)
