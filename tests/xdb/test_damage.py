"""Bytes that are really damaged: the files of an open store are copied, as kill -9 leaves them, and then spoilt."""

import os
import shutil
import sqlite3
import struct
from pathlib import Path

import pytest
from peewee import TextField

from jabberd_py.xdb import JidField, StoreError, Table, xdb

PAGE = 4096


class Letter(Table):
    jid = JidField(index=True)
    text = TextField()

    class Meta:
        table_name = "test_letter"


def write(number, size=300):
    Letter.create(
        owner=f"user{number % 7}@a", jid=f"jid{number}@b", text=f"letter-{number:05d}." + "x" * size
    )


def killed(folder, target):
    """The files as they are now."""
    target.mkdir()
    for name in os.listdir(folder):
        shutil.copyfile(folder / name, target / name)
    return target / "store.db"


def letters():
    return {row.text[:12] for row in Letter.select()}


def opened(folder):
    return xdb.open("sqlite:///store.db", [Letter], str(folder))


@pytest.fixture
def folder(tmp_path):
    """A store with 300 letters, most of them in the database, the last 20 only in its log, each a commit."""
    folder = tmp_path / "first"
    opened(folder)
    for number in range(280):
        xdb.save(write, number)
    xdb.store.writer.call(lambda: xdb.store.db.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)"))
    for number in range(280, 300):
        xdb.save(write, number)
    yield folder
    if xdb.store:
        xdb.store.close()


ALL = {f"letter-{number:05d}" for number in range(300)}


def spoil(path, start, data):
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(data)


def test_nothing_is_damaged(folder, tmp_path):
    path = killed(folder, tmp_path / "second")
    xdb.store.close()
    store = opened(path.parent)
    assert store.found == [] and letters() == ALL
    assert not list(path.parent.glob("*.damaged*"))


def test_the_last_page_of_the_log(folder, tmp_path, capsys):
    path = killed(folder, tmp_path / "second")
    xdb.store.close()
    log = f"{path}-wal"
    spoil(log, os.path.getsize(log) - PAGE, os.urandom(PAGE))
    store = opened(path.parent)
    assert letters() == ALL - {"letter-00299"}  # of the last transaction
    assert "the log is damaged" in store.found[0] and "1 of its 20 transactions" in store.found[0]
    assert store.found[0] in capsys.readouterr().err
    assert (path.parent / "store.db-wal.damaged").stat().st_size == os.path.getsize(f"{log}.damaged")
    xdb.save(write, 300)
    store.close()
    store = opened(path.parent)
    assert store.found == [] and "letter-00300" in letters()


def test_the_beginning_of_the_log(folder, tmp_path):
    path = killed(folder, tmp_path / "second")
    xdb.store.close()
    spoil(f"{path}-wal", 12, b"\xff" * 8)
    store = opened(path.parent)
    assert letters() == {f"letter-{number:05d}" for number in range(280)}
    assert "the beginning of the log is damaged" in store.found[0]


@pytest.mark.parametrize(
    "data", [bytes(PAGE), os.urandom(PAGE), b"\xff" * PAGE, b"\x0d" + os.urandom(PAGE - 1)]
)
@pytest.mark.parametrize("back", range(1, 9))
def test_one_of_the_last_pages_of_the_database(folder, tmp_path, data, back):
    xdb.store.close()  # all is in the file now; but then it does not look like that
    path = killed(folder, tmp_path / "second")
    (path.parent / "jabberd.lock").write_text("123\n")
    start = os.path.getsize(path) - back * PAGE
    page = path.read_bytes()[start : start + PAGE]
    spoil(path, start, data)
    on_it = {letter for letter in ALL if letter.encode() in page}
    store = opened(path.parent)
    assert letters() >= ALL - on_it
    assert "damaged" in store.found[0]
    with open(path.parent / "store.db.damaged", "rb") as old:
        assert old.read()[start : start + PAGE] == data
    xdb.save(write, 300)
    store.close()
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_two_pages_and_what_lies_between(folder, tmp_path):
    """The indexes know the rows between two damaged places."""
    xdb.store.close()
    path = killed(folder, tmp_path / "second")
    (path.parent / "jabberd.lock").write_text("123\n")
    content = path.read_bytes()
    leaves = [
        at
        for at in range(PAGE, len(content), PAGE)
        if content[at] == 13 and b"letter-00" in content[at : at + PAGE]
    ]
    gone = [leaves[len(leaves) // 4], leaves[3 * len(leaves) // 4]]
    for start in gone:
        spoil(path, start, os.urandom(PAGE))
    on_them = {letter for letter in ALL if any(letter.encode() in content[at : at + PAGE] for at in gone)}
    store = opened(path.parent)
    assert 0 < len(on_them) < 40 and letters() == ALL - on_them
    assert any(f"{len(on_them)} rows lost" in each for each in store.found)
    last = xdb.save(lambda: Letter.create(owner="a@a", jid="b@b", text="new").id)
    assert last > 300


def test_the_first_page_is_too_much(folder, tmp_path):
    xdb.store.close()
    path = killed(folder, tmp_path / "second")
    (path.parent / "jabberd.lock").write_text("123\n")
    spoil(path, 0, os.urandom(PAGE))
    before = path.read_bytes()
    with pytest.raises(StoreError, match="could not be mended.*jabberctl restore"):
        opened(path.parent)
    assert path.read_bytes() == before


def test_a_log_of_an_older_generation_is_no_damage(folder, tmp_path):
    """SQLite writes its log from the beginning again; the rest of the file is what was there before."""
    xdb.store.writer.call(lambda: xdb.store.db.execute_sql("PRAGMA wal_checkpoint(RESTART)"))
    xdb.save(write, 300)
    path = killed(folder, tmp_path / "second")
    xdb.store.close()
    header = Path(f"{path}-wal").read_bytes()[:32]
    assert struct.unpack(">8I", header)[3] > 0 and os.path.getsize(f"{path}-wal") > 10 * PAGE
    store = opened(path.parent)
    assert store.found == [] and letters() == ALL | {"letter-00300"}


def test_text_that_is_no_text_hides_no_other(folder, tmp_path):
    xdb.store.close()
    path = killed(folder, tmp_path / "second")
    where = path.read_bytes().index(b"letter-00100.")
    spoil(path, where + 20, b"\xff\xfe\xff")
    opened(path.parent)
    assert letters() == ALL
