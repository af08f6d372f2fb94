"""Payloads as they came. What is published is stored and told as text, so no tree is made of it."""

from __future__ import annotations

import re
from typing import Any

from ..xmpp.element import RECYCLE, ROOT, Builder, Element, clark, from_text
from ..xmpp.large import SLICE
from ..xmpp.ns import SEPARATOR
from .names import NS

_item = [f"{NS}{SEPARATOR}{name}" for name in ("pubsub", "publish", "item")]
"""What a payload stands in, from the outside."""
_own_namespace = re.compile(
    rb"""<[^\s/>:"'=&]+ xmlns=(?:'[^'<&]*+'|"[^"<&]*+")[^>"']*+(?:"[^"]*+"[^>"']*+|'[^']*+'[^>"']*+)*+>"""
).match
"""The start tag of an element that says first of all in which namespace it is, as clients write payloads."""


class Verbatim(Element):
    """A payload. Its children are built only if somebody asks for them.

    data  the whole element as UTF-8. It means the same wherever it stands.
    """

    __slots__ = ("data",)
    data: bytes

    @property
    def children(self) -> list[Element | str]:
        if self._children is None:
            self._children = from_text(self.data).children
        return self._children

    @property
    def inner(self) -> bytes:
        _ = self.children
        return super().inner

    def to_bytes(self, namespace: str = "") -> bytes:
        return self.data

    def _write(self, write: Any, namespace: str) -> None:
        write(self.data.decode())


class Reader(Builder):
    """Builds trees whose payloads are `Verbatim`, where these say themselves what they mean."""

    def __init__(self) -> None:
        super().__init__(ROOT)
        self.xml = b""
        self.base = len(ROOT)  # offset of the first byte of `xml` in all that expat was fed
        self.path: list[str] = []
        self.inside = 0  # levels of elements that are open in a payload, with itself
        self.payload: Verbatim | None = None
        self.begin = self.end = 0  # of the payload; the end is known at once if it is empty

    def read(self, xml: bytes) -> list[Element | str]:
        """``xml`` is well-formed and stands by itself in ``jabber:client``."""
        self.xml = xml
        children = self.build(xml)
        self.base += len(xml) + len(b"<_/>")
        self.xml = b""
        return children

    def _start(self, name: str, attrs: dict[str, str]) -> None:
        if self.inside:
            self.inside += 1
            return
        if self.path != _item or not self._opaque(name, attrs):
            self.path.append(name)
            super()._start(name, attrs)

    def _opaque(self, name: str, attrs: dict[str, str]) -> bool:
        """Begins a payload, if what it means does not depend on the elements around it."""
        begin = self.parser.CurrentByteIndex - self.base
        tag = _own_namespace(self.xml, begin)
        if tag is None or self.xml.find(b"xmlns:", 0, begin) >= 0:
            return False
        uri, _, local = name.rpartition(SEPARATOR)
        payload = self.payload = Verbatim.parsed(local, uri, clark(attrs, SEPARATOR))  # type: ignore[assignment]
        payload._children = None
        self.stack[-1].append(payload)
        self.begin, self.end = begin, tag.end() if tag[0].endswith(b"/>") else 0
        self.inside = 1
        return True

    def _end(self, name: str) -> None:
        if not self.inside:
            self.path.pop()
            super()._end(name)
            return
        self.inside -= 1
        if not self.inside:
            end = self.end or self.xml.index(b">", self.parser.CurrentByteIndex - self.base) + 1
            assert self.payload is not None
            self.payload.data = self.xml[self.begin : end]

    def _text(self, text: str) -> None:
        if not self.inside:
            self.stack[-1].append(text)


_reader: Reader | None = None


def unfold(request: Element) -> None:
    """Builds the children of a small request, for which nobody has asked yet, with payloads that stay as they came."""
    global _reader
    inner = request._inner
    if inner is None or request._children is not None or len(inner) > SLICE:
        return
    reader, _reader = _reader, None  # taken while in use: a parse that fails spoils only itself
    if reader is None or reader.bytes > RECYCLE:
        reader = Reader()
    request._children = reader.read(inner)
    _reader = reader
