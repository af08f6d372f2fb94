"""MySQL, MariaDB and PostgreSQL: a bounded pool of connections."""

import time
from typing import Any

import peewee
from gevent.local import local as greenlet_local
from gevent.lock import BoundedSemaphore

from .readable import Readable
from .rows import Rows, original


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
            found = Rows(cursor) if cursor.description is not None else cursor
        except (peewee.OperationalError, peewee.InterfaceError) as error:
            raise self._failed(error) from None
        except peewee.PeeweeException as error:
            if self.is_operational(error):
                raise self._failed(error) from None
            raise
        finally:
            self.release()
        if self.unread is not None:
            self.went_well()
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

    def is_operational(self, error: BaseException) -> bool:
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

    def is_operational(self, error: BaseException) -> bool:
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
