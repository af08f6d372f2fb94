"""The list of a leaf's items (XEP-0060 section 5.5), in pages (XEP-0059)."""

from __future__ import annotations

from ..net.turns import fairly, share
from ..xdb import xdb
from ..xmpp import rsm
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.ns import DISCO_ITEMS
from . import counting, store
from .reading import ANSWER, ANSWER_AWAY, Reading
from .store import Cut, Node

SHOWN = 10_000
"""Items of one answer."""
CHUNK = 200
"""Ids that are read from the database at a time."""
TAGS = 30
"""Characters of an item beside its attributes' values."""


def items_of(engine: Reading, owner: str, node: Node, request: Element) -> Element:
    """The oldest items, or the page that is asked for; others have their turns meanwhile. Raises StanzaError."""
    assert request.payload is not None and request.from_ is not None
    try:
        page = rsm.read(request.payload)
    except ValueError as error:
        raise StanzaError("bad-request", str(error)) from None
    if page is not None and page.index is not None:
        raise StanzaError("feature-not-implemented", "pages by index")
    query = Element("query", DISCO_ITEMS)
    if not node.config.keeps:
        return query
    engine.settle(owner, node)
    mark, back = (None, False) if page is None else (page.after or page.before, page.before is not None)
    start = store.number_of(owner, node.name, mark) if mark else None
    if mark and start is None:
        raise StanzaError("item-not-found")
    most = SHOWN if page is None else page.limit(SHOWN, SHOWN)
    room = ANSWER if request.from_.domain in engine.host.router.instances else ANSWER_AWAY
    found, more = _read(owner, node, engine.since(node), start, back, most, room)
    for _, id in fairly(found):
        query.append(Element("item", DISCO_ITEMS, jid=owner, name=id))
    if page is not None or more:
        query.append(_set(owner, node, engine.since(node), found, start, back))
    query.serialise(fairly)
    return query


def _read(
    owner: str, node: Node, since: float, start: int | None, back: bool, most: int, room: int
) -> tuple[list[tuple[int, str]], bool]:
    """(number, id) of each, and True where there are more that have no room."""
    found, began = list[tuple[int, str]](), 0.0
    while len(found) < most:
        size = min(CHUNK, most - len(found))
        cut = Cut(None, start, since=since) if back else Cut(start, None, since=since)
        chunk = store.names(owner, node.name, size, cut, back)
        xdb.release()
        for number, id in chunk:
            room -= len(owner) + len(id) + TAGS
            if room < 0:
                return (found[::-1] if back else found), True
            found.append((number, id))
            start = number
        if len(chunk) < size:
            return (found[::-1] if back else found), False
        began = share(began)
    return (found[::-1] if back else found), True


def _set(
    owner: str, node: Node, since: float, found: list[tuple[int, str]], start: int | None, back: bool
) -> Element:
    total = counting.total(owner, node, since)
    if not found:
        return rsm.answer(count=total)
    before = None if start is None else Cut(None, found[0][0], since=since)
    index = counting.index(owner, node.name, total, len(found), back, before)
    return rsm.answer(found[0][1], found[-1][1], total, index)
