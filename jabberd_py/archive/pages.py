"""An archive, read page by page (XEP-0313). Its rows are `messages.Message`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from peewee import fn

from ..net.turns import pause
from ..xdb import spoilt
from ..xmpp.element import from_text
from ..xmpp.errors import StanzaError
from ..xmpp.large import check_whole
from . import search
from .messages import Message, readable
from .query import LAST, Query, parse_id
from .stamps import SID, genuine

CHUNK = 25
"""Rows that are in memory at a time; each is as large as a stanza may be."""
COUNTED = 1000
"""Results are counted up to here with each page; more only for those who ask for nothing but the count."""
SLICE = 10_000


@dataclass(frozen=True, slots=True)
class Page:
    """``ids``: row numbers, in order. ``complete``: none follow in the direction of paging. ``count``: of all pages together,
    None if that takes too long."""

    ids: list[int]
    complete: bool
    count: int | None


def _matching(user: str, query: Query, resource: bool = True) -> list[Any]:
    """What a row must fulfil, besides lying between the bounds."""
    found = [Message.owner == user, Message.archived == 1]
    if query.peer is not None:
        found.append(Message.peer == query.peer.user)
        if resource and query.peer.resource is not None:
            found.append(Message.resource == query.peer.resource)
    if query.ids is not None:
        found.append(Message.id.in_(query.ids))
    return found


def _bounds(query: Query) -> tuple[int, int]:
    """Both excluded."""
    above = max(query.first - 1, -1 if query.after is None else query.after)
    below = min(query.last, LAST - 1) + 1
    return above, below if query.before is None else min(below, query.before)


def page(user: str, query: Query, limit: int) -> Page:
    """Raises StanzaError (item-not-found), StoreError."""
    readable()  # the client may ask for what it has just sent or got
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
        count = None if words else _count(matching, *whole, LAST)
        return Page([], False, count)
    if asked.after:
        above = max(above, parse_id(asked.after))
    if asked.before:
        below = min(below, parse_id(asked.before))
    backwards = asked.before is not None
    if words:
        ids = _search(user, words, matching, above, below, backwards, limit + 1)
    elif query.peer is not None and query.peer.resource is not None:
        ids = _sliced(user, query, matching, above, below, backwards, limit + 1)
    else:
        ids = _ids(matching, above, below, backwards, limit + 1)
    complete = len(ids) <= limit
    del ids[limit:]
    count = None
    if complete and not asked.after and not asked.before:
        count = len(ids)
    elif not words:
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
    """Takes from the text index what is in the archive and matches, until there is enough."""
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
    """No index knows the resources, and a conversation may be long: read it in slices, so that others get their turn."""
    found: list[int] = []
    rough = _matching(user, query, resource=False)
    while True:
        order = Message.id.desc() if backwards else Message.id
        rows = Message.select(Message.id).where(*rough, Message.id > above, Message.id < below)
        edge = rows.order_by(order).offset(SLICE).limit(1).scalar()
        start, end = (above, below) if edge is None else (edge - 1, below) if backwards else (above, edge + 1)
        found += _ids(matching, start, end, backwards, limit - len(found))
        if edge is None or len(found) >= limit:
            return found
        above, below = (above, edge) if backwards else (edge, below)
        pause()


def _count(matching: list[Any], above: int, below: int, most: int) -> int | None:
    """How many there are; None if more than ``most``. In slices: a long count would hold up everybody."""
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
    """(number, xml) of these, in this order; read a few at a time. What has gone meanwhile, or is damaged, is left out."""
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
    """Without ids that others gave in our name (XEP-0359 section 5); as it came, it may have had some."""
    return str(genuine(from_text(xml), user)) if SID in xml else xml


def ends(user: str) -> list[int]:
    """The numbers of the first and the last message, or nothing. Raises StoreError."""
    readable()
    mine = [Message.owner == user, Message.archived == 1]
    return [id for backwards in (False, True) for id in _ids(mine, -1, LAST, backwards, 1)]
