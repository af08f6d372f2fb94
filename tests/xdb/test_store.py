"""Opening, documents, tables, caches, migrations: SQLite."""

import os
import sqlite3
import subprocess
import sys

import gevent
import pytest
from gevent.event import Event
from peewee import IntegerField, OperationalError

from jabberd_py.xdb import JidField, Store, StoreError, Table, cached, xdb
from jabberd_py.xdb.schema import MIGRATIONS


class Contact(Table):
    jid = JidField(index=True)

    class Meta:
        table_name = "test_contact"
        indexes = ((("owner", "jid"), True),)


class Note(Table):
    number = IntegerField()

    class Meta:
        table_name = "test_note"


URL = "sqlite:///store.db"


@pytest.fixture
def store(tmp_path):
    store = xdb.open(URL, [Contact, Note], str(tmp_path))
    yield store
    store.close()


def add(owner, jid):
    return Contact.create(owner=owner, jid=jid).id


def test_what_was_saved_is_read_at_once(store):
    assert xdb.save(add, "romeo@a", "juliet@b") == 1
    assert [(row.owner, row.jid) for row in Contact.select()] == [("romeo@a", "juliet@b")]


def test_a_document_of_an_owner(store):
    assert xdb.get("romeo@a", "vcard-temp") is None
    xdb.set("romeo@a", "vcard-temp", "<vCard/>")
    xdb.set("romeo@a", "vcard-temp", "<vCard>♥</vCard>")
    xdb.set("romeo@a", "n" * 10_000, "<long/>")
    assert xdb.get("romeo@a", "vcard-temp") == "<vCard>♥</vCard>"
    assert xdb.get("romeo@a", "n" * 10_000) == "<long/>"
    assert xdb.get("romeo@a", "n" * 9_999) is None
    xdb.set("romeo@a", "vcard-temp", None)
    assert xdb.get("romeo@a", "vcard-temp") is None


def test_the_longest_jid_fits(store):
    jid = "é" * 511 + "@" + "d" * 1023 + "/" + "r" * 1023
    xdb.save(add, "romeo@a", jid)
    assert Contact.get(jid=jid).owner == "romeo@a"


def test_a_row_number_never_comes_twice(store):
    last = [xdb.save(add, "romeo@a", f"{i}@b") for i in range(3)][-1]
    xdb.save(lambda: Contact.delete().where(Contact.id == last).execute())
    assert xdb.save(add, "romeo@a", "new@b") > last


def test_the_loop_can_only_read(store):
    with pytest.raises(OperationalError, match="readonly"):
        add("romeo@a", "juliet@b")


def test_deleting_an_owner_deletes_from_every_table_and_forgets(store):
    @cached
    def contacts(owner):
        return Contact.select().where(Contact.owner == owner).count()

    xdb.save(add, "romeo@a", "juliet@b")
    xdb.save(add, "juliet@b", "romeo@a")
    xdb.set("romeo@a", "x", "<x/>")
    assert contacts("romeo@a") == 1
    assert xdb.delete_owner("romeo@a") == 2
    assert contacts("romeo@a") == 0
    assert xdb.get("romeo@a", "x") is None
    assert Contact.select().count() == 1
    assert {Contact, Note} < set(xdb.owned_tables())


def test_a_cache_is_bounded_and_forgets():
    asked = []

    @cached(size=2)
    def ask(owner):
        asked.append(owner)

    for owner in ("a", "b", "a", "c", "a"):  # c pushes a out, who came first; a comes back and pushes b out
        ask(owner)
    assert asked == ["a", "b", "c", "a"]
    assert len(ask) == 2
    ask.forget("a")
    ask("a")
    assert asked == ["a", "b", "c", "a", "a"]


def test_a_cache_may_be_bounded_by_weight():
    asked = []

    @cached(size=10, weigh=len)
    def ask(owner):
        asked.append(owner)
        return owner

    for owner in ("aaaa", "bbbb", "cc", "aaaa", "ddd"):  # ddd pushes aaaa out
        ask(owner)
    assert ask.weight == 9 and len(ask) == 3
    ask("e" * 20)  # alone it is remembered, however heavy
    assert ask.weight == 20 and len(ask) == 1
    ask.forget("e" * 20)
    assert ask.weight == 0
    assert asked == ["aaaa", "bbbb", "cc", "ddd", "e" * 20]


def test_what_was_forgotten_while_being_read_is_not_remembered():
    reading, go_on, value = Event(), Event(), ["old"]

    @cached
    def ask(owner):
        seen = value[0]
        reading.set()
        go_on.wait()
        return seen

    slow = gevent.spawn(ask, "romeo@a")
    reading.wait()
    value[0] = "new"
    ask.forget("romeo@a")
    go_on.set()
    assert slow.get() == "old"
    assert ask("romeo@a") == "new"


def test_caches_are_empty_when_a_store_opens(tmp_path):
    answers = iter("12")

    @cached
    def ask(owner):
        return next(answers)

    assert ask("romeo@a") == "1"
    xdb.open(URL, [], str(tmp_path)).close()
    assert ask("romeo@a") == "2"


def test_an_unread_query_holds_no_old_snapshot(store):
    for i in range(300):
        xdb.save(add, "romeo@a", f"{i}@b")
    unfinished = iter(Contact.select().iterator())
    next(unfinished)
    xdb.save(add, "romeo@a", "late@b")
    assert Contact.select().where(Contact.jid == "late@b").exists()
    assert len(list(unfinished)) == 299


def test_without_a_store_there_is_one_clear_line(tmp_path):
    for call in (xdb.write, xdb.rows):
        with pytest.raises(StoreError, match="no store is open"):
            call(print)
    store = xdb.open(URL, [], str(tmp_path))
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.writer.write(print)


# --- what can be wrong when it opens ---


def refused(match, url, data_dir):
    with pytest.raises(StoreError, match=match) as caught:
        xdb.open(url, [Contact], data_dir)
    assert "\n" not in str(caught.value)
    assert xdb.store is None


def test_no_database(tmp_path):
    (tmp_path / "store.db").write_bytes(b"this is not a database\n" * 1000)
    refused("store.db: file is not a database", URL, str(tmp_path))


def test_the_folder_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    refused("file", URL, str(tmp_path / "file"))


@pytest.mark.skipif(not os.path.isdir("/proc/1"), reason="needs /proc, where nobody can make a file")
def test_an_unwritable_folder():
    refused("/proc/1", URL, "/proc/1")


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("sqlite://", "a file is needed"),
        ("sqlite:///:memory:", "a file is needed"),
        ("oracle://x/y", "URL must be"),
        ("mysql://host", "URL must be"),
        ("mysql://h:x/db", "port"),
        ("", "URL must be"),
    ],
)
def test_a_bad_url(url, line, tmp_path):
    refused(line, url, str(tmp_path))


def test_one_process_at_a_time(store, tmp_path):
    with pytest.raises(StoreError, match=f"in use by another jabberd_py, process {os.getpid()}"):
        Store(URL, [], str(tmp_path))
    other = subprocess.run(
        [
            sys.executable,
            "-c",
            f"""if True:
        from gevent import monkey; monkey.patch_all()
        from jabberd_py.xdb import xdb
        xdb.open({URL!r}, [], {str(tmp_path)!r})""",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert "in use by another jabberd_py" in other.stderr


def test_only_its_owner_may_read_it(tmp_path):
    xdb.open(URL, [], str(tmp_path / "new")).close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "store.db").stat().st_mode & 0o777 == 0o600


# --- migrations ---

FIRST = [(1, "first", print)]


def test_an_older_store_is_migrated_once(tmp_path):
    def more(db):
        db.execute_sql("INSERT INTO test_contact (owner, jid) VALUES ('migrated', 'x')")

    xdb.open(URL, [Contact], str(tmp_path), migrations=FIRST).close()
    for _ in range(2):
        xdb.open(URL, [Contact, Note], str(tmp_path), migrations=[*FIRST, (2, "more", more)])
        assert Contact.select().where(Contact.owner == "migrated").count() == 1
        assert Note.select().count() == 0  # a module that is new here brings its table
        xdb.store.close()


def test_a_failed_migration_leaves_no_trace(tmp_path):
    def bad(db):
        db.execute_sql("DELETE FROM test_contact")
        db.execute_sql("SELECT nonsense")

    xdb.open(URL, [Contact], str(tmp_path), migrations=FIRST)
    xdb.save(add, "romeo@a", "juliet@b")
    xdb.store.close()
    with pytest.raises(StoreError, match="no such column: nonsense"):
        xdb.open(URL, [Contact], str(tmp_path), migrations=[*FIRST, (2, "bad", bad)])
    xdb.open(URL, [Contact], str(tmp_path), migrations=FIRST)
    assert Contact.select().count() == 1
    xdb.store.close()


def test_a_newer_store_is_refused(tmp_path):
    xdb.open(URL, [], str(tmp_path), migrations=[*FIRST, (70, "future", print)]).close()
    with pytest.raises(StoreError, match=f"schema 70, this server knows {MIGRATIONS[-1][0]}"):
        xdb.open(URL, [], str(tmp_path))


def test_sqlite_syncs_every_commit(store, tmp_path):
    pragma = store.writer.call(lambda: (store.db.journal_mode, store.db.synchronous))
    assert pragma == ("wal", 2)
    assert sqlite3.connect(tmp_path / "store.db").execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_store_of_the_first_schema_opens(tmp_path):
    """Its resumable streams had no notes."""
    from jabberd_py.c2s.resumable import ResumableStream

    xdb.open(URL, [], str(tmp_path), migrations=FIRST)
    xdb.save(lambda: xdb.store.db.execute_sql("CREATE TABLE resumable_stream (owner TEXT, since INTEGER)"))
    xdb.store.close()
    store = xdb.open(URL, [ResumableStream], str(tmp_path))
    assert store.migrated == [what for number, what, _ in MIGRATIONS if number > 1]
    assert list(ResumableStream.select()) == []
    store.close()


def test_a_prepared_query_takes_no_floats():
    """A stand-in of one could be taken for that of a number."""
    with pytest.raises(TypeError):
        xdb.prepared(str, float)
