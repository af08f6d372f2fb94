"""XML elements; a stanza is one.

An element that came from the wire keeps its inner XML as the bytes it arrived in and builds the tree of its
children only when somebody asks for it (9 µs that most messages never pay). Everything here lives in the
content namespace ``jabber:client``: streams with another one (``jabber:server``) translate at their border,
by inheritance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from xml.parsers import expat

from . import ns as _ns
from .jid import JID, parse
from .serialise import ATTRIBUTE, attributes, escape

_BARE = _ns.CLIENT.encode()


class Element:
    """``Element(name, ns, *children, **attrs)``.

    Children are elements, text, or None (left out). Attribute values are turned into text, None is left out,
    and a trailing underscore is dropped (``from_=``). ``attrs`` may be changed freely; children only by
    `append` and `remove`, because the serialised form is kept.
    """

    __slots__ = ("name", "ns", "attrs", "uid", "session", "_children", "_inner", "_kids")

    name: str
    ns: str
    attrs: dict[str, str]
    _children: list[Element | str] | None
    _inner: bytes | None
    _kids: list[str] | None
    uid: int
    """Of a message that is kept for its recipient: the number of its row, which is its stanza-id; else 0."""
    session: Any
    """The session that sent the stanza, if it came from a client of this server."""

    def __init__(
        self, name: str, namespace: str = _ns.CLIENT, /, *children: Element | str | None, **attrs: object
    ) -> None:
        self.name = name
        self.ns = namespace
        self.attrs = {key.rstrip("_"): str(value) for key, value in attrs.items() if value is not None}
        self._children = [child for child in children if child is not None]
        self._inner = self._kids = None
        self.uid = 0
        self.session = None

    @staticmethod
    def raw(name: str, namespace: str, attrs: dict[str, str], inner: bytes, kids: list[str]) -> Raw:
        """From the wire: ``inner`` is well-formed and stands by itself in ``jabber:client``; ``kids`` are the
        direct children as ``"uri name"``."""
        self = _new(Raw)
        self.name = name
        self.ns = namespace
        self.attrs = attrs
        self._children = None
        self._inner = inner
        self.kids = kids
        self.uid = 0
        self.session = None
        return self

    @classmethod
    def parsed(cls, name: str, namespace: str, attrs: dict[str, str]) -> Element:
        """An element still without children, whose attributes are taken as they are."""
        self = cls.__new__(cls)
        self.name = name
        self.ns = namespace
        self.attrs = attrs
        self._children = []
        self._inner = self._kids = None
        self.uid = 0
        self.session = None
        return self

    # -- children ------------------------------------------------------------

    @property
    def children(self) -> list[Element | str]:
        """Elements and text, in order. Read only: change by `append` and `remove`."""
        if self._children is None:
            self._children = build(self._inner) if self._inner else []
        return self._children

    def elements(self) -> Iterator[Element]:
        return iter([child for child in self.children if not isinstance(child, str)])

    def child(self, name: str, namespace: str | None = None) -> Element | None:
        """The first child of that name (and namespace), or None."""
        for child in self.children:
            if not isinstance(child, str) and child.name == name and namespace in (None, child.ns):
                return child
        return None

    def all(self, name: str, namespace: str | None = None) -> list[Element]:
        """The children of that name (and namespace)."""
        return [e for e in self.elements() if e.name == name and namespace in (None, e.ns)]

    def has(self, name: str, namespace: str = _ns.CLIENT) -> bool:
        """Is there such a child? Never builds the tree."""
        return (f"{namespace} {name}" if namespace else name) in self.kids

    @property
    def kids(self) -> list[str]:
        """The direct children as ``"uri name"``."""
        if self._kids is None:
            self._kids = self._names()
        return self._kids

    def _names(self) -> list[str]:
        return [f"{e.ns} {e.name}" if e.ns else e.name for e in self.elements()]

    def _changed(self) -> None:
        self._inner = self._kids = None

    @property
    def payload(self) -> Element | None:
        """The first child element: what an IQ is about."""
        for child in self.children:
            if not isinstance(child, str):
                return child
        return None

    @property
    def text(self) -> str:
        return "".join([child for child in self.children if isinstance(child, str)])

    def text_of(self, name: str, namespace: str | None = None) -> str | None:
        """The text of the first such child, or None."""
        child = self.child(name, namespace)
        return None if child is None else child.text

    def append(self, *children: Element | str) -> Element:
        """Returns the element itself."""
        self.children.extend(children)
        self._changed()
        return self

    def remove(self, child: Element) -> None:
        """One child. Of several of a name: `take`, which goes through the children once."""
        self.children.remove(child)
        self._changed()

    def take(self, name: str, namespace: str, where: Callable[[Element], bool] = bool) -> list[Element]:
        """Takes out all children of that name and namespace of which ``where`` is true, and returns them."""
        taken = [each for each in self.all(name, namespace) if where(each)]
        if taken:
            gone = set(map(id, taken))
            self.children[:] = [each for each in self.children if id(each) not in gone]
            self._changed()
        return taken

    # -- as a stanza -----------------------------------------------------------

    @property
    def to(self) -> JID | None:
        """Raises ValueError when it is not an address (streams have checked theirs)."""
        to = self.attrs.get("to")
        return None if to is None else parse(to)

    @to.setter
    def to(self, jid: JID | str | None) -> None:
        self._set("to", jid)

    @property
    def from_(self) -> JID | None:
        jid = self.attrs.get("from")
        return None if jid is None else parse(jid)

    @from_.setter
    def from_(self, jid: JID | str | None) -> None:
        self._set("from", jid)

    def _set(self, key: str, value: JID | str | None) -> None:
        if value is None:
            self.attrs.pop(key, None)
        else:
            self.attrs[key] = str(value)

    @property
    def type(self) -> str | None:
        return self.attrs.get("type")

    @property
    def id(self) -> str | None:
        return self.attrs.get("id")

    def copy(self, **attrs: object) -> Element:
        """The same stanza with other attributes (``to=``, ``from_=``; None removes): it shares the
        serialised inner XML, so a stanza for many readers is serialised once. Its children are shared:
        append to neither."""
        inner = self.inner
        twin = Element.raw(self.name, self.ns, dict(self.attrs), inner, self.kids)
        if self.ns != _ns.CLIENT:
            twin._children = list(self.children)  # raw bytes are only ever read as jabber:client
        for key, value in attrs.items():
            twin._set(key.rstrip("_"), None if value is None else str(value))
        return twin

    def reply(self, *children: Element | str | None) -> Element:
        """An IQ result back to the sender."""
        answer = Element("iq", _ns.CLIENT, *children)
        answer.attrs = self.reply_attrs()
        return answer

    def reply_attrs(self) -> dict[str, str]:
        """The attributes of an IQ result back to the sender."""
        attrs = self.attrs
        answer = {"type": "result", "id": attrs.get("id", "")}
        if "to" in attrs:
            answer["from"] = attrs["to"]
        if "from" in attrs:
            answer["to"] = attrs["from"]
        return answer

    # -- serialised ------------------------------------------------------------

    @property
    def inner(self) -> bytes:
        """The children as UTF-8, kept until they change."""
        if self._inner is None:
            out: list[str] = []
            for child in self._children or ():
                if isinstance(child, str):
                    out.append(escape(child))
                else:
                    child._write(out.append, self.ns)
            self._inner = "".join(out).encode()
        return self._inner

    def serialise(self, turns: Callable[[Iterable[Any]], Iterable[Any]]) -> None:
        """Makes `inner` now, child by child as ``turns`` gives them: for a long list, which would take long in one go."""
        children = turns(self.children)
        self._inner = b"".join(
            [c.to_bytes(self.ns) if isinstance(c, Element) else escape(c).encode() for c in children]
        )

    def to_bytes(self, namespace: str = _ns.CLIENT) -> bytes:
        """The element as UTF-8, to stand where the default namespace is ``namespace``."""
        # a fresh start tag around the inner bytes as they are: the hot path
        xmlns = "" if self.ns == namespace else f" xmlns='{self.ns.translate(ATTRIBUTE)}'"
        tag = self.name + xmlns + attributes(self.attrs)
        inner = self._inner if self._inner is not None else self.inner
        if not inner:
            return f"<{tag}/>".encode()
        return b"<%b>%b</%b>" % (tag.encode(), inner, self.name.encode())

    def across(self) -> bytes:
        """The stanza for a stream of another content namespace (``jabber:server``...): children in ``jabber:client`` move."""
        if self.ns == _ns.CLIENT and self._inner and (_BARE in self._inner or b"&#" in self._inner):
            # it names its namespace, perhaps in disguise: said once more it would stay there
            fresh = Element.parsed(self.name, self.ns, self.attrs)
            fresh._children = list(self.children)
            return fresh.to_bytes()
        return self.to_bytes()

    def _write(self, write: Callable[[str], object], namespace: str) -> None:
        xmlns = "" if self.ns == namespace else f" xmlns='{self.ns.translate(ATTRIBUTE)}'"
        tag = self.name + xmlns + attributes(self.attrs)
        if self._inner is not None:
            inner = self._inner.decode()
            write(f"<{tag}>{inner}</{self.name}>" if inner else f"<{tag}/>")
            return
        if not self._children:
            write(f"<{tag}/>")
            return
        write(f"<{tag}>")
        for child in self._children:
            if isinstance(child, str):
                write(escape(child))
            else:
                child._write(write, self.ns)
        write(f"</{self.name}>")

    def __str__(self) -> str:
        return self.to_bytes().decode()

    def __repr__(self) -> str:
        return f"Element({str(self)!r})"


class Raw(Element):
    """An element from the wire, or a copy. Its ``kids`` are a slot: a look at them builds no tree and costs no call, and each
    message gets some ten looks. (``__getattr__`` would do without this class, but makes every attribute slower.)"""

    __slots__ = ("kids",)
    kids: list[str]

    def _changed(self) -> None:
        self._inner = None
        self.kids = self._names()


_new = object.__new__


# -- trees -----------------------------------------------------------------------


def clark(attrs: dict[str, str], separator: str = " ") -> dict[str, str]:
    """Expat's ``uri name`` keys as ``{uri}name``, and ``xml:lang`` as people write it."""
    clean = {}
    for key, value in attrs.items():
        if separator in key:
            uri, name = key.rsplit(separator, 1)
            key = f"xml:{name}" if uri == _ns.XML else f"{{{uri}}}{name}"
        clean[key] = value
    return clean


class Builder:
    """Builds trees inside one root that never ends, so that one expat parser serves thousands of stanzas."""

    def __init__(self, root: bytes, content: str = _ns.CLIENT) -> None:
        self.content = content
        self.bytes = 0
        self.top: list[Element | str] = []
        self.stack: list[list[Element | str]] = []
        parser = expat.ParserCreate("UTF-8", _ns.SEPARATOR)
        parser.buffer_text = True
        if hasattr(parser, "SetReparseDeferralEnabled"):
            parser.SetReparseDeferralEnabled(False)
        parser.Parse(root, False)
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self.parser = parser

    def _start(self, name: str, attrs: dict[str, str]) -> None:
        uri, _, local = name.rpartition(_ns.SEPARATOR)
        if uri == self.content:
            uri = _ns.CLIENT
        for key in attrs:
            if _ns.SEPARATOR in key:
                attrs = clark(attrs, _ns.SEPARATOR)
                break
        element = Element.parsed(local, uri, attrs)
        self.stack[-1].append(element)
        self.stack.append(element._children)  # type: ignore[arg-type]

    def _end(self, name: str) -> None:
        self.stack.pop()

    def _text(self, text: str) -> None:
        self.stack[-1].append(text)

    def build(self, xml: bytes) -> list[Element | str]:
        """``xml`` must be well-formed content."""
        self.bytes += len(xml)
        self.top = []
        self.stack = [self.top]
        self.parser.Parse(xml + b"<_/>", False)  # the last element makes expat let go of buffered text
        if len(self.stack) != 1:
            raise ValueError("an element is not closed")
        self.top.pop()
        return self.top


ROOT = f"<stream:stream xmlns='{_ns.CLIENT}' xmlns:stream='{_ns.STREAM}'>".encode()
RECYCLE = 256 * 1024
"""Bytes after which a parser is thrown away: expat keeps every distinct name that it has met."""

_builder: Builder | None = None


def build(xml: bytes) -> list[Element | str]:
    """The children that ``xml``, well-formed content in ``jabber:client``, stands for."""
    global _builder
    builder, _builder = _builder, None  # taken while in use: a parse that fails spoils only itself
    if builder is None or builder.bytes > RECYCLE:
        builder = Builder(ROOT)
    children = builder.build(xml)
    _builder = builder
    return children


def from_text(xml: str | bytes) -> Element:
    """One element from a complete text of our own (the store, the console, tests). Raises ValueError."""
    data = xml.encode() if isinstance(xml, str) else xml
    try:
        elements = [child for child in build(data) if not isinstance(child, str)]
    except expat.ExpatError as error:
        raise ValueError(f"not well-formed: {error}") from None
    if len(elements) != 1:
        raise ValueError("one element was expected")
    return elements[0]
