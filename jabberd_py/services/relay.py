"""Copies bytes between two sockets, both ways: an activated bytestream (XEP-0065).

Nothing here has a greenlet, and all bytestreams share one buffer: what was read of one socket goes to the other one at once.
What the other one does not take waits, and nothing more is read meanwhile. So a bytestream never keeps more than `CHUNK` bytes
in each direction, and a slow reader slows its sender down.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent

from ..heartbeat import heartbeat
from ..net.karma import Purse, Rates

CHUNK = 64 * 1024
"""Bytes that are read at a time."""
_buffer = memoryview(bytearray(CHUNK))


def rates(octets: int, burst: float) -> Rates:
    """So many bytes a second; ``burst``: seconds' worth of them that may pass at once."""
    return Rates(bytes=octets, burst_bytes=octets * burst)


class Leg:
    """One of the two connections of a bytestream. While it waits for the other one, what it sends is dropped.

    digest  the hash that it has named
    rest    bytes for this socket that it has not taken yet
    ended   has the peer sent its last byte?
    early   bytes that it may still send in vain
    purse   how much may be read of it
    timer   runs while it has spent that
    """

    slot = 0

    def __init__(
        self, sock: socket.socket, address: str, digest: str, gone: Callable[[Leg, str], object]
    ) -> None:
        """``gone`` is called if it ends, or has waited too long, before it is part of a bytestream."""
        self.sock, self.address, self.digest, self.gone = sock, address, digest, gone
        loop = gevent.get_hub().loop
        self.reader: Any = loop.io(sock.fileno(), 1)
        self.writer: Any = loop.io(sock.fileno(), 2)
        self.timer: Any = None
        self.rest = b""
        self.ended = False
        self.early = CHUNK
        self.purse = Purse(Rates())
        self.stranger = True

    def wait(self, seconds: float) -> None:
        """For the other one."""
        self.reader.start(self._drop)
        heartbeat.at(time.monotonic() + seconds, self)

    def _drop(self) -> None:
        """XEP-0065 section "StreamHost Requirements": what comes before the activation is ignored."""
        try:
            size = self.sock.recv_into(_buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.gone(self, error.strerror or str(error))
            return
        self.early -= size
        if not size:
            self.gone(self, "end of file")
        elif self.early < 0:
            self.gone(self, "it sends much, and is not activated")

    def due(self, now: float) -> None:
        self.gone(self, "nobody activates it")

    def close(self) -> None:
        """Never blocks."""
        heartbeat.cancel(self)
        for watcher in (self.reader, self.writer, self.timer):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self.sock.close()


class Bytestream:
    """Two legs, and what passes between them.

    user    the bare address of who has activated it
    passed  bytes so far, both ways
    shared  how much all bytestreams together may read
    """

    slot = 0

    def __init__(
        self,
        user: str,
        legs: tuple[Leg, Leg],
        rate: Rates,
        shared: Purse,
        idle: float,
        gone: Callable[[Bytestream, str], object],
    ) -> None:
        """``rate``: of each direction. ``idle``: seconds of silence after which it ends. ``gone`` is called once, with the
        reason for its end."""
        self.user, self.legs, self.shared, self.idle, self.gone = user, legs, shared, idle, gone
        self.passed = 0
        self.began = self.seen = time.monotonic()
        self.over = False
        for leg, other in (legs, legs[::-1]):
            heartbeat.cancel(leg)
            leg.reader.stop()
            leg.purse = Purse(rate)
            self._listen(leg, other)
        heartbeat.at(self.began + idle, self)

    def _listen(self, leg: Leg, other: Leg) -> None:
        """Reads a leg, unless something stands against it."""
        if not (self.over or leg.ended or leg.timer is not None or other.rest):
            leg.reader.start(self._readable, leg, other)

    def _readable(self, leg: Leg, other: Leg) -> None:
        now = time.monotonic()
        debt = max(each.debt(now) if each.bytes < 0 else 0.0 for each in (leg.purse, self.shared))
        if debt:
            leg.reader.stop()
            leg.timer = gevent.get_hub().loop.timer(debt)
            leg.timer.start(self._paid, leg, other)
            return
        try:
            size = leg.sock.recv_into(_buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.end(error.strerror or str(error))
            return
        self.seen = now
        if not size:
            self._last(leg, other)
            return
        leg.purse.bytes -= size
        self.shared.bytes -= size
        self.passed += size
        self._write(leg, other, _buffer[:size])

    def _paid(self, leg: Leg, other: Leg) -> None:
        leg.timer.close()
        leg.timer = None
        self._listen(leg, other)

    def _write(self, leg: Leg, other: Leg, data: memoryview | bytes) -> None:
        """Gives bytes of one leg to the other one. What that does not take is copied, and the leg is not read until it has."""
        try:
            sent = other.sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self.end(error.strerror or str(error))
            return
        other.rest = bytes(data[sent:])
        if other.rest:
            leg.reader.stop()
            other.writer.start(self._writable, leg, other)

    def _writable(self, leg: Leg, other: Leg) -> None:
        self.seen = time.monotonic()
        other.writer.stop()
        self._write(leg, other, other.rest)
        self._listen(leg, other)

    def _last(self, leg: Leg, other: Leg) -> None:
        """A peer has said its last; the other one may go on."""
        leg.ended = True
        leg.reader.stop()
        if other.ended:
            self.end("both are done")
            return
        with suppress(OSError):
            other.sock.shutdown(socket.SHUT_WR)

    def due(self, now: float) -> float | None:
        """Has anything passed?"""
        if self.seen + self.idle > now:
            return self.seen + self.idle
        self.end("nothing passes")
        return None

    def end(self, reason: str) -> None:
        """Closes both sockets. Never blocks; a second call does nothing."""
        if self.over:
            return
        self.over = True
        heartbeat.cancel(self)
        for leg in self.legs:
            leg.close()
        self.gone(self, reason)
