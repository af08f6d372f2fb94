"""Rows that cannot be read: they are passed over, and the log says so."""

from __future__ import annotations

from .. import log
from .db import one_line

logger = log.get(__name__)


def spoilt(table: str, owner: object, error: Exception) -> None:
    """A row of ``table`` cannot be read. It shall not stop the server, nor lock its owner out."""
    reason = f"{type(error).__name__}: {one_line(error)}"
    logger.error("a damaged row is passed over", table=table, owner=owner, reason=reason)
