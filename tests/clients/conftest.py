"""Clients of other people, unmodified, each in a process of its own behind a wire that can be cut.

A client program gets `{"jid": ..., "password": ..., "port": ..., "ca": certificate file}`, logs in over STARTTLS at
that port of 127.0.0.1, and comes back to it when its connection breaks. JSON lines tell it what to do; its own say
what happens to it, and "did" when it has done what it was told:

-> ["chat", jid, body]   ["carbons"]   ["pages", size]   ["pages back", size]   ["block", jid]   ["unblock", jid]
   ["blocklist"]   ["roster"]   ["upload", file]   ["fetch", url]   ["bytes", full jid, text]   ["quit"]
   of a room: ["join", room, nick]   ["configure", room, name]   ["say", room, body]   ["subject", room, text]
   ["invite", room, jid]   ["kick", room, nick]   ["ban", room, jid]   ["self-ping", room]   ["room pages", room, size]
   of a node at `to` ("" is one's own account; a wish is "field=value" of the form that belongs there):
   ["create node", to, node, wish...]   ["configure node", to, node, wish...]   ["purge node", to, node]
   ["delete node", to, node]   ["nodes", to, collection]   ["publish", to, node, id, text, wish...]   ["retract", to, node, id]
   ["items", to, node, id...]   ["subscribe", to, node, wish...]   ["options", to, node]   ["unsubscribe", to, node]
   ["listen", node]   ["avatar", text]   ["bookmarks", form]   ["bookmark", form, room, name]   ["unbookmark", form, room]
   (a form is "0402", "0048" or "private")
<- ["online", full jid]   ["resumed"]   ["chat", bare jid, body]   ["copy", "sent" or "received", from, to, body]
   ["page", body, ...]   ["roster", jid, ...]   ["url", url]   ["file", status, type, text]   ["bytes", text]
   ["push", "blocked" or "unblocked", jid, ...]   ["blocklist", jid, ...]   ["did", action]
   ["joined", nick]   ["said", nick, body]
   ["event", "item", node, id, text, collection]   ["event", "retract", node, id]   ["event", "delete", node]
   ["nodes", node, ...]   ["items", "id=text", ...]   ["subscribed", state]   ["options", "deliver", "0" or "1"]
   ["avatar", jid, id, image]   ["bookmarks", "room=name/nick", ...]   ["error", condition]
   ["failed", reason]
"""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.people import Program
from tests.clients.wire import Wire
from tests.conftest import Account

HERE = Path(__file__).parent
NODE = HERE / "node"
INSTALLED = NODE / "node_modules" / ".package-lock.json"  # npm writes it last


class Guest(Program):
    """One of them, and its wire."""

    def __init__(self, command: list[str], account: Account) -> None:
        server = account.place.server
        certificate = str(server.data / f"certificates/{account.place.domain}.pem")
        self.wire = Wire(server.address("c2s"))
        setting = {
            "jid": account.bare,
            "password": account.password,
            "port": self.wire.port,
            "ca": certificate,
        }
        trust = {"NODE_EXTRA_CA_CERTS": certificate, "SSL_CERT_FILE": certificate}
        super().__init__(account.bare, [*command, json.dumps(setting)], **trust)
        self.full = self.hears("online")[1]

    def does(self, *words: str) -> list[list[str]]:
        """Tells it and waits until it has done so; what it heard until then, all of it taken."""
        self.do(*words)
        return self.until("did", words[0])

    def leave(self) -> None:
        self.does("quit")
        assert self.process.wait(20) == 0

    def kill(self) -> None:
        super().kill()
        self.wire.close()


def npm() -> None:
    """Installs what is written for node, if it is not there yet. Not even npm there: the test is skipped."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < (NODE / "package-lock.json").stat().st_mtime:
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=NODE, check=True, timeout=100
        )


def xmppjs() -> list[str]:
    npm()
    return ["node", str(NODE / "xmppjs.mjs")]


def aioxmpp() -> list[str]:
    """Skipped where it cannot be installed (see requirements-dev.txt)."""
    if not importlib.util.find_spec("aioxmpp"):
        pytest.skip("aioxmpp is not installed")
    return [sys.executable, str(HERE / "aiox.py")]


PROGRAMS: dict[str, Callable[[], list[str]]] = {
    "slixmpp": lambda: [sys.executable, str(HERE / "slix.py")],
    "aioxmpp": aioxmpp,
    "xmpp.js": xmppjs,
}


@pytest.fixture(params=PROGRAMS)
def enter(request: pytest.FixtureRequest) -> Iterator[Callable[[Account], Guest]]:
    """`enter(account)`: a client of this kind, logged in and available."""
    command = PROGRAMS[request.param]()
    guests: list[Guest] = []

    def start(account: Account) -> Guest:
        guests.append(Guest(command, account))
        return guests[-1]

    yield start
    for guest in guests:
        guest.kill()
