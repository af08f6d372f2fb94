"""The standing of an account: whether it is suspended, until when and why, and when it is to be deleted."""

from __future__ import annotations

import time
from typing import Any

from peewee import CharField, FloatField, TextField

from ..xdb import OWNER_LENGTH, Table, xdb
from ..xmpp.errors import StanzaError

LEFT = "you have deleted this account; sign in on the web page to keep it"


class Standing(Table):
    """A suspended account. ``reason``: the text for its owner. ``until``, ``deletion``: Unix times; NULL: never."""

    owner = CharField(max_length=OWNER_LENGTH)
    reason = TextField()
    since = FloatField()
    until = FloatField(null=True)
    deletion = FloatField(null=True)

    class Meta:
        indexes = ((("owner",), True),)


def of(user: str) -> Standing | None:
    found: Standing | None = Standing.select().where(Standing.owner == user).first()
    return found


def put(user: str, reason: str, until: float | None = None, deletion: float | None = None) -> None:
    """Sets the standing. Blocks until it is stored. Raises StoreError."""
    xdb.save(enter, user, reason, until, deletion)


def clear(user: str) -> None:
    xdb.save(lambda: Standing.delete().where(Standing.owner == user).execute())


def due(domain: str) -> list[Standing]:
    """The accounts of that host whose suspension has ended, or that are to be deleted now."""
    now = time.time()
    mine = Standing.owner.endswith("@" + domain)
    return list(Standing.select().where(mine, (Standing.until <= now) | (Standing.deletion <= now)))


# -- in the writer ---------------------------------------------------------------------------------------


def enter(user: str, reason: str, until: float | None = None, deletion: float | None = None) -> None:
    """`put`, in the writer."""
    Standing.delete().where(Standing.owner == user).execute()
    Standing.insert(owner=user, reason=reason, since=time.time(), until=until, deletion=deletion).execute()


def settle(user: str) -> None:
    """An administrator disables the account: neither its owner's coming back nor the end of a suspension undoes that."""
    undone = (Standing.reason == LEFT) | Standing.until.is_null(False)
    Standing.delete().where(Standing.owner == user, undone).execute()


def end(user: str, wanted: Any) -> None:
    """Ends a standing, if it is still that one. Raises StanzaError if it is another one meanwhile, which undoes the
    transaction."""
    if not Standing.delete().where(Standing.owner == user, wanted).execute():
        raise StanzaError("not-allowed", "the standing of the account was changed meanwhile")
