"""The reading side of a stream: blocking-style, in the greenlet of its connection, with deadlines.

A *persistent read watcher* belongs to the stream: gevent's own ``recv`` starts and stops one around every
wait. Nobody has the loop for long: what came in one read is given out in turns (turns.py), and of a peer that
has spent its karma nothing is read until time has paid for it. A stream that has been silent for a moment gives its greenlet
back: a greenlet's frames and stack take more memory than all else about an idle session."""

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
"""Reads at a stream's beginning that wait for their turn, as its end does: thousands who come back, or are cut off, at the same
time do not hold up those who are there."""
UNLIMITED = Rates()
ANSWER = 60.0
"""Seconds that a silent peer has to answer in once it was asked (or ``idle``, if that is less)."""
REST = 2.0
"""Seconds of silence after which a greenlet is given back, where there is leave for it."""


class Closed(Exception):
    """The peer is gone; there is nobody left to tell anything."""


class Resting(Exception):
    """The peer says nothing. Who reads is to leave its greenlet, with a call of `Reader.until_heard` at the end."""


class Reader:
    """What `Stream` inherits; `abort`, `flush` and `_decrypt` are there."""

    __slots__ = (
        "sock", "fd", "parser", "items", "fault", "channel", "reader", "watcher", "watching", "closing", "seen",
        "idle", "patience", "slot", "purse", "held", "early", "may_rest", "resting", "ask", "asked", "took",
    )  # fmt: skip

    def __init__(
        self, sock: socket.socket, limits: Limits, patience: float | None, rates: Rates = UNLIMITED
    ) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.parser = Parser(limits)
        self.items: list[Element] = []
        self.fault: Exception | None = None
        self.channel: Secure | None = None
        self.reader: greenlet | None = None
        self.watcher: Any = gevent.get_hub().loop.io(self.fd, 1)
        self.watching = False
        self.closing = False
        self.slot = 0
        now = time.monotonic()
        self.seen = now
        self.idle: float | None = None
        self.patience = None if patience is None else now + patience
        self.purse = Purse(rates)
        self.held = 0.0
        self.early = EARLY
        self.may_rest = False
        self.resting: Callable[[], object] | None = None
        self.ask: Callable[[], object] | None = None
        self.asked = 0.0
        self.took = False
        if self.patience is not None:
            heartbeat.at(self.patience, self)

    def abort(self) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        raise NotImplementedError

    def _decrypt(self, data: bytes) -> bytes:
        raise NotImplementedError

    # -- deadlines -----------------------------------------------------------------

    def settled(
        self, idle: float | None, may_rest: bool = False, ask: Callable[[], object] | None = None
    ) -> None:
        """Login is done; from now on ``idle`` seconds without a sign of life end the stream. ``ask`` sends something that the
        peer has to answer; it is called first, and must not block. ``may_rest``: `read` may raise Resting."""
        self.patience = None
        self.idle = idle
        self.may_rest = may_rest
        self.ask = ask
        self._deadline(time.monotonic())

    def _deadline(self, now: float) -> None:
        """Stands in the wheel for what comes first."""
        when = self.patience
        if when is None:
            when = self._silent(now)
        if self.held:
            when = self.held if when is None else min(when, self.held)
        if when is None:
            heartbeat.cancel(self)
        else:
            heartbeat.at(when, self)

    def due(self, now: float) -> float | None:
        if self.closing:
            self.abort()
        elif self.patience is not None and self.patience <= now:
            self.interrupt(StreamError("connection-timeout", "login took too long"))
        elif self.held:
            gevent.get_hub().loop.run_callback(self._wake)
        elif self.idle is not None and self.seen + self.idle <= now and not self._lives(now):
            self.interrupt(StreamError("connection-timeout", "nothing was heard for too long"))
        else:
            if self.may_rest and self.reader is not None and self.seen + REST <= now:
                gevent.get_hub().loop.run_callback(self._retire)
            return self._silent(now)
        return None

    def _lives(self, now: float) -> bool:
        """After ``idle`` seconds without a word (RFC 6120 section 4.6): the peer has taken what it was sent since, or was asked
        and may still answer."""
        if self.took and not self._unacknowledged():
            self.took = False
            self.seen = now
            return True
        if self.ask is None or self.idle is None:
            return False
        if self.asked <= self.seen:
            self.asked = now
            self.ask()
            self.flush()
            self.took = False  # the question is no news
        return now < self.asked + min(self.idle, ANSWER)

    def _unacknowledged(self) -> bool:
        """Does something still wait for the peer, here or in the kernel?"""
        try:
            (waiting,) = struct.unpack("i", fcntl.ioctl(self.fd, termios.TIOCOUTQ, bytes(4)))
        except OSError:  # not on this kind of socket
            waiting = 0
        return waiting > 0

    def _silent(self, now: float) -> float | None:
        """When silence will mean something."""
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
            data = self.recv()
            items, fault = self.parser.feed(data)
            if items:
                items.reverse()
                self.items = items
                self.purse.stanzas -= len(items)
            if fault is not None and self.fault is None:
                self.fault = fault
        item = self.items.pop()
        if self.items and time.monotonic() - self.seen > turns.SLICE:
            turns.pause()
            self.seen = time.monotonic()
        if self.fault is not None and not isinstance(self.fault, StreamError):
            raise self.fault
        return item

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
        """Until somebody calls `_wake`. Raises what has come in the way."""
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
        """Other rates from now on, also for a peer that owes."""
        self.purse.limit(rates)
        if self.held:
            gevent.get_hub().loop.run_callback(self._wake)

    def _pay(self) -> None:
        """Blocks while the peer owes for what it said. The kernel's buffer fills up, and TCP makes the peer wait, too."""
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
                self.seen = time.monotonic()  # nobody listened: that was no silence of the peer's
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
        """Makes the greenlet in `read` raise ``fault`` instead, soon. Safe to call from anywhere."""
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
        """After Resting: ``go_on`` gets a new greenlet once there is something for `read`, be it what ends the stream."""
        self.resting = go_on
        self._deadline(self.seen)

    def _rise(self) -> None:
        go_on, self.resting = self.resting, None
        assert go_on is not None
        turns.begin(go_on)
        if not self.closing:
            self._deadline(time.monotonic())

    def drop_input(self) -> bool:
        """Forgets what was read but not asked for; True if there was any. After ``<starttls/>`` that is an
        injection."""
        had = bool(self.items) or self.fault is not None or self.parser.pending > 0
        self.items = []
        return had

    def restart(self) -> None:
        """A new stream header is expected, after TLS or SASL."""
        self.items = []
        self.parser.reset()
