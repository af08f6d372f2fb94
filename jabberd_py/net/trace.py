"""What goes over single streams, for a person who watches: XML as it is, but for passwords and keys.

A stream that nobody watches pays nothing: who watches one changes its class, for as long as he watches.
"""

from __future__ import annotations

import re
import time
from typing import Any, Self

from ..log import DEBUG, Line, Tail
from ..words import clean
from ..xmpp.element import Element
from ..xmpp.parser import Close, Header
from .stream import Stream

LONGEST = 8000
"""Characters of one stanza that are shown."""
MASK = "***"
_secret = "auth|response|challenge|success|initial-response|additional-data|password|passwd|digest|handshake|secret|token|key"
# each reads a tag once, however often what it looks for stands in it: texts are hostile
_texts = re.compile(rf"(<((?:[\w.-]+:)?(?:{_secret})|[\w.-]+:result|[\w.-]+:verify)\b[^<>]*+(?<!/)>)[^<]+")
_results = re.compile(
    r"(<(?:result|verify)\b(?=[^<>]*xmlns=['\"]jabber:server:dialback['\"])[^<>]*+(?<!/)>)[^<]+"
)
_attributes = re.compile(r"(\b(?:previd|password|passwd|token|secret|key)=)('[^']*'|\"[^\"]*\")")
_enabled = re.compile(r"(<(?:[\w.-]+:)?enabled\b[^<>]*?\bid=)('[^']*'|\"[^\"]*\")")
_names = "passw|secret|token", "code|value|changes"
_fields = re.compile(
    rf"(<field\b(?=[^<>]*\bvar=(?:'[^'<>]*?(?:{_names[0]}|(?:{_names[1]})')"
    rf"|\"[^\"<>]*?(?:{_names[0]}|(?:{_names[1]})\")))"
    r"[^<>]*+>(?:(?!<field\b).)*?<value>)[^<]+",
    re.S,
)
_links = re.compile(r"(/(?:password|invite|setup)/|\bpreauth=|<put\b[^<>]{0,200}?\burl=['\"])[^\s<>'\"&;]++")


def masked(text: str) -> str:
    """The XML without what would let somebody log in: SASL, passwords, keys, tokens of resumable streams."""
    for pattern in (_texts, _results, _fields, _links):
        text = pattern.sub(rf"\1{MASK}", text)
    for pattern in (_attributes, _enabled):
        text = pattern.sub(rf"\1'{MASK}'", text)
    return text


class Trace(Tail):
    """Watches streams: a context and an iterator of lines, like the live log."""

    def __init__(self, limit: int = 1000) -> None:
        super().__init__(DEBUG, "text", limit)
        self.render = _shown
        self.streams: dict[Stream, str] = {}
        self.only: str | None = None
        """Of other streams than a client's: only stanzas from or to this address."""

    def __enter__(self) -> Self:
        return self

    def watch(self, stream: Stream, who: str) -> None:
        """``who``: whose stream it is, for the reader. Of a busy stream, the element that it is just waiting for is missed."""
        if stream not in self.streams and stream.watcher is not None:
            self.streams[stream] = who
            taps.setdefault(stream, []).append(self)
            stream.__class__ = _tapped(type(stream))
            self.say(stream, "--", "watching")

    def say(self, stream: Stream, way: str, text: str) -> None:
        if self.only is None or self.only in text:
            who = self.streams.get(stream, "")
            self.write(
                {
                    "time": time.time(),
                    "level": "debug",
                    "event": masked(text[:LONGEST]),
                    "who": who,
                    "way": way,
                }
            )

    def forget(self, stream: Stream) -> None:
        self.streams.pop(stream, None)
        left = [each for each in taps.pop(stream, []) if each is not self]
        if left:
            taps[stream] = left
        elif isinstance(stream, Tapped):
            stream.__class__ = type(stream).__mro__[2]

    def close(self) -> None:
        for stream in list(self.streams):
            self.forget(stream)
        super().close()


def _shown(line: Line) -> str:
    stamp = time.strftime("%H:%M:%S", time.localtime(line["time"]))
    text = "".join(c if c.isprintable() else clean(c) for c in line["event"])
    return f"{stamp}.{line['time'] % 1 * 1000:03.0f} {clean(line['who'])} {line['way']} {text}"


taps: dict[Stream, list[Trace]] = {}
"""Who watches a stream."""
_classes: dict[type[Stream], type[Stream]] = {}


class Tapped:
    """Comes before the class of a stream that is watched. It knows no `super`: what somebody has bound is called also later."""

    __slots__ = ()

    def send(self: Any, data: bytes) -> None:
        for trace in taps.get(self, ()):
            trace.say(self, "->", data.decode(errors="replace"))
        Stream.send(self, data)

    def read(self: Any) -> Element:
        item = Stream.read(self)
        for trace in taps.get(self, ()):
            trace.say(self, "<-", _text(item))
        return item

    def abort(self: Any) -> None:
        Stream.abort(self)
        for trace in list(taps.get(self, ())):
            trace.say(self, "--", "gone")
            trace.forget(self)


def _tapped(kind: type[Stream]) -> type[Stream]:
    if issubclass(kind, Tapped):
        return kind
    if kind not in _classes:
        _classes[kind] = type(f"Tapped{kind.__name__}", (Tapped, kind), {"__slots__": ()})
    return _classes[kind]


def _text(item: Any) -> str:
    if isinstance(item, Header):
        return "<stream" + "".join(f" {name}='{value}'" for name, value in item.attrs.items()) + ">"
    return "</stream>" if isinstance(item, Close) else str(item)
