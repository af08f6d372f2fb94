"""The rows behind the spool: messages, marks, and the queries on them.

On SQLite a new message comes into `Fresh`, which has no index, once for both its owners; it is sorted into `Message` with
many others, once a second or before somebody reads. An index entry for each message at once would mean writing a page of
the index for each: SQLite logs whole pages, and every owner's entries lie on another one."""

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
CLOCK_OWNER, CLOCK = "", "jabberd_py:clock"
"""Under this owner and namespace the store keeps the corrections of `xdb.numbers`."""
HEADERS = 250
FRESH = 5_000
"""Rows that are sorted in together, at most: that takes about 50 ms, and other writes wait for it."""


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
    """All messages, but for the newest."""

    class Meta:
        # one index serves pages of all and of one contact: a second one would double what a message costs to store
        indexes = ((("owner", "id", "peer"), False),)


COLUMNS = ("id", "owner", "peer", "resource", "xml", "spooled", "archived", "stream", "seq", "taken")
TAKEN = COLUMNS.index("taken")


class Fresh(Row):
    """A new message for ``owner``, which `sort` moves into `Message`. Readers call `readable` first and never look here.
    ``copy``: the number of the sender's own row of it, 0: there is none; ``copy_resource``: the resource it was sent to."""

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
    """[(number,)], or nothing."""
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
    """Like `page`, but more of them, and without what they say: [(number, peer, resource), ...]."""
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
    """Without the newest."""
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
"""Rows that were put and not sorted yet."""
_stuck = False
"""True if some rows could not be sorted in. Until that works, new rows go into `Message` directly, so that their senders get
the error."""


def put(
    row: list[Any],
    failed: Callable[[Any], object],
    about: Any,
    copy: int = 0,
    copy_resource: str = "",
) -> Ticket:
    """Like `xdb.row`, for a message (its values in the order of `COLUMNS`). ``copy``: the number of its sender's row, which is
    written, too; 0: there is none. The caller may set ``row[TAKEN]`` until it blocks for the next time."""
    global _fresh
    text = len(row[4])
    if _into is Fresh and not _stuck:
        row += (copy, copy_resource)
        ticket = xdb.row(Fresh, row, FRESH_COLUMNS, text, failed, about)
        _fresh += 1  # now: before, another greenlet could have sorted while this one waited
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

    # only the last of the two says that the sender's stanza was dealt with: a crash may come between
    _, owner, peer, _, xml, _, _, stream, seq, _ = row
    row[7] = row[8] = 0
    xdb.row(Message, row, COLUMNS, text, once, about)
    mirrored = (copy, peer, owner, copy_resource, xml, 0, 1, stream, seq, "")
    return xdb.row(Message, mirrored, COLUMNS, text, once, about)


def sort() -> Ticket | None:
    """Sorts in what was put so far, if there is any."""
    return write(sort_in) if _fresh else None


def write(function: Callable[..., Any], *args: Any) -> Ticket:
    """Like `xdb.write`, for a function that sorts in, too."""
    global _fresh
    ticket = xdb.write(function, *args)
    count, _fresh = _fresh, 0  # not before: while this waits for space, a caller of `sync` must wait, too
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
    """Blocks until all messages that were put so far can be read, or could not be kept. False: the newest are kept, but
    cannot be read now."""
    sort()
    xdb.sync()
    return not _stuck


def _save_clock(text: str) -> None:
    with suppress(StoreError):  # the store says so itself, and after a crash there is another correction
        xdb.set(CLOCK_OWNER, CLOCK, text)


def readable() -> None:
    """Blocks until all messages that were put so far can be read. Readers call this first. Raises StoreError if the newest
    cannot be read: an answer without them would look complete."""
    if not sync():
        raise StoreError("the newest messages cannot be read")


def start() -> None:
    """To be called when the store was opened. Makes new numbers larger than those of all rows and marks, even if the clock
    was set back."""
    global _into, _fresh, _stuck
    _into = (
        Fresh if xdb.store is not None and xdb.store.db.threaded else Message
    )  # the others log rows, not pages
    damaged = xdb.save(Mark.delete().where(~(Mark.delivered < FUTURE)).execute)
    if damaged:
        spoilt("mark", "", ValueError(f"{damaged} are no marks"))
    _fresh, _stuck = 1, False  # a crash may have left some
    load(xdb.get(CLOCK_OWNER, CLOCK), lambda text: gevent.spawn(_save_clock, text))
    sync()
    newest = [table.select(fn.MAX(table.id)).where(table.id < FUTURE).scalar() for table in (Message, Fresh)]
    # the message of a mark may have gone
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
    """What came, was delivered, and is not archived never gets into the big table."""
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
    """``marks``: by user."""
    db = Mark._meta.database
    Insert(db, Mark, ("owner", "delivered"), key=("owner",)).run(db, marks)


def save_marks(
    marks: list[tuple[str, int]], exact: list[tuple[str, int, int, list[int]]], singles: list[int]
) -> None:
    """``marks``: by user. ``exact``: (user, mark, a higher number, which rows between were not delivered); the mark alone
    cannot say that. ``singles``: delivered; they go, unless archived."""
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
    """(``Row.taken``, number) of messages that are sorted in."""
    db, table = Message._meta.database, Message._meta.table_name
    sql = f"UPDATE {table} SET taken = {db.param} WHERE id = {db.param}"
    for each in taken:
        db.execute_sql(sql, each)


def tables() -> list[Any]:
    return [Message, Fresh, Mark]
