"""Retention: removes messages that are too old or too many, a batch at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ..net.turns import pause
from ..xdb import xdb
from ..xdb.numbers import at
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .messages import Mark, Message, readable
from .pages import SLICE
from .query import LAST, parse_id
from .search import ArchiveText

TRIM = "urn:xmpp:mamtrim:0"
BATCH = 500
"""Rows that one transaction reads."""
YOUNG = 120.0
"""Seconds. A younger message stays in any case: after a crash the rows tell how far resumable streams had come
(`c2s/restore.py`)."""


def trim(domain: str, keep: float | None, most: int | None) -> None:
    """Removes messages of all owners of that domain: those that are older than ``keep`` seconds, and the oldest ones of an
    owner who has more than ``most``. None: no limit. Blocks for long; others can write in between. Raises StoreError."""
    if keep is not None:
        _trim(f"@{domain}", time.time() - keep)
    if most is not None:
        for owner, last in too_many(domain, most):
            _expire(owner, last)


def _trim(who: str, before: float) -> None:
    _expire(who, at(int(before * 1000)))


def _expire(who: str, upto: int) -> None:
    upto = min(upto, at(int((time.time() - YOUNG) * 1000)))
    position: int | None = 0
    while position is not None:
        position = xdb.save(expire, who, position, upto)


def purge(owner: str) -> int:
    """Removes the whole archive of an owner. Blocks until the last commit; others write in between. Returns the number of
    messages. Raises StoreError. (`xdb.delete_owner` removes the archive, too.)"""
    readable()
    xdb.clear(ArchiveText, ArchiveText.owner == owner)
    return xdb.clear(Message, Message.owner == owner)


def trim_upto(request: Element, owner: str) -> int:
    """The number of the newest message that a request wants to be removed. Raises StanzaError: item-not-found, bad-request."""
    ids = request.payload.all("id", TRIM) if request.payload is not None else []
    if not ids:
        return LAST
    if len(ids) > 1:
        raise StanzaError("bad-request", "one id, please")
    number = parse_id(ids[0].text.strip())
    readable()
    if not Message.select().where(Message.id == number, Message.owner == owner).exists():
        raise StanzaError("item-not-found", "no such message is in the archive")
    return number


def remove(owner: str, upto: int) -> None:
    """Removes the messages of one archive up to that number. Blocks long; others write in between. Raises StoreError."""
    readable()
    position: int | None = 0
    while position is not None:
        position = xdb.save(expire, owner, position, upto)


# -- in the writer -------------------------------------------------------------------------------


def expire(who: str, position: int, upto: int, limit: int = BATCH) -> int | None:
    """Removes one batch of messages with numbers behind ``position`` and up to ``upto``. ``who``: an owner, or ``@domain``
    for all its owners. A message that is not delivered yet stays until it is. Returns the position of the next batch; None:
    that was the last one."""
    query = Message.select(Message.id, Message.owner, Message.spooled).where(
        Message.id > position, Message.id <= upto
    )
    if not who.startswith("@"):
        query = query.where(Message.owner == who)
    read = list(query.order_by(Message.id).limit(limit).tuples().iterator())
    if not read:
        return None
    found = [
        row for row in read if row[1].endswith(who)
    ]  # not in SQL: the database would search the rows of all hosts for one batch
    marks = dict(
        Mark.select(Mark.owner, Mark.delivered)
        .where(Mark.owner.in_({r[1] for r in found}))
        .tuples()
        .iterator()
    )
    waiting = {id for id, owner, spooled in found if spooled and id > marks.get(owner, 0)}
    gone = [id for id, _, _ in found if id not in waiting]
    Message.update(archived=0).where(Message.id.in_(waiting)).execute()
    Message.delete().where(Message.id.in_(gone)).execute()
    ArchiveText.delete().where(ArchiveText.id.in_([*gone, *waiting])).execute()
    return read[-1][0] if len(read) == limit else None


# -- who has too many ----------------------------------------------------------------------------


@xdb.prepared(str)
def _next_owner(owner: str) -> Any:
    return Message.select(Message.owner).where(Message.owner > owner).order_by(Message.owner).limit(1)


def too_many(domain: str, most: int) -> Iterator[tuple[str, int]]:
    """Yields (owner, number of the newest message that must go) for each owner with more than ``most`` messages. Reads owner by
    owner from the index, in turns with everything else."""
    readable()
    owner = ""
    while rows := _next_owner(owner):
        ((owner,),) = rows
        if owner.endswith(f"@{domain}"):
            last = _beyond(owner, most)
            if last is not None:
                yield owner, last
        pause()


def _beyond(owner: str, most: int) -> int | None:
    """The newest message that has ``most`` newer ones; None if there is none. Reads in slices."""
    mine = Message.select(Message.id).where(Message.owner == owner)
    if mine.order_by(Message.id.desc()).offset(most).limit(1).scalar() is None:
        return None  # this query needs only the index
    below = LAST
    while True:
        size = min(SLICE, most + 1)
        rows = mine.where(Message.archived == 1, Message.id < below).order_by(Message.id.desc()).limit(size)
        some = [id for (id,) in rows.tuples().iterator()]
        if len(some) > most:
            return some[-1]
        if len(some) < size:
            return None
        most, below = most - len(some), some[-1]
        pause()
