"""A long result in pages (XEP-0059)."""

from dataclasses import dataclass

from .element import Element
from .protocols import XEP

PROTOCOLS = (XEP(59, "1.0", "Result Set Management"),)

NS = "http://jabber.org/protocol/rsm"
MAX_ID = 1024  # characters of an item's id; ours are far shorter
MOST = 2**31 - 1
"""Whoever asks for more means all: pages have a limit of their own."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a result is wanted: what stands `before` or `after` an item, or from `index` on (0 is the
    first); at most one of the three is set. `before=""` is the last page."""

    max: int | None = None
    before: str | None = None
    after: str | None = None
    index: int | None = None

    def limit(self, default: int, most: int) -> int:
        """How many items to send: what was asked for, `default` if nothing was, `most` at most."""
        return min(default if self.max is None else self.max, most)


def read(query: Element) -> Page | None:
    """The page that a request asks for, None if it says nothing of pages; ValueError for <bad-request/>."""
    asked = query.child("set", NS)
    if asked is None:
        return None
    page = Page(_number(asked, "max"), _id(asked, "before"), _id(asked, "after"), _number(asked, "index"))
    if (page.before, page.after, page.index).count(None) < 2:
        raise ValueError("only one of before, after and index")
    if page.after == "":
        raise ValueError("after what?")
    return page


def answer(
    first: str | None = None, last: str | None = None, count: int | None = None, index: int | None = None
) -> Element:
    """<set/> for a page: the ids of its first and last item (None if it is empty), how many items there are
    in all, and the place of the first among them. None is what need not be told."""
    reply = Element("set", NS)
    if first is not None and last is not None:
        reply.append(Element("first", NS, first, index=index), Element("last", NS, last))
    if count is not None:
        reply.append(Element("count", NS, str(count)))
    return reply


def _number(asked: Element, name: str) -> int | None:
    text = asked.text_of(name, NS)
    if text is None:
        return None
    text = text.strip()
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{name} is not a number")
    digits = text.lstrip("0")[:11]
    return min(int(digits or "0"), MOST)


def _id(asked: Element, name: str) -> str | None:
    text = asked.text_of(name, NS)
    if text is not None and len(text) > MAX_ID:
        raise ValueError(f"{name} is too long")
    return text
