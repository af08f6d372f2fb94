"""SQLite: one thread reads, another one writes."""

import os
import sqlite3
from contextlib import suppress
from typing import Any

import peewee
from gevent.monkey import get_original

from .readable import Readable
from .rows import Rows, original

native_local = get_original("threading", "local")
native_ident = get_original("_thread", "get_ident")
native_lock = get_original("_thread", "allocate_lock")
READONLY = 8


class _ThreadState(peewee._ConnectionState, native_local):  # type: ignore[misc,valid-type]
    """A connection per *native* thread: the loop's greenlets share one, the writer's worker has its own."""


class Sqlite(Readable, peewee.SqliteDatabase):
    """WAL, every commit synced. The thread that made this object reads (and may do nothing else:
    `query_only`); any other thread writes. `alone`: no server is there, all is done in one thread, and what was
    committed last may be lost in a power cut (a copy can be made again)."""

    threaded = True
    field_types = {**peewee.SqliteDatabase.field_types, "JID": "TEXT"}
    # FULL, READONLY, IOERR, CORRUPT, CANTOPEN, NOTADB, NOMEM, BUSY, LOCKED, PERM, PROTOCOL
    _TROUBLE = {13, 8, 10, 11, 14, 26, 7, 5, 6, 3, 15}

    def __init__(self, path: str, alone: bool = False) -> None:
        sync = "normal" if alone else "full"
        # a late checkpoint writes a page once that many commits have changed
        pragmas = (
            ("journal_mode", "wal"),
            ("synchronous", sync),
            ("journal_size_limit", 64 << 20),
            ("wal_autocheckpoint", 8000),
        )
        super().__init__(path, pragmas=pragmas, timeout=10, lock_type="IMMEDIATE", cached_statements=512)
        self._state = _ThreadState()
        self._lock = native_lock()
        self._reader = None if alone else native_ident()

    def _connect(self) -> Any:
        if not os.path.exists(self.database):
            with suppress(OSError):  # SQLite says it better
                os.close(
                    os.open(self.database, os.O_RDWR | os.O_CREAT, 0o600)
                )  # -wal and -shm follow its mode
        connection = super()._connect()  # type: ignore[misc]
        if native_ident() == self._reader:
            connection.execute("PRAGMA query_only = 1")
            connection.execute("PRAGMA busy_timeout = 500")  # ms: while SQLite waits, the loop waits
        else:
            connection.execute("PRAGMA cache_size = -16000")  # KiB: pages of the indexes stay at hand
            connection.execute(
                "PRAGMA temp_store = MEMORY"
            )  # a savepoint's pages, else a file for each group
        return connection

    def _close(self, conn: Any) -> None:
        """The writer's is closed after each trouble. Then move the log into the database and cut it: on a
        full disk that may be all the room there is, and SQLite does it by itself only after a commit."""
        if native_ident() != self._reader:
            with suppress(sqlite3.Error):
                conn.rollback()
                conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.close()

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """The loop's reads raise StoreError where the database is the trouble; the writer knows peewee's errors itself."""
        if native_ident() != self._reader:
            return self._execute(sql, params)
        try:
            found = self._execute(sql, params)
        except (peewee.PeeweeException, sqlite3.Error) as error:
            if self.is_operational(error):
                raise self._failed(error) from None
            raise
        if self.unread is not None:
            self.went_well()
        return found

    def _execute(self, sql: str, params: Any) -> Any:
        cursor = super().execute_sql(sql, params)
        if cursor.description is None:
            return cursor
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            try:
                return Rows(cursor)
            except sqlite3.OperationalError as error:  # a damaged page may hold anything
                if "decode" not in str(error):
                    raise
        return self._lenient(sql, params)

    def _lenient(self, sql: str, params: Any) -> Rows:
        """One row that is no UTF-8 must not hide the others of its page."""
        connection = self.connection()
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            return Rows(connection.execute(sql, params or ()))
        finally:
            connection.text_factory = str

    def is_operational(self, error: BaseException) -> bool:
        code = getattr(original(error), "sqlite_errorcode", None)
        if code is not None and code & 0xFF in self._TROUBLE:
            return (
                code & 0xFF != READONLY or native_ident() != self._reader
            )  # the loop never writes: a mistake of ours
        connection = self._state.conn  # SQLite itself gave the writer's transaction up
        return native_ident() != self._reader and (connection is None or not connection.in_transaction)

    def release(self) -> None:
        pass

    def dispose_all(self) -> None:
        self.close()
