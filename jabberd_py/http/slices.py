"""A large message, or body, is parsed in slices: others have their turns in between, as they have between two reads of a stream
over TCP."""

from __future__ import annotations

from ..net.turns import share
from ..xmpp.element import Element
from ..xmpp.errors import StreamError
from ..xmpp.parser import Parser

BYTES = 4096


def feed(parser: Parser, data: bytes) -> tuple[list[Element], StreamError | None]:
    """What `Parser.feed` returns for all of it. Blocks between two slices, if it has had the loop for long."""
    if len(data) <= BYTES:
        return parser.feed(data)
    items: list[Element] = []
    fault, began = None, 0.0
    for at in range(0, len(data), BYTES):
        began = share(began)
        found, fault = parser.feed(data[at : at + BYTES])
        items += found
        if fault is not None:
            break
    return items, fault
