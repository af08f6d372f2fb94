"""Commands of jabberctl that need no running server: they open the store themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click

from .link import Failed, Link, load
from .show import progress_bar, show


class Place(NamedTuple):
    """What the configuration says of the store."""

    url: str
    data: Path
    certificates: Path
    tables: list[Any]


def _place(settings: Any = None) -> Place:
    from .. import schema
    from ..xdb.table import Document

    settings = settings or load(Link.of(click.get_current_context()).place)
    data = Path(settings.top.data)
    folder = Path(settings["tls"].certificates or data / "certificates")
    return Place(
        settings.top.database or "sqlite:///jabberd.sqlite", data, folder, [Document, *schema.tables()]
    )


@contextmanager
def _failing() -> Iterator[None]:
    from ..xdb import StoreError

    try:
        yield
    except StoreError as error:
        raise Failed(str(error)) from None
    except OSError as error:
        raise Failed(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None


@contextmanager
def _locked(folders: list[Path]) -> Iterator[None]:
    """No server has these folders, nor will it get them meanwhile."""
    from ..xdb.lock import Lock

    locks = []
    try:
        for folder in sorted({folder.resolve() for folder in folders}):
            locks.append(Lock(str(folder), mark=False))
        yield
    finally:
        for lock in locks:
            lock.release()


def _run(steps: Iterator[Any], as_json: bool) -> None:
    result = None
    with progress_bar(as_json) as bar:
        for step in steps:
            if isinstance(step, tuple):
                bar(step[0], step[1], step[2] if len(step) > 2 else "")
            else:
                result = step
    show(result, as_json)


def _as_json(given: bool) -> bool:
    return given or bool(click.get_current_context().find_root().params.get("as_json"))


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@_json
def store_copy(source: str, target: str, as_json: bool) -> None:
    """Copy a whole store into an empty one, of any kind, and compare. FROM and TO are URLs as in the option `database`;
    the server must be stopped."""
    from ..xdb.copying import copy
    from ..xdb.db import open_database

    place = _place()
    with _failing():
        here, there = (open_database(url, str(place.data), alone=True) for url in (source, target))
        files = [Path(db.database) for db in (here, there) if db.threaded]
        if here.threaded and not os.path.exists(here.database):
            raise Failed(f"{here.database}: No such file or directory")
        if source == target or (len(files) == 2 and files[0].resolve() == files[1].resolve()):
            raise Failed("FROM and TO are the same")
        folders = [file.parent for file in files] + [place.data] * (place.url in (source, target))
        with _locked(folders):
            try:
                _run(copy(here, there, place.tables), _as_json(as_json))
            finally:
                here.dispose_all()
                there.dispose_all()


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace what is there; a SQLite file is kept as .old.")
@_json
def restore(file: str, force: bool, as_json: bool) -> None:
    """Bring a backup back into the configured store; the server must be stopped."""
    from ..xdb.archive import restore

    place = _place()
    with _failing(), _locked([place.data]):
        _run(restore(file, place.url, place.data, place.tables, place.certificates, force), _as_json(as_json))


def stopped(settings: Any = None) -> list[dict[str, Any]]:
    """How the store of a stopped server is: rows of `check`, `found` and `trouble`. Raises Failed."""
    from ..xdb import StoreError
    from ..xdb.db import open_database
    from ..xdb.health import check
    from ..xdb.lock import Lock

    place = _place(settings)
    row = {"check": "server", "found": "does not run, and was stopped in peace", "trouble": ""}
    with _failing():
        if place.data.is_dir():
            try:
                lock = Lock(str(place.data), mark=False)
                if lock.unclean:
                    row["found"] = "does not run; it was killed, or crashed"
                    row["trouble"] = "its next start looks through the store and mends what is damaged"
                lock.release()
            except StoreError as error:
                row |= {"found": "runs, but its control socket does not answer", "trouble": str(error)}
        db = open_database(place.url, str(place.data))
        return [row, *check(db, place.tables)]


@click.command("store")
@_json
def check_store(as_json: bool) -> None:
    """Is the store sound? Damage, room, versions, rows; here without a server."""
    rows = stopped()
    show(rows, _as_json(as_json))
    click.get_current_context().exit(int(any(each["trouble"] for each in rows)))


ALWAYS: dict[tuple[str, ...], click.Command] = {("store", "copy"): store_copy, ("restore",): restore}
"""Never the server's."""
WITHOUT: dict[tuple[str, ...], click.Command] = {("check", "store"): check_store}
"""Where no server answers."""
