"""The reading side of a stream: blocking-style, in the greenlet of its connection, with deadlines.

A *persistent read watcher* belongs to the stream: gevent's own ``recv`` starts and stops one around every
wait. Nobody has the loop for long: what came in one read is given out in turns (turns.py), and of a peer that
has spent its karma nothing is read until time has paid for it."""

from __future__ import annotations

import socket
import time
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


class Closed(Exception):
    """The peer is gone; there is nobody left to tell anything."""


class Reader:
    """What `Stream` inherits; `abort`, `_push` and `_decrypt` are there."""

    __slots__ = (
        "sock", "fd", "parser", "items", "fault", "channel", "reader", "watcher", "watching", "closing", "seen",
        "idle", "patience", "slot", "purse", "held", "early",
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
        if self.patience is not None:
            heartbeat.at(self.patience, self)

    def abort(self) -> None:
        raise NotImplementedError

    def _decrypt(self, data: bytes) -> bytes:
        raise NotImplementedError

    # -- deadlines -----------------------------------------------------------------

    def settled(self, idle: float | None) -> None:
        """Login is done; from now on ``idle`` seconds of silence end the stream."""
        self.patience = None
        self.idle = idle
        self._deadline(time.monotonic())

    def _deadline(self, now: float) -> None:
        """Stands in the wheel for what comes first."""
        when = self.patience
        if when is None and self.idle is not None:
            when = now + self.idle
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
        elif self.idle is not None:
            if self.seen + self.idle > now:
                return self.seen + self.idle
            self.interrupt(StreamError("connection-timeout", "nothing was heard for too long"))
        return None

    # -- reading ---------------------------------------------------------------------

    def read(self) -> Element:
        """The next `Header`, stanza or `Close`. Blocks this greenlet. Raises Closed, StreamError, or what
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
        if reader is None:  # the greenlet is busy elsewhere: let the kernel hold what comes
            self.watching = False
            if self.watcher is not None:
                self.watcher.stop()
        else:
            reader.switch()

    def interrupt(self, fault: Exception) -> None:
        """Makes the greenlet in `read` raise ``fault`` instead, soon. Safe to call from anywhere."""
        if self.fault is None or isinstance(self.fault, StreamError):
            self.fault = fault
        gevent.get_hub().loop.run_callback(self._wake)

    def _wake(self) -> None:
        if self.reader is not None:
            self.reader.switch()

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
