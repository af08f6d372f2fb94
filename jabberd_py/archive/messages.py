"""The tables of messages and marks, and the queries on them. Archive and spool share them.

    put()       a new message -> `Fresh` (on SQLite) or `Message`
    sort()      `Fresh` -> `Message`, many rows at a time: once a second, and before somebody reads
    readable()  to be called by readers: waits until all messages are in `Message`

On SQLite a new message first goes into `Fresh`, a table without an index, as one row for both its owners. If each message got
its index entry at once, SQLite would write a whole page of the index for each one, because it logs pages, and the entries of
each owner are on another page. MariaDB and PostgreSQL log rows; there a message goes into `Message` at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
from peewee import BigIntegerField, CharField, SmallIntegerField, TextField, Value, fn

from .. import log
from ..cluster import cluster
from ..xdb import OWNER_LENGTH, JidField, StoreError, Table, Ticket, spoilt, xdb
from ..xdb.numbers import FUTURE, above, load
from ..xdb.writer import Insert

logger = log.get(__name__)

PAGE = 50
"""Rows that `page` returns at most."""
CLOCK_OWNER, CLOCK = "", "jabberd_py:clock"
"""Under this owner and namespace the store keeps the corrections of `xdb.numbers`."""
HEADERS = 250
"""Rows that `headers` returns at most."""
FRESH = 5_000
"""At most this many rows are sorted in together. That takes about 50 ms, and other writes wait for it."""


class Row(Table):
    """
    id               the row number (`xdb.numbers`)
    owner            the bare address of the account or room whose archive it is in
    peer, resource   the address of the other side
    spooled          1 if the message has come in; behind the mark of its owner it counts as undelivered
    archived         1 if the owner wants it kept
    stream, seq      the sender's resumable stream (XEP-0198) and the count of the message in it, so that a sender who resumes
                     after a crash does not send it twice
    taken            "stream:count stream:count ...": the owner's resumable streams on which it was sent, with its counts in
                     them, so that a recipient who resumes after a crash does not get it twice
    """

    long = True
    id = BigIntegerField(primary_key=True)
    owner = CharField(max_length=OWNER_LENGTH)
    peer = JidField()
    resource = TextField()
    xml = TextField()
    spooled = SmallIntegerField()
    archived = SmallIntegerField()
    stream = BigIntegerField()
    seq = BigIntegerField()
    taken = TextField()


class Message(Row):
    """All messages except fresh ones."""

    class Meta:
        # one index serves pages of all and of one contact: a second one would double what a message costs to store
        indexes = ((("owner", "id", "peer"), False),)


COLUMNS = ("id", "owner", "peer", "resource", "xml", "spooled", "archived", "stream", "seq", "taken")
TAKEN = COLUMNS.index("taken")


class Fresh(Row):
    """A new message for ``owner``. `sort` moves it into `Message`. Nobody reads this table; readers call `readable` first.

    copy           the number of the sender's own row, which `sort` makes, too; 0: there is none
    copy_resource  the resource to which the message was sent: ``resource`` of the sender's row
    """

    copy = BigIntegerField()
    copy_resource = TextField()


FRESH_COLUMNS = (*COLUMNS, "copy", "copy_resource")


class Mark(Table):
    """Every spooled row of ``owner`` with a number up to ``delivered`` has reached a client."""

    owner = CharField(max_length=OWNER_LENGTH)
    delivered = BigIntegerField()

    class Meta:
        indexes = ((("owner",), True),)


@xdb.prepared(str)
def mark(owner: str) -> Any:
    """The mark of an account: [(number,)], or nothing."""
    return Mark.select(Mark.delivered).where(Mark.owner == owner)


@xdb.prepared(str, int)
def page(owner: str, position: int) -> Any:
    """Undelivered rows behind ``position``: [(number, xml, archived), ...]."""
    waiting = Message.select(Message.id, Message.xml, Message.archived).where(
        Message.owner == owner, Message.id > position, Message.spooled == 1
    )
    return waiting.order_by(Message.id).limit(PAGE)


@xdb.prepared(str, int)
def headers(owner: str, position: int) -> Any:
    """Like `page`, with more rows, and without the messages themselves: [(number, peer, resource), ...]."""
    waiting = Message.select(Message.id, Message.peer, Message.resource).where(
        Message.owner == owner, Message.id > position, Message.spooled == 1
    )
    return waiting.order_by(Message.id).limit(HEADERS)


@xdb.prepared(str, int)
def taken(owner: str, position: int) -> Any:
    """Rows behind ``position`` that were sent on resumable streams: [(number, taken, spooled), ...]."""
    return Message.select(Message.id, Message.taken, Message.spooled).where(
        Message.owner == owner, Message.id > position, Message.taken != ""
    )


@xdb.prepared(str, int)
def count(owner: str, position: int) -> Any:
    """The number of undelivered rows behind ``position``, without fresh ones: [(number,)]."""
    return Message.select(fn.COUNT(Message.id)).where(
        Message.owner == owner, Message.id > position, Message.spooled == 1
    )


def origin(session: Any) -> tuple[int, int]:
    """The number of the session's resumable stream, and the count of the stanza that its client has just sent: `Row.stream` and
    `Row.seq`. ``session``: None if the sender has none here."""
    if session is None or session.sm is None:
        return 0, 0
    return session.sm.number, session.sm.handled + 1


# -- into the table ------------------------------------------------------------------------------

_into: type[Row] = Message
_fresh = 0
"""How many rows were put and are not sorted yet."""
_stuck = False
"""True after sorting has failed. Until it works again, new rows go into `Message` directly, so that their senders get the
error."""


def put(
    row: list[Any],
    failed: Callable[[Any], object],
    about: Any,
    copy: int = 0,
    copy_resource: str = "",
) -> Ticket:
    """Stores a message; the ticket and ``failed`` are as of `xdb.row`. ``row``: its values in the order of `COLUMNS`; the
    caller may still set ``row[TAKEN]`` until it blocks for the next time. ``copy``, ``copy_resource``: as in `Fresh`."""
    global _fresh
    text = len(row[4])
    if _into is Fresh and not _stuck:
        row += (copy, copy_resource)
        ticket = xdb.row(Fresh, row, FRESH_COLUMNS, text, failed, about)
        _fresh += 1  # not before `xdb.row`, which may block: another greenlet could sort meanwhile
        if _fresh % FRESH == 0:
            sort()
        return ticket
    if not copy:
        return xdb.row(Message, row, COLUMNS, text, failed, about)
    told: list[Any] = []

    def once(about: Any) -> None:
        if not told:
            told.append(about)
            failed(about)

    # only the second row has the count of the sender's stanza, because a crash may come between the two
    _, owner, peer, _, xml, _, _, stream, seq, _ = row
    row[7] = row[8] = 0
    xdb.row(Message, row, COLUMNS, text, once, about)
    mirrored = (copy, peer, owner, copy_resource, xml, 0, 1, stream, seq, "")
    return xdb.row(Message, mirrored, COLUMNS, text, once, about)


def sort() -> Ticket | None:
    """Sorts in what was put so far. Does not wait. Returns None if there is nothing to sort."""
    return write(sort_in) if _fresh else None


def write(function: Callable[..., Any], *args: Any) -> Ticket:
    """Like `xdb.write`, for a function that calls `sort_in`."""
    global _fresh
    ticket = xdb.write(function, *args)
    count, _fresh = _fresh, 0  # not before `xdb.write`, which may block: a caller of `sync` must wait, too
    ticket.then(lambda ticket: _written(ticket, count))
    return ticket


def _written(ticket: Ticket, count: int) -> None:
    global _fresh, _stuck
    if ticket.error is None:
        _stuck = False
    elif count:
        if not _stuck:
            logger.error("the newest messages cannot be sorted in", reason=str(ticket.error))
        _fresh, _stuck = _fresh + count, True


def sync() -> bool:
    """Blocks until all messages that were put so far can be read, or have failed. False: sorting failed, so the newest messages
    cannot be read now."""
    sort()
    xdb.sync()
    return not _stuck


def _save_clock(text: str) -> None:
    with suppress(StoreError):  # the store says so itself, and after a crash there is another correction
        xdb.set(CLOCK_OWNER, CLOCK, text)


def readable() -> None:
    """To be called by readers. Blocks until all messages that were put so far can be read. Raises StoreError if the newest
    cannot be read, because an answer without them would look complete."""
    if not sync():
        raise StoreError("the newest messages cannot be read")


def start() -> None:
    """To be called when the store was opened. Makes new numbers larger than those of all rows and marks, even if the clock
    was set back."""
    global _into, _fresh, _stuck
    _into = Fresh if xdb.store is not None and xdb.store.db.threaded else Message
    damaged = xdb.save(Mark.delete().where(~(Mark.delivered < FUTURE)).execute)
    if damaged:
        spoilt("mark", "", ValueError(f"{damaged} are no marks"))
    _fresh, _stuck = 1, False  # a crash may have left some
    load(xdb.get(CLOCK_OWNER, CLOCK), lambda text: gevent.spawn(_save_clock, text))
    sync()
    newest = [table.select(fn.MAX(table.id)).where(table.id < FUTURE).scalar() for table in (Message, Fresh)]
    # a mark counts, too: its message may be gone
    newest.append(Mark.select(fn.MAX(Mark.delivered)).where(Mark.delivered < FUTURE).scalar())
    above(*newest)
    if seed not in cluster.arrived:
        cluster.arrived.append(seed)


def seed(owner: str) -> None:
    """To be called when the home of an owner has come to this process. Makes new numbers larger than those of its rows."""
    newest = [
        table.select(fn.MAX(table.id)).where(table.owner == owner).scalar() for table in (Message, Fresh)
    ]
    above(*newest, Mark.select(fn.MAX(Mark.delivered)).where(Mark.owner == owner).scalar())


# -- in the writer -------------------------------------------------------------------------------


def sort_in() -> None:
    """Moves all fresh rows into `Message`, and makes the senders' rows. Rows that are delivered and not archived are
    dropped."""
    f, into = Fresh, [getattr(Message, name) for name in COLUMNS]
    mirrored = (
        f.copy,
        f.peer,
        f.owner,
        f.copy_resource,
        f.xml,
        Value(0),
        Value(1),
        f.stream,
        f.seq,
        Value(""),
    )
    Message.insert_from(
        f.select(*mirrored).where(f.copy > 0).order_by(f.copy), into
    ).on_conflict_ignore().execute()
    delivered = Mark.select(Mark.delivered).where(Mark.owner == f.owner)
    f.delete().where(f.archived == 0, f.spooled == 1, f.id <= delivered).execute()
    rows = f.select(*(getattr(f, name) for name in COLUMNS)).order_by(f.id)
    Message.insert_from(rows, into).on_conflict_ignore().execute()
    f.delete().execute()


def move_marks(marks: list[tuple[str, int]]) -> None:
    """Writes the marks: (user, number)."""
    db = Mark._meta.database
    Insert(db, Mark, ("owner", "delivered"), key=("owner",)).run(db, marks)


def save_marks(
    marks: list[tuple[str, int]], exact: list[tuple[str, int, int, list[int]]], singles: list[int]
) -> None:
    """Writes what was delivered.

    marks    (user, mark): all rows up to the mark are delivered
    exact    (user, mark, a higher number, rows in between that are not delivered): all other rows in between are delivered
    singles  single rows that are delivered

    Delivered rows go if they are not archived."""
    move_marks(marks)
    sort_in()
    for user, mark, upto, lost in exact:
        between = (Message.owner == user, Message.id > mark, Message.id <= upto)
        Message.update(spooled=0).where(*between, Message.id.not_in(lost)).execute()
    for at in range(0, len(singles), 500):
        ids = singles[at : at + 500]
        Message.delete().where(Message.id.in_(ids), Message.archived == 0).execute()
        Message.update(spooled=0).where(Message.id.in_(ids)).execute()


def note_taken(taken: list[tuple[str, int]]) -> None:
    """Sets `Row.taken`. ``taken``: (value, row number) of messages that are sorted in."""
    db, table = Message._meta.database, Message._meta.table_name
    sql = f"UPDATE {table} SET taken = {db.param} WHERE id = {db.param}"
    for each in taken:
        db.execute_sql(sql, each)


def tables() -> list[Any]:
    return [Message, Fresh, Mark]
