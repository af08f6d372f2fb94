"""A file that a form sends (RFC 7578). It is read in small pieces and in turns with others. The token of the form comes first:
nothing of a stranger's file is kept."""

from __future__ import annotations

import hmac
import time
from tempfile import TemporaryFile
from typing import IO, Any

from flask import abort, request
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from ..net import turns
from ..xdb import xdb

PIECE, MEMORY = 4 * 1024, 12 * 1024
"""Bytes that are read at a time, and those of one part's head, or of a field."""
PARTS = 8
BOUNDARY = 100
AT_ONCE = 8
"""Files that come at a time: one of each account."""
LONGEST = 600.0
"""Seconds in which a file must have come."""
_coming: set[str] = set()


def file(user: str, token: str) -> IO[bytes]:
    """The file of the form, at its beginning; it is gone when it is closed. ``token``: what the field ``_token`` must say.
    Blocks until all has come. Ends the request where the form is wrong (400, 403, 408, 413, 415), or others come (429)."""
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data":
        abort(415)
    if not 0 < len(boundary) <= BOUNDARY or not boundary.isascii():
        abort(400)
    if user in _coming or len(_coming) >= AT_ONCE:
        abort(429, "Such a file is being sent already. Try again later.")
    _coming.add(user)
    kept: IO[bytes] = TemporaryFile()  # noqa: SIM115 - whoever asked closes it
    try:
        xdb.release()
        _read(MultipartDecoder(boundary.encode(), MEMORY, max_parts=PARTS), token, kept)
    except ValueError:
        kept.close()
        abort(400)
    except BaseException:
        kept.close()
        raise
    finally:
        _coming.discard(user)
    kept.seek(0)
    return kept


def _read(decoder: MultipartDecoder, token: str, kept: IO[bytes]) -> None:
    """Raises ValueError: it is no whole form."""
    stream, until, turn = request.stream, time.monotonic() + LONGEST, 0.0
    said, right, whole, part = b"", False, False, ""
    while data := stream.read(PIECE):
        if time.monotonic() > until:
            abort(408)
        decoder.receive_data(data)
        event: Any = None
        while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
            turn = turns.share(turn)
            if isinstance(event, File) and not right:
                abort(
                    403, "This form is too old. Nothing was done. Load the page again, and send it once more."
                )
            if isinstance(event, Field | File):
                part = event.name if isinstance(event, File) == (event.name == "file") else ""
            elif isinstance(event, Data) and part == "_token":
                said = (said + event.data)[:200]
                right = hmac.compare_digest(said, token.encode())
            elif isinstance(event, Data) and part == "file":
                if not right or whole:
                    raise ValueError(part)
                kept.write(event.data)
                whole = not event.more_data
        turn = turns.share(turn)
    if not whole:
        raise ValueError("half a form")
