"""The rows behind the spool: messages, marks, and the queries on them."""

from __future__ import annotations

import time
from random import getrandbits
from typing import Any

from peewee import BigIntegerField, CharField, SmallIntegerField, TextField, fn

from ..xdb import OWNER_LENGTH, JidField, Table, xdb

PAGE = 50


class Message(Table):
    """``id``: milliseconds since 1970 in the upper bits, see `number`. ``peer`` and ``resource``: the other side.
    ``spooled``: it came in and counts as undelivered past the mark. ``archived``: its owner wants it kept. ``stream`` and
    ``seq``: the sender's resumable stream (XEP-0198) and its count, so that a resumed sender repeats nothing."""

    id = BigIntegerField(primary_key=True)
    owner = CharField(max_length=OWNER_LENGTH)
    peer = JidField()
    resource = TextField()
    xml = TextField()
    spooled = SmallIntegerField()
    archived = SmallIntegerField()
    stream = BigIntegerField()
    seq = BigIntegerField()

    class Meta:
        # one index serves pages of all and of one contact: a second one would double what a message costs to store
        indexes = ((("owner", "id", "peer"), False),)


COLUMNS = ("id", "owner", "peer", "resource", "xml", "spooled", "archived", "stream", "seq")


class Mark(Table):
    """Every spooled row of ``owner`` with a number up to ``delivered`` has reached a client."""

    owner = CharField(max_length=OWNER_LENGTH)
    delivered = BigIntegerField()

    class Meta:
        indexes = ((("owner",), True),)


@xdb.prepared(str)
def mark(owner: str) -> Any:
    """[(number,)], or nothing."""
    return Mark.select(Mark.delivered).where(Mark.owner == owner)


@xdb.prepared(str, int)
def page(owner: str, position: int) -> Any:
    """Undelivered rows behind ``position``: [(number, xml), ...]."""
    waiting = Message.select(Message.id, Message.xml).where(
        Message.owner == owner, Message.id > position, Message.spooled == 1
    )
    return waiting.order_by(Message.id).limit(PAGE)


@xdb.prepared(str, int)
def count(owner: str, position: int) -> Any:
    return Message.select(fn.COUNT(Message.id)).where(
        Message.owner == owner, Message.id > position, Message.spooled == 1
    )


_last = 0


def number() -> int:
    """The next row number: never twice, never smaller than the last, time-ordered (63 bits)."""
    global _last
    # random below the millisecond, so that two servers hardly ever give the same; the lowest bits are for the number of a node
    _last = max(_last + 64, (int(time.time() * 1000) << 20) | (getrandbits(14) << 6))
    return _last


def when(id: int) -> float:
    """The time that is in a row number."""
    return (id >> 20) / 1000


def start() -> None:
    """The clock may have been set back since the newest row was written."""
    global _last
    _last = max(_last, Message.select(Message.id).order_by(Message.id.desc()).limit(1).scalar() or 0)


def save_marks(marks: list[tuple[str, int, bool, int, list[int]]], singles: list[int]) -> None:
    for user, mark, temporary, upto, lost in marks:
        if not Mark.update(delivered=mark).where(Mark.owner == user).execute():
            Mark.delete().where(Mark.owner == user).execute()  # MySQL counts an equal value as no change
            Mark.create(owner=user, delivered=mark)
        mine = Message.owner == user
        if temporary:
            unwanted = Message.delete().where(
                mine, Message.id <= mark, Message.spooled == 1, Message.archived == 0
            )
            unwanted.execute()
        if lost:  # what came behind the lost ones did arrive; the mark alone cannot say so
            got = Message.update(spooled=0).where(
                mine, Message.id > mark, Message.id <= upto, Message.id.not_in(lost)
            )
            got.execute()
    for at in range(0, len(singles), 500):
        some = singles[at : at + 500]
        Message.delete().where(Message.id.in_(some), Message.archived == 0).execute()
        Message.update(spooled=0).where(Message.id.in_(some)).execute()


def tables() -> list[Any]:
    return [Message, Mark]
