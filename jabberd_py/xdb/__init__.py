"""The store, as the rest of the server sees it.

    from ..xdb import Table, cached, xdb

`xdb` is the one store of this process. Reads are plain peewee (or `execute_sql`) in the loop's greenlets;
all writes go through the writer: `xdb.save(function, *args)` returns when committed, `xdb.write` and
`xdb.rows` give a Ticket."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import peewee

from .. import log
from . import clearing, damage, schema
from .cache import Cache, cached, clear_all, forget_owner
from .db import StoreError, one_line, open_database
from .lock import Lock, StoreInUse
from .options import StoreOptions
from .prepared import Prepared
from .spoilt import spoilt
from .table import OWNER_LENGTH, Document, JidField, Table
from .writer import QUEUE_ENTRIES, Ticket, Writer

__all__ = [
    "OWNER_LENGTH",
    "Cache",
    "JidField",
    "Store",
    "StoreError",
    "StoreInUse",
    "Table",
    "Ticket",
    "cached",
    "spoilt",
    "xdb",
]
logger = log.get(__name__)


class Store:
    """An open database: its tables are bound to it, it has a writer, and its data folder is locked.

    where     what it is called in messages for people; never with a password
    migrated  names of the migrations that ran when it was opened
    found     what was damaged after the last process was killed (damage.py), one sentence each
    """

    def __init__(
        self,
        url: str,
        tables: Sequence[type[Table]],
        data_dir: str | None = None,
        *,
        migrations: Sequence[schema.Migration] | None = None,
        queue: int = QUEUE_ENTRIES,
        options: StoreOptions | None = None,
    ) -> None:
        self.tables: list[type[Table]] = list(dict.fromkeys((Document, *tables)))
        self._lock: Lock | None = None
        self._usable = False
        self.found: list[str] = []
        self.db = open_database(url, data_dir)
        path = self.db.database if self.db.threaded else None
        folder = data_dir or (os.path.dirname(path) or "." if path else None)
        self.folder = folder or "."
        """Where the data lie."""
        try:
            if folder:
                self._lock = Lock(folder)
            if path:
                os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # -wal and -shm follow its mode
                self._look(path)
        except (OSError, StoreError) as error:
            self._unlock()
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{error.filename or folder}: {error.strerror}") from None
        where = path or url.rpartition("@")[2]  # never the password
        self.db.bind(self.tables)
        self.writer = Writer(self.db, queue, gather=(options or StoreOptions()).commit_delay)
        try:
            known = schema.MIGRATIONS if migrations is None else migrations
            self.migrated: list[str] = self.writer.call(schema.prepare, self.db, self.tables, known)
            self.db.execute_sql("SELECT 1")
            self.db.release()
        except (peewee.PeeweeException, StoreError) as error:
            self.close()
            raise StoreError(f"{where}: {one_line(error)}") from None
        self.where, self._usable = where, True
        clear_all()

    def _look(self, path: str) -> None:
        """If the last server was killed, looks for damage in the file and repairs it. May take long."""
        if self._lock is not None and self._lock.unclean:
            logger.info("the store was not closed in peace: looking through it")
            self.found = damage.examine(
                path, [table._meta.table_name for table in self.tables if table.derived]
            )
            for each in self.found:
                logger.warning(each)

    @property
    def trouble(self) -> str | None:
        """Why the last write or the last read failed; None if it did not. Every write and read tries anew."""
        return self.writer.trouble or self.db.unread

    def close(self) -> None:
        """Wait until all is written, then close. A second call does nothing."""
        if self._lock is not None or not self.writer._closed:
            self.db.dispose_all()
            self.writer.close()
            self.db.deferred = True  # a late reader gets an error, not a new connection
            self._unlock(at_peace=self._usable)
        if xdb.store is self:
            xdb._use(None)

    def _unlock(self, at_peace: bool = False) -> None:
        if self._lock is not None:
            with suppress(OSError):
                self._lock.release(at_peace)
            self._lock = None


def _closed(*args: Any) -> Any:
    raise StoreError("no store is open")


def _nothing() -> None:
    pass


class Xdb:
    """The open store, for the rest of the server. `write`, `rows`, `row`, `wait_for_space` and `release` are methods of its
    writer and its database: see writer.py and db.py."""

    store: Store | None
    write: Callable[..., Ticket]
    rows: Callable[..., Ticket]
    row: Callable[..., Ticket]
    wait_for_space: Callable[[int], None]
    release: Callable[[], None]  # the server calls it when a stanza is done

    def __init__(self) -> None:
        self._use(None)

    def _use(self, store: Store | None) -> None:
        self.store = store
        self.write = store.writer.write if store else _closed
        self.rows = store.writer.rows if store else _closed
        self.row = store.writer.row if store else _closed
        self.wait_for_space = store.writer.wait_for_space if store else _closed
        self.release = store.db.release if store else _nothing

    def open(
        self, url: str, tables: Sequence[type[Table]] = (), data_dir: str | None = None, **options: Any
    ) -> Store:
        """Open the process's store: makes folder and tables, migrates. StoreError with one clear line if
        it cannot."""
        if self.store is not None:
            raise StoreError("a store is open already")
        store = Store(url, tables, data_dir, **options)
        self._use(store)
        return store

    @property
    def newest(self) -> Ticket | None:
        """The last write that is not committed yet; None if there is none. When it is done, all before it are done, too. Asking
        makes the writer commit at once."""
        ticket = self.store.writer.newest if self.store else None
        if ticket is None or ticket.done:
            return None
        ticket.hurry()
        return ticket

    def sync(self) -> None:
        """Blocks until everything that was given to the writer so far is committed or has failed. Never raises."""
        ticket = self.newest
        if ticket is not None:
            self.release()
            with suppress(Exception):
                ticket.wait()

    def prepared(self, *kinds: type) -> Prepared:
        """A decorator for a function that makes a SELECT from values of these types: the SQL is written only once, and
        calling the function gives the rows as tuples."""
        return Prepared(lambda: self.store.db if self.store else _closed(), *kinds)

    def save(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls ``function(*args)`` in the writer's transaction. Blocks until the commit; returns its result. Raises what it
        raises, or StoreError. Modules normally write with this."""
        ticket = self.write(function, *args)
        self.release()  # the writer needs a connection; if all waiting greenlets kept theirs, it would never get one
        return ticket.wait()

    @contextmanager
    def unit(self) -> Iterator[None]:
        """A context for work outside of a stanza: at its end the database connection of this greenlet, if it has one, goes back
        to the pool."""
        try:
            yield
        finally:
            self.release()

    def get(self, owner: str, namespace: str) -> str | None:
        """The XML document that `owner` (a bare JID) keeps under a namespace."""
        rows = _document(owner, _key(namespace))
        return rows[0][0] if rows else None

    def set(self, owner: str, namespace: str, text: str | None) -> None:
        """Keeps the document; None removes it. Blocks until the commit. Raises StoreError."""
        self.save(_set_document, owner, _key(namespace), text)

    def owned_tables(self) -> list[type[Table]]:
        """All tables of the open store that have an owner."""
        return list(self.store.tables) if self.store else []

    def delete_owner(self, owner: str, first: Callable[[], Any] = _nothing) -> int:
        """Removes every row of the owner in all tables (`clearing.clear_owner`). Blocks until the last commit; others write in
        between. Returns the number of rows. Raises StoreError: a part of the long rows may be gone then, and nothing else."""
        count = self._repeat(clearing.clear_owner, self.owned_tables(), owner, first)
        forget_owner(owner)
        return count

    def clear(self, table: type[Table], where: Any) -> int:
        """Removes the rows that meet a condition, a piece at a time. Blocks until the last commit; others write in between.
        Returns the number of rows. Raises StoreError: a part may be gone then."""
        return self._repeat(clearing.clear, table, where)

    def _repeat(self, function: Callable[..., tuple[int, bool]], *args: Any) -> int:
        count, done = self.save(function, *args)
        while not done:
            more, done = self.save(function, *args)
            count += more
        return int(count)


def _key(namespace: str) -> str:
    """The key of a namespace. Clients send namespaces of any length, and an index has a limit."""
    if len(namespace) <= 255:
        return namespace
    return "sha-256:" + hashlib.sha256(namespace.encode()).hexdigest()


def _set_document(owner: str, namespace: str, text: str | None) -> None:
    Document.delete().where(Document.owner == owner, Document.namespace == namespace).execute()
    if text is not None:
        Document.insert(owner=owner, namespace=namespace, xml=text).execute()


xdb = Xdb()


@xdb.prepared(str, str)
def _document(owner: str, namespace: str) -> Any:
    return Document.select(Document.xml).where(Document.owner == owner, Document.namespace == namespace)
