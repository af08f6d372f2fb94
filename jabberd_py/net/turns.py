"""Fair turns at the loop: who has had it for `SLICE` lets everybody else be served before going on.

`gevent.sleep(0)` is no such thing: it comes back, for up to 5 ms, before the loop has looked at any socket. A timer of no
time is due only after the sockets were asked, and all that is ready then is served in the same round.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import gevent
from greenlet import getcurrent, greenlet

SLICE = 0.002
"""Seconds of the loop that one greenlet takes at a time, and that all who have had theirs take together in one round."""

LATE = 0.01
"""Seconds after which a round of the loop is so long that newcomers wait for another."""

T = TypeVar("T")
_waiting: deque[greenlet] = deque()
_timer: Any = None


def pause() -> None:
    """Blocks this greenlet until whatever was ready on other streams has been served. (In the loop's own greenlet,
    which cannot wait, it does nothing.)"""
    global _timer
    hub, me = gevent.get_hub(), getcurrent()
    if me is hub:
        return
    if _timer is None:
        _timer = hub.loop.timer(0)
    _waiting.append(me)
    _again()
    try:
        hub.switch()
    except BaseException:  # killed while it waited
        if me in _waiting:
            _waiting.remove(me)
        raise


def queue() -> None:
    """Blocks like `pause`, if others wait already or this round of the loop has been long: for what can wait when much comes
    at the same time."""
    if _waiting or time.time() - gevent.get_hub().loop.now() > LATE:
        pause()


def _round() -> None:
    began = time.monotonic()
    for _ in range(len(_waiting)):
        if not _waiting:
            return
        _waiting.popleft().switch()
        if time.monotonic() - began > SLICE:
            break
    _again()


def _again() -> None:
    if _waiting and not _timer.active:
        _timer.start(_round)


def fairly(items: Iterable[T]) -> Iterator[T]:
    """The items; now and then this greenlet waits for its next turn in between, and all may have changed then."""
    began = time.monotonic()
    for item in items:
        if time.monotonic() - began > SLICE:
            pause()
            began = time.monotonic()
        yield item
