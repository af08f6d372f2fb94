"""The answer to a query of an archive: its results, then what ends them (XEP-0313 sections 4.1 to 4.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..net.turns import Pace, fairly
from ..xdb.numbers import when
from ..xmpp import rsm
from ..xmpp.element import Element
from ..xmpp.stamp import utc
from . import pages
from .query import NS, Query, result


@dataclass(frozen=True, slots=True)
class Reader:
    """Who gets the results.

    jid    the full address, as text
    send   takes one result, a message
    pace   goes through an iterable as fast as the reader takes what it was sent; raises StanzaError once it is gone
    """

    jid: str
    send: Callable[[Element], object]
    pace: Pace = fairly


def answer(
    owner: str, query: Query, reader: Reader, limit: int, show: Callable[[str], str] | None = None
) -> tuple[Element, int]:
    """Sends one page to the reader, and returns ``<fin/>``, the payload of the result, and how many results there were.
    ``limit``: messages at most. ``show``: makes of each message, XML as it is stored, what this reader may see. Blocks, as the
    store and the reader do: call it in a greenlet of its own (`jsm.answers`). Raises StanzaError, StoreError."""
    page = pages.page(owner, query, limit)
    ids = page.ids[::-1] if query.flip else page.ids
    for id, xml in reader.pace(pages.rows(owner, ids)):
        text = xml if show is None else show(xml)
        reader.send(result(owner, reader.jid, query.id, id, when(id), text))
    first, last = (str(page.ids[0]), str(page.ids[-1])) if page.ids else (None, None)
    fin = Element("fin", NS, rsm.answer(first, last, page.count, query.page.index))
    if page.complete:
        fin.attrs["complete"] = "true"
    return fin, len(ids)


def metadata(owner: str) -> Element:
    """The payload that answers ``<metadata/>`` (section 4.3): the first and the last message. Blocks. Raises StoreError."""
    made = Element("metadata", NS)
    for tag, id in zip(("start", "end"), pages.ends(owner), strict=False):
        made.append(Element(tag, NS, id=id, timestamp=utc(when(id), fraction=True)))
    return made
