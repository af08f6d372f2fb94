"""Statements whose SQL is written only once: peewee takes 100 µs to write a SELECT that SQLite answers in 5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TEXT = "\0slot "
NUMBER = -(2**61)


class Prepared:
    """A query, or a change that runs in the writer, with parameters of these types:

        page = xdb.prepared(str, int)(lambda owner, id: Message.select(...).where(...))
        rows = page("romeo@example.org", 7)      # all rows, as tuples

    The function is called once, with stand-ins in place of the values. Use it on the path of a message; elsewhere peewee is
    easier to read."""

    def __init__(self, database: Callable[[], Any], *kinds: type) -> None:
        self.database = database
        if not {str, int}.issuperset(kinds):
            raise TypeError("values are str or int: a float could be taken for the stand-in of another value")
        self.stand_ins: list[Any] = [
            f"{TEXT}{n}" if kind is str else NUMBER - n for n, kind in enumerate(kinds)
        ]

    def __call__(self, make: Callable[..., Any]) -> Callable[..., list[tuple[Any, ...]]]:
        made: dict[Any, tuple[str, list[Any]]] = {}  # by database: each store writes its own SQL
        slots = {stand_in: n for n, stand_in in enumerate(self.stand_ins)}

        def run(*values: Any) -> list[tuple[Any, ...]]:
            database = self.database()
            written = made.get(database)
            if written is None:
                written = make(*self.stand_ins).sql()
                made.clear()
                made[database] = written
            sql, params = written
            filled = [values[slots[p]] if p in slots else p for p in params]
            cursor = database.execute_sql(sql, filled)
            return cursor.fetchall() if cursor.description is not None else []

        return run
