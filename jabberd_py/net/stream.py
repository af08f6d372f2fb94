"""One socket. Its own greenlet reads it (reading.py); any greenlet may write to it.

`Stream.send` only appends to a list. At the end of a turn of the loop everything in the list is written with one system call.
So no sender waits for the socket of a recipient. A recipient that does not read is cut off when its buffer is full."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from typing import Any, ClassVar

import gevent
from gevent.event import Event
from greenlet import getcurrent

from .. import log
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
"""Seconds in which the peer of a closing stream may still take what was sent."""
LAST_BYTES = 256 * 1024
"""At most this many bytes are read of a closing stream."""

logger = log.get(__name__)
_dirty: list[Stream] = []


def _flush_all() -> None:
    streams = _dirty[:]
    _dirty.clear()
    for stream in streams:
        try:
            stream.flush()
        except Exception:  # the others are written all the same: nothing would make them write later
            logger.exception("a stream could not be written")
            stream.cut_off("a fault of this server")


class Stream(Reader):
    """A socket of c2s, s2s or a component. ``linger``: seconds for the last bytes of a closing stream, less when the server
    stops. Buffers, in the order in which bytes pass them:

    out      what `send` was given: ``size`` bytes, as plain text
    rest     what the socket did not take at once, encrypted if there is TLS
    cap      bytes that may wait in both; more cut the stream off
    backlog  counts what waits in all streams together
    taken    bytes that the socket has taken so far
    drained  set when the socket has taken more; `drain` waits for it
    """

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
        login_timeout: float | None,
        rates: Rates = UNLIMITED,
        backlog: Backlog = UNBOUNDED,
    ) -> None:
        """``sock``: a plain non-blocking socket. ``cap``: bytes that may wait for a slow reader; ``backlog``: the bound for all
        streams. ``login_timeout``: seconds until `established` must have been called; None: any number. ``rates``: how much is
        read of the peer."""
        super().__init__(sock, limits, login_timeout, rates)
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
        """Is the stream encrypted? Transports with an encryption of their own may override this."""
        return self.channel is not None

    @property
    def tls_version(self) -> str | None:
        """As "TLSv1.3"; None without TLS."""
        return None if self.channel is None else self.channel.version

    @property
    def certificate(self) -> bytes | None:
        """The certificate of the peer, as DER; None if it has shown none."""
        return None if self.channel is None else self.channel.certificate

    @property
    def bindings(self) -> dict[str, bytes]:
        """Channel binding type -> data; empty without TLS."""
        return {} if self.channel is None else self.channel.bindings

    def start_tls(self, channel: Secure) -> None:
        """Does the TLS handshake. Blocks. Raises ssl.SSLError or Closed."""
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
                self.take(early)

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
        """Queues bytes; they are written at the end of this turn of the loop. Never blocks, never raises."""
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
        self.flush()  # the socket may take it: so far nobody has tried in this turn
        if self.size + len(self.rest) > self.cap:
            self.cut_off("the peer does not read what it is sent")

    def cut_off(self, reason: str) -> None:
        """Ends the stream soon, and drops what waits. Never blocks, never raises."""
        self.closing = True
        self._forget()
        heartbeat.at(time.monotonic(), self)
        self.interrupt(Closed(reason))

    def flush(self) -> None:
        """Writes what is queued, as far as the socket takes it. A write watcher writes the rest later. Never blocks."""
        self.dirty = False
        if not self.out or self.rest:
            if self.rest:  # the write watcher is started, and calls this again
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
        if self.rest:  # TLS answers by itself (a key update, an alert)
            self.rest = bytes(self.rest) + data
            if len(self.rest) > self.cap + len(data):  # a peer that asks for key updates without an end
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
            self.wrote = True
        else:
            self.rest = memoryview(data)[sent:]
            if self.writer is None:
                self.writer = self._watch(2)
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
        """Blocks while more than half of the buffer waits for the peer. Callers who have much to send call it in between.
        Several greenlets may wait here. Hold no database connection meanwhile."""
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
        """Sends what is queued, then ``last``, and half-closes the socket. Does not block: the greenlet of the connection calls
        `finish` afterwards."""
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
        """To be called after `close`. Reads on until the peer has closed, too, then closes the socket: closed with unread input
        it would reset the connection, and the peer would lose our last bytes. Blocks for ``linger`` seconds at most, and reads
        `LAST_BYTES` at most."""
        self.fault = None
        left = LAST_BYTES
        with suppress(Closed, StreamError):
            while self.closing and left > 0:
                left -= len(self._receive())
        while self.watcher is not None and (self.rest or left <= 0):
            self.watcher.stop()  # nothing more is read; the peer may still take what we sent
            self.reader = getcurrent()
            gevent.get_hub().switch()
            self.reader = None
        self.abort()

    def abort(self) -> None:
        """Closes the socket now; what waits is lost. Never blocks. A second call does nothing."""
        if self.watcher is None:
            return
        heartbeat.cancel(self)
        self.owed = self.unacknowledged()
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
