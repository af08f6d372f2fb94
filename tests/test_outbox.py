"""The outbox, apart from any server: its table, and that of earlier servers."""

import pytest
from peewee import BigIntegerField, CharField, TextField

from jabberd_py import outbox
from jabberd_py.outbox import Entry, Outbox
from jabberd_py.xdb import OWNER_LENGTH, Table, schema, xdb
from jabberd_py.xdb.numbers import next_id, when
from jabberd_py.xmpp.element import from_text
from tests.databases import SERVERS

KINDS = ["sqlite", *SERVERS]


class Before(Table):
    """`Outbound` of the servers before this one: what was on its way to other servers."""

    id = BigIntegerField(primary_key=True)
    owner = CharField(max_length=OWNER_LENGTH)
    xml = TextField()

    class Meta:
        table_name = "outbound"


@pytest.fixture(params=KINDS)
def url(request):
    if request.param == "sqlite":
        yield "sqlite:///jabberd.sqlite"
        return
    with SERVERS[request.param]() as running:
        yield running.fresh()


def message(body):
    return f"<message from='romeo@a.example/x' to='juliet@b.example' id='i'><body>{body}</body></message>"


def test_a_store_of_an_earlier_server_loses_nothing(url, tmp_path):
    first = schema.MIGRATIONS[:2]
    store = xdb.open(url, [Before], str(tmp_path), migrations=first)
    bodies = [f"{n} ♥" for n in range(5)]
    rows = [(next_id(), "romeo@a.example", message(body)) for body in bodies]
    xdb.rows(Before, [*rows, (next_id(), "romeo@a.example", "<message")], ("id", "owner", "xml")).wait()
    store.close()
    store = xdb.open(url, [Outbox], str(tmp_path))
    try:
        assert store.migrated[0] == "one outbox"
        row = Outbox.select().order_by(Outbox.id).first()
        assert (row.way, row.destination, row.owner) == ("s2s", "b.example", "romeo@a.example")
        assert abs(row.time - when(row.id)) < 1
        entries = outbox.left()
        assert [entry.stanza.text_of("body") for entry in entries] == bodies
        xdb.sync()
        assert Outbox.select().count() == 5  # the broken one is gone
        fresh = Entry(from_text(message("new")))
        outbox.keep("component", "c.example", fresh, print)
        xdb.sync()
        assert [entry.stanza.text_of("body") for entry in outbox.left()] == [*bodies, "new"]
        assert fresh.row > entries[-1].row
        for entry in entries:
            outbox.forget(entry)
        outbox.flush()
        xdb.sync()
        assert [entry.stanza.text_of("body") for entry in outbox.left()] == ["new"]
    finally:
        store.close()


def test_what_cannot_be_kept_is_told(tmp_path, monkeypatch):
    store = xdb.open("sqlite:///jabberd.sqlite", [Outbox], str(tmp_path))
    told = []
    monkeypatch.setattr(store.writer, "_commit", lambda group: "no room")
    entry = Entry(from_text(message("new")))
    outbox.keep("s2s", "b.example", entry, told.append)
    xdb.sync()
    assert told == [entry]
    monkeypatch.undo()
    store.close()
