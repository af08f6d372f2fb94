"""Fair turns: a greenlet that has had the loop for `SLICE` seconds lets all others be served before it goes on.

`gevent.sleep(0)` does not do that: for up to 5 ms it comes back before the loop has looked at any socket. A timer of zero
seconds is due only after the loop has polled the sockets, and everything that is ready then is served in the same round.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import gevent
from greenlet import getcurrent, greenlet

SLICE = 0.002
"""Seconds that one greenlet may have the loop at a time, and that all waiting greenlets together may have in one round."""

LATE = 0.01
"""A round of the loop that has lasted this many seconds is long: what can wait goes into the next one (`queue`)."""

T = TypeVar("T")
Pace = Callable[[Iterable[Any]], Iterator[Any]]
"""Takes an iterable and yields its items, not faster than something allows. Blocks in between."""
_waiting: deque[greenlet] = deque()
_timer: Any = None


def pause() -> None:
    """Blocks this greenlet until everything that is ready on other streams has been served. Does nothing in the greenlet of
    the loop itself, which cannot wait."""
    hub, me = gevent.get_hub(), getcurrent()
    if me is hub:
        return
    _waiting.append(me)
    _again()
    try:
        hub.switch()
    except BaseException:  # killed while it waited
        if me in _waiting:
            _waiting.remove(me)
        raise


def queue() -> None:
    """Blocks like `pause`, but only if others wait already or this round of the loop is long. For work that can wait when much
    comes at the same time."""
    if _waiting or time.time() - gevent.get_hub().loop.now() > LATE:
        pause()


def _round() -> None:
    began = time.monotonic()
    try:
        for _ in range(len(_waiting)):
            if not _waiting:
                return
            _waiting.popleft().switch()
            if time.monotonic() - began > SLICE:
                break
    finally:  # a greenlet of `begin` that fails does so here: the others have their turns all the same
        _again()


def _again() -> None:
    global _timer
    if _timer is None:
        _timer = gevent.get_hub().loop.timer(0)
    if _waiting and not _timer.active:
        _timer.start(_round)


def begin(run: Callable[[], object], after: float = 0) -> None:
    """Calls ``run`` in a new greenlet when its turn comes, ``after`` so many seconds at the earliest. Does not block."""
    if after > 0:
        timer = gevent.get_hub().loop.timer(after)
        timer.start(_due, run, timer)
    else:
        _waiting.append(greenlet(run, gevent.get_hub()))
        _again()


def _due(run: Callable[[], object], timer: Any) -> None:
    timer.close()
    begin(run)


def share(began: float) -> float:
    """For loops that cannot use `fairly`. ``began``: what the last call returned, at first 0. When this greenlet has had the
    loop for `SLICE` since then, it waits for its next turn (`pause`). Returns when its turn began."""
    now = time.monotonic()
    if not began or now - began <= SLICE:
        return began or now
    pause()
    return time.monotonic()


def fairly(items: Iterable[T]) -> Iterator[T]:
    """Yields the items. Between two of them this greenlet may wait for its next turn (`pause`): whatever the caller has looked
    at before may have changed then."""
    began = time.monotonic()
    for item in items:
        if time.monotonic() - began > SLICE:
            pause()
            began = time.monotonic()
        yield item
