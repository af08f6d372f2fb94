"""`jabberctl check store`: is the store sound?"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import quote

import peewee

from .copying import _name, _one, _quoted
from .damage import look
from .db import Mysql, Postgres, StoreError, one_line
from .schema import INCOMPLETE, MIGRATIONS, SchemaVersion

ROOM = 256 << 20
"""Bytes of free disk. With less, the check reports trouble."""
LOG = 256 << 20
"""Bytes of SQLite's write-ahead log. If it is larger, something keeps SQLite from moving it into the database."""

Row = dict[str, Any]


def check(
    db: Any, tables: Sequence[type[peewee.Model]], slowly: Callable[..., Any] | None = None
) -> list[Row]:
    """Returns rows with ``check``, ``found`` and ``trouble`` (empty if there is none). ``slowly(function, *args)`` runs a
    function in a thread; a running server gives it. Blocks."""
    if db.threaded:
        rows: list[Row] = (
            slowly(_sqlite, db.database, tables, True) if slowly else _sqlite(db.database, tables, False)
        )
        return rows
    return _server(db, tables)


def sizes(db: Any) -> dict[str, Any]:
    """``database`` (what it is, and where), its ``bytes``, those of its log, and the free ones of its disk (None: not known).
    Blocks, for a short time. Raises peewee.PeeweeException, StoreError."""
    if not db.threaded:
        postgres = isinstance(db, Postgres)
        query = "pg_database_size(current_database())" if postgres else (
            "COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables WHERE table_schema = DATABASE()"
        )  # fmt: skip
        size = int(_one(db, f"SELECT {query}"))
        kind = "PostgreSQL" if postgres else "MySQL"
        return {"database": f"{kind}, {db.database}", "bytes": size, "log_bytes": None, "free_bytes": None}
    path = db.database
    log = os.path.getsize(f"{path}-wal") if os.path.exists(f"{path}-wal") else 0
    free = shutil.disk_usage(os.path.dirname(path) or ".").free
    return {
        "database": f"SQLite, {path}", "bytes": os.path.getsize(path), "log_bytes": log, "free_bytes": free,
    }  # fmt: skip


def _row(check: str, found: Any, trouble: str = "") -> Row:
    return {"check": check, "found": found, "trouble": trouble}


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _sqlite(path: str, tables: Sequence[Any], running: bool) -> list[Row]:
    if not os.path.exists(path):
        return [_row("database", path, "there is none yet: the first start makes it")]
    rows = [_row("database", f"SQLite {sqlite3.sqlite_version}, {path}, {_size(os.path.getsize(path))}")]
    log = os.path.getsize(f"{path}-wal") if os.path.exists(f"{path}-wal") else 0
    rows.append(
        _row(
            "log (WAL)",
            _size(log),
            "does not get smaller: is a long backup under way?" if log > LOG else "",
        )
    )
    folder = os.path.dirname(path) or "."
    disk = shutil.disk_usage(folder)
    rows.append(
        _row(
            "disk",
            f"{_size(disk.free)} of {_size(disk.total)} free",
            "nearly full: soon nothing can be stored" if disk.free < ROOM else "",
        )
    )
    if not os.access(folder, os.W_OK) or os.statvfs(folder).f_flag & os.ST_RDONLY:
        rows.append(_row("folder", folder, "cannot be written: it is read-only"))
    try:
        broken = look(path, log=not running)
    except StoreError as error:
        return [*rows, _row("integrity", "not known", str(error))]
    rows += [
        _row(
            "integrity",
            "damaged",
            f"{each}. The next start after an unclean end mends what it can, and keeps "
            "the damaged file; or bring back a backup",
        )
        for each in broken
    ] or [_row("integrity", "sound")]
    for name in sorted(os.listdir(folder)):
        if name.startswith(os.path.basename(path)) and ".damaged" in name:
            rows.append(
                _row("kept", name, "a damaged file of the past; delete it when you no longer need it")
            )
    with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as db:

        def one(sql: str) -> Any:
            return (db.execute(sql).fetchone() or [None])[0]

        try:
            present = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            rows += _contents(one, lambda table: f'"{_name(table)}"', present, tables)
        except sqlite3.Error as error:
            rows.append(_row("rows", "cannot be counted", one_line(error)))
    return rows


def _server(db: Any, tables: Sequence[Any]) -> list[Row]:
    kind = "PostgreSQL" if isinstance(db, Postgres) else "MySQL"
    try:
        version = str(_one(db, "SELECT version()")).split(" on ")[0]
        rows = [
            _row(
                "database",
                f"{version}, {db.database}" if kind in version else f"{kind} {version}, {db.database}",
            )
        ]
        read_only = _one(
            db, "SHOW transaction_read_only" if isinstance(db, Postgres) else "SELECT @@read_only"
        )
        rows.append(
            _row(
                "writable",
                "no" if read_only in (1, "on") else "yes",
                "the database is read-only" if read_only in (1, "on") else "",
            )
        )
        present = set(db.get_tables())
        if isinstance(db, Mysql):
            for table in tables:
                if _name(table) in present:
                    said = db.execute_sql(f"CHECK TABLE {_quoted(db, table)} QUICK").fetchall()[-1][-1]
                    if said != "OK":
                        rows.append(_row(f"table {_name(table)}", "damaged", said))
        rows += _contents(lambda sql: _one(db, sql), lambda table: _quoted(db, table), present, tables)
        db.release()
    except (peewee.PeeweeException, StoreError) as error:
        return [_row("database", f"{kind}, {db.database}", f"does not answer: {one_line(error)}")]
    return rows


def _contents(
    one: Callable[[str], Any], quoted: Callable[[Any], str], present: set[str], tables: Sequence[Any]
) -> list[Row]:
    newest = max(number for number, *_ in MIGRATIONS)
    if _name(SchemaVersion) not in present:
        return [_row("schema", "none", "no server has used it yet")]
    number = one(f"SELECT MAX(number) FROM {quoted(SchemaVersion)}")
    wrong = (
        ""
        if number == newest
        else "a copy into it was begun and not finished"
        if number == INCOMPLETE
        else "of a newer version of the server"
        if number > newest
        else "the next start brings it up to date"
    )
    rows = [_row("schema", f"{number} (this server: {newest})", wrong)]
    counts = {
        _name(table): one(f"SELECT COUNT(*) FROM {quoted(table)}")
        for table in tables
        if _name(table) in present
    }
    rows.append(
        _row("rows", ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "none")
    )
    return rows
