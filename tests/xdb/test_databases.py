"""The same store on all three databases; MariaDB and PostgreSQL are private ones in temporary folders."""

import contextlib

import gevent
import pytest
from peewee import IntegerField, IntegrityError, PeeweeException

from jabberd_py.xdb import OWNER_LENGTH, JidField, StoreError, Table, cached, xdb
from tests.databases import mariadb, postgres  # noqa: F401

COLUMNS = ("owner", "jid", "number")


class Buddy(Table):
    jid = JidField(index=True)
    number = IntegerField(default=0)

    class Meta:
        table_name = "test_buddy"
        indexes = ((("owner", "jid"), True),)


@pytest.fixture(params=["sqlite", "mariadb", "postgres"])
def url(request):
    return "sqlite:///store.db" if request.param == "sqlite" else request.getfixturevalue(request.param).url


@pytest.fixture(params=["mariadb", "postgres"])
def server(request):
    return request.getfixturevalue(request.param)


@contextlib.contextmanager
def opened(url, folder):
    """An empty store; at the end everything is dropped, so that each test is alone."""
    store = xdb.open(url, [Buddy], str(folder))
    try:
        yield store
    finally:
        if xdb.store and not url.startswith("sqlite"):
            for name in xdb.store.db.get_tables():  # not through the writer: MySQL commits at each DROP
                xdb.store.db.execute_sql(f"DROP TABLE {name}")
        if xdb.store:
            xdb.store.close()


@pytest.fixture
def store(url, tmp_path):
    with opened(url, tmp_path) as store:
        yield store


def add(owner, jid, number=0):
    return Buddy.create(owner=owner, jid=jid, number=number).id


def jids():
    return [row.jid for row in Buddy.select().order_by(Buddy.id)]


def test_bytes_decide_and_anything_fits(store):
    names = ["romeo@a", "Romeo@a", "roméo@a", "romeo@ⓐ", "😀@a", f"{'é' * 511}@{'d' * 900}/{'r' * 1000}"]
    for name in names:
        xdb.save(add, "ö" * OWNER_LENGTH, name)
    assert jids() == names
    assert [Buddy.get(jid=name).jid for name in names] == names
    with pytest.raises(IntegrityError):
        xdb.save(add, "ö" * OWNER_LENGTH, "romeo@a")
    xdb.set("romeo@a", "vcard-temp", "<vCard>" + "♥" * 100_000 + "</vCard>")
    assert len(xdb.get("romeo@a", "vcard-temp")) == 100_015
    assert xdb.delete_owner("ö" * OWNER_LENGTH) == len(names)


def test_groups_order_and_savepoints(store):
    rows = [xdb.rows(Buddy, [("romeo@a", str(number), number)], COLUMNS) for number in range(100)]
    bad_row = xdb.rows(Buddy, [("romeo@a", "5", 5)], COLUMNS)
    bad = xdb.write(lambda: (add("romeo@a", "lost"), 1 / 0))
    statement = xdb.write(lambda: store.db.execute_sql("SELECT nonsense"))
    seen = xdb.write(jids)
    assert xdb.rows(Buddy, [("romeo@a", "last", 1)], COLUMNS).wait() is None
    assert all(ticket.error is None for ticket in rows)
    assert isinstance(bad_row.error, IntegrityError) and isinstance(bad.error, ZeroDivisionError)
    assert isinstance(statement.error, PeeweeException)
    assert seen.result == [str(number) for number in range(100)]
    assert jids() == [*seen.result, "last"]
    assert store.trouble is None


def test_a_second_open_finds_everything(url, tmp_path):
    with opened(url, tmp_path) as store:
        last = xdb.save(add, "romeo@a", "a@b")
        xdb.save(lambda: Buddy.delete().execute())
        store.close()
        xdb.open(url, [Buddy], str(tmp_path))
        assert xdb.save(add, "romeo@a", "a@b") > last  # a row number never comes twice
        xdb.store.close()
        with pytest.raises(StoreError, match="no such|doesn't exist|does not exist") as caught:
            xdb.open(
                url,
                [Buddy],
                str(tmp_path),
                migrations=[
                    (1, "first", print),
                    (99, "bad", lambda db: db.execute_sql("DELETE FROM no_such_table")),
                ],
            )
        assert "\n" not in str(caught.value)
        xdb.open(url, [Buddy], str(tmp_path))
        assert jids() == ["a@b"]


def test_idle_greenlets_hold_no_connection(store):
    """Forty units of work at a time on a pool of four; some die without saying that they are done."""
    xdb.save(add, "romeo@a", "a@b")
    go = gevent.event.Event()

    def unit(number):
        if number % 4:
            with xdb.unit():
                assert jids() == ["a@b"]
        else:
            assert jids() == ["a@b"]
        if number % 4:
            go.wait()

    greenlets = [gevent.spawn(unit, number) for number in range(40)]
    gevent.joinall(greenlets[::4], timeout=20, raise_error=True)
    go.set()
    gevent.joinall(greenlets, timeout=20, raise_error=True)
    assert all(greenlet.successful() for greenlet in greenlets)


def test_a_cache_filled_across_a_switch(store):
    @cached
    def count(owner):
        return Buddy.select().where(Buddy.owner == owner).count()

    assert count("romeo@a") == 0
    xdb.save(add, "romeo@a", "a@b")
    count.forget("romeo@a")
    assert count("romeo@a") == 1


def test_waiting_for_the_database_does_not_stop_the_loop(server, tmp_path):
    with opened(server.url, tmp_path) as store:
        sql = "SELECT SLEEP(1)" if "mysql" in server.url else "SELECT pg_sleep(1)"
        query = gevent.spawn(lambda: store.db.execute_sql(sql).fetchall())
        write = gevent.spawn(xdb.save, lambda: store.db.execute_sql(sql).fetchall())
        turns = 0
        while not (query.ready() and write.ready()):
            gevent.sleep(0.01)
            turns += 1
        assert turns > 20
        assert query.successful() and write.successful()


def test_the_database_is_killed_and_comes_back(server, tmp_path):
    with opened(server.url, tmp_path) as store:
        acknowledged = []

        def sender(k):
            for number in range(1000):
                try:
                    xdb.rows(Buddy, [("romeo@a", f"{k}-{number}", number)], COLUMNS).wait()
                except StoreError:
                    return
                acknowledged.append(f"{k}-{number}")

        senders = [gevent.spawn(sender, k) for k in range(10)]
        with gevent.Timeout(20):
            while len(acknowledged) < 100:
                gevent.sleep(0.001)
        server.kill()
        gevent.joinall(senders, timeout=20, raise_error=True)
        assert store.trouble is not None
        with pytest.raises(StoreError):
            xdb.save(add, "romeo@a", "while it is away")
        server.start()
        xdb.save(add, "romeo@a", "back")
        assert store.trouble is None
        xdb.release()  # this greenlet's unit ended with the server
        kept = set(jids())
        assert set(acknowledged) <= kept and "back" in kept and "while it is away" not in kept


def test_who_may_not_come_in_is_told_in_one_line(server, tmp_path):
    wrong = server.url.replace("//root@", "//nobody:s3cret@").replace("//jabber@", "//nobody:s3cret@")
    with pytest.raises(StoreError, match="nobody") as caught:
        xdb.open(wrong, [Buddy], str(tmp_path))
    assert "\n" not in str(caught.value) and "s3cret" not in str(caught.value)
    assert xdb.store is None
