"""How values are shown to people: in the log, in tables, in errors. Imports nothing heavy: jabberctl starts with it."""

from __future__ import annotations

import datetime
import re
import time
from typing import Any

LONGEST = 2000
"""Characters of one value: a hostile stanza must not fill the disk."""


def bounded(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"


def clean(value: Any) -> str:
    """The value as text without control characters, line separators or direction marks; long ones are cut."""
    text = bounded(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# -- for people -------------------------------------------------------------------------------------------

_stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)").fullmatch
SPANS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def span(seconds: float) -> str:
    """A length of time in its two largest units: ``3 h 12 min``."""
    if abs(seconds) < 1:
        return f"{seconds:.2g} s" if seconds else "0 s"
    rest, words = int(abs(seconds)), list[str]()
    for size, unit in SPANS:
        if rest >= size or words:
            words.append(f"{rest // size} {unit}" if rest >= size else "")
            rest %= size
        if len(words) == 2:
            break
    return ("-" if seconds < 0 else "") + " ".join(filter(None, words))


def moment(stamp: str) -> str:
    """A time of UTC (XEP-0082) as local time, and how long ago it was. Any other text as it is."""
    if not _stamp(stamp):
        return stamp
    when = datetime.datetime.fromisoformat(stamp)
    passed = time.time() - when.timestamp()
    how = f"{span(passed)} ago" if passed >= 0 else f"in {span(-passed)}"
    return f"{when.astimezone():%Y-%m-%d %H:%M:%S} ({how})"


def amount(count: float) -> str:
    """Bytes: ``12.3 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"
