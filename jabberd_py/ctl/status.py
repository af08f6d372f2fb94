"""``jabberctl status``: the server on one screen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..archive import messages
from ..commands import Caller, CommandError, outcome
from ..hooks import command
from ..xdb import StoreError
from ..xdb.numbers import at

if TYPE_CHECKING:
    from ..server import Server

MINUTE = 60.0
QUIET = ("check disk", "check limits", "check clock", "check certificates")
"""Checks that ask nobody outside, so that status is quick."""


class Status:
    """Of a `Server`."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @command("status")
    def status(self, caller: Caller) -> dict[str, Any]:
        """The server on one screen: version, uptime, hosts, sessions, messages, store, federation, certificates, warnings."""
        server, run = self.server, self.server.router.commands.run
        figures = outcome(run(caller, "stats", {}))
        certificates = outcome(run(caller, "check certificates", {}))
        uplink = server.uplink
        return {
            "version": __version__,
            "process": figures["process"],
            "uptime_seconds": figures["uptime_seconds"],
            "memory_bytes": figures["memory_bytes"],
            "hosts": {host.domain: f"{host.sessions.count} sessions" for host in server.hosts},
            "streams": figures["streams"],
            "messages kept in the last minute": _messages(),
            "listening": [f"{kind} {address} port {port}" for kind, address, port in server.listening()],
            "store": _store(server),
            "federation": "off" if uplink is None else
                f"{len(uplink.incoming)} streams in, {len(uplink.outgoing)} out, "
                f"{sum(len(pair.queue) for pair in uplink.pairs.values())} stanzas wait",
            "certificates": {row["domain"]: row.get("expires") or "cannot be read" for row in certificates},
            "warnings": self._warnings(caller, {"check certificates": certificates}),
        }  # fmt: skip

    def _warnings(self, caller: Caller, known: dict[str, list[dict[str, Any]]]) -> list[str]:
        """What the quick checks find. ``known``: the results of those that have run already, by name."""
        found = []
        for name in QUIET:
            try:
                rows = known.get(name) or outcome(self.server.router.commands.run(caller, name, {}))
            except CommandError as error:
                rows = [{"trouble": str(error)}]
            for row in rows:
                trouble = row["trouble"] if isinstance(row["trouble"], list) else [row["trouble"]]
                about = row.get("domain") or name.removeprefix("check ")
                if name == "check certificates":
                    about = f"certificate of {about}"
                found += [f"{about}: {each}" for each in trouble if each]
        store = self.server.store
        if store is not None and store.trouble:
            found.append(f"store: {store.trouble}")
        return found


def _store(server: Server) -> str:
    store = server.store
    if store is None:
        return "closed"
    return f"{store.where}: {store.trouble or 'is well'}, {len(store.writer._queue)} writes wait"


def _messages() -> int | None:
    """Rows that came in within a minute, in the store already. None: it cannot be read."""
    since = at(int((time.time() - MINUTE) * 1000))
    try:
        return sum(
            table.select().where(table.id > since).count() for table in (messages.Message, messages.Fresh)
        )
    except Exception as error:
        if isinstance(error, StoreError) or type(error).__module__.startswith("peewee"):
            return None
        raise
