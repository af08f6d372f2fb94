"""jabberd2: router, session manager, client and server connectors, four processes under one shell; SQLite.

Its module chains are those of Debian's sm.xml. It has no archive. Passwords are stored as they are: that is what
its SQLite module offers SCRAM.
"""

import gzip
import shlex
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from .base import DOMAIN, START, Peer, Rosters, Unavailable, Users, certificate, free_port

LIBRARY = "/usr/lib/x86_64-linux-gnu/jabberd2"
SCHEMA = "/usr/share/doc/jabberd2/db-setup.sqlite.gz"
FILES = 20_000
"""Descriptors of the client connector: users, and a few of its own."""

CHAINS = {
    "sess-start": "status",
    "sess-end": "status iq-last",
    "in-sess": "validate status privacy roster vacation iq-vcard iq-ping iq-private disco amp offline announce "
    "presence deliver",
    "in-router": "session validate presence privacy",
    "out-router": "privacy",
    "pkt-sm": "iq-last iq-ping iq-time iq-version amp disco announce help echo status presence",
    "pkt-user": "roster presence disco iq-vcard amp deliver vacation offline iq-last",
    "pkt-router": "session disco",
    "user-load": "active roster roster-publish privacy vacation",
    "user-create": "active template-roster",
}
ROUTER = """<router><id>router</id><log type='file'><file>{folder}/router.log</file></log>
<local><ip>127.0.0.1</ip><port>{port}</port><users>{folder}/users.xml</users></local>
<check><interval>60</interval></check>
<io><max_fds>1024</max_fds><limits><bytes>0</bytes><connects>0</connects></limits></io>
<aci><acl type='all'><user>jabberd</user></acl></aci></router>"""
USERS = "<users><user><name>jabberd</name><secret>secret</secret></user></users>"
LINK = """<id>{name}</id><log type='file'><file>/dev/null</file></log>
<router><ip>127.0.0.1</ip><port>{port}</port><user>jabberd</user><pass>secret</pass>
<retry><init>30</init><lost>1</lost><sleep>1</sleep></retry></router>"""
STORE = """<driver>sqlite</driver><sqlite><dbname>{folder}/store.sqlite</dbname>
<sql>PRAGMA synchronous = NORMAL;</sql><busy-timeout>2000</busy-timeout></sqlite>"""
SM = """<sm>{link}<local><id>{domain}</id></local><storage><path>{library}</path>{store}</storage>
<modules><path>{library}</path>{chains}</modules>
<discovery><identity><category>server</category><type>im</type></identity></discovery></sm>"""
C2S = """<c2s>{link}<local><id pemfile='{pem}'>{domain}</id><ip>127.0.0.1</ip><port>{c2s_port}</port></local>
<io><max_fds>{files}</max_fds><limits><bytes>0</bytes><stanzas>0</stanzas><connects>0</connects>
<stanzasize>262144</stanzasize></limits></io>
<authreg><path>{library}</path><module>sqlite</module>{store}
<mechanisms><sasl><scram-sha-1/></sasl></mechanisms>
<ssl-mechanisms><sasl><scram-sha-1/></sasl></ssl-mechanisms></authreg></c2s>"""
S2S = """<s2s>{link}<local><ip>127.0.0.1</ip><port>{s2s_port}</port></local></s2s>"""


class Server(Peer):
    package = "jabberd2"
    binary = "jabberd2-c2s"

    def start(self, users: Users, rosters: Rosters, options: Mapping[str, object]) -> None:
        where = Path(self.find()).parent
        if options.get("archive"):
            raise Unavailable("jabberd2 has no archive")
        self._load(users, rosters)
        self.address = ("127.0.0.1", free_port())
        values = {
            "folder": self.folder, "domain": DOMAIN, "library": LIBRARY, "files": FILES,
            "port": free_port(), "c2s_port": self.address[1], "s2s_port": free_port(),
            "pem": self.folder / "both.pem", "store": STORE.format(folder=self.folder),
            "chains": "".join(f"<chain id='{name}'>{_modules(chain)}</chain>" for name, chain in CHAINS.items()),
        }  # fmt: skip
        values["pem"].write_text("".join(part.read_text() for part in certificate(self.folder)))
        (self.folder / "users.xml").write_text(USERS)
        commands = []
        for name, text in (("router", ROUTER), ("sm", SM), ("c2s", C2S), ("s2s", S2S)):
            link = LINK.format(name=name, port=values["port"])
            config = self.folder / f"{name}.xml"
            config.write_text(text.format(link=link, **values))
            commands.append(shlex.join([str(where / f"jabberd2-{name}"), "-c", str(config)]))
        self.spawn("sh", "-c", " & ".join(commands) + " & wait", cpu=0)
        self.wait_until_listening()
        self._wait_for(f"[{DOMAIN}] online", "[c2s] online")

    def _wait_for(self, *lines: str) -> None:
        log = self.folder / "router.log"
        deadline = time.monotonic() + START
        while not all(line in log.read_text() for line in lines):
            if time.monotonic() > deadline:
                raise Unavailable(f"jabberd2's parts do not find each other: {self.said()}")
            time.sleep(0.1)

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


def _modules(chain: str) -> str:
    return "".join(f"<module>{name}</module>" for name in chain.split())
