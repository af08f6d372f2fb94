"""What set-up can tell before anything is changed: whether a database can be used, which records DNS lacks."""

from __future__ import annotations

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


def _words(error: Exception) -> str:
    """What is wrong, and what to do."""
    text = one_line(error)
    low = text.lower()
    for sign, words in (
        ("access denied", "the database refuses this user or this password"),
        ("authentication failed", "the database refuses this user or this password"),
        ("unknown database", "there is no such database; make it first (CREATE DATABASE)"),
        ("does not exist", "there is no such database or user; make it first (CREATE DATABASE, CREATE USER)"),
        ("permission denied", "this user may not make tables there"),
        ("command denied", "this user may not make tables there"),
        ("refused", "nobody listens there: does the database run, and is the port right?"),
        ("not known", "there is no machine of that name"),
        ("resolve", "there is no machine of that name"),
        ("timed out", "no answer: is a firewall between?"),
    ):
        if sign in low:
            return f"{words} ({text})"
    return text


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
