"""Where a URL becomes a database: SQLite, MySQL/MariaDB or PostgreSQL, each fit for greenlets.

`open_database(url, data_dir)` gives a peewee `Database` with four more words, the same for all three:

- `threaded`: the writer's statements block this process and belong into a worker thread (SQLite only);
- `lost(error)`: this error is the database's trouble (disk full, read-only, gone), not the statement's;
- `release()`: a connection that this greenlet took with `connect()` goes back to the pool (SQLite: no-op);
- `dispose_all()`: close what this thread may close.
"""

import os
import sqlite3
import time
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import peewee
from gevent.local import local as greenlet_local
from gevent.lock import BoundedSemaphore
from gevent.monkey import get_original

from .readable import Readable, StoreError, one_line

__all__ = ["Mysql", "Postgres", "Sqlite", "StoreError", "one_line", "open_database", "original"]
native_local = get_original("threading", "local")
native_ident = get_original("_thread", "get_ident")
native_lock = get_original("_thread", "allocate_lock")


def original(error: BaseException) -> BaseException:
    return getattr(error, "orig", error)


READONLY = 8
# --- SQLite -------------------------------------------------------------------------------------------------


class _ThreadState(peewee._ConnectionState, native_local):  # type: ignore[misc,valid-type]
    """A connection per *native* thread: the loop's greenlets share one, the writer's worker has its own."""


class _Rows:
    """The result of a query, already read: its connection is free for others. (An open SQLite cursor would hold its
    snapshot over a switch of greenlets, and what another greenlet reads through the shared connection meanwhile would
    miss what was committed since.)"""

    def __init__(self, cursor: Any) -> None:
        self.description = cursor.description
        self.rowcount, self.lastrowid = cursor.rowcount, getattr(cursor, "lastrowid", None)
        self._rows = iter(cursor.fetchall())

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Any:
        return self._rows

    def close(self) -> None:
        pass


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
            if self.lost(error):
                raise self._failed(error) from None
            raise
        if self.unread is not None:
            self._went_well()
        return found

    def _execute(self, sql: str, params: Any) -> Any:
        cursor = super().execute_sql(sql, params)
        if cursor.description is None:
            return cursor
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            try:
                return _Rows(cursor)
            except sqlite3.OperationalError as error:  # a damaged page may hold anything
                if "decode" not in str(error):
                    raise
        return self._lenient(sql, params)

    def _lenient(self, sql: str, params: Any) -> _Rows:
        """One row that is no UTF-8 must not hide the others of its page."""
        connection = self.connection()
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            return _Rows(connection.execute(sql, params or ()))
        finally:
            connection.text_factory = str

    def lost(self, error: BaseException) -> bool:
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


# --- MySQL, PostgreSQL --------------------------------------------------------------------------------------


class _GreenletState(peewee._ConnectionState, greenlet_local):
    """A connection per greenlet, for as long as its statement or transaction lasts."""

    lease: Any = None


class _Lease:
    """Gives the connection back when it was used, or when its greenlet dies without saying so."""

    def __init__(self, pool: "_Pooled", connection: Any) -> None:
        self.pool, self.connection = pool, connection

    def end(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            self.pool._put(connection)

    __del__ = end


class _Pooled(Readable, peewee.Database):
    """A bounded pool under peewee's `connect` and `close`. A query takes a connection, reads all its rows and gives
    the connection back: nobody who waits for a peer can hold one. Only a transaction, and who calls `connect`, keeps
    it for longer. Nothing in here that runs after a query may do network I/O, because a lease may end inside the
    garbage collector."""

    threaded = False
    FRESH = 5.0  # seconds a connection may lie idle and be trusted without asking the server

    def __init__(self, database: str, size: int = 16, **options: Any) -> None:
        self._size, self._free = size, BoundedSemaphore(size)
        self._idle: list[tuple[float, Any]] = []  # since when, connection
        super().__init__(database, **options)
        self._state = _GreenletState()
        self._lock = peewee._NoopLock()  # the state is the greenlet's own: nothing to guard

    def connect(self, reuse_if_open: bool = False) -> bool:
        opened: bool = super().connect(reuse_if_open)
        if opened:
            self._state.lease = _Lease(self, self._state.conn)
        return opened

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        if not self._state.closed:
            return super().execute_sql(sql, params)
        try:  # the connection is lent for this one statement: a read of the loop's
            cursor = super().execute_sql(sql, params)
            found = _Rows(cursor) if cursor.description is not None else cursor
        except (peewee.OperationalError, peewee.InterfaceError) as error:
            raise self._failed(error) from None
        except peewee.PeeweeException as error:
            if self.lost(error):
                raise self._failed(error) from None
            raise
        finally:
            self.release()
        if self.unread is not None:
            self._went_well()
        return found

    def _connect(self) -> Any:
        if not self._free.acquire(timeout=10):
            raise peewee.OperationalError(f"all {self._size} database connections are in use")
        try:
            while self._idle:
                since, connection = self._idle.pop()  # the youngest; the others grow old
                if time.monotonic() - since < self.FRESH or self._alive(connection):
                    return connection
                self._drop(connection)
            return super()._connect()  # type: ignore[misc]
        except BaseException:
            self._free.release()
            raise

    def _close(self, conn: Any) -> None:
        lease, self._state.lease = self._state.lease, None
        lease.end() if lease else self._put(conn)

    def _put(self, connection: Any) -> None:
        if self._clean(connection):
            self._idle.append((time.monotonic(), connection))
        else:  # broken, or left inside a transaction; the idle ones may be dead too
            self._drop(connection)
            self._drop_idle()
        self._free.release()

    def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for _, connection in idle:
            self._drop(connection)

    def release(self) -> None:
        state = self._state
        if not state.closed and not state.transactions:
            self.close()

    def dispose_all(self) -> None:
        self.release()
        self._drop_idle()

    def _alive(self, connection: Any) -> bool:
        raise NotImplementedError

    def _clean(self, connection: Any) -> bool:
        raise NotImplementedError

    def _drop(self, connection: Any) -> None:
        raise NotImplementedError


class Mysql(_Pooled, peewee.MySQLDatabase):
    field_types = {
        **peewee.MySQLDatabase.field_types,
        "TEXT": "LONGTEXT",
        "BLOB": "LONGBLOB",
        "JID": "VARCHAR(3071)",
        "FLOAT": "DOUBLE PRECISION",
    }
    sql_mode = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"
    # full, read-only, shutting down, lock wait, deadlock, gone away; 0: PyMySQL's own "not connected"
    _TROUBLE = {0, 1020, 1021, 1030, 1040, 1053, 1114, 1205, 1213, 1290, 1792, 1836, 1927}

    def lost(self, error: BaseException) -> bool:
        if isinstance(error, peewee.InterfaceError):
            return True
        code = error.args[0] if isinstance(error, peewee.DatabaseError) and error.args else None
        return isinstance(code, int) and (code in self._TROUBLE or 2000 <= code < 3000)

    def _alive(self, connection: Any) -> bool:
        try:
            connection.ping(reconnect=False)
        except Exception:
            return False
        return True

    def _clean(self, connection: Any) -> bool:
        return connection.open and not connection.server_status & 1  # SERVER_STATUS_IN_TRANS

    def _drop(self, connection: Any) -> None:
        connection._force_close()  # close() would say goodbye first, and could wait


class Postgres(_Pooled, peewee.PostgresqlDatabase):
    field_types = {**peewee.PostgresqlDatabase.field_types, "JID": "TEXT", "FLOAT": "DOUBLE PRECISION"}
    # connection, aborted transaction, resources, intervention, system, internal; 25006: read-only
    _TROUBLE = ("08", "25", "40", "53", "57", "58", "XX")

    def lost(self, error: BaseException) -> bool:
        if isinstance(error, peewee.InterfaceError):
            return True
        if not isinstance(error, peewee.DatabaseError):
            return False
        state = getattr(original(error), "sqlstate", None)
        return state is None or state.startswith(self._TROUBLE)

    def _alive(self, connection: Any) -> bool:
        try:
            connection.execute("SELECT 1")
        except Exception:
            return False
        return True

    def _clean(self, connection: Any) -> bool:
        return not connection.closed and connection.pgconn.transaction_status == 0  # IDLE

    def _drop(self, connection: Any) -> None:
        connection.close()


# --- URL ----------------------------------------------------------------------------------------------------


def open_database(url: str, data_dir: str | None = None, alone: bool = False) -> Any:
    """The database of a URL, not yet connected; `alone`: see Sqlite. `sqlite:///x.db` lies in `data_dir`, `sqlite:////x.db` at
    the root; `mysql://user:password@host:port/name`, `postgresql://...`, with `?pool=16&unix_socket=...`
    and the driver's options."""
    parts = urlsplit(url)
    name = unquote(parts.path[1:])
    if parts.scheme == "sqlite":
        if not name or name == ":memory:" or parts.netloc:
            raise StoreError(f"{url}: a file is needed, like sqlite:///jabberd.db")
        return Sqlite(os.path.join(data_dir or "", name), alone)
    kinds = {"mysql": Mysql, "mariadb": Mysql, "postgresql": Postgres, "postgres": Postgres}
    if parts.scheme not in kinds or not name:
        raise StoreError(
            "the store's URL must be sqlite:///FILE, mysql://USER:PASSWORD@HOST/NAME or postgresql://..."
        )
    options: dict[str, Any] = {
        key: int(value) if value.isdigit() else value for key, value in parse_qsl(parts.query)
    }
    try:
        given = {
            "host": parts.hostname,
            "port": parts.port,
            "user": parts.username,
            "password": parts.password,
        }
    except ValueError:
        raise StoreError("the port in the store's URL is not a number") from None
    options.update(
        {key: unquote(value) if isinstance(value, str) else value for key, value in given.items() if value}
    )
    if kinds[parts.scheme] is Postgres:
        options["prefer_psycopg3"] = True
    return kinds[parts.scheme](name, size=int(options.pop("pool", 16)), connect_timeout=10, **options)
