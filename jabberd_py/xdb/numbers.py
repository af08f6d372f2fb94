"""Row numbers that are known before the row is written, and that keep the order of time.

Their clock is the system's, and never goes back. Where the system's clock was ahead for a while and is right again, the clock
of the numbers stays ahead by as much: a correction, kept in the store, says by how much from which number on. So the order
of rows stays, and `when` gives the true time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from random import getrandbits

from .. import log
from ..words import span

STEP = 2000 << 20
"""Milliseconds that the clock may go back without a correction: the numbers wait for it."""
MOST = 50
"""Corrections that are kept; of more, the oldest go."""
JUMP = 30.0
"""Seconds; what the clock changes by more, against time that has passed, is a jump."""

NODES = 64
"""Processes that one cluster may have: the lowest bits of a number are for them."""

logger = log.get(__name__)
node = 0
"""The number of this process (`cluster.Cluster.node`)."""
FUTURE = 1 << 62
"""A row number of the year 2109: larger ones are damaged."""
_last = 0
_ahead = 0
"""Milliseconds that the clock of the numbers is ahead of the system's now."""
_corrections: list[tuple[int, int]] = []
"""(from this number on, milliseconds ahead), the latest last."""
_save: Callable[[str], object] | None = None
_offset: float | None = None
"""What the system's clock showed more than the monotonic one, when that was last looked at."""
jumped: tuple[float, float] | None = None
"""The last jump of the clock: when (as `time.monotonic` has it), and by how many seconds."""


def number() -> int:
    """The next row number: never twice, never smaller than the last, time-ordered (63 bits). Milliseconds since 1970 in the
    upper bits, then a count that begins at random each millisecond: two servers hardly ever give the same; then `node`."""
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
    """The first number of that time (milliseconds since 1970), as far as there are any."""
    for since, ahead in reversed(_corrections):
        if milliseconds >= (since >> 20) - ahead:
            return milliseconds + ahead << 20
    return milliseconds << 20


def above(*newest: int | None) -> None:
    """These were given before, perhaps by a process whose clock is ahead of ours (None: there is no row): new numbers are
    larger."""
    global _last
    highest = max(id or 0 for id in newest)
    if highest >= _last:
        _last = highest // NODES * NODES + NODES | node
    behind = _last - (int(time.time() * 1000) + _ahead << 20)
    if behind > STEP:
        _correct(behind >> 20)


def load(kept: str | None, save: Callable[[str], object]) -> None:
    """A store was opened: the corrections that it keeps, as text, and what keeps new ones. ``save`` must not wait."""
    global _ahead, _save
    _save = save
    _corrections[:] = [(since, ahead) for since, ahead in json.loads(kept or "[]")]
    _ahead = _corrections[-1][1] if _corrections else 0


def _correct(milliseconds: int) -> None:
    """The system's clock is that much behind the numbers. Does not wait for the store: a crash makes another correction."""
    logger.warning(
        "the clock was set back, or had been ahead: messages keep their order and get the true time",
        by=span(milliseconds / 1000),
    )
    _keep(_ahead + milliseconds)


def _keep(ahead: int) -> None:
    """From the next number on, their clock is so many milliseconds ahead."""
    global _ahead
    _ahead = ahead
    _corrections.append((_last + NODES, ahead))
    del _corrections[:-MOST]
    if _save is not None:
        _save(json.dumps(_corrections))


def watch() -> None:
    """To be called now and then: tells of a clock that jumps."""
    global _offset, jumped
    offset, before = time.time() - time.monotonic(), _offset
    _offset = offset
    if before is not None and abs(offset - before) > JUMP:
        jumped = time.monotonic(), offset - before
        logger.warning("the clock jumped", by=span(offset - before))
        needed = max(0, (_last >> 20) - int(time.time() * 1000))
        if needed < _ahead:  # it is right again, and the numbers need not run ahead so far
            _keep(needed)


def ahead() -> float:
    """Seconds that the clock of the numbers is ahead of the system's."""
    return _ahead / 1000
