"""Messages come into `Fresh` and are sorted into `Message`, on SQLite; the other databases take them at once."""

from types import SimpleNamespace

import gevent
import pytest

from jabberd_py.archive import messages, pages, search, stones
from jabberd_py.archive.messages import Fresh, Mark, Message
from jabberd_py.c2s import restore
from jabberd_py.jsm.users import Account, Users
from jabberd_py.xdb import StoreError, copying, numbers, xdb
from jabberd_py.xdb.db import open_database
from jabberd_py.xdb.numbers import next_id
from jabberd_py.xdb.table import Document
from tests.databases import mariadb, postgres  # noqa: F401

ROMEO, JULIET = "romeo@example.org", "juliet@example.org"
TABLES = [Account, *messages.tables(), search.ArchiveText]


def open_store(url, folder):
    store = xdb.open(url, TABLES, str(folder))
    messages.start()
    return store


@pytest.fixture(params=["sqlite", "mariadb", "postgres"])
def store(request, tmp_path):
    url = "sqlite:///store.db" if request.param == "sqlite" else request.getfixturevalue(request.param).url
    store = open_store(url, tmp_path)
    yield store
    for table in TABLES:
        xdb.save(table.delete().execute)
    store.close()


@pytest.fixture
def lite(tmp_path):
    yield open_store("sqlite:///store.db", tmp_path)
    if xdb.store:
        xdb.store.close()


def put(owner=ROMEO, archived=1, spooled=1, failed=lambda about: None, xml="<message/>"):
    id = next_id()
    messages.put([id, owner, JULIET, "balcony", xml, spooled, archived, 0, 0, ""], failed, id)
    return id


def no_room():
    raise StoreError("no room")


def ids(table=Message):
    return [row.id for row in table.select(table.id).order_by(table.id)]


def test_who_settles_reads_all(store):
    kept = [put(), put(JULIET), put()]
    assert messages.sync()
    assert ids() == kept and ids(Fresh) == []
    assert [row[0] for row in messages.page(ROMEO, 0)] == [kept[0], kept[2]]
    kept.append(put())
    assert messages.sync() and ids() == kept
    commits = store.writer.commits
    assert messages.sync() and store.writer.commits == commits  # nothing was new


def test_new_ones_are_kept_before_they_are_sorted(lite):
    kept = [put(), put()]
    xdb.sync()
    assert ids(Fresh) == kept and ids() == []


def test_a_crash_leaves_them_to_the_next_start(lite, tmp_path):
    kept = [put(), put()]
    lite.close()
    lite = xdb.open("sqlite:///store.db", TABLES, str(tmp_path))
    assert ids(Fresh) == kept
    messages.start()
    assert ids() == kept and ids(Fresh) == []
    assert next_id() > kept[-1]


def test_what_was_delivered_and_goes_then_is_never_sorted_in(lite):
    gone, archived = put(archived=0), put()
    hers, later = put(JULIET, archived=0), put(archived=0)
    messages.write(messages.save_marks, [(ROMEO, archived)], [], []).wait()
    assert ids() == [archived, hers, later]
    assert Mark.get(owner=ROMEO).delivered == archived and gone not in ids(Fresh)


def test_delivered_out_of_order_before_it_is_sorted_in(store):
    first, gone, archived = put(), put(archived=0), put()
    messages.write(messages.save_marks, [], [], [gone, archived]).wait()
    assert ids() == [first, archived]
    assert [row[0] for row in messages.page(ROMEO, 0)] == [first]


def test_a_tombstone_finds_what_is_not_sorted_in(store):
    xml = "<message from='juliet@example.org/balcony' to='romeo@example.org' id='m1' type='chat'><body>hush</body></message>"
    id = put(xml=xml)
    stones.retract(stones.Retraction(ROMEO, JULIET, "balcony", False, "m1", "m2", "2026-11-25T15:00:00Z"))
    stones.settle(ROMEO)
    assert "retracted" in Message.get(Message.id == id).xml


def test_many_are_sorted_in_without_waiting_for_anybody(lite, monkeypatch):
    monkeypatch.setattr(messages, "FRESH", 10)
    kept = [put() for _ in range(25)]
    xdb.sync()
    assert ids() == kept[:20] and ids(Fresh) == kept[20:]


def test_the_same_number_again_harms_nobody(lite):
    id = put()
    assert messages.sync()
    row = [id, ROMEO, JULIET, "", "<message/>", 1, 1, 0, 0, ""]
    messages.put(row, lambda about: None, None)
    other = put()
    assert messages.sync() and ids() == [id, other] and ids(Fresh) == []


def test_what_cannot_be_sorted_in_is_tried_again(lite, monkeypatch):
    kept = [put()]
    monkeypatch.setattr(messages, "sort_in", no_room)
    assert not messages.sync()
    assert messages.sync() is False and ids() == []
    with pytest.raises(StoreError):
        messages.write(messages.save_marks, [], [], []).wait()
    with pytest.raises(StoreError):  # an answer without the newest would look complete
        pages.ends(ROMEO)
    kept.append(put())
    xdb.sync()
    assert ids(Fresh) == kept[:1] and ids() == kept[1:]  # what nobody can read does not grow
    monkeypatch.undo()
    assert messages.sync() and ids() == kept
    assert pages.ends(ROMEO) == kept


def test_a_full_queue_hides_no_message(lite):
    """Who waits for room while others sort is sorted in the next time."""
    lite.writer.entries = 5
    kept = []
    senders = [gevent.spawn(lambda: kept.append(put())) for _ in range(30)]
    gevent.idle()
    messages.sync()
    gevent.joinall(senders, 5)
    assert messages.sync() and ids() == sorted(kept) and len(kept) == 30


def test_who_settles_waits_for_a_sort_that_waits_for_room(lite):
    kept = [put()]
    lite.writer.entries = 1  # full
    first = gevent.spawn(messages.sort)
    gevent.sleep(0)
    assert not first.ready() and ids() == []
    assert messages.sync() and ids() == kept
    first.join(5)


def test_a_stream_is_counted_by_what_cannot_be_sorted_in_too(lite, monkeypatch):
    def row(stream, seq):
        row = [next_id(), ROMEO, JULIET, "", "<message/>", 1, 1, stream, seq, ""]
        messages.put(row, print, "unkept")

    row(1, 1), row(2, 7)
    assert messages.sync()
    row(1, 2)
    monkeypatch.setattr(messages, "sort_in", no_room)
    assert not messages.sync()
    row(2, 8)
    xdb.sync()
    assert restore._counted() == {1: 2, 2: 8}


def test_one_row_for_both_owners(store):
    """The recipient's goes as it would alone; its sender's stays."""
    copy, id = next_id(), next_id()
    row = [id, ROMEO, JULIET, "balcony", "<message/>", 1, 0, 7, 3, ""]
    messages.put(row, lambda about: None, None, copy, "orchard")
    assert messages.sync()
    hers, his = Message.select().order_by(Message.id).tuples()
    assert hers == (copy, JULIET, ROMEO, "orchard", "<message/>", 0, 1, 7, 3, "")
    assert his[:7] == tuple(row[:7])


def test_the_senders_row_comes_last_and_counts_the_stanza(store, monkeypatch):
    """Where both are not one row: a crash between them must not leave a count without the sender's."""
    monkeypatch.setattr(messages, "_into", Message)
    monkeypatch.setattr(xdb, "row", lambda table, row, *_: rows.append(row))
    rows = []
    copy, id = next_id(), next_id()
    messages.put([id, ROMEO, JULIET, "", "<message/>", 1, 1, 7, 3, ""], lambda about: None, None, copy)
    assert [(row[0], *row[7:9]) for row in rows] == [(id, 0, 0), (copy, 7, 3)]


def test_the_senders_row_stays_when_the_recipients_is_delivered(store):
    copy, id = next_id(), next_id()
    messages.put([id, ROMEO, JULIET, "", "<message/>", 1, 0, 0, 0, ""], lambda about: None, None, copy)
    messages.write(messages.save_marks, [(ROMEO, id)], [], [id]).wait()
    assert ids() == [copy]


def both(sender, recipient):
    """The numbers of the sender's row and of the recipient's."""
    copy, id = next_id(), next_id()
    messages.put([id, recipient, sender, "", "<message/>", 1, 1, 0, 0, ""], lambda about: None, None, copy)
    return copy, id


def test_who_is_told_of_a_failure_is_told_once(store, monkeypatch):
    told = []
    row = [next_id() + 1, ROMEO, JULIET, "", "<message/>", 1, 1, 0, 0, ""]
    with monkeypatch.context() as broken:
        broken.setattr(store.writer, "_commit", lambda group: "no room")
        messages.put(row, told.append, "sender", next_id())
        xdb.sync()
    assert told == ["sender"]
    assert messages.sync() and ids() == []


def test_a_clock_that_was_set_back_gives_no_number_that_a_mark_has_passed(store, monkeypatch):
    """The message that it stands for was delivered, and is gone."""
    mark = next_id() + (1 << 50)
    messages.write(messages.save_marks, [(ROMEO, mark)], [], []).wait()
    monkeypatch.setattr(numbers, "_last", 0)
    messages.start()
    assert next_id() > mark


def test_a_deleted_account_leaves_nothing_and_takes_nothing_of_others(store, monkeypatch):
    """Whatever comes between what is asked of the writer."""
    nothing = SimpleNamespace(
        tell=lambda *_: None, of=lambda user: [], forget=lambda user: None, instances={}
    )
    parts = {"hooks": nothing, "sessions": nothing, "spool": nothing, "router": nothing}
    users = Users(SimpleNamespace(**parts, kick=lambda *_: None))
    monkeypatch.setattr(users, "check_admin_stays", lambda user: None)
    xdb.save(lambda: Account.create(owner=ROMEO, keys="{}", created=0.0))
    left = [both(JULIET, ROMEO)[0], both(ROMEO, JULIET)[1]]
    write = xdb.write

    def late(function, *args):
        if function is not messages.sort_in:
            left.extend([both(JULIET, ROMEO)[0], both(ROMEO, JULIET)[1]])
        return write(function, *args)

    monkeypatch.setattr(xdb, "write", late)
    users.delete(ROMEO)
    assert messages.sync() and ids() == left and ids(Fresh) == []
    assert {row.owner for row in Message.select()} == {JULIET}


@pytest.mark.parametrize("kind", ["sqlite", "mariadb", "postgres"])
def test_a_copy_of_a_store_with_fresh_ones(request, lite, tmp_path, kind):
    """As a kill left it; the other database, which has no fresh ones of its own, sorts them in, too."""
    there = "sqlite:///there.db" if kind == "sqlite" else request.getfixturevalue(kind).fresh()
    old = put()
    assert messages.sync()
    gone, waiting, (sent, received) = put(archived=0), put(JULIET, archived=0), both(ROMEO, JULIET)
    xdb.save(lambda: Mark.create(owner=ROMEO, delivered=waiting))
    assert ids(Fresh) == [gone, waiting, received] and ids() == [old]
    lite.close()
    source, target = (open_database(url, str(tmp_path), alone=True) for url in ("sqlite:///store.db", there))
    list(copying.copy(source, target, [Document, *TABLES]))
    source.dispose_all()
    target.dispose_all()
    store = open_store(there, tmp_path)
    assert ids() == [old, waiting, sent, received] and ids(Fresh) == []
    assert Message.get_by_id(sent).owner == ROMEO and Message.get_by_id(received).owner == JULIET
    assert next_id() > received
    store.close()


def test_a_store_from_before_there_was_such_a_table(tmp_path):
    xdb.open("sqlite:///store.db", [Message, Mark], str(tmp_path))
    old = (next_id(), ROMEO, JULIET, "", "<message/>", 1, 1, 0, 0, "")
    xdb.rows(Message, [old], messages.COLUMNS).wait()
    xdb.store.close()
    store = open_store("sqlite:///store.db", tmp_path)
    new = put()
    assert messages.sync() and ids() == [old[0], new]
    store.close()
