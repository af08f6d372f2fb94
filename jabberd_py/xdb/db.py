"""Where a URL becomes a database: SQLite, MySQL/MariaDB or PostgreSQL, each fit for greenlets.

`open_database(url, data_dir)` gives a peewee `Database` with four more words, the same for all three:

- `threaded`: the writer's statements block this process and belong into a worker thread (SQLite only);
- `is_operational(error)`: True if the error is one of the database (disk full, read-only, gone), not the statement's;
- `release()`: a connection that this greenlet took with `connect()` goes back to the pool (SQLite: no-op);
- `dispose_all()`: close what this thread may close.
"""

import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from .pooled import Mysql, Postgres
from .readable import StoreError, one_line
from .rows import original
from .sqlite import Sqlite

__all__ = ["Mysql", "Postgres", "Sqlite", "StoreError", "one_line", "open_database", "original"]


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
