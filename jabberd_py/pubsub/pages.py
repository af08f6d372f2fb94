"""Pages of long lists (XEP-0059) of nodes, items and people."""

from __future__ import annotations

from collections.abc import Callable

from ..net.turns import fairly
from ..xmpp import rsm
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .reading import Reading

TAGS = 30
"""Characters of an element beside its attributes' values."""


def page(
    engine: Reading, request: Element, ids: list[str], row: Callable[[str], Element]
) -> tuple[list[Element], Element | None]:
    """What is asked for of these, and no more than an answer has room for; ``row`` makes it. With <set/>, if that is not all or
    a page was asked for. Raises StanzaError."""
    assert request.payload is not None and request.from_ is not None
    try:
        asked = rsm.read(request.payload)
    except ValueError as error:
        raise StanzaError("bad-request", str(error)) from None
    count, first = len(ids), 0
    if asked is not None:
        if asked.index is not None:
            raise StanzaError("feature-not-implemented", "pages by index")
        if any(each and each not in ids for each in (asked.after, asked.before)):
            raise StanzaError("item-not-found")
        first = ids.index(asked.after) + 1 if asked.after else 0
        last = ids.index(asked.before) if asked.before else len(ids)
        most = asked.limit(len(ids), len(ids))
        first, last = (
            (max(last - most, first), last) if asked.before is not None else (first, min(first + most, last))
        )
        ids = ids[first:last]
    room = engine.room_for(request.from_)
    rows, back = list[Element](), asked is not None and asked.before is not None
    for id in fairly(ids[::-1] if back else ids):
        made = row(id)
        room -= sum(map(len, made.attrs.values())) + TAGS
        if room < 0:
            break
        rows.append(made)
    cut = len(ids) - len(rows)
    if back:
        first, ids, rows = first + cut, ids[cut:], rows[::-1]
    else:
        ids = ids[: len(rows)]
    return rows, (
        rsm.answer(ids[0] if ids else None, ids[-1] if ids else None, count, first)
        if asked is not None or cut
        else None
    )
