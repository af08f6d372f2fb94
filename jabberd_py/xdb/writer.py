"""The writer: every change of the store goes through it, many changes in one transaction.

A caller of `write`, `rows` or `row` gets a `Ticket`. Tickets are done in the order in which they were given. One greenlet takes
what has gathered, runs it as one transaction, commits, and completes the tickets. Meanwhile the next group gathers.

Nobody waits for single rows (`row`), so they gather for a moment before the writer begins: a commit costs much, one more row in
it costs little. `write`, `rows`, `Ticket.wait` and `Ticket.hurry` make the writer begin at once.

SQLite's statements and its fsync run in a thread of the writer, so the loop never waits for the disk. MySQL's and PostgreSQL's
run in the writer's greenlet, because their I/O is cooperative.

A function that fails undoes its own changes only (a savepoint), and its ticket raises the same error. If the transaction itself
fails (the disk is full or read-only, the database is gone), nothing of the group is kept, and all its tickets raise StoreError.
The next group is tried with a new connection."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import chain, repeat
from typing import Any

import gevent
from gevent.event import Event
from gevent.threadpool import ThreadPool
from peewee import MySQLDatabase

from .. import log
from .db import StoreError, one_line

logger = log.get(__name__)

QUEUE_ENTRIES = 10_000  # entries in the queue; a caller who would exceed this waits
QUEUE_TEXT = 64 << 20  # characters of text in the queue, likewise
GROUP = 2_000  # entries of one transaction; completing more tickets at a time would hold the loop
SHARED = 64  # rows that may share a ticket
CHUNKS = (64, 8, 1)  # rows of one INSERT; only these sizes, so that few prepared statements are kept


class Ticket:
    """A write that is on its way. ``done``: its group was committed, or it failed. Then ``error`` is what it raised or None,
    and ``result`` is what its function returned."""

    __slots__ = ("_args", "_callbacks", "_work", "count", "done", "error", "result", "size")

    def __init__(self, work: Any, args: Any, size: int = 0) -> None:
        self._work, self._args = work, args
        self.size, self.count = size, 1  # characters of text and entries, for the bounds of the queue
        self._callbacks: list[Callable[[Ticket], object]] | None = None
        self.done = False
        self.error: BaseException | None = None
        self.result: Any = None

    def wait(self, timeout: float | None = None) -> Any:
        """Blocks until the commit. Returns what the function returned. Raises what it raised, StoreError, or TimeoutError after
        ``timeout`` seconds; then the write is still on its way."""
        if not self.done:
            self.hurry()
            waiter = gevent.hub.Waiter()  # an Event costs twice as much
            self.then(partial(waiter.hub.loop.run_callback, waiter.switch))
            slow = TimeoutError("the store is slow")
            with nullcontext() if timeout is None else gevent.Timeout(timeout, slow):
                waiter.get()
        if self.error is not None:
            raise self.error
        return self.result

    def then(self, callback: "Callable[[Ticket], object]") -> None:
        """Calls ``callback(ticket)`` once done: on the loop, in the order of the writes (at once, if done already). It must
        neither block nor wait for another ticket."""
        if self.done:
            callback(self)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    def hurry(self) -> None:
        """Makes the writer begin now, if this is a row that gathers with others."""


class _Row(Ticket):
    """The ticket of several single rows (`Writer.row`). They are committed together. If the database refuses one of them,
    only its own ``failed`` is called, and this ticket has no error."""

    __slots__ = ("failed", "refused", "writer")

    def __init__(self, insert: "Insert", writer: "Writer") -> None:
        super().__init__(insert, [])
        self.count, self.writer = 0, writer
        self.failed: list[tuple[Callable[[Any], object], Any]] = []
        self.refused: list[tuple[Callable[[Any], object], Any]] = []

    def hurry(self) -> None:
        if not self.done:
            self.writer.hurry()


class Insert:
    """INSERT of many rows of one table, 64 with one statement. `executemany` makes one step for each row, and after each step
    the worker thread waits for the interpreter lock: 0.9 ms a row if the loop is busy, 0.1 ms this way."""

    def __init__(
        self, db: Any, table: Any, columns: Sequence[str], key: Sequence[str] = (), keep: Sequence[str] = ()
    ) -> None:
        """``key``: of two rows with the same values in these columns, which have a unique index, the new one stays, with
        ``keep`` of the old one."""
        quote, fields = db.quote, table._meta.fields
        names = ", ".join(fields[name].column_name.join(quote) for name in columns)
        head = f"INSERT INTO {table._meta.table_name.join(quote)} ({names}) VALUES "
        row = "(" + ", ".join([db.param] * len(columns)) + ")"
        self.table, self.columns, self.width = table, columns, len(columns)
        others = [fields[name].column_name.join(quote) for name in columns if name not in (*key, *keep)]
        tail = _replacing(db, [fields[name].column_name.join(quote) for name in key], others) if key else ""
        self.statements = [(size, head + ", ".join([row] * size) + tail) for size in CHUNKS]

    def run(self, db: Any, rows: Sequence[tuple[Any, ...]]) -> None:
        start, count = 0, len(rows)
        for size, sql in self.statements:
            while count - start >= size:
                db.execute_sql(sql, list(chain.from_iterable(rows[start : start + size])))
                start += size


def _replacing(db: Any, key: list[str], others: list[str]) -> str:
    if isinstance(db, MySQLDatabase):
        return " ON DUPLICATE KEY UPDATE " + ", ".join(f"{name} = VALUES({name})" for name in others)
    return f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET " + ", ".join(
        f"{name} = excluded.{name}" for name in others
    )


class Writer:
    def __init__(
        self, db: Any, entries: int = QUEUE_ENTRIES, text: int = QUEUE_TEXT, gather: float = 0.0
    ) -> None:
        self.db, self.entries, self.text = db, entries, text
        self.gather = gather  # seconds that single rows wait for others
        self.trouble: str | None = None  # why the last group was lost; None: it was not
        self.commits = self.failures = 0  # groups since the start
        self._queue: deque[Ticket] = deque()
        self._queued_text = self._queued = 0
        self._open: _Row | None = None  # the last ticket in the queue, if a row may join it
        self._inserts: dict[tuple[Any, tuple[str, ...], tuple[str, ...]], Insert] = {}
        self.newest: Ticket | None = None  # what it was given last
        self._wake, self._go, self._room, self._idle, self._closed = Event(), Event(), Event(), True, False
        self._worker = ThreadPool(1) if db.threaded else None
        self._greenlet = gevent.spawn(self._loop)

    # --- what the rest of the server calls, on the loop ---

    def write(self, function: Callable[..., Any], *args: Any) -> Ticket:
        """`function(*args)` will run within the writer's transaction, *in another thread*: it may use peewee and its arguments,
        no sockets, sessions, locks or caches. Blocks only while the queue is full."""
        size = 0
        for value in args:
            if value.__class__ is str:
                size += len(value)
        return self._put(Ticket(function, args, size), True)

    def rows(
        self,
        table: Any,
        rows: Sequence[tuple[Any, ...]],
        columns: tuple[str, ...],
        key: tuple[str, ...] = (),
        keep: tuple[str, ...] = (),
        text: int | None = None,
    ) -> Ticket:
        """Inserts tuples of plain values (str, int, float, bytes, None: no conversions) into ``columns``, field names. Rows
        of one table keep their order, and their place among the `write`s. ``key``, ``keep``: as of `Insert`; no two of ``rows``
        may have the same key. ``text``: about how many characters there are in all rows, for callers who know."""
        insert = self._insert_into(table, columns, key, keep)
        size, width = text or 0, insert.width
        for row in rows:
            if len(row) != width:
                raise ValueError(f"{len(row)} values for the {width} columns {columns}")
            if text is None:
                size += sum([len(value) for value in row if value.__class__ is str])
        return self._put(Ticket(insert, rows, size), True)

    def row(
        self,
        table: Any,
        row: Sequence[Any],
        columns: tuple[str, ...],
        text: int,
        failed: Callable[[Any], object],
        about: Any,
    ) -> Ticket:
        """Like `rows`, for one row of ``text`` characters. It is cheap enough for every message: rows that follow each other
        share a ticket, and gather for a moment before they are written. If the row cannot be kept, ``failed(about)`` is
        called like the callback of a ticket. The ticket has an error only if the whole transaction has failed."""
        self.wait_for_space(text)
        ticket = self._open
        if (
            ticket is None
            or ticket.count >= SHARED
            or ticket._work.columns is not columns
            or ticket._work.table is not table
        ):
            ticket = _Row(self._insert_into(table, columns), self)
            self._put(ticket, self._queued >= GROUP)
            self._open = ticket
        if len(row) != ticket._work.width:
            raise ValueError(f"{len(row)} values for the {ticket._work.width} columns {columns}")
        ticket._args.append(row)
        ticket.failed.append((failed, about))
        ticket.count += 1
        ticket.size += text
        self._queued += 1
        self._queued_text += text
        return ticket

    def _insert_into(
        self, table: Any, columns: tuple[str, ...], key: tuple[str, ...] = (), keep: tuple[str, ...] = ()
    ) -> Insert:
        insert = self._inserts.get((table, columns, key))
        if insert is None:
            insert = self._inserts[table, columns, key] = Insert(self.db, table, columns, key, keep)
        return insert

    def wait_for_space(self, text: int) -> None:
        """Blocks while the queue is full. After it a row of ``text`` characters can be given without waiting."""
        if self._queued >= self.entries or self._queued_text + text > self.text or self._closed:
            self._wait_for_space(text)

    def hurry(self) -> None:
        """Makes the writer begin now with what has gathered."""
        if self._queue and not self._go.is_set():
            self._go.set()

    def _put(self, ticket: Ticket, hurry: bool) -> Ticket:
        self.wait_for_space(ticket.size)
        self._queue.append(ticket)
        self.newest, self._open = ticket, None
        self._queued += ticket.count
        self._queued_text += ticket.size
        if self._idle:
            self._idle = False
            self._wake.set()
        if hurry and not self._go.is_set():
            self._go.set()
        return ticket

    def _wait_for_space(self, size: int) -> None:
        if gevent.getcurrent() is self._greenlet:  # a callback: were it to wait, nobody would empty the queue
            return
        while self._queue and (self._queued >= self.entries or self._queued_text + size > self.text):
            self._go.set()
            self._room.clear()
            self._room.wait()
        if self._closed:
            raise StoreError("the store is closed")

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Runs a function where the writer runs, outside of any transaction (to open, migrate and close)."""
        if self._worker is not None:
            return self._worker.apply(function, args)
        try:
            return function(*args)
        finally:
            self.db.release()

    def close(self) -> None:
        """Write what is queued, then stop. Later writes raise StoreError."""
        self._closed = True
        self._go.set()
        self._wake.set()
        self._greenlet.join()
        self.call(self.db.dispose_all)
        if self._worker is not None:
            self._worker.kill()

    # --- the writer's greenlet ---

    def _loop(self) -> None:
        while True:
            if not self._queue:
                if self._closed:
                    return
                self._idle = True
                self._wake.wait()
                self._wake.clear()
                self._idle = False
                continue
            self._go.wait(self.gather)
            group, count = [], 0
            while self._queue and count < GROUP:
                ticket = self._queue.popleft()
                self._queued -= ticket.count
                self._queued_text -= ticket.size
                count += ticket.count
                group.append(ticket)
            if not self._queue:
                self._open = None  # it has left: no row may join it any more
                self._go.clear()
            self._room.set()
            try:
                reason = self.call(self._commit, group)
            except Exception as error:
                reason = f"{type(error).__name__}: {one_line(error)}"
            self._complete(group, reason)

    def _complete(self, group: list[Ticket], reason: str | None) -> None:
        if reason is not None and self.trouble is None:
            logger.error("the store cannot write", reason=reason)
        elif reason is None and self.trouble is not None:
            logger.warning("the store writes again")
        self.trouble = reason
        self.failures += reason is not None
        self.commits += reason is None
        if reason is None and self.db.unread is not None and not self.db.threaded:
            self.db.went_well()  # the same server answers
        for ticket in group:
            if reason is not None:
                ticket.result, ticket.error = None, StoreError(f"the store cannot write: {reason}")
            ticket.done = True
            ticket._work = ticket._args = None
            if isinstance(ticket, _Row):
                self._call_back(ticket.failed if reason is not None else ticket.refused)
                ticket.failed, ticket.refused = [], []
            callbacks = ticket._callbacks
            if callbacks is not None:
                ticket._callbacks = None
                self._call_back(zip(callbacks, repeat(ticket)))

    def _call_back(self, callbacks: Iterable[tuple[Callable[[Any], object], Any]]) -> None:
        for callback, argument in callbacks:
            try:
                callback(argument)
            except Exception:
                logger.exception("a callback of a ticket failed")

    # --- in the worker thread (SQLite) or the writer's greenlet ---

    def _commit(self, group: list[Ticket]) -> str | None:
        """Runs one transaction. Returns None, or why nothing of the group was kept."""
        db = self.db
        try:
            db.connect(reuse_if_open=True)
            db.begin()
            db.push_transaction(self)  # `db.atomic()` in a function makes a savepoint
            try:
                self._run(group)
                db.commit()
            finally:
                db.pop_transaction()
        except Exception as error:
            self._disconnect()  # which rolls back
            return one_line(error)
        db.release()
        return None

    def _disconnect(self) -> None:
        try:
            self.db.close()
        except Exception:  # so broken that it cannot even be closed
            self.db.dispose()

    def _run(self, group: list[Ticket]) -> None:
        batches: dict[Insert, list[Ticket]] = {}  # neighbouring `rows`, by table and columns
        for ticket in group:
            if ticket._work.__class__ is Insert:
                batches.setdefault(ticket._work, []).append(ticket)
            else:
                self._insert(batches)
                batches.clear()
                self._call(ticket, ticket._work, *ticket._args)
        self._insert(batches)

    def _insert(self, batches: dict[Insert, list[Ticket]]) -> None:
        for insert, tickets in batches.items():
            if len(tickets) > 1 or isinstance(tickets[0], _Row):
                together = Ticket(None, None)
                self._call(together, insert.run, self.db, list(chain.from_iterable(t._args for t in tickets)))
                if together.error is None:
                    continue
            for ticket in tickets:  # one of them spoils it: each for itself
                if not isinstance(ticket, _Row):
                    self._call(ticket, insert.run, self.db, ticket._args)
                    continue
                for row, told in zip(ticket._args, ticket.failed, strict=True):
                    alone = Ticket(None, None)
                    self._call(alone, insert.run, self.db, [row])
                    if alone.error is not None:
                        ticket.refused.append(told)

    def _call(self, ticket: Ticket, function: Callable[..., Any], *args: Any) -> None:
        execute = self.db.execute_sql
        try:
            execute("SAVEPOINT one")
            ticket.result = function(*args)
            execute("RELEASE SAVEPOINT one")
        except Exception as error:
            if self.db.is_operational(error):
                raise
            execute("ROLLBACK TO SAVEPOINT one")
            execute("RELEASE SAVEPOINT one")
            ticket.error = error
