"""Removes many rows, or long ones, a piece at a time: others write in between.

These functions run in the writer. Each call works for about `SLICE` seconds; the caller calls again until nothing is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from .table import Table

SLICE = 0.02
"""Seconds of one call. Everybody's writes wait for it."""
FEW = 10
"""Rows that are removed first; then twice as many each time."""


def clear(table: type[Table], where: Any) -> tuple[int, bool]:
    """Removes rows that meet the condition. Returns how many, and True if none is left."""
    key: Any = table._meta.primary_key
    count, most = 0, FEW
    until = time.monotonic() + SLICE
    while True:
        ids = [id for (id,) in table.select(key).where(where).limit(most).tuples().iterator()]
        if ids:
            count += table.delete().where(key.in_(ids)).execute()
        if len(ids) < most:
            return count, True
        if time.monotonic() >= until:
            return count, False
        most = min(2 * most, 500)


def clear_owner(tables: Sequence[type[Table]], owner: str, first: Callable[[], Any]) -> tuple[int, bool]:
    """Calls ``first``, and removes rows of the owner: the long ones first, all others together when none of these is left. So
    who owns something is known until nothing else is left. Returns how many, and True if none is left."""
    first()
    total = 0
    for table in tables:
        if table.long:
            count, done = clear(table, table.owner == owner)
            total += count
            if not done:
                return total, False
    return total + sum(table.delete().where(table.owner == owner).execute() for table in tables), True
