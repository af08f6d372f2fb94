"""A backup: one `.tar.gz` with the whole store as `jabberd.sqlite`, whatever database it is from, and `certificates/`.

The configuration is not in it."""

import os
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import peewee

from ..words import amount
from . import health
from .copying import copy, is_empty
from .damage import look
from .db import Sqlite, StoreError, one_line, open_database

DATABASE, FOLDER = "jabberd.sqlite", "certificates/"


def backup(
    file: str, db: Any, tables: Sequence[type[peewee.Model]], certificates: Path, slowly: Callable[..., Any]
) -> Iterator[Any]:
    """Writes a backup of an open store, as it is at one moment. Yields steps (done, total, text), and the result last.
    ``slowly(function, *args)`` runs a function in a thread. Raises StoreError, OSError."""
    if os.path.exists(file):
        raise StoreError(f"{file}: is there already")
    database, part = f"{file}.sqlite", f"{file}.part"
    try:
        os.close(os.open(database, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        _look_for_room(os.path.dirname(database), health.sizes(db)["bytes"])
        if db.threaded:
            yield 0, 2, "copying the database"
            slowly(_vacuum, db.database, database)
            yield 1, 2, "packing"
        else:
            target = Sqlite(database, alone=True)
            try:
                for step in copy(db, target, tables):
                    if isinstance(step, tuple):
                        yield step
            finally:
                target.close()
        count = slowly(_pack, part, database, certificates)
        os.rename(part, file)
    except sqlite3.Error as error:
        raise StoreError(f"the backup failed: {one_line(error)}") from None
    finally:
        slowly(_remove, *(database + ending for ending in ("", "-wal", "-shm", "-journal")), part)
    yield {"file": file, "bytes": os.path.getsize(file), "certificates": count}


def _look_for_room(folder: str, size: int) -> None:
    """For a copy of the store, and for what is packed. Raises StoreError."""
    wanted, free = 2 * size, shutil.disk_usage(folder).free
    if free < wanted:
        raise StoreError(
            f"the backup needs room: {amount(wanted)} for a while, and {folder} has {amount(free)}"
        )


def _remove(*names: str) -> None:
    for name in names:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _vacuum(source: str, target: str) -> None:
    with closing(sqlite3.connect(source, timeout=10)) as db:
        db.execute("VACUUM INTO ?", (target,))


def _pack(part: str, database: str, certificates: Path) -> int:
    names = sorted(each for each in certificates.iterdir() if each.is_file()) if certificates.is_dir() else []
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
            tar.add(database, DATABASE)
            for each in names:
                tar.add(each, FOLDER + each.name)
        out.flush()
        os.fsync(out.fileno())
    return len(names)


def restore(
    file: str,
    url: str,
    data: Path,
    tables: Sequence[type[peewee.Model]],
    certificates: Path,
    force: bool = False,
) -> Iterator[Any]:
    """Into the configured store, which no server uses; yields steps, at last what was brought back. What is there
    already stays, and StoreError is raised, unless `force`: then a SQLite file is kept as `.old`, and another
    database is emptied. Certificates that differ are replaced only by `force`."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    unpacked = data / "restore.sqlite"
    rows: list[dict[str, Any]] = []
    try:
        found = _unpack(file, unpacked)
        if damage := look(str(unpacked)):
            raise StoreError(f"{file}: {damage[0]}")
        _make_way(url, data, tables, force)
        source, target = Sqlite(str(unpacked), alone=True), open_database(url, str(data), alone=True)
        try:
            for step in copy(source, target, tables, force=force):
                if isinstance(step, tuple):
                    yield step
                else:
                    rows = step
        finally:
            source.close()
            target.dispose_all()
        kept = _certificates(found, certificates, force)
    finally:
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(f"{unpacked}{ending}")
    yield rows + [{"table": name, "rows": "kept the one that is there", "checksum": ""} for name in kept]


def _unpack(file: str, database: Path) -> dict[str, bytes]:
    """The database goes to its place, the certificates come back by name. Other files are none of ours."""
    found: dict[str, bytes] = {}
    whole = False
    try:
        with tarfile.open(file, "r:gz") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                name = member.name.removeprefix(FOLDER)
                if content is None:
                    continue
                if member.name == DATABASE:
                    with open(os.open(database, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                        shutil.copyfileobj(content, out, 1 << 20)
                    whole = True
                elif (
                    member.name == FOLDER + name
                    and os.path.basename(name) == name
                    and name not in ("", ".", "..")
                ):
                    found[name] = content.read(1 << 20)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise StoreError(f"{file}: {one_line(error)}") from None
    if not whole:
        raise StoreError(f"{file}: is no backup, it has no {DATABASE}")
    return found


def _make_way(url: str, data: Path, tables: Sequence[type[peewee.Model]], force: bool) -> None:
    target = open_database(url, str(data), alone=True)
    path = target.database if target.threaded else None
    if path and not os.path.exists(path):
        return
    try:
        empty = is_empty(target, tables)
    except peewee.PeeweeException as error:
        if not path or not force:
            raise StoreError(f"{path or target.database}: {one_line(error)}") from None
        empty = False
    finally:
        with suppress(peewee.PeeweeException):
            target.dispose_all()
    if not empty and not force:
        raise StoreError("the store is not empty: --force replaces what is there")
    if path and not empty:
        for ending in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.replace(path + ending, f"{path}.old{ending}")


def _certificates(found: dict[str, bytes], folder: Path, force: bool) -> list[str]:
    """Says which ones stay as they are."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = []
    for name, content in found.items():
        path = folder / name
        if path.exists() and not force:
            if path.read_bytes() != content:
                kept.append(FOLDER + name)
            continue
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(content)
    return kept
