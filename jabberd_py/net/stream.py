"""One socket: blocking-style reads in its own greenlet (reading.py), joined and bounded writes from everybody.

*Joined writes*: all that is sent to a stream in one turn of the loop leaves with one system call, so the
sender never waits for the recipient's socket, and a recipient that does not read is cut off when its buffer is full."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from typing import Any, ClassVar

import gevent
from gevent.event import Event
from greenlet import getcurrent

from ..heartbeat import heartbeat
from ..xmpp.errors import StreamError
from ..xmpp.frame import TCP, Frame
from ..xmpp.parser import Limits
from .backlog import UNBOUNDED, Backlog
from .channel import Secure
from .karma import Rates
from .reading import UNLIMITED, Closed, Reader, Resting

__all__ = ["Closed", "Resting", "Stream"]

LINGER = 5.0
"""Seconds that a closing stream is given to take what it was sent."""
LAST_BYTES = 256 * 1024
"""Bytes that are read of a closing stream; then its peer has to wait for the end."""

_dirty: list[Stream] = []


def _flush_all() -> None:
    streams = _dirty[:]
    _dirty.clear()
    for stream in streams:
        stream.flush()


class Stream(Reader):
    """What c2s, s2s and components share. ``linger``: seconds that a closing stream has, less when the server stops."""

    linger: ClassVar[float] = LINGER
    frame: Frame = TCP

    __slots__ = (
        "out", "size", "taken", "cap", "rest", "backlog", "writer", "dirty", "drained", "__weakref__",
    )  # fmt: skip

    def __init__(
        self,
        sock: socket.socket,
        limits: Limits,
        cap: int,
        patience: float | None,
        rates: Rates = UNLIMITED,
        backlog: Backlog = UNBOUNDED,
    ) -> None:
        """``sock`` is a plain non-blocking socket; ``cap`` the bytes that may wait for a slow reader, ``backlog`` the bound
        for all; ``patience`` the seconds until `settled` must have been called; ``rates`` what is read of the peer."""
        super().__init__(sock, limits, patience, rates)
        self.out: list[bytes] = []
        self.size = 0
        self.taken = 0  # bytes that the socket has taken so far; on TLS, encrypted ones
        self.cap = cap
        self.rest: bytes | memoryview = b""
        self.backlog = backlog
        self.writer: Any = None
        self.dirty = False
        self.drained: Event | None = None

    # -- TLS ---------------------------------------------------------------------------

    @property
    def secure(self) -> bool:
        """Can nobody on the way read or change what is said? A carrier may know more of that than the channel."""
        return self.channel is not None

    @property
    def tls_version(self) -> str | None:
        """As "TLSv1.3"; None without TLS."""
        return None if self.channel is None else self.channel.version

    @property
    def certificate(self) -> bytes | None:
        """What the peer has shown, as DER."""
        return None if self.channel is None else self.channel.certificate

    @property
    def bindings(self) -> dict[str, bytes]:
        """Channel binding data by type; none without TLS."""
        return {} if self.channel is None else self.channel.bindings

    def start_tls(self, channel: Secure) -> None:
        """The handshake. Raises ssl.SSLError or Closed."""
        self.flush()
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
            self.cut_off("the peer does not read what it is sent")

    def cut_off(self, reason: str) -> None:
        """Ends the stream, soon, and forgets what waits. Never blocks, never raises."""
        self.closing = True
        self._forget()
        heartbeat.at(time.monotonic(), self)
        self.interrupt(Closed(reason))

    def flush(self) -> None:
        """Sends what is queued, as far as the socket takes it; a watcher does the rest."""
        self.dirty = False
        if not self.out or self.rest:
            if self.rest:  # a watcher is at work already, and calls again
                self.backlog.weigh(self, self.size + len(self.rest))
            return
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
                self.cut_off("the peer does not read what TLS answers")
            return
        if not data or self.watcher is None:
            return
        try:
            sent = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self.cut_off(str(error))
            return
        self.taken += sent
        if sent == len(data):
            self.took = True
        else:
            self.rest = memoryview(data)[sent:]
            if self.writer is None:
                self.writer = gevent.get_hub().loop.io(self.fd, 2)
            self.writer.start(self._writable)
            self.backlog.weigh(self, self.size + len(self.rest))

    def _writable(self) -> None:
        data, self.rest = self.rest, b""
        self.writer.stop()
        self._push(data)  # type: ignore[arg-type]
        if not self.rest:
            self.flush()
        if not self.rest:
            self.backlog.weigh(self, 0)
        self._wake_drainers()
        if self.closing and not self.rest:
            self._half_close()

    def drain(self) -> None:
        """Blocks this greenlet while more than half of the buffer waits for the peer; for those who have much to send.
        Several may wait at a time."""
        while not self.closing and self.size + len(self.rest) > self.cap // 2:
            self.flush()
            if self.rest:
                if self.drained is None:
                    self.drained = Event()
                self.drained.wait(LINGER)

    def _wake_drainers(self) -> None:
        drained, self.drained = self.drained, None
        if drained is not None:
            drained.set()

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
        heartbeat.at(time.monotonic() + self.linger, self)
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
        """After `close`: reads on until the peer has closed too (a socket closed with input unread resets the connection, and
        the peer loses the last words), for ``linger`` seconds and `LAST_BYTES` at most. Then the socket is closed."""
        self.fault = None
        left = LAST_BYTES
        with suppress(Closed, StreamError):
            while self.closing and left > 0:
                left -= len(self._receive())
        while self.watcher is not None and (self.rest or left <= 0):
            self.watcher.stop()  # the peer has said all it wanted, or may, but perhaps not yet read all of ours
            self.reader = getcurrent()
            gevent.get_hub().switch()
            self.reader = None
        self.abort()

    def abort(self) -> None:
        """Closes now. Safe to call twice."""
        if self.watcher is None:
            return
        heartbeat.cancel(self)
        self.closing = True
        self.ask = None  # it holds whoever holds this stream
        self.watcher.stop()
        self.watcher.close()
        self.watcher = None
        if self.writer is not None:
            self.writer.stop()
            self.writer.close()
            self.writer = None
        self._forget()
        self.parser.reset()
        self._wake_drainers()
        self.sock.close()
        gevent.get_hub().loop.run_callback(self._wake)

    def _forget(self) -> None:
        self.out.clear()
        self.size = 0
        self.rest = b""
        if self.writer is not None:
            self.writer.stop()
        self.backlog.weigh(self, 0)
