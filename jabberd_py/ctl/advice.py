"""What set-up can tell of a database before anything is changed: whether it can be used."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

import gevent
import peewee

from ..commands import WrongArgument
from ..xdb import StoreError
from ..xdb.db import one_line, open_database

USED = "account"
"""A table that is there if another server has used the database."""
LONGEST = 20.0
"""Seconds for one try."""


def try_database(url: str, folder: str) -> str:
    """Connects to the database, makes a table and removes it. Blocks. Raises WrongArgument, in words for people."""
    if "://" not in url:
        raise WrongArgument(
            "database: write a URL, such as mysql://user:password@localhost/jabberd", "database"
        )
    try:
        with gevent.Timeout(LONGEST, StoreError("no answer within 20 seconds")):
            return _try(url, folder)
    except (StoreError, peewee.PeeweeException, OSError, ValueError, ImportError) as error:
        raise WrongArgument(f"database: {_words(error)}", "database") from None


def _try(url: str, folder: str) -> str:
    db = open_database(url, folder, alone=True)
    fresh = db.threaded and not Path(db.database).exists()
    try:
        if db.threaded and not Path(db.database).parent.is_dir():
            raise StoreError(f"there is no folder {Path(db.database).parent}")
        db.connect(reuse_if_open=True)
        if USED in db.get_tables() and db.execute_sql(f"SELECT 1 FROM {USED} LIMIT 1").fetchone():
            raise StoreError(
                "there are accounts in this database already: it is another server's, or an older one's"
            )
        table = f"jabberd_try_{secrets.token_hex(4)}"
        db.execute_sql(f"CREATE TABLE {table} (x INTEGER)")
        db.execute_sql(f"DROP TABLE {table}")
        return "The database can be used."
    finally:
        db.release()
        db.dispose_all()
        if fresh:
            for each in ("", "-wal", "-shm"):
                Path(db.database + each).unlink(missing_ok=True)


SIGNS = [
    (
        r"access denied .* to database",
        "this user may not use a database of that name: is there one, and has he rights (GRANT)?",
    ),
    (r"access denied|authentication failed", "the database refuses this user or this password"),
    (r"no password supplied", "the database wants a password"),
    (r"role .* does not exist", "the database knows no such user; make him first (CREATE USER)"),
    (r"unknown database|does not exist", "there is no such database; make it first (CREATE DATABASE)"),
    (r"permission denied|command denied", "this user may not make tables there"),
    (
        r"no pg_hba.conf entry|is not allowed to connect",
        "the database lets nobody in from this machine, by this way",
    ),
    (
        r"refused|no such file",
        "nobody listens there: does the database run, and is the port (or the path) right?",
    ),
    (r"not known|resol|idna|no address", "there is no machine of that name"),
    (r"timed out|timeout", "no answer: is a firewall between?"),
]
"""What drivers say (regular expressions, in lower case) -> the same for people. The first that fits counts."""


def _words(error: Exception) -> str:
    """What is wrong, and what to do."""
    text = one_line(error)
    found = next((words for sign, words in SIGNS if re.search(sign, text.lower())), None)
    return f"{found} ({text})" if found else text
