"""One client's BOSH session (XEP-0124): requests in the order of their ``rid``, and what answers them."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from gevent.event import AsyncResult

from ..heartbeat import heartbeat
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.parser import Close, Header, Limits, Parser
from ..xmpp.serialise import attributes
from .mailbox import Body, Mailbox, MailboxStream
from .websocket import header

HTTPBIND, XBOSH = "http://jabber.org/protocol/httpbind", "urn:xmpp:xbosh"
VERSION = "1.11"
WAIT = 60
"""Seconds that a request waits for something to answer it with, at most."""
HOLD = 2
"""Requests that wait at a time, at most."""
MAXPAUSE = 120
POLLING = 2
"""Seconds between two empty requests of a client that does not let them wait."""
ANSWER = 256 * 1024
"""Bytes of stanzas in one answer, about."""
DIRECT = (
    "host-unknown",
    "host-gone",
    "improper-addressing",
    "internal-server-error",
    "policy-violation",
    "system-shutdown",
)
"""Stream errors that are conditions of BOSH, too (section 17.2)."""


class Wrong(Exception):
    """The session ends with this condition of section 17.2."""


def body(payload: bytes, attrs: dict[str, Any]) -> bytes:
    """A ``<body/>``."""
    said = attributes({name: str(value) for name, value in attrs.items()}).encode()
    head = b"<body xmlns='%b' xmlns:xmpp='%b' xmlns:stream='%b'%b" % (
        HTTPBIND.encode(), XBOSH.encode(), ns.STREAM.encode(), said,
    )  # fmt: skip
    return b"%b>%b</body>" % (head, payload) if payload else head + b"/>"


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


class Pending:
    """A request that has not been answered. ``answer``: the body of the answer."""

    def __init__(self, rid: int, attrs: dict[str, str], content: Body, until: float) -> None:
        self.rid, self.attrs, self.content, self.until = rid, attrs, content, until
        self.answer: Any = AsyncResult()


class Session:
    """
    next      the ``rid`` that comes next
    early     rid -> a request that came before its turn
    held      requests that wait for something to answer them with
    answers   rid -> the answer, of the last requests, in case that it was lost
    quiet     since when no request is held
    """

    slot = 0

    def __init__(
        self, rid: int, attrs: dict[str, str], inactivity: float, gone: Callable[[Session], object]
    ) -> None:
        """Raises Wrong."""
        self.sid = secrets.token_urlsafe(24)
        self.attrs = attrs
        self.next = rid
        self.wait = number(attrs.get("wait"), WAIT, WAIT)
        self.hold = min(number(attrs.get("hold"), 1, HOLD), HOLD if self.wait else 0)
        self.requests = self.hold + 1
        self.inactivity = self.silence = inactivity
        self.acks = attrs.get("ack") == "1"
        self.key = attrs.get("newkey")
        self.gone = gone
        self.early: dict[int, Pending] = {}
        self.held: list[Pending] = []
        self.answers: OrderedDict[int, bytes] = OrderedDict()
        self.quiet = self.polled = 0.0
        self.begun = self.ended = False
        self.mailbox = Mailbox()
        self.mailbox.taken, self.mailbox.closed = self._advance, self.end
        self.stream: MailboxStream

    def carry(self, stream: MailboxStream) -> None:
        """The stream that it carries."""
        self.stream = stream
        stream.ready = self._ready
        heartbeat.at(time.monotonic() + self.inactivity, self)

    # -- requests ---------------------------------------------------------------------------

    def take(self, rid: int, attrs: dict[str, str], content: Body) -> Any:
        """A request. Returns what will have the answer. Raises Wrong; the session has ended then."""
        if rid in self.answers:  # the answer was lost
            found: Any = AsyncResult()
            found.set(self.answers[rid])
            return found
        known = next((each for each in [*self.held, *self.early.values()] if each.rid == rid), None)
        if known is not None:
            return known.answer
        try:
            if self.ended or not self.next <= rid < self.next + self.requests:
                raise Wrong("item-not-found")
            if len(self.held) + len(self.early) > self.requests:
                raise Wrong("policy-violation")
            pending = self.early[rid] = Pending(rid, attrs, content, time.monotonic() + self.wait)
            self._advance()
        except Wrong as wrong:
            self.fail(str(wrong))
            raise
        return pending.answer

    def _advance(self) -> None:
        """Handles the requests whose turn it is, one after the other as the stream takes them."""
        while self.next in self.early and self.mailbox.body is None and not self.ended:
            pending = self.early.pop(self.next)
            try:
                self._handle(pending)
            except Wrong as wrong:
                self.held.append(pending)
                self.fail(str(wrong))

    def _handle(self, pending: Pending) -> None:
        attrs, now = pending.attrs, time.monotonic()
        if self.begun:
            self._unlock(attrs)
        self.next += 1
        empty = not pending.content.items and not attrs.keys() & {"type", "pause", f"{{{XBOSH}}}restart"}
        if empty and self.begun and not self.hold and not self.stream.out and now - self.polled < POLLING:
            raise Wrong("policy-violation")
        self.polled = now if empty and self.begun else 0.0
        if self.acks and "ack" in attrs:
            for rid in [rid for rid in self.answers if rid <= number(attrs["ack"], 0, 1 << 53)]:
                del self.answers[rid]
        self.silence = self.inactivity
        items = pending.content.items
        if not self.begun or attrs.get(f"{{{XBOSH}}}restart") == "true":
            items.insert(0, self._header(attrs))
        if attrs.get("type") == "terminate":
            items.append(Close.parsed("stream", ns.STREAM, {}))
        self.held.append(pending)
        if items:
            self.mailbox.put(pending.content)
        if "pause" in attrs:
            self.silence = number(attrs["pause"], 0, MAXPAUSE)
            while self.held:
                self._answer()
        elif self.begun:
            while len(self.held) > self.hold and (self.hold or attrs.get("type") != "terminate"):
                self._answer()
            if self.stream.out:
                self._ready()
        self._schedule()

    def _unlock(self, attrs: dict[str, str]) -> None:
        """Keys (section 15): each is the hash of the next one. Raises Wrong."""
        if self.key is not None:
            if hashlib.sha1(attrs.get("key", "").encode()).hexdigest() != self.key.lower():
                raise Wrong("item-not-found")
            self.key = attrs.get("newkey") or attrs["key"]

    def _header(self, attrs: dict[str, str]) -> Header:
        said = {name: self.attrs[name] for name in ("to", "from", "xml:lang") if name in self.attrs}
        said |= {name: attrs[name] for name in ("to", "xml:lang") if name in attrs}
        items, _ = Parser(Limits()).feed(header(said | {"version": attrs.get(f"{{{XBOSH}}}version", "1.0")}))
        found = items[0]
        assert isinstance(found, Header)
        return found

    # -- answers -------------------------------------------------------------------------------

    def _ready(self) -> None:
        """Something waits for the client."""
        if self.held and (self.begun or self.stream.opening is not None or self.stream.ending is not None):
            self._answer()
            self._schedule()

    def _answer(self) -> None:
        """Answers the first request that is held, with what there is."""
        pending = self.held.pop(0)
        stream = self.stream
        payload = b"".join(stream.collect(ANSWER))
        attrs: dict[str, Any] = {}
        if not self.begun and stream.opening is not None:
            self.begun = True
            attrs |= {
                "sid": self.sid, "wait": self.wait, "hold": self.hold, "requests": self.requests, "ver": VERSION,
                "inactivity": int(self.inactivity), "polling": POLLING, "maxpause": MAXPAUSE,
                "from": stream.opening.get("from", ""), "authid": stream.opening.get("id", ""),
                "secure": str(stream.secure).lower(), "xmpp:version": "1.0", "xmpp:restartlogic": "true",
            }  # fmt: skip
            if self.acks:
                attrs["ack"] = pending.rid
        elif self.acks and self.next - 1 != pending.rid:
            attrs["ack"] = self.next - 1
        if stream.ending is not None and not stream.out:
            attrs |= _end(stream.ending, payload)
            self.mailbox.end()
        self._give(pending, body(payload, attrs))

    def _give(self, pending: Pending, answer: bytes) -> None:
        self.answers[pending.rid] = answer
        while len(self.answers) > self.requests:
            self.answers.popitem(last=False)
        if not self.held:
            self.quiet = time.monotonic()
        pending.answer.set(answer)

    # -- time, and the end ------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self.ended:
            heartbeat.at(self.held[0].until if self.held else self.quiet + self.silence, self)

    def due(self, now: float) -> float | None:
        """A request has waited long enough, or none has come for too long."""
        if self.ended:
            return None
        if not self.held:
            self.mailbox.end()
            return None
        while self.held and self.held[0].until <= now:
            self._answer()
        return self.held[0].until if self.held else self.quiet + self.silence

    def fail(self, condition: str) -> None:
        """The client has broken the rules: the session ends, every request is answered so."""
        answer = terminate(condition)
        for pending in [*self.held, *self.early.values()]:
            pending.answer.set(answer)
        self.held, self.early = [], {}
        self.stream.cut_off(f"BOSH: {condition}")

    def end(self) -> None:
        """The stream is over."""
        if self.ended:
            return
        self.ended = True
        heartbeat.cancel(self)
        answer = terminate("item-not-found")
        for pending in [*self.held, *self.early.values()]:
            pending.answer.set(answer)
        self.held, self.early = [], {}
        self.gone(self)


def _end(failure: str, payload: bytes) -> dict[str, str]:
    found = {"type": "terminate"}
    if failure:
        direct = (each for each in DIRECT if b"<%b xmlns=" % each.encode() in payload)
        found["condition"] = next(direct, failure)
    return found


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
    head = _head(data)
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
    items, fault = reader.feed(inner)
    ended = bool(items) and isinstance(items[-1], Close)
    if fault is not None or ended or reader.worker is not None:
        reader.reset()
        return None
    _readers.append(reader)
    return attrs, items


def _read_any(data: bytes, limits: Limits) -> tuple[dict[str, str], list[Element]]:
    parser = Parser(limits)
    items, fault = parser.feed(data)
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
