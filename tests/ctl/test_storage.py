"""A check of the store and a backup: one at a time, beside what the server does."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent import monkey
from gevent.event import Event

from jabberd_py.commands import Caller
from jabberd_py.ctl import backups, storage
from jabberd_py.xdb import archive
from jabberd_py.xdb.db import Sqlite, StoreError
from jabberd_py.xmpp.errors import StanzaError

WHO = Caller("chief@localhost", "console", "")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    """What the commands need of one."""
    db = Sqlite(str(tmp_path / "jabberd.sqlite"), alone=True)
    db.execute_sql("CREATE TABLE words (text)")
    writer = SimpleNamespace(trouble=None, _queue=[])
    store = SimpleNamespace(db=db, tables=[], trouble=None, writer=writer, found=[])
    folder = tmp_path / "certificates"
    yield SimpleNamespace(store=store, data=tmp_path, certificates=SimpleNamespace(folder=folder))
    db.close()


def test_all_who_ask_at_once_get_one_check(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    go, runs = Event(), []

    def check(*_: Any) -> list[dict[str, Any]]:
        runs.append(1)
        go.wait()
        return [{"check": "integrity", "found": "sound", "trouble": ""}]

    monkeypatch.setattr(storage.health, "check", check)
    checks = storage.Storage(server)
    asking = [gevent.spawn(checks.check) for _ in range(5)]
    assert checks.check(background=True) == []
    gevent.idle()
    assert checks.show()["check_begun"] and checks.show()["last_check"] is None
    asking[0].kill()  # who asked first does not wait any more
    go.set()
    assert all(each.get(timeout=10)[0]["found"] == "sound" for each in asking[1:]) and len(runs) == 1
    shown = checks.show()
    assert shown["check_begun"] is None and shown["last_check"] and shown["last_rows"][0]["found"] == "sound"
    assert shown["bytes"] > 0 and shown["free_bytes"] > 0
    assert checks.check()[0]["found"] == "sound" and len(runs) == 2


def test_a_check_that_fails_says_so_and_the_next_one_runs(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*_: Any) -> list[dict[str, Any]]:
        raise sqlite3.OperationalError("disk I/O error")

    checks = storage.Storage(server)
    with monkeypatch.context() as patch:
        patch.setattr(storage.health, "check", check)
        assert "disk I/O error" in checks.check()[0]["trouble"]
    assert "integrity" in {row["check"] for row in checks.check()}


def test_a_check_and_a_backup_need_none_of_the_threads_of_sign_ins(server: Any) -> None:
    pool, lock = gevent.get_hub().threadpool, monkey.get_original("_thread", "allocate_lock")()

    def wait() -> None:
        with lock:
            pass

    lock.acquire()
    busy = [pool.spawn(wait) for _ in range(pool.maxsize)]
    try:
        checks, made = storage.Storage(server), backups.Backups(server)
        assert "integrity" in {row["check"] for row in checks.check()}
        *_, result = made.backup(server.data / "one.tar.gz", WHO)
        assert result["bytes"] == (server.data / "one.tar.gz").stat().st_size
    finally:
        lock.release()
        for each in busy:
            each.get()


def test_one_backup_at_a_time(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    go, real = Event(), archive.backup

    def slow(*args: Any) -> Iterator[Any]:
        yield 0, 2, "copying the database"
        go.wait()
        yield from real(*args)

    monkeypatch.setattr(backups.archive, "backup", slow)
    made = backups.Backups(server)
    half = made.folder / "jabberd-20260101-000000.tar.gz.sqlite"
    made.folder.mkdir()
    half.write_bytes(b"what a server that was killed has left")
    file = Path(made.make()["file"])
    assert not made.list_backups()
    for again in (made.make, lambda: list(made.backup(server.data / "two.tar.gz", WHO))):
        with pytest.raises(StanzaError, match="is being made since"):
            again()
    while made.progress()["step"].startswith("begins"):
        gevent.sleep(0)
    assert made.progress()["step"].startswith("copying the database, ")
    go.set()
    while made.progress()["begun"]:
        gevent.sleep(0)
    assert [row["file"] for row in made.list_backups()] == [str(file)] and not half.exists()
    assert f"{file.name} was made" in made.progress()["last"]
    made.delete(file.name)
    assert not list(made.folder.iterdir())


def test_a_backup_for_which_the_disk_has_no_room_is_not_begun(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4096, total=1 << 30))
    made = backups.Backups(server)
    made.make()
    while made.progress()["begun"]:
        gevent.sleep(0)
    assert "needs room" in made.progress()["last"] and "4 KiB" in made.progress()["last"]
    with pytest.raises(StoreError, match="needs room"):
        list(made.backup(server.data / "one.tar.gz", WHO))
    assert not list(made.folder.iterdir()) and made.file is None
