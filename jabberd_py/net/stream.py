"""One socket: blocking-style reads in its own greenlet, joined and bounded writes from everybody.

Two tricks live here. A *persistent read watcher*: gevent's own ``recv`` starts and stops one around every
wait. *Joined writes*: all that is sent to a stream in one turn of the loop leaves with one system call, so
the sender never waits for the recipient's socket, and a recipient that does not read is cut off when its
buffer is full."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from typing import Any

import gevent
from gevent.event import Event
from greenlet import getcurrent, greenlet

from ..heartbeat import heartbeat
from ..xmpp.element import Element
from ..xmpp.errors import StreamError
from ..xmpp.parser import Limits, Parser
from .channel import Channel
from .peertls import PeerChannel, PeerContext

RECV = 16 * 1024
LINGER = 5.0
"""Seconds that a closing stream is given to take what it was sent."""


class Closed(Exception):
    """The peer is gone; there is nobody left to tell anything."""


_dirty: list[Stream] = []


def _flush_all() -> None:
    streams = _dirty[:]
    _dirty.clear()
    for stream in streams:
        stream.flush()


class Stream:
    """What c2s, s2s and components share. ``idle`` seconds without a byte from the peer end the read (None:
    never)."""

    __slots__ = (
        "sock", "fd", "parser", "items", "fault", "out", "size", "cap", "rest", "channel",
        "reader", "watcher", "writer", "watching", "closing", "dirty", "seen", "idle", "patience", "slot",
        "room", "__weakref__",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, limits: Limits, cap: int, patience: float | None) -> None:
        """``sock`` is a plain non-blocking socket; ``cap`` the bytes that may wait for a slow reader;
        ``patience`` the seconds until `settled` must have been called."""
        loop = gevent.get_hub().loop
        self.sock = sock
        self.fd = sock.fileno()
        self.parser = Parser(limits)
        self.items: list[Element] = []
        self.fault: Exception | None = None
        self.out: list[bytes] = []
        self.size = 0
        self.cap = cap
        self.rest: bytes | memoryview = b""
        self.channel: Channel | PeerChannel | None = None
        self.reader: greenlet | None = None
        self.watcher: Any = loop.io(self.fd, 1)
        self.writer: Any = None
        self.watching = False
        self.closing = False
        self.dirty = False
        self.slot = 0
        now = time.monotonic()
        self.seen = now
        self.idle: float | None = None
        self.patience = None if patience is None else now + patience
        self.room: Event | None = None
        if self.patience is not None:
            heartbeat.at(self.patience, self)

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

    # -- TLS ---------------------------------------------------------------------------

    @property
    def tls(self) -> ssl.SSLObject | None:
        return self.channel.tls if isinstance(self.channel, Channel) else None

    def start_tls(
        self, context: ssl.SSLContext | PeerContext, server_side: bool = True, hostname: str | None = None
    ) -> None:
        """The handshake; with a PeerContext ``channel`` is a PeerChannel then. Raises ssl.SSLError or Closed."""
        self.flush()
        channel: Channel | PeerChannel
        if isinstance(context, PeerContext):
            channel = context.channel(server_side, hostname)
        else:
            channel = Channel(context, server_side, hostname)
        try:
            while not channel.handshake():
                self._push(channel.outgoing.read())
                try:
                    channel.incoming.write(self._receive())
                except StreamError as error:  # there is no stream to say it in
                    raise Closed(error.text or error.condition) from None
        finally:
            self._push(channel.outgoing.read())  # also the alert that tells the peer why
        self.channel = channel
        if channel.incoming.pending:
            early = self._decrypt(b"")
            if early:
                items, self.fault = self.parser.feed(early)
                self.items = items[::-1]

    def _decrypt(self, data: bytes) -> bytes:
        channel = self.channel
        assert channel is not None
        plain, error = channel.decrypt(data)
        if error is not None:
            fault = Closed(f"TLS: {error.reason or error}")
            if not plain:
                raise fault
            self.fault = fault
        if channel.outgoing.pending:
            self._push(channel.outgoing.read())
        return plain

    # -- writing -------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Queues bytes that leave at the end of this turn of the loop. Never blocks, never raises."""
        if self.closing:
            return
        self.out.append(data)
        self.size += len(data)
        if not self.dirty:
            self.dirty = True
            if not _dirty:
                gevent.get_hub().loop.run_callback(_flush_all)
            _dirty.append(self)
        if self.size > self.cap and self.size + len(self.rest) > self.cap:
            self._overflow()

    def _overflow(self) -> None:
        self.flush()  # perhaps nobody had the time yet
        if self.size + len(self.rest) > self.cap:
            self._cut_off("the peer does not read what it is sent")

    def _cut_off(self, reason: str) -> None:
        self.out.clear()
        self.size = 0
        self.closing = True
        heartbeat.at(time.monotonic(), self)
        self.interrupt(Closed(reason))

    def flush(self) -> None:
        """Sends what is queued, as far as the socket takes it; a watcher does the rest."""
        self.dirty = False
        if not self.out or self.rest:
            return  # or a watcher is at work already, and calls again
        out = self.out
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self.size = 0
        if self.channel is not None:
            try:
                data = self.channel.encrypt(data)
            except ssl.SSLError:
                self.interrupt(Closed("TLS is broken"))
                return
        self._push(data)

    def _push(self, data: bytes) -> None:
        if self.rest:  # TLS had something to say of its own
            self.rest = bytes(self.rest) + data
            if len(self.rest) > self.cap + len(data):  # key updates, asked for without an end
                self._cut_off("the peer does not read what TLS answers")
            return
        if not data or self.watcher is None:
            return
        try:
            sent = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._cut_off(str(error))
            return
        if sent < len(data):
            self.rest = memoryview(data)[sent:]
            if self.writer is None:
                self.writer = gevent.get_hub().loop.io(self.fd, 2)
            self.writer.start(self._writable)

    def _writable(self) -> None:
        data, self.rest = self.rest, b""
        self.writer.stop()
        self._push(data)  # type: ignore[arg-type]
        if not self.rest:
            self.flush()
        if self.room is not None:
            self.room.set()
        if self.closing and not self.rest:
            self._half_close()

    def drain(self) -> None:
        """Blocks this greenlet while more than half of the buffer waits for the peer; for those who have much to send."""
        while not self.closing and self.size + len(self.rest) > self.cap // 2:
            self.room = Event()
            self.flush()
            if self.rest:
                self.room.wait(LINGER)
        self.room = None

    # -- the end ----------------------------------------------------------------------------

    def close(self, last: bytes = b"") -> None:
        """Sends ``last`` behind what is queued and then nothing more. The connection's greenlet goes on to
        `finish`."""
        if self.watcher is None or self.closing:
            return
        if last:
            self.send(last)
        if not self.rest:
            self.flush()
        self.closing = True
        heartbeat.at(time.monotonic() + LINGER, self)
        if not self.rest:
            self._half_close()

    def _half_close(self) -> None:
        if self.channel is not None:
            self._push(self.channel.close())
            if self.rest:
                return
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def finish(self) -> None:
        """After `close`: reads on until the peer has closed too (a socket closed with input unread resets
        the connection, and the peer loses the last words), for `LINGER` seconds at most. Then the socket is
        closed."""
        self.fault = None
        with suppress(Closed, StreamError):
            while self.closing:
                self._receive()
        while self.rest and self.watcher is not None:
            self.reader = getcurrent()  # the peer has said all it wanted, but not yet read all of ours
            self.watcher.stop()
            gevent.get_hub().switch()
            self.reader = None
        self.abort()

    def abort(self) -> None:
        """Closes now. Safe to call twice."""
        if self.watcher is None:
            return
        heartbeat.cancel(self)
        self.closing = True
        self.watcher.stop()
        self.watcher.close()
        self.watcher = None
        if self.writer is not None:
            self.writer.stop()
            self.writer.close()
            self.writer = None
        self.rest = b""
        self.out.clear()
        self.parser.reset()
        if self.room is not None:
            self.room.set()
        self.sock.close()
        gevent.get_hub().loop.run_callback(self._wake)
