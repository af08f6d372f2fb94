"""Row numbers. A number is known before its row is written, and later rows have larger numbers.

A number holds the time at which it was given. Numbers never get smaller, even if the system's clock is set back: then the clock
of the numbers stays ahead of the system's. A *correction*, kept in the store, says from which number on it is ahead, and by how
much, so that `when` still gives the true time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from random import getrandbits

from .. import log
from ..words import span

STEP = 2000 << 20
"""If the clock goes back by less (2 seconds, as a number has them), no correction is made: numbers just count on until it has
caught up."""
MOST = 50
"""At most this many corrections are kept; the oldest go."""
JUMP = 30.0
"""Seconds. If the clock differs by more from the time that has really passed, it has jumped."""

NODES = 64
"""The processes that a cluster may have. The lowest six bits of a number are that of its process."""

logger = log.get(__name__)
node = 0
"""The number of this process (`cluster.Cluster.node`)."""
FUTURE = 1 << 62
"""A row number of the year 2109: larger ones are damaged."""
_last = 0
_ahead = 0
"""Milliseconds by which the clock of the numbers is ahead of the system's now."""
_corrections: list[tuple[int, int]] = []
"""(from this number on, milliseconds ahead), the latest last."""
_save: Callable[[str], object] | None = None
_offset: float | None = None
"""The difference of the system's clock and the monotonic one (seconds) when `watch` was last called."""
jumped: tuple[float, float] | None = None
"""The last jump of the clock: when (`time.monotonic`), and by how many seconds."""


def next_id() -> int:
    """Returns a new row number (63 bits), larger than all before it. The upper bits are milliseconds since 1970. Then comes a
    count that begins at random in each millisecond, so that two servers hardly ever give the same number. The lowest bits are
    `node`."""
    global _last
    now = int(time.time() * 1000) + _ahead << 20
    if now > _last:
        _last = now | getrandbits(13) << 6 | node
    else:
        if _last - now > STEP:
            _correct(_last - now >> 20)
        _last += NODES
    return _last


def when(id: int) -> float:
    """The Unix time that is in a row number."""
    for since, ahead in reversed(_corrections):
        if id >= since:
            return ((id >> 20) - ahead) / 1000
    return (id >> 20) / 1000


def at(milliseconds: int) -> int:
    """The smallest number that can have been given at that time (milliseconds since 1970)."""
    for since, ahead in reversed(_corrections):
        if milliseconds >= (since >> 20) - ahead:
            return milliseconds + ahead << 20
    return milliseconds << 20


def above(*newest: int | None) -> None:
    """Makes all new numbers larger than ``newest``, the newest numbers of some tables (None: the table is empty). They may come
    from a process whose clock was ahead of ours."""
    global _last
    highest = max(id or 0 for id in newest)
    if highest >= _last:
        _last = highest // NODES * NODES + NODES | node
    behind = _last - (int(time.time() * 1000) + _ahead << 20)
    if behind > STEP:
        _correct(behind >> 20)


def load(kept: str | None, save: Callable[[str], object]) -> None:
    """To be called when a store was opened. ``kept``: the corrections in it, as JSON. ``save``: writes new ones; it must not
    block."""
    global _ahead, _save
    _save = save
    try:
        _corrections[:] = [(int(since), int(ahead)) for since, ahead in json.loads(kept or "[]")]
    except (ValueError, TypeError) as error:
        _corrections.clear()
        logger.error("the record of clocks that were wrong is damaged", reason=str(error))
    _ahead = _corrections[-1][1] if _corrections else 0


def _correct(milliseconds: int) -> None:
    """Notes that the system's clock is so many milliseconds behind the numbers. Does not wait for the store: after a crash the
    correction is made again."""
    logger.warning(
        "the clock was set back, or had been ahead: messages keep their order and get the true time",
        by=span(milliseconds / 1000),
    )
    _keep(_ahead + milliseconds)


def _keep(ahead: int) -> None:
    """Adds a correction: from the next number on, the clock of the numbers is so many milliseconds ahead."""
    global _ahead
    _ahead = ahead
    _corrections.append((_last + NODES, ahead))
    del _corrections[:-MOST]
    if _save is not None:
        _save(json.dumps(_corrections))


def watch() -> None:
    """To be called periodically: logs jumps of the clock."""
    global _offset, jumped
    offset, before = time.time() - time.monotonic(), _offset
    _offset = offset
    if before is not None and abs(offset - before) > JUMP:
        jumped = time.monotonic(), offset - before
        logger.warning("the clock jumped", by=span(offset - before))
        needed = max(0, (_last >> 20) - int(time.time() * 1000))
        if needed < _ahead:  # the clock is right again, so the numbers may be less far ahead
            _keep(needed)


def ahead() -> float:
    """Seconds by which the clock of the numbers is ahead of the system's."""
    return _ahead / 1000
