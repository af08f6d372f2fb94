"""The ``<body/>`` of BOSH (XEP-0124), read and written."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.parser import Close, Limits, Parser
from ..xmpp.serialise import attributes
from . import slices
from .websocket import header

HTTPBIND, XBOSH = "http://jabber.org/protocol/httpbind", "urn:xmpp:xbosh"


class Wrong(Exception):
    """The session ends with this condition of section 17.2."""


_BODY = f"<body xmlns='{HTTPBIND}' xmlns:xmpp='{XBOSH}' xmlns:stream='{ns.STREAM}'".encode()


def body(payload: bytes, attrs: dict[str, Any] | None = None) -> bytes:
    """A ``<body/>``."""
    said = attributes({name: str(value) for name, value in attrs.items()}).encode() if attrs else b""
    return b"%b%b>%b</body>" % (_BODY, said, payload) if payload else b"%b%b/>" % (_BODY, said)


EMPTY = body(b"")
REPEATED = body(b"", {"type": "error"})
"""Section 14.3: the answer to a request that was sent again before it was answered."""


def terminate(condition: str) -> bytes:
    """The answer to who has no session."""
    return body(b"", {"type": "terminate", "condition": condition})


def number(text: str | None, default: int, most: int) -> int:
    """Of an attribute. Raises Wrong."""
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise Wrong("bad-request")
    return min(int(text), most)


def boolean(text: str | None) -> bool:
    """Of an attribute, as XML Schema writes it."""
    return text in ("true", "1")


TAG = 4096
"""Bytes of a start tag ``<body>``, at most."""
_head = re.compile(rb"""<body((?:\s+[a-z:]+=(?:'[^'<&]*'|"[^"<&]*"))*)\s*(/?)>""").match
_attrs: Callable[..., list[tuple[bytes, bytes, bytes]]] = re.compile(
    rb"""([a-z:]+)=(?:'([^']*)'|"([^"]*)")"""
).findall
_prefixed = re.compile(rb"[<\s/](?:xmpp|stream):").search
_SPACE = HTTPBIND.encode()
_USUAL = {b"xmlns": _SPACE, b"xmlns:xmpp": XBOSH.encode(), b"xmlns:stream": ns.STREAM.encode()}
_readers: list[Parser] = []
"""Parsers that stand inside of a stream, one for each body that is just read."""


def read(data: bytes, limits: Limits) -> tuple[dict[str, str], list[Element]]:
    """The attributes of a ``<body/>``, and the elements in it. Raises StreamError or Wrong."""
    return _read_usual(data, limits) or _read_any(data, limits)


def _read_usual(data: bytes, limits: Limits) -> tuple[dict[str, str], list[Element]] | None:
    """None where it is not as nearly every body is: with a start tag that declares nothing unusual, and elements that need
    nothing of it. They are then cut as on a stream, without a parser of their own and without a tree."""
    head = _head(data, 0, TAG)
    if head is None:
        return None
    attrs: dict[str, str] = {}
    for name, one, two in _attrs(head[1]):
        value = one or two
        if name in _USUAL:
            if value != _USUAL[name]:
                return None
        elif name.startswith(b"xmlns") or not value.isascii():
            return None
        else:
            key = name.decode()
            attrs[f"{{{XBOSH}}}{key[5:]}" if key.startswith("xmpp:") else key] = value.decode()
    if head[1].count(_SPACE) != 1 or len(attrs) < head[1].count(b"=") - head[1].count(b"xmlns"):
        return None  # not in that namespace, or an attribute twice
    rest = data[head.end() :].rstrip()
    if head[2]:
        return None if rest else (attrs, [])
    inner = rest.removesuffix(b"</body>")
    if len(inner) == len(rest) or _prefixed(inner):
        return None
    if not inner:
        return attrs, []
    reader = _readers.pop() if _readers else None
    if reader is None:
        reader = Parser(limits)
        reader.feed(header({}))
    reader.limits = limits
    items, fault = slices.feed(reader, inner)
    ended = bool(items) and isinstance(items[-1], Close)
    if fault is not None or ended or reader.worker is not None:
        reader.reset()
        return None
    _readers.append(reader)
    return attrs, items


def _read_any(data: bytes, limits: Limits) -> tuple[dict[str, str], list[Element]]:
    parser = Parser(limits)
    items, fault = parser.feed(data[:TAG])
    if not items and fault is None and len(data) > TAG:
        parser.reset()
        raise Wrong("bad-request")
    if fault is None and len(data) > TAG:
        more, fault = slices.feed(parser, data[TAG:])
        items = [*items, *more]
    parser.reset()
    if fault is not None:
        raise fault
    if (
        len(items) < 2
        or not isinstance(items[-1], Close)
        or (items[0].name, items[0].ns) != ("body", HTTPBIND)
    ):
        raise Wrong("bad-request")
    return items[0].attrs, items[1:-1]
