"""Resumable streams in the store (XEP-0198): what another process needs to take a session up again."""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, CharField, FloatField, SmallIntegerField, TextField

from ..xdb import OWNER_LENGTH, Table


class ResumableStream(Table):
    """What a stream needs to be resumed by another process.

    node     the process of a cluster that has it
    handled  how many stanzas of the client's; what it sent later is counted by its messages
    notes    JSON, those of the session that last (`jsm/notes.py`)
    queue    JSON, [[xml, uid], ...], known only if the server was stopped in peace; after a crash the spool knows what was
             not delivered
    expires  Unix time; 0 while the client is connected
    """

    owner = CharField(max_length=OWNER_LENGTH)
    resource = TextField()
    node = SmallIntegerField()
    number = BigIntegerField(unique=True)
    token = CharField(max_length=64)
    handled = BigIntegerField()
    sent = BigIntegerField()
    presence = TextField()
    notes = TextField()
    queue = TextField()
    expires = FloatField()


# -- in the writer -----------------------------------------------------------------------------


def save(row: dict[str, Any]) -> None:
    if not ResumableStream.update(row).where(ResumableStream.number == row["number"]).execute():
        ResumableStream.delete().where(ResumableStream.number == row["number"]).execute()
        ResumableStream.create(**row)


def count(number: int, handled: int) -> None:
    ResumableStream.update(handled=handled).where(ResumableStream.number == number).execute()


def forget(number: int) -> None:
    ResumableStream.delete().where(ResumableStream.number == number).execute()
