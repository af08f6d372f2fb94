"""The reading side of a stream: blocking-style, in the greenlet of its connection, with deadlines.

A *persistent read watcher* belongs to the stream: gevent's own ``recv`` starts and stops one around every
wait."""

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
from .channel import Channel

RECV = 16 * 1024


class Closed(Exception):
    """The peer is gone; there is nobody left to tell anything."""


class Reader:
    """What `Stream` inherits; `abort`, `_push` and `_decrypt` are there."""

    __slots__ = (
        "sock", "fd", "parser", "items", "fault", "channel", "reader", "watcher", "watching", "closing", "seen",
        "idle", "patience", "slot",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, limits: Limits, patience: float | None) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.parser = Parser(limits)
        self.items: list[Element] = []
        self.fault: Exception | None = None
        self.channel: Channel | None = None
        self.reader: greenlet | None = None
        self.watcher: Any = gevent.get_hub().loop.io(self.fd, 1)
        self.watching = False
        self.closing = False
        self.slot = 0
        now = time.monotonic()
        self.seen = now
        self.idle: float | None = None
        self.patience = None if patience is None else now + patience
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
        if idle is None:
            heartbeat.cancel(self)
        else:
            heartbeat.at(time.monotonic() + idle, self)

    def due(self, now: float) -> float | None:
        if self.closing:
            self.abort()
        elif self.patience is not None:
            self.interrupt(StreamError("connection-timeout", "login took too long"))
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
            if fault is not None and self.fault is None:
                self.fault = fault
        if self.fault is not None and not isinstance(self.fault, StreamError):
            raise self.fault
        return self.items.pop()

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
        while True:
            self._wait()
            try:
                data = self.sock.recv(RECV)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                raise Closed(str(error)) from None
            if not data:
                raise Closed("end of file")
            return data

    def _wait(self) -> None:
        if self.fault is not None:
            raise self.fault
        if self.watcher is None:
            raise Closed("closed here")
        if not self.watching:
            self.watching = True
            self.watcher.start(self._readable)
        self.reader = getcurrent()
        try:
            gevent.get_hub().switch()
        finally:
            self.reader = None
        if self.fault is not None:
            raise self.fault
        if self.watcher is None:
            raise Closed("closed here")

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
