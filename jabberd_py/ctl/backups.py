"""Backups: `jabberctl backup FILE` writes to any place; who has no shell there makes them in the data folder."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent

from .. import log
from ..commands import Caller, Failed
from ..hooks import Progress, command
from ..words import amount
from ..xdb import archive, xdb
from ..xmpp.errors import StanzaError
from ..xmpp.stamp import utc
from .aside import aside

if TYPE_CHECKING:
    from ..server import Server

logger = log.get(__name__)
MOST = 20
"""Backups that may lie there."""
_name = re.compile(r"jabberd-\d{8}-\d{6}\.tar\.gz").fullmatch


class Backups:
    """Of a `Server`. One backup is made at a time."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.folder = server.data.resolve() / "backups"
        self.file: Path | None = None
        """The one that is being made."""
        self.begun, self.step, self.last = 0.0, "", ""

    @command("backup", changes=True)
    def backup(self, file: Path, caller: Caller) -> Iterator[Any]:
        """Write the store, as it is at one moment, and the certificates to a new file (.tar.gz)."""
        data = self.server.data.resolve()
        # The unit lets the server write to its own folder only: from there jabberctl moves it, who may write elsewhere.
        moved = caller.face == "jabberctl" and not file.is_relative_to(data)
        made = data / f".{secrets.token_hex(4)}-{file.name}" if moved else file
        self._begin(made)
        for step in self._steps(made):
            yield step | {"move": str(file)} if moved and isinstance(step, dict) else step

    @command("backups list")
    def list_backups(self) -> list[dict[str, Any]]:
        """The backups in the data folder, the newest first."""
        return [
            {"name": file.name, "file": str(file), "bytes": stat.st_size, "made": utc(stat.st_mtime)}
            for file in self._files()
            for stat in [file.stat()]
        ]

    @command("backups make", changes=True)
    def make(self) -> dict[str, str]:
        """Begin to write the store, as it is at one moment, and the certificates to a new file in `backups/` of the data
        folder; `backups progress` says how far it is. Then take it elsewhere: on this disk it helps against mistakes, not
        against a broken disk."""
        if len(self._files()) >= MOST:
            raise StanzaError("resource-constraint", f"there are {MOST} backups already; delete old ones")
        file = self.folder / time.strftime("jabberd-%Y%m%d-%H%M%S.tar.gz", time.gmtime())
        if file.exists():
            raise StanzaError("conflict", "one of this second exists")
        self._begin(file)
        gevent.spawn(self._make, file)
        return {"file": str(file), "begun": utc(self.begun)}

    @command("backups progress")
    def progress(self) -> dict[str, Any]:
        """The backup that is being made, and how the last one ended."""
        if self.file is None:
            return {"file": None, "begun": None, "step": "", "last": self.last}
        written = sum(_size(Path(f"{self.file}.{ending}")) for ending in ("sqlite", "part"))
        step = f"{self.step}, {amount(written)} are written"
        return {"file": str(self.file), "begun": utc(self.begun), "step": step, "last": self.last}

    @command("backups delete", changes=True)
    def delete(self, name: str) -> None:
        """Delete a backup in the data folder."""
        if not _name(name) or not (self.folder / name).is_file():
            raise StanzaError("item-not-found", "there is no such backup")
        gevent.get_hub().threadpool.apply((self.folder / name).unlink, (True,))

    def _begin(self, file: Path) -> None:
        """Raises Failed, StanzaError."""
        if self.server.store is None:
            raise Failed("the server has no store")
        if self.file is not None:
            raise StanzaError("conflict", f"a backup is being made since {utc(self.begun)}")
        self.file, self.begun, self.step = file, time.time(), "begins"

    def _steps(self, file: Path) -> Iterator[Any]:
        """Makes the backup that was begun: `Progress`, and the result last."""
        store = self.server.store
        assert store is not None
        self.last = "was broken off"
        try:
            for step in archive.backup(
                str(file), store.db, store.tables, self.server.certificates.folder, aside
            ):
                if isinstance(step, tuple):
                    self.step = str(step[2])
                    yield Progress(*step)
                else:
                    self.last = f"{file.name} was made, {amount(step['bytes'])}"
                    yield step
        except Exception as error:
            self.last = f"failed: {error}"
            raise
        finally:
            self.file = None
            xdb.release()

    def _make(self, file: Path) -> None:
        try:
            aside(self._tidy)
            for _ in self._steps(file):
                pass
        except Exception as error:
            logger.error("a backup failed", file=str(file), error=str(error))
            self.file, self.last = None, f"failed: {error}"
        else:
            logger.info("a backup was made", file=str(file))

    def _tidy(self) -> None:
        """Makes the folder. Removes what backups have left behind that were broken off with the server."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        for each in self.folder.glob("jabberd-*.tar.gz.*"):
            each.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted((each for each in self.folder.glob("jabberd-*") if _name(each.name)), reverse=True)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
