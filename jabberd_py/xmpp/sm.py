"""XEP-0198: what both ends of a managed stream count, and the elements that say so."""

from __future__ import annotations

from .element import Element
from .errors import StreamError

SM = "urn:xmpp:sm:3"
WRAP = 2**32
ASK = b"<r xmlns='urn:xmpp:sm:3'/>"


def count_of(element: Element) -> int | None:
    """Its ``h``, an xs:unsignedInt; None if it is none."""
    text = element.attrs.get("h", "").strip()
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < WRAP:
        return int(text)
    return None


def count(element: Element) -> int:
    """Its ``h``. Raises StreamError."""
    h = count_of(element)
    if h is None:
        raise StreamError("undefined-condition", "h must be a count of stanzas")
    return h


def newly(h: int, sent: int, waiting: int) -> int:
    """How many more ``h`` acknowledges, when the last ``waiting`` of ``sent`` stanzas had not been. Raises StreamError where
    it is more than there are (section 4)."""
    more = (h - (sent - waiting)) % WRAP
    if more <= waiting:
        return more
    extra = Element("handled-count-too-high", SM)
    extra.attrs = {"h": str(h), "send-count": str(sent)}
    raise StreamError("undefined-condition", f"only {sent} stanzas were sent", extra)


def answer(h: int) -> bytes:
    return b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % h
