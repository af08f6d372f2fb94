"""What set-up can tell before anything is changed: whether a database can be used, which records DNS lacks."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.resolver
import gevent
import peewee

from ..commands import WrongArgument
from ..net.dnsrecords import Asker
from ..net.identity import a_label_form
from ..xdb import StoreError
from ..xdb.db import one_line, open_database

if TYPE_CHECKING:
    from ..server import Server

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
    (r"access denied .* to database", "this user may not use a database of that name: is there one, and has he rights (GRANT)?"),
    (r"access denied|authentication failed", "the database refuses this user or this password"),
    (r"no password supplied", "the database wants a password"),
    (r"role .* does not exist", "the database knows no such user; make him first (CREATE USER)"),
    (r"unknown database|does not exist", "there is no such database; make it first (CREATE DATABASE)"),
    (r"permission denied|command denied", "this user may not make tables there"),
    (r"no pg_hba.conf entry|is not allowed to connect", "the database lets nobody in from this machine, by this way"),
    (r"refused|no such file", "nobody listens there: does the database run, and is the port (or the path) right?"),
    (r"not known|resol|idna|no address", "there is no machine of that name"),
    (r"timed out|timeout", "no answer: is a firewall between?"),
]
"""What drivers say (regular expressions, in lower case) -> the same for people. The first that fits counts."""


def _words(error: Exception) -> str:
    """What is wrong, and what to do."""
    text = one_line(error)
    found = next((words for sign, words in SIGNS if re.search(sign, text.lower())), None)
    return f"{found} ({text})" if found else text


# -- DNS ------------------------------------------------------------------------------------------------------


def records(server: Server, name: str) -> list[dict[str, Any]]:
    """Rows: record, name, what for, found, trouble. Blocks for some seconds."""
    try:
        resolver = Asker(server.config["dns"]).resolver
    except OSError as error:
        return [
            {
                "name": name,
                "record": "A",
                "found": "",
                "why": "",
                "trouble": f"no name server: {error.strerror}",
            }
        ]
    ports = {kind: port for kind, _, port in server.listening()}
    wanted = [
        (f"_xmpp-client._tcp.{name}", "SRV", f"clients find port {ports.get('c2s', 5222)}", False),
        (
            f"_xmpps-client._tcp.{name}",
            "SRV",
            f"clients find port {ports.get('c2s_direct', 5223)} (TLS at once)",
            False,
        ),
        (f"_xmpp-server._tcp.{name}", "SRV", f"other servers find port {ports.get('s2s', 5269)}", False),
        (name, "A", "clients, other servers and the authority reach this machine", True),
    ]
    hosts = server.config.domains.get(name, [])
    wanted += [(each, "A", "other servers and the authority reach this service", False) for each in hosts]
    jobs = [gevent.spawn(_look, resolver, *each) for each in wanted]
    gevent.joinall(jobs, timeout=8)
    return [job.value or {"name": each[0], "record": each[1], "why": each[2], "found": "", "trouble": "no answer in time"}
            for job, each in zip(jobs, wanted, strict=True)]  # fmt: skip


def _look(resolver: Any, name: str, kind: str, why: str, needed: bool) -> dict[str, Any]:
    row = {
        "name": name,
        "record": "A or AAAA" if kind == "A" else kind,
        "why": why,
        "found": "",
        "trouble": "",
    }
    found: list[str] = []
    for each in ("A", "AAAA") if kind == "A" else (kind,):
        try:
            prefix, _, rest = name.rpartition("_tcp.")
            asked = f"{prefix}_tcp.{a_label_form(rest)}" if prefix else a_label_form(name)
            found += [answer.to_text() for answer in resolver.resolve(f"{asked}.", each, lifetime=5)]
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            continue
        except (dns.exception.DNSException, OSError, ValueError) as error:
            return row | {"trouble": f"cannot ask: {type(error).__name__}"}
    missing = "missing" if needed else "missing (optional)"
    return row | ({"found": ", ".join(found)} if found else {"trouble": missing})
