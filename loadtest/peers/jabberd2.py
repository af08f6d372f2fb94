"""jabberd2, on SQLite. It has no archive. Passwords are stored as they are: that is what its SQLite module offers SCRAM."""

import gzip
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from tests.peers import Jabberd2

from .base import DOMAIN, Peer, Rosters, Unavailable, Users, certificate, free_port

SCHEMA = "/usr/share/doc/jabberd2/db-setup.sqlite.gz"
STORE = """sqlite <sqlite><dbname>{folder}/store.sqlite</dbname>
<sql>PRAGMA synchronous = NORMAL;</sql><busy-timeout>2000</busy-timeout></sqlite>"""


class Server(Peer, Jabberd2):
    def start(self, users: Users, rosters: Rosters, options: Mapping[str, object]) -> None:
        if options.get("archive"):
            raise Unavailable("jabberd2 has no archive")
        if options.get("rooms"):
            raise Unavailable("jabberd2 has no rooms")
        self._load(users, rosters)
        ports = {kind: free_port() for kind in ("router", "c2s", "s2s")}
        self.address = ("127.0.0.1", ports["c2s"])
        pem, store = certificate(self.folder).both, STORE.format(folder=self.folder)
        self.configure(DOMAIN, "127.0.0.1", ports, pem, store, "scram-sha-1", logs=False)
        self.launch(self.address)
        self.wait_until_linked(DOMAIN, "c2s")

    def _load(self, users: Users, rosters: Rosters) -> None:
        try:
            schema = gzip.decompress(Path(SCHEMA).read_bytes()).decode()
        except OSError as error:
            raise Unavailable(f"jabberd2's schema is not there: {error}") from None
        with closing(sqlite3.connect(self.folder / "store.sqlite")) as store:
            store.executescript(schema)
            store.executemany('INSERT INTO "authreg" VALUES (?, ?, ?)', ((n, DOMAIN, p) for n, p in users))
            store.executemany(
                'INSERT INTO "active" ("collection-owner", "time") VALUES (?, 1)',
                ((f"{name}@{DOMAIN}",) for name, _ in users),
            )
            store.executemany(
                'INSERT INTO "roster-items" ("collection-owner", "jid", "to", "from", "ask") '
                "VALUES (?, ?, 1, 1, 0)",
                (
                    (f"{name}@{DOMAIN}", f"{other}@{DOMAIN}")
                    for name, known in rosters.items()
                    for other in known
                ),
            )
            store.commit()
