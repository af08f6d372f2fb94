"""One client's BOSH session (XEP-0124): requests in the order of their ``rid``, and what answers them."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import gevent
from greenlet import getcurrent, greenlet

from .. import log
from ..heartbeat import heartbeat
from ..xmpp import ns
from ..xmpp.parser import Close, Header, Limits, Parser
from .bosh_body import EMPTY, REPEATED, XBOSH, Wrong, body, boolean, number, terminate
from .mailbox import Body, Mailbox, MailboxStream
from .websocket import header

logger = log.get(__name__)

VERSION = (1, 11)
TYPE = "text/xml; charset=utf-8"
WAIT = 60
"""Seconds that a request waits for something to answer it with, at most."""
HOLD = 1
"""Requests that wait at a time, at most. A client may ask for two and have no third one to send something with (stanza)."""
REQUESTS = 3
"""Requests that a client may have under way, at most."""
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
RESTART = f"{{{XBOSH}}}restart"
_TYPE = re.compile(r"[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+(; ?charset=utf-8)?", re.IGNORECASE | re.ASCII).fullmatch
_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}", re.ASCII).fullmatch


class Reply:
    """The body of an answer, for the one greenlet that waits for it."""

    __slots__ = ("body", "reader")

    def __init__(self, body: bytes | None = None) -> None:
        self.body = body
        self.reader: greenlet | None = None

    def give(self, body: bytes) -> None:
        """Only the first one counts. Never blocks."""
        if self.body is None:
            self.body = body
            if self.reader is not None:
                gevent.get_hub().loop.run_callback(self._wake)

    def _wake(self) -> None:
        if self.reader is not None:
            self.reader.switch()

    def wait(self) -> bytes:
        """Blocks until it is there: the session gives it after `WAIT` seconds, or at its own end."""
        while self.body is None:
            self.reader = getcurrent()
            try:
                gevent.get_hub().switch()
            finally:
                self.reader = None
        return self.body


class Pending:
    """A request that has not been answered. ``reply``: for who asked it last. ``until``: when it has waited long enough."""

    __slots__ = ("rid", "attrs", "content", "until", "reply")

    def __init__(self, rid: int, attrs: dict[str, str], content: Body, until: float) -> None:
        self.rid, self.attrs, self.content, self.until = rid, attrs, content, until
        self.reply = Reply()


class Session:
    """
    type      media type of the answers
    next      the ``rid`` that comes next
    early     rid -> a request that came before its turn
    held      requests that wait for something to answer them with
    answers   rid -> the key of the request and the answer, of the last requests, in case that the answer was lost
    quiet     since when no request is held
    polled    when the last request came, if both it and its answer were empty
    leaving   has the client said that it ends the session?
    """

    slot = 0

    def __init__(
        self, rid: int, attrs: dict[str, str], inactivity: float, gone: Callable[[Session], object]
    ) -> None:
        """Raises Wrong."""
        self.sid = secrets.token_urlsafe(24)
        self.attrs = attrs
        self.type = attrs.get("content", TYPE)
        if _TYPE(self.type) is None:
            raise Wrong("bad-request")
        self.next = rid
        self.wait = number(attrs.get("wait"), WAIT, WAIT)
        wanted = number(attrs.get("hold"), 1, REQUESTS - 1) if self.wait else 0
        self.hold, self.requests = min(wanted, HOLD), wanted + 1
        self.inactivity = self.silence = inactivity
        self.acks = attrs.get("ack") == "1"
        self.key = attrs.get("newkey")
        self.gone = gone
        self.early: dict[int, Pending] = {}
        self.held: list[Pending] = []
        self.answers: OrderedDict[int, tuple[str | None, bytes]] = OrderedDict()
        self.quiet = self.polled = 0.0
        self.begun = self.leaving = self.ended = False
        self.mailbox = Mailbox()
        self.mailbox.taken, self.mailbox.closed = self._advance, self.end
        self.stream: MailboxStream

    def carry(self, stream: MailboxStream) -> None:
        """The stream that it carries."""
        self.stream = stream
        stream.ready = self._ready
        heartbeat.at(time.monotonic() + self.inactivity, self)

    # -- requests ---------------------------------------------------------------------------

    def take(self, rid: int, attrs: dict[str, str], content: Body) -> Reply:
        """A request. Returns what will have the answer. Raises Wrong; the session has ended then."""
        try:
            if rid < self.next or rid in self.early:
                return self._repeat(rid, attrs)
            more = 1 if "pause" in attrs or attrs.get("type") == "terminate" else 0
            if self.ended or rid >= self.next + self.requests + more:
                raise Wrong("item-not-found")
            if len(self.held) + len(self.early) > self.requests + more:
                raise Wrong("policy-violation")
            pending = self.early[rid] = Pending(rid, attrs, content, time.monotonic() + self.wait)
            self._advance()
        except Wrong as wrong:
            self.fail(str(wrong))
            raise
        return pending.reply

    def _repeat(self, rid: int, attrs: dict[str, str]) -> Reply:
        """Section 14.3: the client has not seen the answer of this request. Raises Wrong."""
        for pending in [*self.held, *self.early.values()]:
            if pending.rid == rid and pending.attrs.get("key") == attrs.get("key"):
                pending.reply.give(REPEATED)
                pending.reply = Reply()
                return pending.reply
        key, answer = self.answers.get(rid, (None, None))
        if answer is None or key != attrs.get("key"):
            raise Wrong("item-not-found")
        return Reply(answer)

    def _advance(self) -> None:
        """Handles the requests whose turn it is, one after the other as the stream takes them."""
        while self.next in self.early and self.mailbox.body is None and not self.ended:
            pending = self.early.pop(self.next)
            try:
                self._handle(pending)
            except Wrong as wrong:
                self.held.append(pending)
                self.fail(str(wrong))
            except Exception:  # whoever asks must not wait for ever
                logger.exception("a request of BOSH failed")
                self.held.append(pending)
                self.fail("internal-server-error")

    def _handle(self, pending: Pending) -> None:
        attrs, content, begun = pending.attrs, pending.content, self.begun
        if begun:
            self._unlock(attrs)
        self.next += 1
        empty = not content.items and not attrs.keys() & {"type", "pause", RESTART}
        if empty and not self.hold and time.monotonic() - self.polled < POLLING and not self.stream.out:
            raise Wrong("policy-violation")
        self.polled = 0.0
        if self.acks and "ack" in attrs:
            for rid in [rid for rid in self.answers if rid <= number(attrs["ack"], 0, 1 << 53)]:
                del self.answers[rid]
        self.silence = self.inactivity
        if not begun or boolean(attrs.get(RESTART)):
            content.items = [self._header(attrs)]
        if attrs.get("type") == "terminate":
            self.leaving = True
            content.items.append(Close.parsed("stream", ns.STREAM, {}))
        self.held.append(pending)
        if content.items:
            self.mailbox.put(content)
        if begun and "pause" in attrs:
            self.silence = number(attrs["pause"], 0, MAXPAUSE)
            while self.held:
                self._answer()
        elif begun and not self.leaving:
            while len(self.held) > self.hold:
                self._answer()
            if empty and not self.hold and self.answers[pending.rid][1] == EMPTY:
                self.polled = time.monotonic()
            if self.stream.out:
                self._ready()
        self._schedule()

    def _unlock(self, attrs: dict[str, str]) -> None:
        """Keys (section 15): each is the hash of the next one. Raises Wrong."""
        if self.key is not None:
            if "key" not in attrs or hashlib.sha1(attrs["key"].encode()).hexdigest() != self.key.lower():
                raise Wrong("item-not-found")
            self.key = attrs.get("newkey") or attrs["key"]

    def _header(self, attrs: dict[str, str]) -> Header:
        said = {name: self.attrs[name] for name in ("to", "from", "xml:lang") if name in self.attrs}
        said |= {name: attrs[name] for name in ("to", "xml:lang") if name in attrs}
        items, _ = Parser(Limits()).feed(header(said | {"version": attrs.get(f"{{{XBOSH}}}version", "1.0")}))
        if not items or not isinstance(items[0], Header):
            raise Wrong("bad-request")
        return items[0]

    # -- answers -------------------------------------------------------------------------------

    def _ready(self) -> None:
        """Something waits for the client."""
        stream = self.stream
        if stream.ending is None and (self.leaving or not (self.begun or stream.opening is not None)):
            return
        if self.held:
            self._answer()
            self._schedule()

    def _answer(self) -> None:
        """Answers the first request that is held, with what there is."""
        pending = self.held.pop(0)
        stream = self.stream
        attrs: dict[str, Any] = {}
        if "pause" in pending.attrs:
            payload = b""
        else:
            payload = b"".join(stream.collect(ANSWER))
        if not self.begun and stream.opening is not None:
            self.begun = True
            attrs |= self._first(stream.opening)
            if self.acks:
                attrs["ack"] = pending.rid
        elif self.acks and self.next - 1 != pending.rid:
            attrs["ack"] = self.next - 1
        if stream.ending is not None and not stream.out:
            self._last(stream.ending, payload, attrs)
        answer = body(payload, attrs)
        self.answers[pending.rid] = pending.attrs.get("key"), answer
        while len(self.answers) > self.requests:
            self.answers.popitem(last=False)
        if not self.held:
            self.quiet = time.monotonic()
        pending.reply.give(answer)

    def _first(self, opening: dict[str, str]) -> dict[str, Any]:
        """What the answer to the first request tells the client."""
        said = self.attrs.get("ver", "")
        version = tuple(map(int, said.split("."))) if _VERSION(said) else VERSION
        major, minor = min(version, VERSION)
        return {
            "sid": self.sid, "wait": self.wait, "hold": self.hold, "requests": self.requests,
            "ver": f"{major}.{minor}", "inactivity": int(self.inactivity), "polling": POLLING, "maxpause": MAXPAUSE,
            "from": opening.get("from", ""), "authid": opening.get("id", ""),
            "secure": str(self.stream.secure).lower(), "xmpp:version": "1.0", "xmpp:restartlogic": "true",
        }  # fmt: skip

    def _last(self, failure: str, payload: bytes, attrs: dict[str, Any]) -> None:
        """The end of the session: the oldest request is told by ``attrs``, all others are answered here (section 13)."""
        attrs["type"] = "terminate"
        if failure:
            direct = (each for each in DIRECT if b"<%b xmlns=" % each.encode() in payload)
            attrs["condition"] = next(direct, failure)
        for pending in self.held:
            pending.reply.give(terminate(attrs["condition"]) if failure else EMPTY)
        self.held = []
        self.mailbox.end()

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
        if not self.begun and self.stream.opening is None:
            return now + 1  # an answer without a name of the session would be of no use
        while self.held and self.held[0].until <= now:
            self._answer()
        return self.held[0].until if self.held else self.quiet + self.silence

    def fail(self, condition: str) -> None:
        """The client has broken the rules: the session ends, every request is answered so."""
        self._refuse(condition)
        self.stream.cut_off(f"BOSH: {condition}")

    def end(self) -> None:
        """The stream is over."""
        if not self.ended:
            self.ended = True
            heartbeat.cancel(self)
            self._refuse("item-not-found")
            self.gone(self)

    def _refuse(self, condition: str) -> None:
        """Ends the requests that wait."""
        for pending in [*self.held, *self.early.values()]:
            pending.reply.give(terminate(condition))
        self.held, self.early = [], {}
