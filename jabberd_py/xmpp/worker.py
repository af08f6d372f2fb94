"""Cuts a byte stream into stanzas (RFC 6120 sections 4 and 11), with expat and without building trees.

The boundaries of a stanza are byte indexes at its start and end, so what is relayed is what arrived.
Handlers only collect."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from xml.parsers import expat

from . import ns
from .element import RECYCLE, Builder, Element, clark
from .errors import StreamError
from .root import OWN, Root, root_of

_tag: Callable[..., re.Match[bytes]] = re.compile(
    rb"""<[^>"']*+(?:"[^"]*+"[^>"']*+|'[^']*+'[^>"']*+)*+>"""
).match  # type: ignore[assignment]
"""A start tag that expat has accepted; ``>`` may stand in attribute values, so one must not search for it."""

_STREAM = f"{ns.STREAM} stream"
_qname = re.compile(rb"<([^\s/>]+)").match
COLON = ord(
    ":"
)  # bytes look for a number at once, but for other bytes only when they have made an exception first
_WORK = 32 * 1024 * 1024
"""Bytes that expat may scan again for one stanza: an attribute trickled in with ``>`` in every piece takes
GBs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one stanza may cost."""

    bytes: int = 256 * 1024
    depth: int = 64
    attributes: int = 64


_utf16 = re.compile(rb"[\xff\xfe]|<\0|\0").match


class Header(Element):
    """A stream's start tag (RFC 6120 section 4.7); ``root`` is what its stanzas inherit."""

    __slots__ = ("root",)
    root: Root


class Close(Element):
    """A stream's end tag."""

    __slots__ = ()


class Worker:
    """An expat parser inside a stream root."""

    def __init__(self, limits: Limits, root: Root | None = None) -> None:
        self.limits = limits
        self.root = root
        self.out: list[Element] = []
        self.buffer: bytes | bytearray = b""
        self.base = 0  # offset of buffer[0] in all that expat was fed
        self.fed = 0  # how much of the buffer expat has seen
        self.done = 0  # offset behind the last complete stanza
        self.retry = 0  # how long the buffer must get before a token without an end is tried again
        self.work = 0  # bytes scanned in vain for this stanza
        self.depth = 0
        self.begin = 0
        self.name = ""
        self.attrs: dict[str, str] = {}
        self.kids: list[str] = []
        self.declared: dict[str | None, str] = {}
        self.builder: Builder | None = None
        p = self.expat = expat.ParserCreate("UTF-8", " ")
        if hasattr(p, "SetReparseDeferralEnabled"):
            p.SetReparseDeferralEnabled(False)  # stanzas must not wait for the next one
        p.StartDoctypeDeclHandler = p.CommentHandler = p.ProcessingInstructionHandler = self._restricted
        if root is None:
            p.StartNamespaceDeclHandler = self._declare
            p.XmlDeclHandler = self._xml_declaration
            p.StartElementHandler = self._open
        else:
            p.Parse(root.tag, False)
            self.base = self.done = len(root.tag)
            self.depth = 1
            p.StartElementHandler = self._start
        p.EndElementHandler = self._end

    # -- expat's handlers --------------------------------------------------------

    def _restricted(self, *args: object) -> None:
        raise StreamError("restricted-xml")

    def _xml_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() != "utf-8":
            raise StreamError("unsupported-encoding")

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        self.declared[prefix] = uri or ""

    def _open(self, name: str, attrs: dict[str, str]) -> None:
        begin = self.expat.CurrentByteIndex
        match = _qname(bytes(self.buffer[begin : begin + 256]))
        qname = match[1].decode() if match else ""
        uri, _, local = name.rpartition(" ")
        header = Header.parsed(local, uri, clark(attrs))
        assert isinstance(header, Header)
        header.root = self.root = root_of(qname, self.declared)
        self.depth = 1
        self.done = _tag(self.buffer, begin).end()
        self.out.append(header)
        self.expat.StartNamespaceDeclHandler = None
        self.expat.StartElementHandler = self._start

    def _start(self, name: str, attrs: dict[str, str]) -> None:
        depth = self.depth
        self.depth = depth + 1
        if depth == 2:
            self.kids.append(name)
        elif depth == 1:
            begin = self.begin = self.expat.CurrentByteIndex
            if begin != self.done and self.buffer[self.done - self.base : begin - self.base].strip():
                raise StreamError("bad-format", "text between stanzas")
            if name == _STREAM:
                raise StreamError("bad-format", "a second stream header")
            self.name = name
            self.attrs = attrs
            self.kids = []
        elif depth > self.limits.depth:
            raise StreamError("policy-violation", f"elements nested deeper than {self.limits.depth}")
        if len(attrs) > self.limits.attributes:
            raise StreamError("policy-violation", f"more than {self.limits.attributes} attributes")

    def _end(self, name: str) -> None:
        depth = self.depth = self.depth - 1
        if depth > 1:
            return
        buffer, base = self.buffer, self.base
        if depth == 0:
            self.done = base + len(buffer)
            self.out.append(Close.parsed("stream", ns.STREAM, {}))
            return
        begin = self.begin - base
        end = self.expat.CurrentByteIndex - base
        match = _tag(buffer, begin)
        tag, inner_at = match[0], match.end()
        if tag[-2] == 47:  # b"/": an empty element; expat's index already stands behind it
            inner, end = b"", inner_at
        else:
            inner = bytes(buffer[inner_at:end])
            end = buffer.index(b">", end) + 1  # an end tag has no attributes, so the next one is its own
        if end - begin > self.limits.bytes:
            raise StreamError("policy-violation", f"a stanza of more than {self.limits.bytes} bytes")
        self.done = base + end
        root: Root = self.root  # type: ignore[assignment]  # what stands in a root has ended
        kind = root.names.get(self.name)
        if (
            kind is not None
            and root.raw
            and COLON not in tag
            and not tag.count(b"xmlns")
            and (COLON not in inner or not any(map(inner.count, root.prefixes)))
        ):  # what nearly every message is
            self.out.append(Element.raw(kind, ns.CLIENT, self.attrs, inner, self.kids))
        else:
            self.out.append(self._stanza(root, kind, tag, inner, begin, end))

    def _stanza(
        self, root: Root, name: str | None, tag: bytes, inner: bytes, begin: int, end: int
    ) -> Element:
        attrs = self.attrs
        for key in attrs:
            if " " in key:
                attrs = clark(attrs)
                break
        content = root.content
        said = tag.count(b"xmlns")  # of a namespace that it has anyway, if at all?
        plain = not said or (said == 1 and any(map(tag.count, OWN.get(content, ()))))
        if name is not None and plain and not any(map(inner.count, root.prefixes)):
            if root.raw:
                return Element.raw(name, ns.CLIENT, attrs, inner, self.kids)
            # does a child name the content namespace, perhaps in disguise?
            if not inner.count(root.bare) and not inner.count(b"&#"):
                kids = [kid.replace(content + " ", ns.CLIENT + " ", 1) for kid in self.kids]
                return Element.raw(name, ns.CLIENT, attrs, inner, kids)
        uri, _, local = self.name.rpartition(" ")
        if not inner:
            return Element.parsed(local, ns.CLIENT if uri == content else uri, attrs)
        # prefixes come into play: only the tree says what was meant
        builder = self.builder
        if builder is None or builder.bytes > RECYCLE:
            builder = self.builder = Builder(root.tag, content)
        element = builder.build(bytes(self.buffer[begin:end]))[0]
        assert isinstance(element, Element)
        return element

    # -- feeding -------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Appends what is complete to ``out``. Raises StreamError; what came before the fault is in
        ``out``."""
        if self.buffer:
            self.buffer += data
            if len(self.buffer) < self.retry and b">" not in data:
                return  # expat would scan an unfinished token again from its start for every byte
            data = bytes(self.buffer[self.fed :])
        else:
            self.buffer = data
        self.fed = len(self.buffer)
        if self.root is None and _utf16(self.buffer):
            raise StreamError("unsupported-encoding")  # expat would understand it, whatever it was told
        try:
            self.expat.Parse(data, False)
        except expat.ExpatError as error:
            raise self._error(error) from None
        size = self.fed
        gone = self.done - self.base
        if gone == size or (self.depth == 1 and not self.buffer[gone:].strip()):
            self.buffer = b""
            self.base += size
            self.done = self.base
            self.fed = 0
            return
        if gone:
            self.work = 0
        if gone or not isinstance(self.buffer, bytearray):
            self.buffer = bytearray(self.buffer[gone:])
            self.base = self.done
            self.fed = size - gone
        if self.depth == 1 and self.buffer.lstrip()[:1] != b"<":
            raise StreamError("bad-format", "text between stanzas")
        if self.fed > self.limits.bytes:
            raise StreamError("policy-violation", f"a stanza of more than {self.limits.bytes} bytes")
        self.retry = 2 * self.fed
        self.work += self.fed - (self.expat.CurrentByteIndex - self.base)
        if self.work > _WORK:
            raise StreamError("policy-violation", "a tag in too many pieces")

    def _error(self, error: expat.ExpatError) -> StreamError:
        codes = expat.errors.codes
        if error.code in (
            codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY],
            codes[expat.errors.XML_ERROR_ENTITY_DECLARED_IN_PE],
        ):
            return StreamError("restricted-xml")
        at = self.expat.ErrorByteIndex - self.base
        if re.match(rb"<![A-Z]", self.buffer[max(0, at - 2) : at + 3]):
            return StreamError("restricted-xml")  # a DTD in the middle of the stream
        unknown = (expat.errors.XML_ERROR_UNKNOWN_ENCODING, expat.errors.XML_ERROR_INCORRECT_ENCODING)
        if self.depth == 0 and error.code in [codes[e] for e in unknown]:
            return StreamError("unsupported-encoding")
        try:
            self.buffer.decode()
        except UnicodeDecodeError as fault:
            if fault.reason != "unexpected end of data" and fault.start <= at <= fault.end:
                return StreamError("unsupported-encoding", "not UTF-8")
        return StreamError("not-well-formed", expat.ErrorString(error.code))

    def drop(self) -> None:
        """It is of no more use: without its handlers it is freed at once, not when the collector comes by."""
        p = self.expat
        p.StartElementHandler = p.EndElementHandler = p.StartDoctypeDeclHandler = None
        p.CommentHandler = p.ProcessingInstructionHandler = None
        p.StartNamespaceDeclHandler = p.XmlDeclHandler = None
