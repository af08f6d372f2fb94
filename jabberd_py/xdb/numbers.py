"""Row numbers that are known before the row is written, and that keep the order of time."""

from __future__ import annotations

import time
from random import getrandbits

_last = 0


def number() -> int:
    """The next row number: never twice, never smaller than the last, time-ordered (63 bits)."""
    global _last
    now = int(time.time() * 1000) << 20
    # each millisecond begins at random: two servers hardly ever give the same; the lowest bits are for the number of a node
    _last = now | getrandbits(13) << 6 if now > _last else _last + 64
    return _last


def when(id: int) -> float:
    """The Unix time that is in a row number."""
    return (id >> 20) / 1000


def above(*newest: int | None) -> None:
    """The clock may have been set back since these were given (None: there is no row): new numbers are larger."""
    global _last
    _last = max(_last, *(id or 0 for id in newest))
