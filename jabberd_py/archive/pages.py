"""An archive, read page by page (XEP-0313). Its rows are `messages.Message`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from peewee import PostgresqlDatabase, fn

from ..net.turns import fairly, pause
from ..xdb import spoilt
from ..xmpp.errors import StanzaError
from ..xmpp.large import check_whole, unfold
from ..xmpp.parser import reread
from . import search, stones
from .messages import Message, readable
from .query import LAST, Query, parse_id
from .stamps import SID, STAMPS, genuine

CHUNK = 25
"""At most this many rows are in memory at a time. Each may be as large as the largest stanza."""
COUNTED = 1000
"""With a page, results are counted up to this number. A request for the count alone gets the exact number."""
SLICE = 10_000
"""Rows that one query goes through; then others have their turn."""


@dataclass(frozen=True, slots=True)
class Page:
    """
    ids       row numbers, in order
    complete  True if there are no more in the direction of paging
    count     the number of results of all pages together; None if counting takes too long
    """

    ids: list[int]
    complete: bool
    count: int | None


def _matching(user: str, query: Query, rough: bool = False) -> list[Any]:
    """The conditions for a row, without the bounds of its number. ``rough``: without those that no index serves."""
    found = [Message.owner == user, Message.archived == 1]
    if query.peer is not None:
        found.append(Message.peer == query.peer.user)
        if query.peer.resource is not None and not rough:
            found.append(Message.resource == query.peer.resource)
    if query.ids is not None:
        found.append(Message.id.in_(query.ids))
    if not query.groupchat and not rough:
        found.append(~_start_tag().contains(" type='groupchat'"))
    return found


def _start_tag() -> Any:
    """The start tag of a stored message. Its values stand in single quotes, and have none in them."""
    find = fn.STRPOS if isinstance(Message._meta.database, PostgresqlDatabase) else fn.INSTR
    return fn.SUBSTR(Message.xml, 1, find(Message.xml, "'>"))


def _bounds(query: Query) -> tuple[int, int]:
    """The numbers between which the rows are; both are excluded."""
    above = max(query.first - 1, -1 if query.after is None else query.after)
    below = min(query.last, LAST - 1) + 1
    return above, below if query.before is None else min(below, query.before)


def page(user: str, query: Query, limit: int) -> Page:
    """The row numbers of one page, at most ``limit``. Blocks. Raises StanzaError (item-not-found), StoreError."""
    readable()  # the client may ask for what it has just sent or got
    stones.settle(user)
    known = set(query.known)
    if known:
        mine = Message.select().where(Message.owner == user, Message.archived == 1, Message.id.in_(known))
        if mine.count() < len(known):
            raise StanzaError("item-not-found", "no message with that id is in the archive")
    words = search.words(query.text)
    if words:
        search.prepare(user)
    matching = _matching(user, query)
    whole = above, below = _bounds(query)
    asked = query.page
    if limit == 0:
        count = None if words or not query.groupchat else _count(matching, *whole, LAST)
        return Page([], False, count)
    if asked.after:
        above = max(above, parse_id(asked.after))
    if asked.before:
        below = min(below, parse_id(asked.before))
    backwards = asked.before is not None
    if words:
        ids = _search(user, words, matching, above, below, backwards, limit + 1)
    elif not query.groupchat or query.peer is not None and query.peer.resource is not None:
        ids = _sliced(user, query, matching, above, below, backwards, limit + 1)
    else:
        ids = _ids(matching, above, below, backwards, limit + 1)
    complete = len(ids) <= limit
    del ids[limit:]
    count = None
    if complete and not asked.after and not asked.before:
        count = len(ids)
    elif not words and query.groupchat:
        count = _count(matching, *whole, COUNTED)
    if backwards:
        ids.reverse()
    return Page(ids, complete, count)


def _ids(matching: list[Any], above: int, below: int, backwards: bool, limit: int) -> list[int]:
    rows = Message.select(Message.id).where(*matching, Message.id > above, Message.id < below)
    order = Message.id.desc() if backwards else Message.id
    return [id for (id,) in rows.order_by(order).limit(limit).tuples().iterator()]


def _search(
    user: str, words: list[str], matching: list[Any], above: int, below: int, backwards: bool, limit: int
) -> list[int]:
    """Takes candidates from the text index and keeps those that match, until there are enough."""
    found: list[int] = []
    while True:
        some = search.find(user, words, above, below, backwards, SLICE // 20)
        found += _ids([*matching, Message.id.in_(some)], above, below, backwards, limit - len(found))
        if len(found) >= limit or len(some) < SLICE // 20:
            return found
        above, below = (above, some[-1]) if backwards else (some[-1], below)
        pause()


def _sliced(
    user: str, query: Query, matching: list[Any], above: int, below: int, backwards: bool, limit: int
) -> list[int]:
    """For a query with a resource, or without groupchat. No index has these, so the conversation is read in slices, in turns
    with others."""
    found: list[int] = []
    rough, size = _matching(user, query, rough=True), SLICE if query.groupchat else SLICE // 10
    while True:
        order = Message.id.desc() if backwards else Message.id
        rows = Message.select(Message.id).where(*rough, Message.id > above, Message.id < below)
        edge = rows.order_by(order).offset(size).limit(1).scalar()
        start, end = (above, below) if edge is None else (edge - 1, below) if backwards else (above, edge + 1)
        found += _ids(matching, start, end, backwards, limit - len(found))
        if edge is None or len(found) >= limit:
            return found
        above, below = (above, edge) if backwards else (edge, below)
        pause()


def _count(matching: list[Any], above: int, below: int, most: int) -> int | None:
    """The number of matching rows; None if there are more than ``most``. Counts in slices, in turns with others."""
    total = 0
    while True:
        size = min(SLICE, most + 1)
        rows = Message.select(Message.id).where(*matching, Message.id > above, Message.id < below)
        some = rows.order_by(Message.id).limit(size).alias("some")
        query = Message.select(fn.COUNT(some.c.id), fn.MAX(some.c.id)).from_(some)
        ((count, last),) = query.tuples().iterator()
        total += count
        if count < size:
            return total
        if total > most:
            return None
        above = last
        pause()


def rows(user: str, ids: list[int]) -> Iterator[tuple[int, str]]:
    """Yields (number, xml) for these numbers, in this order. Reads a few at a time. Leaves out rows that have gone meanwhile or
    are damaged."""
    for at in range(0, len(ids), CHUNK):
        some = ids[at : at + CHUNK]
        query = Message.select(Message.id, Message.xml).where(Message.id.in_(some)).tuples().iterator()
        texts = dict(query)
        for id in some:
            if id in texts:
                try:
                    check_whole(texts[id])
                except ValueError as error:  # it would end the reader's stream
                    spoilt("message", user, error)
                else:
                    yield id, _clean(user, texts[id])


def _clean(user: str, xml: str) -> str:
    """The message without stanza-ids that others have added in our name (XEP-0359 section 5): it is stored as it came."""
    if SID not in xml:
        return xml
    stanza = reread(xml.encode())
    if STAMPS.isdisjoint(stanza.kids):
        return xml
    unfold(stanza, fairly)
    stanza = genuine(stanza, user)
    stanza.serialise(fairly)
    return str(stanza)


def ends(user: str) -> list[int]:
    """The numbers of the first and the last message, or nothing. Raises StoreError."""
    readable()
    mine = [Message.owner == user, Message.archived == 1]
    return [id for backwards in (False, True) for id in _ids(mine, -1, LAST, backwards, 1)]
