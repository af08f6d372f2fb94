"""Where the files of an upload service lie: in the data folder, or in a bucket (s3.py)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import gevent

from ..xdb import xdb

PIECE = 256 * 1024
"""Bytes of a file that are in memory at a time."""


class Trouble(Exception):
    """A file cannot be kept, or read. ``status``: of the answer to who wants it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Files(Protocol):
    """Every method blocks, and raises Trouble."""

    def put(self, key: str, size: int, pieces: Iterable[bytes]) -> None:
        """Keeps a file of ``size`` bytes: wholly, or not at all. What ``pieces`` raises is raised."""

    def open(self, key: str, start: int, end: int) -> Iterator[bytes] | None:
        """The bytes from ``start`` to before ``end``, in pieces; they raise Trouble, too. None: there is no such file."""

    def remove(self, key: str) -> None:
        """A file that is not there is fine."""


class Disk:
    """Below ``uploads`` in the data folder, each under its key. A thread does the work: a disk may take its time."""

    def put(self, key: str, size: int, pieces: Iterable[bytes]) -> None:
        path = self.path(key)
        half = path.with_name(path.name + ".part")
        try:
            _in_thread(_begin, half)
            for piece in pieces:
                _in_thread(_append, half, piece)
            _in_thread(os.replace, half, path)
        except BaseException:
            _in_thread(half.unlink, True)
            raise

    def open(self, key: str, start: int, end: int) -> Iterator[bytes] | None:
        try:
            handle = _in_thread(open, self.path(key), "rb")
        except Trouble:
            return None
        return self._read(handle, start, end)

    @staticmethod
    def _read(handle: Any, start: int, end: int) -> Iterator[bytes]:
        try:
            handle.seek(start)
            while start < end:
                piece = _in_thread(handle.read, min(PIECE, end - start))
                if not piece:
                    raise Trouble(500, "the file is shorter than it was")
                start += len(piece)
                yield piece
        finally:
            handle.close()

    def remove(self, key: str) -> None:
        path = self.path(key)
        for each in (path, path.with_name(path.name + ".part")):
            _in_thread(each.unlink, True)

    @staticmethod
    def path(key: str) -> Path:
        store = xdb.store
        assert store is not None
        return Path(store.folder, "uploads", key[:2], key)


DISK = Disk()


def _in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Raises Trouble."""
    try:
        return gevent.get_hub().threadpool.apply(function, args)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise Trouble(507 if full else 500, error.strerror or str(error)) from None


def _begin(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _append(path: Path, data: bytes) -> None:
    with path.open("ab", buffering=0) as file:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
