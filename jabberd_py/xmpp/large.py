"""Large stanzas, without holding up others: their trees are built in turns, and stored XML is answered as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

from .element import ROOT, Builder, Element, from_text

SLICE = 4096
"""Bytes that are parsed at a time: a thousand elements at most, 2 ms."""


def unfold(stanza: Element, turns: Callable[[Iterable[Any]], Iterable[Any]]) -> None:
    """Builds the children of a large stanza now, a slice at a time as ``turns`` gives them. Of a small one it leaves that to
    who asks first. Blocks as ``turns`` does."""
    inner = stanza._inner
    if inner is None or len(inner) <= SLICE or stanza._children is not None:
        return
    builder = Builder(ROOT)
    builder.stack = [builder.top]
    for at in turns(range(0, len(inner), SLICE)):
        builder.parser.Parse(inner[at : at + SLICE], False)
    builder.parser.Parse(b"<_/>", False)  # makes expat let go of buffered text
    builder.top.pop()
    if stanza._children is None:
        stanza._children = builder.top


def grown(xml: str, turns: Callable[[Iterable[Any]], Iterable[Any]]) -> Element:
    """Like `element.from_text`; the tree of a long text is built a slice at a time. Blocks as ``turns`` does. Raises
    ValueError."""
    data = xml.encode()
    if len(data) <= SLICE:
        return from_text(data)
    builder = Builder(ROOT)
    builder.stack = [builder.top]
    try:
        for at in turns(range(0, len(data), SLICE)):
            builder.parser.Parse(data[at : at + SLICE], False)
        builder.parser.Parse(b"<_/>", False)
    except ExpatError as error:
        raise ValueError(f"not well-formed: {error}") from None
    elements = [each for each in builder.top if not isinstance(each, str)]
    if len(builder.stack) != 1 or len(elements) != 2:
        raise ValueError("one element was expected")
    return elements[0]


def payload_text(request: Element) -> str:
    """The payload of an IQ; as it came, where nothing else stands in the IQ."""
    return request.inner.decode() if len(request.children) == 1 else str(request.payload)


def check_whole(xml: str) -> None:
    """Raises ValueError if stored text is not one whole element. No tree is made of it."""
    try:
        ParserCreate(namespace_separator=" ").Parse(xml, True)
    except ExpatError as error:
        raise ValueError(str(error)) from None


def verbatim(request: Element, xml: str) -> Element:
    """The result for a request that has ``xml``, one whole element as it stands in ``jabber:client``, as its payload. No
    tree is made of it. Raises ValueError if it is not whole: it would end the reader's stream."""
    check_whole(xml)
    answer = request.reply()
    return Element.raw(answer.name, answer.ns, answer.attrs, xml.encode(), request.kids)
