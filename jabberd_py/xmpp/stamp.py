"""Dates and times as XMPP writes them (XEP-0082)."""

import re
import time
from datetime import UTC, datetime, timedelta

from .protocols import XEP

PROTOCOLS = (XEP(82, "1.1.1", "XMPP Date and Time Profiles"),)

_datetime = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,20}))?(?:Z|([+-])([0-9]{2}):([0-5][0-9]))"
).fullmatch

EARLY = datetime(1, 1, 1, tzinfo=UTC).timestamp()
LATE = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def utc(timestamp: float, fraction: bool = False) -> str:
    """Seconds since 1970 as "2026-11-23T00:00:00Z"; with `fraction`, to the millisecond."""
    if not fraction and 0 <= timestamp < LATE:
        return time.strftime(
            "%Y-%m-%dT%H:%M:%SZ", time.gmtime(timestamp)
        )  # half the time: for each message that waited
    timestamp = min(max(timestamp, EARLY), LATE)  # what nobody can write is shown as far away
    when = datetime.fromtimestamp(timestamp if fraction else timestamp // 1, UTC)
    return when.isoformat(timespec="milliseconds" if fraction else "seconds")[:-6] + "Z"


def parse(text: str) -> float:
    """Seconds since 1970 of a DateTime with any offset; ValueError if it is none."""
    match = _datetime(text)
    if not match:
        raise ValueError("not a date and time of XEP-0082")
    when, digits, sign, hours, minutes = match.groups()
    moment = datetime.fromisoformat(when).replace(
        tzinfo=UTC, microsecond=int((digits or "0")[:6].ljust(6, "0"))
    )
    if sign:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        if offset >= timedelta(days=1):
            raise ValueError("no such time zone")
        try:
            moment = moment - offset if sign == "+" else moment + offset
        except OverflowError:
            raise ValueError("out of range") from None
    return moment.timestamp()
