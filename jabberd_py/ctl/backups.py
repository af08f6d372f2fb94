"""Backups in the data folder, for who has no shell there: `jabberctl backup FILE` writes to any place."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent

from ..commands import Caller
from ..hooks import command
from ..words import amount
from ..xmpp.errors import StanzaError
from ..xmpp.stamp import utc

if TYPE_CHECKING:
    from ..server import Server

MOST = 20
"""Backups that may lie there."""
_name = re.compile(r"jabberd-\d{8}-\d{6}\.tar\.gz").fullmatch


class Backups:
    """Of a `Server`."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.folder = server.data.resolve() / "backups"
        self.making = False

    @command("backups list")
    def list_backups(self) -> list[dict[str, Any]]:
        """The backups in the data folder, the newest first."""
        return [
            {"name": file.name, "file": str(file), "bytes": stat.st_size, "made": utc(stat.st_mtime)}
            for file in self._files()
            for stat in [file.stat()]
        ]

    @command("backups make", changes=True)
    def make(self, caller: Caller) -> Iterator[Any]:
        """Write the store, as it is at one moment, and the certificates to a new file in `backups/` of the data folder.
        Then take it elsewhere: on this disk it helps against mistakes, not against a broken disk."""
        if self.making:
            raise StanzaError("conflict", "a backup is being made already")
        self._room()
        if len(self._files()) >= MOST:
            raise StanzaError("resource-constraint", f"there are {MOST} backups already; delete old ones")
        self.folder.mkdir(mode=0o700, exist_ok=True)
        file = self.folder / time.strftime("jabberd-%Y%m%d-%H%M%S.tar.gz", time.gmtime())
        if file.exists():
            raise StanzaError("conflict", "one of this second exists")
        operator = Caller(caller.name, caller.face, caller.where, operator=True)
        self.making = True
        try:
            yield from self.server.router.commands.run(operator, "backup", {"file": str(file)})
        finally:
            self.making = False

    def _room(self) -> None:
        """Is there room for a copy, and for what is packed? Raises StanzaError."""
        store = self.server.store
        if store is not None and store.db.threaded:
            wanted, free = 2 * os.path.getsize(store.db.database), shutil.disk_usage(self.server.data).free
            if free < wanted:
                raise StanzaError(
                    "resource-constraint",
                    f"{amount(free)} are free on the disk; a backup needs {amount(wanted)}",
                )

    @command("backups delete", changes=True)
    def delete(self, name: str) -> None:
        """Delete a backup in the data folder."""
        if not _name(name) or not (self.folder / name).is_file():
            raise StanzaError("item-not-found", "there is no such backup")
        gevent.get_hub().threadpool.apply((self.folder / name).unlink)  # of a large file, that takes a second

    def _files(self) -> list[Path]:
        return sorted((each for each in self.folder.glob("jabberd-*") if _name(each.name)), reverse=True)
