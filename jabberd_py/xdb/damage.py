"""Looks for damage in a SQLite file after the server was killed, and repairs it.

SQLite's log (`-wal`) has a checksum for each frame. SQLite ends at the first bad frame without an error; here it is reported.
The pages of the file have no checksums; `quick_check` finds what does not fit together. Then all rows that can be read are
copied to a new file, which takes the place of the old one. The old file is kept as `.damaged`."""

import os
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any
from urllib.parse import quote

from .db import StoreError, one_line

FINDINGS = 5  # of quick_check, for the log
BATCH = 500
DAMAGED = "the database is damaged"


def examine(path: str, derived: Sequence[str] = ()) -> list[str]:
    """Looks for damage and repairs it. Returns a sentence for each damage; empty: there is none. Nobody else may have the file
    open. ``derived``: tables that need not be saved. Raises StoreError if the file cannot be repaired."""
    found = look(path, keep=True)
    if found and found[-1].startswith(DAMAGED):
        found += _mend(path, derived)
    elif found:  # what is good of the log goes into the file, and what is not may not be found again
        with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return found


def look(path: str, keep: bool = False, log: bool = True) -> list[str]:
    """The same, and nothing is changed (`keep`: a damaged log is copied before it is gone). `log=False`: a server is at
    work, its log changes while one looks."""
    if not os.path.exists(path) or not os.path.getsize(path):
        return []
    found = []
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, isolation_level=None)) as db:
            db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()  # reads the log
            found = _log(path, keep) if log else []
            faults = [row[0] for row in db.execute(f"PRAGMA quick_check({FINDINGS})")]
    except sqlite3.DatabaseError as error:
        if _passing(error):
            raise StoreError(f"{path}: {one_line(error)}") from None
        faults = [one_line(error)]
    if faults != ["ok"]:
        found.append(f"{DAMAGED}: {'; '.join(' '.join(each.split()) for each in faults)}"[:500])
    return found


def _passing(error: sqlite3.Error) -> bool:
    """Is the error a problem of the disk (it is full, say), not damage in the file? CORRUPT and NOTADB are damage."""
    return getattr(error, "sqlite_errorcode", 11) & 0xFF not in (11, 26)


def _beside(path: str, ending: str) -> str:
    """A name that is free."""
    number, name = 1, f"{path}{ending}"
    while os.path.exists(name):
        number += 1
        name = f"{path}{ending}.{number}"
    return name


# --- the log ----------------------------------------------------------------------------------------------


def _log(path: str, keep: bool) -> list[str]:
    """Does the log have commits behind the frame at which SQLite has stopped reading?"""
    try:
        with open(f"{path}-wal", "rb") as log:
            header = log.read(32)
            if len(header) < 32:
                return []
            intact = _checks(header)
            commits = list(_commits(log, header)) if intact else []
        with open(f"{path}-shm", "rb") as index:
            (used,) = struct.unpack_from("=I", index.read(20), 16)  # WalIndexHdr.mxFrame
    except (OSError, struct.error):
        return []
    behind = [number for number in commits if number > used]
    if intact and not behind:
        return []
    kept = ""
    if keep:
        copy = _beside(f"{path}-wal", ".damaged")
        with suppress(OSError):
            shutil.copyfile(f"{path}-wal", copy)
            kept = f"; the log is kept as {copy}"
    if not intact:
        return [f"the beginning of the log is damaged: what was written last is lost{kept}"]
    return [
        f"the log is damaged at page {used + 1} of {commits[-1]}: {len(behind)} of its {len(commits)} transactions "
        f"are lost, the last ones{kept}"
    ]


def _checks(header: bytes) -> bool:
    (magic,) = struct.unpack_from(">I", header)
    if magic & ~1 != 0x377F0682:
        return False
    words = struct.unpack(f"{'>' if magic & 1 else '<'}6I", header[:24])
    first = second = 0
    for at in range(0, 6, 2):
        first = first + words[at] + second & 0xFFFFFFFF
        second = second + words[at + 1] + first & 0xFFFFFFFF
    return (first, second) == struct.unpack_from(">II", header, 24)


def _commits(log: Any, header: bytes) -> Iterator[int]:
    """The numbers, from 1, of the frames that end a transaction."""
    (size,) = struct.unpack_from(">I", header, 8)
    number = 0
    while (
        len(frame := log.read(24)) == 24 and frame[8:16] == header[16:24]
    ):  # else it is older: the log's end
        number += 1
        if any(frame[4:8]):
            yield number
        log.seek(size, os.SEEK_CUR)


# --- the file ---------------------------------------------------------------------------------------------


def _mend(path: str, derived: Sequence[str]) -> list[str]:
    fresh, old = f"{path}.mending", _beside(path, ".damaged")
    with suppress(FileNotFoundError):
        os.unlink(fresh)
    try:
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with (
            closing(sqlite3.connect(path, isolation_level=None)) as source,
            closing(sqlite3.connect(fresh, isolation_level=None)) as target,
        ):
            source.text_factory = lambda data: data.decode("utf-8", "replace")
            with suppress(sqlite3.Error):
                source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            target.execute("PRAGMA synchronous = OFF")  # it is synced when it is whole
            said = _salvage(source, target, derived)
        _sync(fresh)
        _change_places(path, fresh, old)
    except (sqlite3.Error, OSError) as error:
        with suppress(OSError):
            os.unlink(fresh)
        raise StoreError(
            f"{path} is damaged and could not be mended: {one_line(error)}; "
            "bring back a backup: jabberctl restore FILE --force"
        ) from None
    return [*said, f"the damaged database is kept as {old}"]


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def _change_places(path: str, fresh: str, old: str) -> None:
    """At no moment is there no database."""
    try:
        os.link(path, old)
    except OSError:
        shutil.copyfile(path, old)
    for ending in ("-wal", "-shm"):  # the old one's; they must not meet the new one
        with suppress(FileNotFoundError):
            os.rename(path + ending, old + ending)
    os.replace(fresh, path)
    _sync(os.path.dirname(path) or ".")


def _salvage(source: sqlite3.Connection, target: sqlite3.Connection, derived: Sequence[str]) -> list[str]:
    """Tables and indexes as they were, and what can be read of their rows."""
    objects = source.execute("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql > ''").fetchall()
    virtual = tuple(name for _, name, _, sql in objects if sql.upper().startswith("CREATE VIRTUAL"))
    shadows = tuple(f"{name}_" for name in virtual)
    plain = [
        (kind, name, table, sql)
        for kind, name, table, sql in objects
        if not table.startswith("sqlite_")
        and table not in virtual
        and not table.startswith(shadows or ("\0",))
    ]
    said = []
    for wanted in ("table", "index"):
        for kind, _, _, sql in plain:
            if kind == wanted:
                target.execute(sql)
    for kind, name, _, _ in plain:
        if kind == "table" and name not in derived:
            said += _rows(source, target, name, [i for k, i, t, _ in plain if k == "index" and t == name])
    with suppress(sqlite3.Error):  # a number must not come twice
        for name, number in source.execute("SELECT name, seq FROM sqlite_sequence").fetchall():
            if not target.execute(
                "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (number, name)
            ).rowcount:
                target.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, number))
    return said or ["no row was lost"]


def _rows(
    source: sqlite3.Connection, target: sqlite3.Connection, table: str, indexes: list[str]
) -> list[str]:
    """Copies the rows from both ends up to the first damaged place. Rows between two damaged places are looked up one by one,
    with the indexes."""
    names = [row[1] for row in source.execute(f'PRAGMA table_info("{table}")')]
    columns = ", ".join(f'"{name}"' for name in names)
    insert = f'INSERT OR IGNORE INTO "{table}" ({columns}) VALUES ({", ".join("?" * len(names))})'
    select = f'SELECT rowid, {columns} FROM "{table}" NOT INDEXED'
    kept = 0
    position = [0, 0]  # the last row from the front, from the back
    batch: list[Any] = []

    def flush() -> None:
        nonlocal kept
        target.execute("BEGIN")
        target.executemany(insert, batch)
        target.execute("COMMIT")
        kept += len(batch)
        batch.clear()

    def keeper(end: int) -> Callable[[Any], None]:
        def keep(row: Any) -> None:
            position[end] = row[0]
            batch.append(row[1:])
            if len(batch) >= BATCH:
                flush()

        return keep

    position[0] = -(1 << 63)
    whole = _scan(source, f"{select} ORDER BY rowid", keeper(0))
    if whole:
        flush()
        return []
    position[1] = (1 << 63) - 1
    _scan(source, f"{select} WHERE rowid > {position[0]} ORDER BY rowid DESC", keeper(1))
    first, last = position
    between: set[int] = set()
    known = False
    for index in indexes:
        sql = f'SELECT rowid FROM "{table}" INDEXED BY "{index}"'
        known |= _scan(source, sql, lambda row: between.add(row[0]) if first < row[0] < last else None)
    lost = sum(not _scan(source, f"{select} WHERE rowid = {id}", keeper(0)) for id in sorted(between))
    flush()
    count = f"{lost} rows" if known else "some rows"
    return [f"table {table}: {kept} rows were kept, {count} lost"]


def _scan(source: sqlite3.Connection, sql: str, take: Callable[[Any], None]) -> bool:
    """Was everything readable? What could be read was taken."""
    cursor = source.cursor()
    first = True
    while True:
        try:
            row = cursor.execute(sql).fetchone() if first else cursor.fetchone()
        except sqlite3.DatabaseError as error:
            if _passing(error):
                raise
            return False
        if row is None:
            return True
        take(row)
        first = False
