"""The reading side of a stream. To its user `Reader.read` is a blocking read; this file does it with libev.

One greenlet at a time reads a stream. The stream keeps one read watcher for its whole life, because gevent's own ``recv``
would start and stop one around every wait. A stream is in one of these states:

    state     how it shows                what happens next
    --------  --------------------------  -------------------------------------------------------------------
    waiting   ``reader`` is a greenlet    bytes come: the watcher switches to ``reader``, which calls recv
    held      ``reader``, ``held`` > 0    the peer has spent its karma: the watcher is stopped, and nothing is
                                          read before the time ``held``
    busy      ``reader`` is None          the greenlet handles a stanza; bytes that come now stop the watcher and
                                          stay in the kernel
    resting   ``resting`` is a function   nothing came for `REST` seconds, and the greenlet has ended; bytes
                                          come: the watcher calls ``resting`` in a new greenlet
    closing   ``closing``                 we have said our last; `Stream.finish` reads until the peer closes, too
    closed    ``watcher`` is None         the socket is closed

    busy -> waiting (read) -> busy (bytes)        waiting -> held -> waiting (the debt is paid)
    waiting -> resting (silence) -> busy (bytes)  any state -> closing (close) -> closed (abort)

The state "resting" saves memory: the stack of a greenlet takes more than all else about an idle session. No stream keeps the
loop for long: the stanzas of one read are given out in turns (turns.py).

Deadlines stand in the wheel of the heartbeat. At most one is set for a stream, the earliest of: the end of the time for
login, the end of ``held``, the next look at a silent peer."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
import time
from collections.abc import Callable
from typing import Any

import gevent
from greenlet import getcurrent, greenlet

from ..heartbeat import heartbeat
from ..xmpp.element import Element
from ..xmpp.errors import StreamError
from ..xmpp.parser import Limits, Parser
from . import turns
from .channel import Secure
from .karma import READ, Purse, Rates

RECV = 16 * 1024
EARLY = 16
"""The first reads of a stream wait for a turn, and so does its end. When thousands of streams begin or break at the same time,
the others go on."""
UNLIMITED = Rates()
ANSWER = 60.0
"""Seconds in which a silent peer has to answer after it was asked. If ``idle`` is less, that counts."""
REST = 2.0
"""Seconds of silence after which the greenlet of a stream ends, if the stream's user allows it (``may_rest``)."""


class Closed(Exception):
    """The peer is gone; there is nobody left to tell anything."""


class Resting(Exception):
    """The peer says nothing. The caller of `read` must call `Reader.until_heard` and then return from its greenlet."""


class Reader:
    """The base class of `Stream`, which defines `abort`, `flush` and `_decrypt`. All times are of `time.monotonic`.

    items           parsed elements that `read` has not returned yet, the next one last
    fault           what `read` raises next
    channel         TLS, or None
    reader          the greenlet that waits in `read`, or None
    watching        is the read watcher started?
    seen            when something was last heard of the peer
    idle            seconds of silence that are allowed; None: any number
    login_deadline  when login must be done; None once it is
    held            until when nothing is read of a peer that has spent its karma; 0: it has not
    early           reads that still wait for a turn, see `EARLY`
    resting         what to call in a new greenlet when bytes come; None unless the stream rests
    ask, asked      asks a silent peer to say something; when it was last called
    owed            bytes that the peer's TCP had not acknowledged when the socket was closed
    wrote           True if the socket has taken bytes since we last looked for a sign of life
    """

    __slots__ = (
        "sock", "fd", "parser", "items", "fault", "channel", "reader", "watcher", "watching", "closing", "seen",
        "idle", "login_deadline", "slot", "purse", "held", "early", "may_rest", "resting", "ask", "asked", "wrote",
        "owed",
    )  # fmt: skip

    def __init__(
        self, sock: socket.socket, limits: Limits, login_timeout: float | None, rates: Rates = UNLIMITED
    ) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.parser = Parser(limits)
        self.items: list[Element] = []
        self.fault: Exception | None = None
        self.channel: Secure | None = None
        self.reader: greenlet | None = None
        self.watcher: Any = self._watch(1)
        self.watching = False
        self.closing = False
        self.slot = 0
        now = time.monotonic()
        self.seen = now
        self.idle: float | None = None
        self.login_deadline = None if login_timeout is None else now + login_timeout
        self.purse = Purse(rates)
        self.held = 0.0
        self.early = EARLY
        self.may_rest = False
        self.resting: Callable[[], object] | None = None
        self.ask: Callable[[], object] | None = None
        self.asked = 0.0
        self.wrote = False
        self.owed = 0
        if self.login_deadline is not None:
            heartbeat.at(self.login_deadline, self)

    def abort(self) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        raise NotImplementedError

    def _decrypt(self, data: bytes) -> bytes:
        raise NotImplementedError

    def _watch(self, events: int) -> Any:
        """A watcher that tells when the socket can be read (1) or written (2)."""
        return gevent.get_hub().loop.io(self.fd, events)

    def until(self, seconds: float) -> None:
        """So long the peer has to log in, from now on; of a stream without a login: to do what is expected of it."""
        self.login_deadline = time.monotonic() + seconds
        self._deadline(self.login_deadline)

    # -- deadlines -----------------------------------------------------------------

    def established(
        self, idle: float | None, may_rest: bool = False, ask: Callable[[], object] | None = None
    ) -> None:
        """Login is done. From now on the stream ends after ``idle`` seconds without a sign of life; None: never. Before that,
        ``ask`` is called: it sends something that the peer has to answer, and must not block. ``may_rest``: `read` may raise
        Resting."""
        self.login_deadline = None
        self.idle = idle
        self.may_rest = may_rest
        self.ask = ask
        self._deadline(time.monotonic())

    def _deadline(self, now: float) -> None:
        """Sets the wheel to the earliest deadline."""
        when = self.login_deadline
        if when is None:
            when = self._next_look(now)
        if self.held:
            when = self.held if when is None else min(when, self.held)
        if when is None:
            heartbeat.cancel(self)
        else:
            heartbeat.at(when, self)

    def due(self, now: float) -> float | None:
        if self.closing:
            self.abort()
        elif self.login_deadline is not None and self.login_deadline <= now:
            self.interrupt(StreamError("connection-timeout", "login took too long"))
        elif self.held:
            gevent.get_hub().loop.run_callback(self._wake)
        elif self.idle is not None and self.seen + self.idle <= now and not self._is_alive(now):
            self.interrupt(StreamError("connection-timeout", "nothing was heard for too long"))
        else:
            if self.may_rest and self.reader is not None and self.seen + REST <= now:
                gevent.get_hub().loop.run_callback(self._retire)
            return self._next_look(now)
        return None

    def _is_alive(self, now: float) -> bool:
        """Asked after ``idle`` seconds of silence (RFC 6120 section 4.6). True if the peer has acknowledged bytes that we sent
        meanwhile (TCP), or still has time to answer ``ask``, which is called here when it was not yet."""
        if self.wrote and not self.unacknowledged():
            self.wrote = False
            self.seen = now
            return True
        if self.ask is None or self.idle is None:
            return False
        if self.asked <= self.seen:
            self.asked = now
            self.ask()
            self.flush()
            self.wrote = False  # the question itself is no sign of life
        return now < self.asked + min(self.idle, ANSWER)

    def unacknowledged(self) -> int:
        """How many bytes the kernel still holds, because the peer's TCP has not acknowledged them. Of a closed socket: how many
        it held when it was closed."""
        if self.watcher is None:
            return self.owed
        try:
            (waiting,) = struct.unpack("i", fcntl.ioctl(self.fd, termios.TIOCOUTQ, bytes(4)))
        except (OSError, ValueError):  # not on this kind of socket, or it is none (a mailbox)
            waiting = 0
        return int(waiting)

    def _next_look(self, now: float) -> float | None:
        """When to look at a silent peer again; None: never."""
        if self.may_rest and self.resting is None:
            return now + REST
        if self.idle is None:
            return None
        return self.seen + self.idle if self.asked <= self.seen else self.asked + min(self.idle, ANSWER)

    # -- reading ---------------------------------------------------------------------

    def read(self) -> Element:
        """The next `Header`, stanza or `Close`. Blocks this greenlet. Raises Closed, StreamError, Resting, or what
        `interrupt` was given."""
        while not self.items:
            if self.fault is not None:
                raise self.fault
            self.take(self.recv())
        item = self.items.pop()
        if self.items and time.monotonic() - self.seen > turns.SLICE:
            turns.pause()
            self.seen = time.monotonic()
        if self.fault is not None and not isinstance(self.fault, StreamError):
            raise self.fault
        return item

    def take(self, data: bytes) -> None:
        """Takes bytes from the peer, decrypted: the elements in them go to ``items``. A carrier of messages does it in another
        way."""
        items, fault = self.parser.feed(data)
        if items:
            items.reverse()
            self.items = items
            self.purse.stanzas -= len(items)
        if fault is not None and self.fault is None:
            self.fault = fault

    def recv(self) -> bytes:
        """Some bytes, decrypted. Raises Closed."""
        while True:
            data = self._receive()
            self.seen = time.monotonic()
            if self.channel is None:
                return data
            plain = self._decrypt(data)
            if plain:
                return plain

    def _receive(self) -> bytes:
        purse = self.purse
        while True:
            if purse.stanzas < 0 or purse.bytes < 0:
                self._pay()
            self._check()
            if not self.watching:
                self.watching = True
                self.watcher.start(self._readable)
            self._sleep()
            if self.early:
                self.early -= 1
                turns.queue()
                self._check()
            try:
                data = self.sock.recv(RECV)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                turns.queue()
                raise Closed(str(error)) from None
            if not data:
                turns.queue()
                raise Closed("end of file")
            purse.bytes -= len(data) + READ
            return data

    def _sleep(self) -> None:
        """Blocks until `_wake` or `_readable` switches here. Raises ``fault``, or Closed."""
        self.reader = getcurrent()
        try:
            gevent.get_hub().switch()
        finally:
            self.reader = None
        self._check()

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault
        if self.watcher is None:
            raise Closed("closed here")

    def limit(self, rates: Rates) -> None:
        """Sets other rates. A held peer is looked at again at once."""
        self.purse.limit(rates)
        if self.held:
            gevent.get_hub().loop.run_callback(self._wake)

    def _pay(self) -> None:
        """Blocks while the peer has spent more karma than it has. Nothing is read meanwhile: the buffer of the kernel fills up,
        and TCP makes the peer wait."""
        try:
            while not self.closing and (debt := self.purse.debt(time.monotonic())):
                self._check()
                self.watcher.stop()
                self.watching = False
                self.held = time.monotonic() + debt
                self._deadline(self.held)
                self._sleep()
        finally:
            if self.held:
                self.held = 0.0
                self.seen = time.monotonic()  # we did not listen, so the peer was not silent
                if not self.closing:
                    self._deadline(self.seen)

    def _readable(self) -> None:
        reader = self.reader
        if reader is not None:
            reader.switch()
        elif self.resting is not None:
            self._rise()
        else:  # the greenlet is busy elsewhere: let the kernel hold what comes
            self.watching = False
            if self.watcher is not None:
                self.watcher.stop()

    def interrupt(self, fault: Exception) -> None:
        """Makes `read` raise ``fault`` soon. A fault that is no StreamError stays. Never blocks; any greenlet may call it."""
        if self.fault is None or isinstance(self.fault, StreamError):
            self.fault = fault
        gevent.get_hub().loop.run_callback(self._wake)

    def _wake(self) -> None:
        if self.reader is not None:
            self.reader.switch()
        elif self.resting is not None:
            self._rise()

    def _retire(self) -> None:
        if self.reader is not None and self.watching and self.fault is None and not self.closing:
            self.reader.throw(Resting())

    def until_heard(self, go_on: Callable[[], object]) -> None:
        """To be called after Resting: calls ``go_on`` in a new greenlet as soon as `read` has something to return or raise."""
        self.resting = go_on
        self._deadline(self.seen)

    def _rise(self) -> None:
        go_on, self.resting = self.resting, None
        assert go_on is not None
        turns.begin(go_on)
        if not self.closing:
            self._deadline(time.monotonic())

    def drop_input(self) -> bool:
        """Drops what was received and not yet returned by `read`. Returns whether there was any: data behind ``<starttls/>`` is
        an injection (RFC 6120 section 5.4.3.3)."""
        had = bool(self.items) or self.fault is not None or self.parser.pending > 0
        self.items = []
        return had

    def restart(self) -> None:
        """A new stream header is expected, after TLS or SASL."""
        self.items = []
        self.parser.reset()
