"""The file of an account (XEP-0227) with uploaded files, as a zip archive that is written while it is sent."""

from __future__ import annotations

import re
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, Any, NamedTuple, cast
from unicodedata import category

import gevent

from ..net import turns

DOCUMENT = "account.xml"
NAME = 100
"""Characters of the name of a file in it."""
PIECE = 16 << 10
"""Bytes of a file that are unpacked at a time."""
_uploaded = re.compile(r"files/\d{5}-([^/]+)").fullmatch
DIRECTORY, LARGEST = 512 << 10, 256 << 20
"""Bytes of the directory of an archive that is read, and those of its document."""
END, END_64, END_SIZE, LOCATOR_SIZE = b"PK\x05\x06", b"PK\x06\x07", 22, 20


class _Pipe:
    """What `ZipFile` writes to: it cannot go back."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def taken(self) -> bytes:
        parts, self.parts = self.parts, []
        return b"".join(parts)


def written(document: Iterable[bytes], files: Iterable[tuple[Any, Iterable[bytes]]]) -> Iterator[bytes]:
    """The archive, in pieces. ``files``: row of an upload, and its bytes; one that cannot be read to its end is cut there."""
    pipe = _Pipe()
    with zipfile.ZipFile(cast("IO[bytes]", pipe), "w") as archive:
        entries = (
            ((f"files/{n:05}-{_safe(row.name)}", row.made), data) for n, (row, data) in enumerate(files, 1)
        )
        for (name, moment), pieces in _chain((((DOCUMENT, time.time()), document),), entries):
            entry = zipfile.ZipInfo(name, time.gmtime(max(moment, 315_532_800))[:6])
            entry.external_attr = 0o600 << 16
            if name == DOCUMENT:
                entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as out:
                for piece in pieces:
                    out.write(piece)
                    yield pipe.taken()
    yield pipe.taken()


class Member(NamedTuple):
    """A file in an archive. ``pieces``: a function that gives its bytes; they raise ValueError where it is damaged."""

    name: str
    size: int
    pieces: Callable[[], Iterator[bytes]]


@contextmanager
def opened(source: IO[bytes], size: int) -> Iterator[tuple[IO[bytes], int, list[Member]]]:
    """The document in a file, which may be an archive, its bytes, and the uploaded files in it. Raises ValueError: the archive
    is none of ours."""
    head = source.read(4)
    source.seek(0)
    if head != b"PK\x03\x04":
        yield source, size, []
        return
    try:
        _check(source, size)
        with gevent.get_hub().threadpool.apply(zipfile.ZipFile, (source,)) as archive:
            found = next((each for each in archive.infolist() if each.filename == DOCUMENT), None)
            if found is None or not _plain(found) or found.file_size > LARGEST:
                raise ValueError(f"there is no {DOCUMENT} in the archive, or it is none that can be read")
            files = [
                Member(name[1], each.file_size, partial(_pieces, archive, each))
                for each in archive.infolist()
                if (name := _uploaded(each.filename)) and _plain(each) and each.file_size
            ]
            with archive.open(found) as file:
                yield file, found.file_size, files
    except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        raise ValueError(f"the archive is damaged: {error}") from None


def _plain(entry: zipfile.ZipInfo) -> bool:
    """Can it be read: is it as it is, or deflated, and not encrypted?"""
    return entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) and not entry.flag_bits & 1


def _pieces(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    left = entry.file_size
    try:
        with archive.open(entry) as file:
            while data := file.read(PIECE):
                left -= len(data)
                yield data
                turns.pause()
    except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        raise ValueError(f"{entry.filename} is damaged: {error}") from None
    if left:
        raise ValueError(f"{entry.filename} is damaged: it is not as long as it says")


def _check(source: IO[bytes], size: int) -> None:
    """Raises ValueError: the directory of the archive is larger than it need be, or hidden."""
    source.seek(max(size - END_SIZE - LOCATOR_SIZE, 0))
    tail = source.read()
    end = tail[-END_SIZE:]
    if end[:4] != END or tail[-END_SIZE - LOCATOR_SIZE :].startswith(END_64):
        raise ValueError("the archive is none that can be read")
    if int.from_bytes(end[12:16], "little") > DIRECTORY:
        raise ValueError("there are too many files in the archive")


def _chain(*many: Iterable[Any]) -> Iterator[Any]:
    for each in many:
        yield from each


def _safe(name: str) -> str:
    """As the name of a file anywhere."""
    kept = "".join("_" if each in '/\\:*?"<>|' or category(each)[0] == "C" else each for each in name[-NAME:])
    return kept.encode()[-200:].decode(errors="ignore").strip(". ") or "file"
