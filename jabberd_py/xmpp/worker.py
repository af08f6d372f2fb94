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
_client: Callable[..., re.Match[bytes] | None] = re.compile(
    rb"""[^:]*\sxmlns=(["'])jabber:client\1[^:]*"""
).fullmatch
_WORK = 32 * 1024 * 1024
"""Bytes that expat may scan again for one stanza: an attribute trickled in with ``>`` in every piece takes
GBs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one stanza may cost: bytes, levels of elements, attributes of one element, and elements, since a tree costs for
    each. A stanza that costs more ends the stream; or, where ``skip`` is not 0, it is `Skipped`, up to so many bytes of it."""

    bytes: int = 256 * 1024
    depth: int = 64
    attributes: int = 64
    skip: int = 0
    elements: int = 10_000


_DEEP = 1000
"""Levels of a skipped stanza: expat keeps the name of every open element."""
_SYNTAX = expat.errors.codes[expat.errors.XML_ERROR_SYNTAX]
_utf16 = re.compile(rb"[\xff\xfe]|<\0|\0").match


class Header(Element):
    """A stream's start tag (RFC 6120 section 4.7); ``root`` is what its stanzas inherit."""

    __slots__ = ("root",)
    root: Root


class Close(Element):
    """A stream's end tag."""

    __slots__ = ()


PREFIXED = 5_000
"""Tags in a stanza that uses prefixes of its stream's header. Its tree is built at once: that many take some 20 ms."""


class Skipped(Element):
    """The start tag of a stanza beyond the limits, whose content was read and thrown away; ``reason``: which limit."""

    __slots__ = ("reason",)
    reason: str


class Careful(Exception):
    """This stanza is for a `Worker` that is ``careful``."""


def _spaced(name: str, attrs: dict[str, str]) -> tuple[str, dict[str, str]]:
    return name.replace(ns.SEPARATOR, " "), {
        key.replace(ns.SEPARATOR, " "): value for key, value in attrs.items()
    }


class Worker:
    """An expat parser inside a stream root.

    ``content``: the content namespace that is spoken on this stream, for a root that declares none (RFC 6120 section 4.8.2).
    ``careful``: expat refuses a namespace that contains its separator of namespace and name. The usual one is a space, so that
    names come as ``"uri name"`` at no cost; a careful worker has another one, and replaces it.
    ``excess``: why this stanza is skipped; else empty."""

    def __init__(
        self, limits: Limits, content: str = ns.CLIENT, root: Root | None = None, careful: bool = False
    ) -> None:
        self.limits = limits
        self.content = content
        self.root = root
        self.careful = careful = careful or (root is not None and root.spaced)
        self.excess = ""
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
        p = self.expat = expat.ParserCreate("UTF-8", ns.SEPARATOR if careful else " ")
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
            p.StartElementHandler = self._carefully if careful else self._start
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
        if self.careful:
            name, attrs = _spaced(name, attrs)
        uri, _, local = name.rpartition(" ")
        header = Header.parsed(local, uri, clark(attrs))
        assert isinstance(header, Header)
        header.root = self.root = root_of(qname, self.declared, self.content)
        self.depth = 1
        self.done = _tag(self.buffer, begin).end()
        self.out.append(header)
        self.expat.StartNamespaceDeclHandler = None
        self.expat.StartElementHandler = self._carefully if self.careful else self._start

    def _carefully(self, name: str, attrs: dict[str, str]) -> None:
        self._start(*_spaced(name, attrs))

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
            self._exceed(f"elements nested deeper than {self.limits.depth}", depth > _DEEP)
        if len(attrs) > self.limits.attributes:
            self._exceed(f"more than {self.limits.attributes} attributes")

    def _exceed(self, reason: str, hopeless: bool = False) -> None:
        """The stanza costs too much: it is skipped from now on. Raises StreamError where it must not be, and Careful where
        this worker cannot, since a skipped stanza cannot be read again."""
        assert self.root is not None
        if hopeless or not self.limits.skip or self.name not in self.root.names:
            raise StreamError("policy-violation", reason)
        if not self.careful:
            raise Careful
        self.excess = self.excess or reason

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
        match = _tag(buffer, begin) if begin >= 0 else None  # else it is thrown away
        if match is not None and match[0][-2] == 47:  # b"/": an empty element; expat's index is behind it
            tag, inner, end = match[0], b"", match.end()
        else:
            tag = inner = b""
            if match is not None:
                tag, inner = match[0], bytes(buffer[match.end() : end])
            end = buffer.index(b">", end) + 1  # an end tag has no attributes, so the next one is its own
        if end - begin > self.limits.bytes:
            self._exceed(f"a stanza of more than {self.limits.bytes} bytes")
        most = self.limits.elements
        if len(inner) > 4 * most and inner.count(b"<") - inner.count(b"</") > most:  # an element has 4 bytes
            self._exceed(f"a stanza of more than {most} elements")
        self.done = base + end
        root: Root = self.root  # type: ignore[assignment]  # what stands in a root has ended
        kind = root.names.get(self.name)
        if self.excess:
            self.out.append(self._skipped(kind))
        elif (
            kind is not None
            and root.raw
            and (COLON not in tag and not tag.count(b"xmlns") or _client(tag))
            and (COLON not in inner or not any(map(inner.count, root.prefixes)))
        ):  # what nearly every message is
            self.out.append(Element.raw(kind, ns.CLIENT, self.attrs, inner, self.kids))
        else:
            self.out.append(self._stanza(root, kind, tag, inner, begin, end))

    def _skipped(self, name: str | None) -> Skipped:
        assert name is not None
        skipped = Skipped.parsed(name, ns.CLIENT, clark(self.attrs))
        assert isinstance(skipped, Skipped)
        skipped.reason, self.excess = self.excess, ""
        return skipped

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
        # prefixes come into play: only the tree says what was meant, and it is built in one go
        if inner.count(b"<") > PREFIXED:
            self._exceed(f"more than {PREFIXED} tags in a stanza that uses prefixes of its stream's header")
            return self._skipped(name)
        builder = self.builder
        if builder is None or builder.bytes > RECYCLE:
            builder = self.builder = Builder(root.tag, content)
        element = builder.build(bytes(self.buffer[begin:end]))[0]
        assert isinstance(element, Element)
        return element

    # -- feeding -------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Appends what is complete to ``out``. Raises StreamError or Careful; what came before is in ``out``."""
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
            if error.code == _SYNTAX and not self.careful:
                raise Careful from None
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
            reason = f"a stanza of more than {self.limits.bytes} bytes"
            if self.depth <= 1 or self.excess:  # one tag, or one text, is as long as that
                raise StreamError("policy-violation", reason)
            self._exceed(reason)
        if self.excess:
            self._throw_away()
        self.retry = 2 * self.fed
        self.work += self.fed - (self.expat.CurrentByteIndex - self.base)
        if self.work > _WORK:
            raise StreamError("policy-violation", "a tag in too many pieces")

    def _throw_away(self) -> None:
        """What was read of the stanza that is skipped. Raises StreamError where it does not end."""
        read = self.expat.CurrentByteIndex
        if read - self.begin > self.limits.skip:
            raise StreamError("policy-violation", f"a stanza of more than {self.limits.skip} bytes")
        del self.buffer[: read - self.base]  # type: ignore[union-attr]  # it became a bytearray above
        self.base = self.done = read
        self.fed = len(self.buffer)

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
