"""Copies a whole store into another one, of any kind of database: `jabberctl store copy`, `backup`, `restore`.

The source is read in one snapshot, in bounded batches. Then the target is read, too, and compared. Until that is done the
target is marked as incomplete, and no server starts on it."""

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import peewee

from ..net.turns import pause
from . import schema
from .db import Mysql, Postgres, StoreError, one_line
from .schema import INCOMPLETE, MIGRATIONS, SchemaVersion
from .writer import Insert

ROWS = 500
"""At most this many rows are in one batch."""
TEXT = 1 << 20
"""If a batch has more characters, the next one has fewer rows."""
SNAPSHOT = {
    Mysql: ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT"],
    Postgres: ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"],
}

Step = tuple[int, int, str]
"""How far the copy is: (done, total, text)."""


def copy(
    source: Any, target: Any, tables: Sequence[type[peewee.Model]], *, force: bool = False
) -> Iterator[Step | list[dict[str, Any]]]:
    """Yields steps. The last item is the result: for each table a row with ``table``, ``rows`` and ``checksum``.

    source, target  databases: of `open_database(url, alone=True)`, or of a pool
    force           delete what is in the target; else it must be empty

    Raises StoreError with one line."""
    try:
        yield from _copy(source, target, list(tables), force)
    except peewee.PeeweeException as error:
        raise StoreError(f"the copy failed: {one_line(error)}") from None


def _copy(source: Any, target: Any, tables: list[Any], force: bool) -> Iterator[Any]:
    with _snapshot(source):
        present = set(source.get_tables())
        _is_current(source, present)
        mine = [table for table in tables if _name(table) in present and not table.derived]
        counts = {table: _one(source, f"SELECT COUNT(*) FROM {_quoted(source, table)}") for table in mine}
        total = 2 * sum(counts.values())
        done = 0
        yield done, total, "preparing"
        _prepare(target, tables, force)
        results = []
        for table in mine:
            digest, rows = hashlib.blake2b(digest_size=8), 0
            for batch in _batches(source, table):
                _add(target, table, batch)
                digest.update("".join(map(repr, batch)).encode())
                rows += len(batch)
                yield done + rows, total, f"copying {_name(table)}"
                pause()  # others have their turn: the server may be running
            done += rows
            _go_on_from(target, table, _last(source, table))
            results.append({"table": _name(table), "rows": rows, "checksum": digest.hexdigest()})
        for table, result in zip(mine, results, strict=True):
            digest, rows = hashlib.blake2b(digest_size=8), 0
            for batch in _batches(target, table):
                digest.update("".join(map(repr, batch)).encode())
                rows += len(batch)
                yield done + rows, total, f"comparing {_name(table)}"
                pause()
            done += rows
            if (rows, digest.hexdigest()) != (result["rows"], result["checksum"]):
                raise StoreError(
                    f"table {result['table']}: {result['rows']} rows went in, {rows} came out, "
                    "or they differ: the copy is not used"
                )
        versions = [row for batch in _batches(source, SchemaVersion) for row in batch]
        with target.atomic():
            target.execute_sql(f"DELETE FROM {_quoted(target, SchemaVersion)}")
            Insert(target, SchemaVersion, _columns(SchemaVersion)).run(target, versions)
    target.release()
    yield results


@contextmanager
def _snapshot(db: Any) -> Iterator[None]:
    """Inside, all reads show the database as it was at one moment."""
    db.connect(reuse_if_open=True)
    db.push_transaction(db)  # keeps `release` from giving the connection back
    try:
        for statement in SNAPSHOT.get(type(db), ["BEGIN"]):
            db.execute_sql(statement)
        yield
    finally:
        db.execute_sql("ROLLBACK")
        db.pop_transaction()
        db.release()


def _is_current(db: Any, present: set[str]) -> None:
    newest = max(number for number, *_ in MIGRATIONS)
    if _name(SchemaVersion) not in present:
        raise StoreError("the source is no store of this server")
    number = _one(db, f"SELECT MAX(number) FROM {_quoted(db, SchemaVersion)}")
    if number != newest:
        raise StoreError(
            f"the source has schema {number}, this version knows {newest}: start its own server first"
        )


def is_empty(db: Any, tables: Sequence[Any]) -> bool:
    """Is there no row in any of these tables? A table may be missing. What a broken copy has left does not count."""
    present = set(db.get_tables())
    if _incomplete(db, present):
        return True
    return not any(
        _one(db, f"SELECT 1 FROM {_quoted(db, table)} LIMIT 1") for table in tables if _name(table) in present
    )


def _incomplete(db: Any, present: set[str]) -> bool:
    where = f"{_quoted(db, SchemaVersion)} WHERE number = {INCOMPLETE}"
    return _name(SchemaVersion) in present and bool(_one(db, f"SELECT 1 FROM {where}"))


def _prepare(db: Any, tables: Sequence[Any], force: bool) -> None:
    """Makes the tables of the target, empties them, and marks the target as incomplete."""
    db.connect(reuse_if_open=True)
    present = set(db.get_tables())
    if not force and not is_empty(db, tables):
        raise StoreError("the target is not empty")
    marked = _incomplete(db, present)
    if force or marked:
        if not marked and _name(SchemaVersion) in present:
            _mark(db)
        for table in tables:
            if _name(table) in present:
                db.execute_sql(f"DELETE FROM {_quoted(db, table)}")
        if _name(SchemaVersion) in present:
            db.execute_sql(f"DELETE FROM {_quoted(db, SchemaVersion)} WHERE number = {INCOMPLETE}")
    # peewee makes tables in the database to which the classes are bound. While they are bound to the target, no other greenlet
    # may run. SQLite never switches greenlets; the other databases are targets only while no server runs.
    with db.bind_ctx([SchemaVersion, *tables], bind_refs=False, bind_backrefs=False):
        schema.prepare(db, tables, MIGRATIONS)
    _mark(db)


def _mark(db: Any) -> None:
    row = (INCOMPLETE, "a copy is under way", time.time())
    Insert(db, SchemaVersion, ("number", "what", "at")).run(db, [row])


# --- rows -----------------------------------------------------------------------------------------------


def _name(table: Any) -> str:
    name: str = table._meta.table_name
    return name


def _quoted(db: Any, table: Any) -> str:
    return _name(table).join(db.quote)


def _columns(table: Any) -> tuple[str, ...]:
    return tuple(field.name for field in table._meta.sorted_fields)


def _one(db: Any, sql: str, *args: Any) -> Any:
    row = db.execute_sql(sql, args or None).fetchone()
    return row[0] if row else None


def _same(field: Any) -> Callable[[Any], Any] | None:
    """A function that makes a value of any driver comparable; None if it is already."""
    if isinstance(field, peewee.BooleanField):
        return bool
    return bytes if isinstance(field, peewee.BlobField) else None


def _batches(db: Any, table: Any) -> Iterator[list[tuple[Any, ...]]]:
    """Yields all rows in the order of the primary key, a bounded number at a time."""
    fields, key = table._meta.sorted_fields, table._meta.primary_key
    names = ", ".join(field.column_name.join(db.quote) for field in fields)
    column, place = key.column_name.join(db.quote), fields.index(key)
    converters = [(at, convert) for at, field in enumerate(fields) if (convert := _same(field))]
    head, position, size = f"SELECT {names} FROM {_quoted(db, table)}", None, ROWS
    while True:
        where = "" if position is None else f" WHERE {column} > {db.param}"
        sql = f"{head}{where} ORDER BY {column} LIMIT {size}"
        rows = list(db.execute_sql(sql, None if position is None else (position,)).fetchall())
        if not rows:
            return
        position = rows[-1][place]
        for number, row in enumerate(rows) if converters else ():
            values = list(row)
            for at, convert in converters:
                values[at] = None if values[at] is None else convert(values[at])
            rows[number] = tuple(values)
        text = sum(len(value) for row in rows for value in row if isinstance(value, str))
        size = min(ROWS, size * 2) if text < TEXT else max(1, size // 4)
        yield rows


def _add(db: Any, table: Any, rows: list[tuple[Any, ...]]) -> None:
    with db.atomic():
        Insert(db, table, _columns(table)).run(db, rows)


# --- row numbers that never come twice --------------------------------------------------------------------


def _last(db: Any, table: Any) -> int:
    """The last number that the database itself has given to a row of the table; 0: none."""
    if not table._meta.auto_increment:
        return 0
    name = _name(table)
    if isinstance(db, Mysql):
        made = db.execute_sql(f"SHOW CREATE TABLE {_quoted(db, table)}").fetchone()[1]
        found = re.search(r"\bAUTO_INCREMENT=(\d+)", made)
        return int(found[1]) - 1 if found else 0
    if isinstance(db, Postgres):
        sequence = _one(db, "SELECT pg_get_serial_sequence(%s, 'id')", _quoted(db, table))
        last, called = db.execute_sql(f"SELECT last_value, is_called FROM {sequence}").fetchone()
        return int(last) if called else 0
    return int(_one(db, "SELECT seq FROM sqlite_sequence WHERE name = ?", name) or 0)


def _go_on_from(db: Any, table: Any, last: int) -> None:
    if not last:
        return
    name = _name(table)
    if isinstance(db, Mysql):
        db.execute_sql(f"ALTER TABLE {_quoted(db, table)} AUTO_INCREMENT = {last + 1}")
    elif isinstance(db, Postgres):
        db.execute_sql("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", (_quoted(db, table), last))
    else:
        with db.atomic():
            db.execute_sql("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
            db.execute_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, last))
