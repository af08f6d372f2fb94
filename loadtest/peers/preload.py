"""``python -m loadtest.peers.preload DATA < JSON``: accounts and rosters for jabberd_py, into a new store.

One password has one set of keys here, salt and all: deriving thousands would take longer than the benchmark.
"""

from gevent import monkey

monkey.patch_all()

import functools
import json
import sqlite3
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

from jabberd_py.jsm.users import HASHES, Account
from jabberd_py.modules.mod_roster import RosterItem
from jabberd_py.muc.store import RoomAffiliation, SavedRoom
from jabberd_py.schema import tables
from jabberd_py.xdb import xdb
from jabberd_py.xmpp import sasl

from .base import DOMAIN


@functools.cache
def keys(password: str) -> str:
    found = {}
    for name in HASHES:
        made = sasl.derive(name, password, b"sixteen bytes ok", 4096)
        parts = (made.salt, made.stored_key, made.server_key)
        found[name] = [made.iterations, *(b64encode(part).decode() for part in parts)]
    return json.dumps(found)


def insert(users: list[tuple[str, str]], rosters: dict[str, list[str]]) -> None:
    now = time.time()
    rows = [{"owner": f"{name}@{DOMAIN}", "keys": keys(password), "created": now} for name, password in users]
    for at in range(0, len(rows), 500):
        Account.insert_many(rows[at : at + 500]).execute()
    if rosters:
        rows = [
            {"owner": f"{name}@{DOMAIN}", "jid": f"{other}@{DOMAIN}", "subscription": "both"}
            for name, others in rosters.items()
            for other in others
        ]
        for at in range(0, len(rows), 500):
            RosterItem.insert_many(rows[at : at + 500]).execute()


def sleep(file: Path, rooms: int) -> None:
    """Persistent rooms with an owner each, and nobody in."""
    owner, service, now = f"user0@{DOMAIN}", f"conference.{DOMAIN}", time.time()
    config = json.dumps({"muc#roomconfig_persistentroom": True})
    names = [f"asleep{number}@{service}" for number in range(rooms)]
    with sqlite3.connect(file) as store:
        put(store, SavedRoom, "owner service listed name config notes founder created",
            [(name, service, 1, "A room", config, "{}", owner, now) for name in names])  # fmt: skip
        put(store, RoomAffiliation, "owner jid affiliation nick reason",
            [(name, owner, "owner", "", "") for name in names])  # fmt: skip


def put(store: sqlite3.Connection, table: Any, columns: str, rows: list[tuple[Any, ...]]) -> None:
    names = columns.split()
    marks = ", ".join("?" * len(names))
    store.executemany(f"INSERT INTO {table._meta.table_name} ({', '.join(names)}) VALUES ({marks})", rows)


def main() -> None:
    given = json.load(sys.stdin)
    folder = Path(sys.argv[1])
    folder.mkdir(mode=0o700)
    store = xdb.open(f"sqlite:///{folder / 'jabberd.sqlite'}", tables(), str(folder))
    xdb.save(insert, given["users"], given["rosters"])
    store.close()
    if given["rooms"]:
        sleep(folder / "jabberd.sqlite", given["rooms"])


main()
