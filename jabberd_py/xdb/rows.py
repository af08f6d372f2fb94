"""What the databases share: rows that are read at once, and the error behind peewee's."""

from typing import Any


def original(error: BaseException) -> BaseException:
    """The driver's own error."""
    return getattr(error, "orig", error)


class Rows:
    """The result of a query, already read: its connection is free for others. (An open SQLite cursor would hold its
    snapshot over a switch of greenlets, and what another greenlet reads through the shared connection meanwhile would
    miss what was committed since.)"""

    def __init__(self, cursor: Any) -> None:
        self.description = cursor.description
        self.rowcount, self.lastrowid = cursor.rowcount, getattr(cursor, "lastrowid", None)
        self._rows = iter(cursor.fetchall())

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Any:
        return self._rows

    def close(self) -> None:
        pass
