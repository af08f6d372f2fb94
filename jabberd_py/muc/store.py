"""What rooms keep: settings, affiliations, and who is in, so that a restart throws nobody out.

Each table belongs to the room: `owner` is its address. Functions that begin with an underscore run in the writer.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from peewee import BooleanField, CharField, FloatField, TextField, fn

from ..archive import messages
from ..net import turns
from ..xdb import OWNER_LENGTH, JidField, Table, Ticket, xdb

AT_ONCE = 500
"""Rooms that are read at a time."""


class SavedRoom(Table):
    """``service``: the domain. ``listed``: the public list shows it, under ``name``. ``config``: JSON, the fields of its form
    by name. ``notes``: JSON, what features keep of it. ``founder``: the bare address of who made it."""

    owner = CharField(max_length=OWNER_LENGTH)
    service = CharField(max_length=OWNER_LENGTH)
    listed = BooleanField(default=False)
    name = TextField()
    config = TextField()
    notes = TextField()
    founder = JidField()
    created = FloatField()

    class Meta:
        indexes = ((("owner",), True), (("service", "listed", "owner"), False), (("founder",), False))


class RoomAffiliation(Table):
    """``jid``: the bare address, or a domain. ``nick``: the one that is reserved for it, or empty."""

    owner = CharField(max_length=OWNER_LENGTH)
    jid = JidField()
    affiliation = CharField(max_length=10)
    nick = TextField()
    reason = TextField()

    class Meta:
        indexes = ((("owner", "jid"), True), (("jid",), False))


class RoomSession(Table):
    """One session of an occupant. ``jid``: its full address. ``presence``: XML, the last one."""

    owner = CharField(max_length=OWNER_LENGTH)
    service = CharField(max_length=OWNER_LENGTH, index=True)
    jid = JidField()
    nick = TextField()
    role = CharField(max_length=12)
    presence = TextField()

    class Meta:
        indexes = ((("owner", "jid"), True),)


TABLES = (SavedRoom, RoomAffiliation, RoomSession)


class Affiliation(NamedTuple):
    """Of one address with one room. ``nick``: the one that is reserved, or empty."""

    affiliation: str
    nick: str = ""
    reason: str = ""


class Loaded(NamedTuple):
    """A room as the store has it."""

    config: dict[str, Any]
    notes: dict[str, Any]
    created: float
    founder: str
    affiliations: dict[str, Affiliation]
    sessions: list[RoomSession]


# -- reading ---------------------------------------------------------------------------------------------


def load(room: str) -> Loaded | None:
    """All of one room; None: there is none. May block."""
    saved = _saved(room)
    if not saved:
        return None
    config, notes, created, founder = saved[0]
    affiliations = {jid: Affiliation(*kept) for jid, *kept in _affiliated(room)}
    sessions = list(RoomSession.select().where(RoomSession.owner == room).order_by(RoomSession.id))
    return Loaded(json.loads(config), json.loads(notes), created, founder, affiliations, sessions)


@xdb.prepared(str)
def _saved(room: str) -> Any:
    r = SavedRoom
    return r.select(r.config, r.notes, r.created, r.founder).where(r.owner == room)


@xdb.prepared(str)
def _affiliated(room: str) -> Any:
    r = RoomAffiliation
    return r.select(r.jid, r.affiliation, r.nick, r.reason).where(r.owner == room)


@xdb.prepared(str)
def _founded(user: str) -> Any:
    return SavedRoom.select(fn.COUNT(SavedRoom.id)).where(SavedRoom.founder == user)


def inhabited(service: str) -> list[str]:
    """The rooms of a service that somebody was in when the server stopped."""
    rows: Any = (
        RoomSession.select(RoomSession.owner).where(RoomSession.service == service).distinct().tuples()
    )
    return [room for (room,) in rows]


def noted(service: str, user: str) -> list[str]:
    """The rooms of a service whose notes name that address."""
    named = SavedRoom.notes.contains(json.dumps(user))
    return [row.owner for row in SavedRoom.select(SavedRoom.owner).where(SavedRoom.service == service, named)]


def founded(user: str) -> int:
    """How many rooms there are that this account made."""
    count: int = _founded(user)[0][0]
    return count


def listed(service: str, limit: int, after: str = "", before: str | None = None) -> list[tuple[str, str]]:
    """(address, name) of public rooms, by address: those after or before one, at most so many."""
    query: Any = SavedRoom.select(SavedRoom.owner, SavedRoom.name).where(
        SavedRoom.service == service, SavedRoom.listed, SavedRoom.owner > after
    )
    if before is not None:
        if before:
            query = query.where(SavedRoom.owner < before)
        return list(query.order_by(SavedRoom.owner.desc()).limit(limit).tuples())[::-1]
    return list(query.order_by(SavedRoom.owner).limit(limit).tuples())


def profiles(service: str, limit: int, after: str = "") -> list[tuple[str, dict[str, Any], float]]:
    """(address, settings, when it was made) of public rooms by address, those after one, at most so many."""
    query: Any = SavedRoom.select(SavedRoom.owner, SavedRoom.config, SavedRoom.created).where(
        SavedRoom.service == service, SavedRoom.listed, SavedRoom.owner > after
    )
    rows = query.order_by(SavedRoom.owner).limit(limit).tuples()
    return [(owner, json.loads(config), created) for owner, config, created in rows]


def count(service: str) -> int:
    """How many public rooms there are."""
    where = (SavedRoom.service == service) & SavedRoom.listed
    return SavedRoom.select().where(where).count()


def everything(service: str, text: str = "", after: str = "", limit: int = 0) -> list[tuple[str, str]]:
    """(address, name) of the rooms of a service, by address: those that have ``text`` in one of the two, behind the address
    ``after``; ``limit``: so many at most, 0: all."""
    query: Any = SavedRoom.select(SavedRoom.owner, SavedRoom.name).where(SavedRoom.service == service)
    if text:
        query = query.where(SavedRoom.owner.contains(text) | SavedRoom.name.contains(text))
    if after:
        query = query.where(SavedRoom.owner > after)
    query, rows = query.order_by(SavedRoom.owner), list[tuple[str, str]]()
    while not limit or len(rows) < limit:  # in turns with others
        behind = query.where(SavedRoom.owner > rows[-1][0]) if rows else query
        wanted = min(AT_ONCE, limit - len(rows)) if limit else AT_ONCE
        page = list(behind.limit(wanted).tuples())
        rows += page
        if len(page) < wanted:
            break
        xdb.release()
        turns.pause()
    return rows


# -- writing ---------------------------------------------------------------------------------------------


def save(
    room: str,
    service: str,
    founder: str,
    created: float,
    listed: bool,
    name: str,
    config: dict[str, Any],
    notes: dict[str, Any],
) -> Ticket:
    """A room's own row. Does not wait."""
    return xdb.write(
        _save, room, service, founder, created, listed, name, json.dumps(config), json.dumps(notes)
    )


def _save(
    room: str, service: str, founder: str, created: float, listed: bool, name: str, config: str, notes: str
) -> None:
    values = {"listed": listed, "name": name, "config": config, "notes": notes}
    if not SavedRoom.update(**values).where(SavedRoom.owner == room).execute():
        SavedRoom.delete().where(
            SavedRoom.owner == room
        ).execute()  # MySQL counts no row that stays as it was
        SavedRoom.insert(owner=room, service=service, founder=founder, created=created, **values).execute()


def affiliate(room: str, jid: str, entry: Affiliation | None) -> Ticket:
    """Keeps an affiliation (None: none). Does not wait."""
    return xdb.write(_affiliate, room, jid, entry)


def _affiliate(room: str, jid: str, entry: Affiliation | None) -> None:
    RoomAffiliation.delete().where(RoomAffiliation.owner == room, RoomAffiliation.jid == jid).execute()
    if entry is not None:
        RoomAffiliation.insert(owner=room, jid=jid, **entry._asdict()).execute()


def enter(room: str, service: str, jid: str, nick: str, role: str, presence: str) -> Ticket:
    """Keeps that a session is in the room. Does not wait."""
    return xdb.write(_enter, room, service, jid, nick, role, presence)


def _enter(room: str, service: str, jid: str, nick: str, role: str, presence: str) -> None:
    _leave(room, [jid])
    RoomSession.insert(
        owner=room, service=service, jid=jid, nick=nick, role=role, presence=presence
    ).execute()


def leave(room: str, jids: list[str]) -> Ticket:
    """Keeps that these sessions are gone. Does not wait."""
    return xdb.write(_leave, room, jids)


def _leave(room: str, jids: list[str]) -> None:
    RoomSession.delete().where(RoomSession.owner == room, RoomSession.jid.in_(jids)).execute()


def forget(room: str) -> None:
    """Removes everything that the room owns, also what features keep. Blocks until the last commit. Raises StoreError."""
    xdb.delete_owner(room, messages.sort_in)  # a fresh row belongs to two owners until it is sorted in


def forget_user(user: str) -> list[str]:
    """Removes an account's affiliations with all rooms, and says which rooms these were. Waits."""
    rows: Any = RoomAffiliation.select(RoomAffiliation.owner).where(RoomAffiliation.jid == user).tuples()
    rooms = [room for (room,) in rows]
    if rooms:
        xdb.save(lambda: RoomAffiliation.delete().where(RoomAffiliation.jid == user).execute())
    return rooms
