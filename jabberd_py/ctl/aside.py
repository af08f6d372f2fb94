"""Threads for what takes minutes: a check of the store, a backup. The hub's threads are for what takes milliseconds: who signs
in waits for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from gevent.threadpool import ThreadPool
from greenlet import getcurrent

MOST = 2
"""A check and a backup at a time."""
_pool: ThreadPool | None = None


def aside(function: Callable[..., Any], *args: Any) -> Any:
    """The result of a function that runs in such a thread. Blocks."""
    global _pool
    if (
        getcurrent() is gevent.get_hub()
    ):  # a command that was broken off is cleaned up there, where nothing can wait
        return function(*args)
    if _pool is None:
        _pool = ThreadPool(MOST)
    return _pool.apply(function, args)
