"""The configuration file on disk: replaced as a whole or not at all; its last versions are kept in the data folder."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..net.certfiles import unusable

KEPT = 20
"""Versions that are kept."""
Changes = Sequence[tuple[str, str, str]]
"""(option, its value before, its value after), in words for people: secrets are masked."""


class ConfigFile:
    """``file``: the configuration, which may be missing. ``folder``: where its last versions go."""

    def __init__(self, file: Path, folder: Path) -> None:
        self.file, self.folder = file, folder

    def read(self) -> str | None:
        """Its text; None: there is no file. Raises OSError, ValueError: it is not UTF-8."""
        try:
            return self.file.read_bytes().decode()
        except FileNotFoundError:
            return None

    def replace(
        self,
        before: str | None,
        after: str,
        what: str,
        by: str,
        operators: bool = True,
        changes: Changes = (),
    ) -> None:
        """Writes ``after``, and keeps ``before``. ``what``, ``by`` and ``changes`` are for the history; ``operators``: only the
        server's own user may undo it. Blocks. Raises OSError, or ValueError: somebody has written the file since ``before`` was
        read, or it cannot be written."""
        number = time.time_ns()
        entry = {"time": number / 1e9, "what": what, "by": by, "before": before, "after": digest(after)}
        entry |= {"operators": operators, "changes": changes}
        self._check(before)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(self.folder / f"{number}.json", json.dumps(entry).encode(), 0o600)
        try:
            self._put(after)
        except BaseException:
            (self.folder / f"{number}.json").unlink(missing_ok=True)
            raise
        for old in self._entries()[:-KEPT]:
            old.unlink(missing_ok=True)

    def history(self) -> list[dict[str, Any]]:
        """The changes, the last one first: ``time`` (seconds), ``what``, ``by``, ``before`` (text; None: no file), ``after`` (a
        hash of the text), and ``changes``."""
        found = []
        for each in reversed(self._entries()):
            with suppress(OSError, ValueError):
                found.append(json.loads(each.read_bytes()))
        return found

    def last(self) -> tuple[str, str, str, bool]:
        """(text now, text before the last change, what it was, may only the server's own user undo it). Raises ValueError:
        there is none, or somebody has changed the file since."""
        entries = self.history()
        if not entries:
            raise ValueError("nothing to undo: no change is kept")
        now = self.read()
        if now is None or digest(now) != entries[0]["after"]:
            raise ValueError(
                f"{self.file} was written by hand since the last change ({entries[0]['what']}): undoing would lose that"
            )
        last = entries[0]
        return now, last["before"] or "", last["what"], last.get("operators", True)

    def back(self, now: str, before: str) -> None:
        """Writes the text of `last`, and forgets that change. Raises like `replace`."""
        self._check(now)
        self._put(before)
        if entries := self._entries():
            entries[-1].unlink(missing_ok=True)

    def _check(self, text: str | None) -> None:
        if self.read() != text:
            raise ValueError(f"{self.file} was changed by somebody else meanwhile; please try again")

    def _put(self, text: str) -> None:
        real = self.file.resolve()
        mode = 0o640
        try:
            if not self.file.parent.exists():
                self.file.parent.mkdir(parents=True)
            owner = None
            with suppress(FileNotFoundError):
                found = real.stat()
                mode, owner = found.st_mode & 0o7777, (found.st_uid, found.st_gid)
            _write(real, text.encode(), mode, owner)
        except OSError as error:
            raise ValueError(f"cannot write: {unusable(real, error)}") from None

    def _entries(self) -> list[Path]:
        return sorted(
            self.folder.glob("*.json"), key=lambda path: int(path.stem) if path.stem.isdigit() else 0
        )


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _overwrite(file: Path, data: bytes) -> None:
    with file.open("r+b") as stream:
        stream.write(data)
        stream.truncate()
        stream.flush()
        os.fsync(stream.fileno())


def _write(file: Path, data: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Whole or not at all, also after a power cut."""
    half = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        number = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "wb") as stream:
            if owner is not None and owner != (os.geteuid(), os.getegid()):
                os.fchown(number, *owner)
            elif (
                os.geteuid() == 0 and owner is None
            ):  # root works for the server: what it makes must be the server's
                above = file.parent.stat()
                os.fchown(number, above.st_uid, above.st_gid)
            os.fchmod(number, mode)
            stream.write(data)
            stream.flush()
            os.fsync(number)
        try:
            os.replace(half, file)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EXDEV):
                raise
            _overwrite(file, data)  # a file that is mounted by itself, as containers do, cannot be replaced
            half.unlink()
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        with suppress(OSError):
            half.unlink()
        raise
