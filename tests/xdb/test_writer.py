"""The writer: groups, order, savepoints, back-pressure, trouble and recovery, kill -9."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading

import gevent
import pytest
from gevent.event import Event
from peewee import IntegerField, IntegrityError, TextField

from jabberd_py.xdb import StoreError, Table, xdb
from jabberd_py.xdb import writer as writer_module
from jabberd_py.xdb.options import StoreOptions

COLUMNS = ("owner", "number", "text")


class Line(Table):
    number = IntegerField(unique=True)
    text = TextField()

    class Meta:
        table_name = "test_line"


class Other(Table):
    number = IntegerField(unique=True)
    text = TextField()

    class Meta:
        table_name = "test_other"


@pytest.fixture
def store(tmp_path):
    store = xdb.open("sqlite:///store.db", [Line, Other], str(tmp_path), queue=100)
    yield store
    store.close()


def line(number, table=Line, text="x"):
    return xdb.rows(table, [("romeo@a", number, text)], COLUMNS)


def numbers(table=Line):
    return [row.number for row in table.select().order_by(table.id)]


def create(number):
    return Line.create(owner="romeo@a", number=number, text="x").number


@pytest.fixture
def held(store):
    """The writer sits in a transaction until `held()` is called; what is written meanwhile is one group."""
    go_on = _NativeGate()
    first = xdb.write(go_on.wait)
    while store.writer._queue:
        gevent.sleep(0)

    def release():
        go_on.open()
        return first

    yield release
    go_on.open()


class _NativeGate:
    """Stops the worker thread, not the loop: a pipe and the unpatched read."""

    def __init__(self):
        self.out, self.into = os.pipe()
        self.read = gevent.monkey.get_original("os", "read")

    def wait(self):
        self.read(self.out, 1)

    def open(self):
        os.write(self.into, b"x")


def test_statements_run_in_another_thread_and_the_loop_goes_on(store, held):
    ticket = line(1)
    gevent.idle()
    assert not ticket.done
    held()
    assert ticket.wait() is None
    assert xdb.save(threading.get_native_id) != threading.get_native_id()
    assert numbers() == [1]


def test_readers_never_see_half_a_group(store, held):
    tickets = [line(1), line(2), xdb.write(lambda: half.open() or gate.wait())]
    half, gate = _NativeGate(), _NativeGate()
    held()
    gevent.get_hub().threadpool.apply(half.wait)  # the group has run its first statements
    assert numbers() == []
    gate.open()
    tickets[0].wait()
    assert all(ticket.done for ticket in tickets)
    assert numbers() == [1, 2]


def test_order_is_kept(store, held):
    """Rows of one table keep their order, also against the functions between them."""
    tickets = [
        line(1),
        line(2, Other),
        line(3),
        xdb.write(lambda: numbers(Line) + numbers(Other)),
        line(4),
        xdb.write(create, 5),
        line(6),
        line(7),
    ]
    order = []
    for index, ticket in enumerate(tickets):
        ticket.then(lambda ticket, index=index: order.append(index))
    held()
    tickets[-1].wait()
    assert tickets[3].result == [1, 3, 2]
    assert numbers() == [1, 3, 4, 5, 6, 7]
    assert order == list(range(8))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 65, 99])
def test_any_number_of_rows(store, count):
    xdb.rows(Line, [("romeo@a", number, "x") for number in range(count)], COLUMNS).wait()
    assert numbers() == list(range(count))


def test_a_row_takes_the_place_of_the_one_with_the_same_key(store, held):
    ticket = None
    for text in ("old", "new", "newest"):
        row = [("romeo@a", 7, text)]
        ticket = xdb.rows(Line, row, COLUMNS, ("number",))
    held()
    ticket.wait()
    assert [(row.number, row.text) for row in Line.select()] == [(7, "newest")]


def test_a_row_of_another_width_is_refused_at_once(store):
    with pytest.raises(ValueError, match="2 values for the 3 columns"):
        xdb.rows(Line, [("romeo@a", 1, "x"), ("romeo@a", 2)], COLUMNS)


def test_a_failing_function_spoils_only_its_own(store, held):
    def half_done():
        create(10)
        raise LookupError("no")

    before, bad, after = xdb.write(create, 1), xdb.write(half_done), xdb.write(create, 2)
    held()
    assert (before.wait(), after.wait()) == (1, 2)
    with pytest.raises(LookupError, match="no"):
        bad.wait()
    assert numbers() == [1, 2]
    assert store.trouble is None


def test_a_bad_row_spoils_only_its_own(store, held):
    tickets = [line(1), line(2), line(1), line(3)]
    held()
    tickets[3].wait()
    assert [type(ticket.error) for ticket in tickets] == [type(None), type(None), IntegrityError, type(None)]
    assert numbers() == [1, 2, 3]


def test_nested_atomic_blocks_are_savepoints(store):
    def outer():
        create(1)
        try:
            with store.db.atomic():
                create(2)
                create(2)
        except IntegrityError:
            create(3)

    xdb.save(outer)
    assert numbers() == [1, 3]


def test_a_full_queue_stops_the_sender_alone(store, held):
    sent = []

    def sender():
        for number in range(150):
            line(number)
            sent.append(number)

    busy = gevent.spawn(sender)
    gevent.idle()
    assert len(sent) == 100 and not busy.dead  # and we, on the same loop, are still here
    assert numbers() == []
    held()
    busy.join(5)
    assert busy.successful()
    xdb.save(create, 999)
    assert numbers() == [*range(150), 999]


def test_much_text_fills_the_queue_too(store, held, monkeypatch):
    monkeypatch.setattr(store.writer, "text", 1000)
    line(1, text="x" * 600)
    blocked = gevent.spawn(line, 2, text="x" * 600)
    gevent.idle()
    assert not blocked.dead
    held()
    blocked.get(timeout=5).wait()
    assert numbers() == [1, 2]


def test_callbacks_may_write_and_their_failures_harm_nobody(store, held, capsys):
    tickets = [line(1), line(2)]
    tickets[0].then(lambda ticket: 1 / 0)
    tickets[0].then(lambda ticket: [line(number) for number in range(10, 10 + 2 * 100)])
    seen = Event()
    tickets[1].then(lambda ticket: seen.set())
    held()
    assert seen.wait(5)
    assert "ZeroDivisionError" in capsys.readouterr().err
    tickets[0].then(lambda ticket: tickets.append("at once"))
    assert tickets[-1] == "at once"
    xdb.save(create, 1000)
    assert len(numbers()) == 203


def test_waiting_can_end_early(store, held):
    ticket = line(1)
    with pytest.raises(TimeoutError):
        ticket.wait(0.01)
    held()
    ticket.wait()
    assert numbers() == [1]


def test_close_writes_what_is_queued(tmp_path):
    store = xdb.open("sqlite:///store.db", [Line], str(tmp_path))
    tickets = [line(number) for number in range(5000)]
    store.close()
    assert all(ticket.done and ticket.error is None for ticket in tickets)
    xdb.open("sqlite:///store.db", [Line], str(tmp_path))
    assert len(numbers()) == 5000
    xdb.store.close()


def test_a_sender_that_waits_while_the_store_closes_is_told(tmp_path):
    store = xdb.open("sqlite:///store.db", [Line], str(tmp_path), queue=10)
    sender = gevent.spawn(lambda: [line(number) for number in range(1000)])
    gevent.sleep(0)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        sender.get()


# --- rows that come one by one ---


def single(number, failed=lambda about: None, table=Line, text="x"):
    return xdb.row(table, ("romeo@a", number, text), COLUMNS, len(text), failed, number)


def test_neighbours_share_a_ticket_and_all_keep_their_order(store, held):
    tickets = [
        single(1),
        single(2),
        xdb.write(numbers),
        single(3),
        single(4, table=Other),
        line(5),
        single(6),
    ]
    assert tickets[0] is tickets[1] and len(set(tickets)) == 6
    held()
    tickets[-1].wait()
    assert tickets[2].result == [1, 2]
    assert numbers() == [1, 2, 3, 5, 6] and numbers(Other) == [4]
    assert single(7) is not tickets[-1]  # that one has left


def test_few_enough_share_a_ticket(store, held):
    tickets = [single(number) for number in range(writer_module.SHARED + 1)]
    assert tickets[-2] is tickets[0] and tickets[-1] is not tickets[0]
    held()
    tickets[-1].wait()
    assert numbers() == list(range(writer_module.SHARED + 1))


def test_a_single_bad_row_is_told_and_spoils_no_other(store, held, capsys):
    told = []
    tickets = [
        single(1, told.append),
        single(1, told.append),
        single(2, told.append),
        single(3, lambda n: 1 / 0),
    ]
    tickets.append(single(3, lambda n: 1 / 0))
    held()
    assert tickets[-1].wait() is None
    assert told == [1] and numbers() == [1, 2, 3]
    assert "ZeroDivisionError" in capsys.readouterr().err and store.trouble is None


def test_each_single_row_of_a_lost_transaction_is_told(store, held, monkeypatch):
    def no_commit():
        raise OSError("the disk is on fire")

    told = []
    tickets = [single(1, told.append), single(1, told.append), single(2, told.append)]
    commit, commits = store.db.commit, iter([lambda: commit(), no_commit])
    monkeypatch.setattr(store.db, "commit", lambda: next(commits, commit)())
    held()
    with pytest.raises(StoreError, match="the disk is on fire"):
        tickets[0].wait()
    assert told == [1, 1, 2] and numbers() == []


def test_single_rows_count_for_the_bounds_of_the_queue(store, held):
    sent = []
    busy = gevent.spawn(lambda: [sent.append(single(number)) for number in range(150)])
    gevent.idle()
    assert len(sent) == 100 and not busy.dead
    held()
    busy.join(5)
    xdb.sync()
    assert numbers() == list(range(150))
    assert store.writer._queued == store.writer._queued_text == 0
    with pytest.raises(ValueError, match="2 values for the 3 columns"):
        xdb.row(Line, ("romeo@a", 1), COLUMNS, 1, sent.append, 1)


# --- rows gather ---


@pytest.fixture
def patient(tmp_path):
    """A store whose rows gather for ever, unless somebody waits."""
    store = xdb.open("sqlite:///store.db", [Line, Other], str(tmp_path), queue=100)
    store.writer.gather = 3600
    gevent.idle()
    yield store
    store.close()


def gathering(store, *tickets):
    commits = store.writer.commits
    gevent.idle()
    return not any(ticket.done for ticket in tickets) and store.writer.commits == commits


WAITS = {
    "the ticket": lambda ticket: ticket.wait(5),
    "all so far": lambda ticket: xdb.sync(),
    "the newest": lambda ticket: xdb.newest.wait(5),
    "a function": lambda ticket: xdb.save(numbers),
    "other rows": lambda ticket: line(3).wait(5),
}


@pytest.mark.parametrize("somebody_waits", WAITS.values(), ids=WAITS.keys())
def test_rows_gather_until_somebody_waits(patient, somebody_waits):
    tickets = [single(1), single(2)]
    assert gathering(patient, *tickets)
    somebody_waits(tickets[0])
    assert all(ticket.done for ticket in tickets) and numbers()[:2] == [1, 2]
    assert patient.writer.commits == 1
    assert gathering(patient, single(99))


def test_close_does_not_wait_for_rows_to_gather(patient, tmp_path):
    tickets = [single(1), single(2)]
    assert gathering(patient, *tickets)
    patient.close()
    assert all(ticket.done and ticket.error is None for ticket in tickets)


def test_a_filling_queue_gathers_no_longer(patient, monkeypatch):
    monkeypatch.setattr(writer_module, "GROUP", 2)
    monkeypatch.setattr(writer_module, "SHARED", 2)
    tickets = [single(1), single(2)]
    assert gathering(patient, *tickets)
    single(3)
    with gevent.Timeout(5):
        while not tickets[-1].done:
            gevent.sleep(0.001)


def test_a_full_queue_gathers_no_longer(patient):
    sender = gevent.spawn(lambda: [single(number) for number in range(101)])
    assert len(sender.get(timeout=5)) == 101
    xdb.sync()
    assert numbers() == list(range(101))


def test_rows_gather_for_a_moment_only(tmp_path):
    store = xdb.open(
        "sqlite:///store.db", [Line], str(tmp_path), options=StoreOptions({"commit_delay": "1ms"})
    )
    ticket, done = single(1), Event()
    ticket.then(lambda ticket: done.set())
    assert done.wait(5) and numbers() == [1]
    store.close()


# --- trouble ---


def test_a_full_disk_acknowledges_nothing_and_heals(store, capsys):
    line(1).wait()
    pages = store.writer.call(lambda: store.db.pragma("page_count"))
    store.db._pragmas += (("max_page_count", pages),)  # each new connection is as narrow
    store.writer.call(lambda: store.db.pragma("max_page_count", pages))
    tickets = [line(number, text="x" * 5000) for number in range(2, 52)]
    for ticket in tickets:
        with pytest.raises(StoreError, match="database or disk is full"):
            ticket.wait()
    assert "full" in store.trouble
    assert numbers() == [1]  # reading goes on
    with pytest.raises(StoreError, match="full"):
        xdb.save(lambda: Line.insert_many([("a", n, "x" * 5000) for n in range(2, 9)], COLUMNS).execute())
    store.db._pragmas = store.db._pragmas[:-1]  # somebody made room; nobody restarts anything
    store.writer.call(lambda: store.db.close())
    line(100).wait()
    assert store.trouble is None
    assert numbers() == [1, 100]
    said = capsys.readouterr().err
    assert said.count("cannot write") == 1 and said.count("writes again") == 1


def test_a_log_that_fills_the_disk_is_cut(store, tmp_path):
    """SQLite cuts its write-ahead log after a commit only; on a disk that it has filled there is none."""
    for number in range(50):
        line(number, text="x" * 2000).wait()
    log = tmp_path / "store.db-wal"
    assert log.stat().st_size > 400_000
    store.writer.call(lambda: store.db.pragma("max_page_count", 1))
    with pytest.raises(StoreError, match="full"):
        line(100, text="x" * 200_000).wait()
    assert log.stat().st_size == 0
    line(101).wait()
    assert numbers() == [*range(50), 101]


def test_a_read_only_database_heals(store):
    store.writer.call(lambda: store.db.pragma("query_only", 1))
    with pytest.raises(StoreError, match="readonly"):
        line(1).wait()
    assert "readonly" in store.trouble
    line(2).wait()  # on a new connection
    assert store.trouble is None and numbers() == [2]


def test_a_failing_commit_fails_the_whole_group(store, held, monkeypatch):
    def no_commit():
        raise OSError("the disk is on fire")

    tickets = [line(1), xdb.write(create, 2)]
    commit, commits = store.db.commit, iter([lambda: commit(), no_commit])
    monkeypatch.setattr(store.db, "commit", lambda: next(commits, commit)())
    first = held()
    first.wait()
    for ticket in tickets:
        with pytest.raises(StoreError, match="the disk is on fire"):
            ticket.wait()
        assert ticket.result is None
    assert numbers() == []
    line(3).wait()
    assert numbers() == [3] and store.trouble is None


def test_a_locked_database_is_trouble_not_a_crash(store, tmp_path):
    store.writer.call(lambda: setattr(store.db, "timeout", 0.05))
    robber = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    robber.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        line(1).wait()
    robber.execute("ROLLBACK")
    line(2).wait()
    assert numbers() == [2]


def test_a_group_has_a_size(store, held, monkeypatch):
    monkeypatch.setattr(writer_module, "GROUP", 10)
    commits, commit = [], store.db.commit
    monkeypatch.setattr(store.db, "commit", lambda: commits.append(1) or commit())
    last = [line(number) for number in range(25)][-1]
    held()
    last.wait()
    assert len(commits) == 4 and numbers() == list(range(25))


# --- kill -9 ---

VICTIM = """
from gevent import monkey; monkey.patch_all()
import sys, os, gevent
from jabberd_py.xdb import xdb
import importlib.util
spec = importlib.util.spec_from_file_location("lines", sys.argv[2])
lines = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lines)
xdb.open("sqlite:///store.db", [lines.Line, lines.Other], sys.argv[1])
def sender(start):
    for number in range(start, start + 1_000_000):
        lines.line(number).wait()
        os.write(1, b"%d\\n" % number)
gevent.joinall([gevent.spawn(sender, k * 1_000_000) for k in range(20)])
"""


@pytest.mark.parametrize("lines", [1, 200, 2000])
def test_what_was_acknowledged_survives_kill_9(tmp_path, lines):
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(tmp_path), __file__],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    acknowledged = [int(victim.stdout.readline()) for _ in range(lines)]
    victim.send_signal(signal.SIGKILL)
    rest = victim.stdout.read()
    victim.wait()
    acknowledged += [int(number) for number in rest.split(b"\n")[:-1]]
    xdb.open("sqlite:///store.db", [Line, Other], str(tmp_path))
    kept = numbers()
    xdb.store.close()
    assert len(acknowledged) >= lines
    assert set(acknowledged) <= set(kept)
    assert len(kept) - len(acknowledged) <= 20 * 2  # each sender has one on its way, at most
