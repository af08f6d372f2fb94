"""Reads a plain non-blocking socket before it belongs to a stream. Every call blocks its greenlet only."""

from __future__ import annotations

import socket

import gevent


def readable(sock: socket.socket) -> None:
    """Blocks until the socket can be read, or has ended."""
    hub = gevent.get_hub()
    watcher = hub.loop.io(sock.fileno(), 1)
    try:
        hub.wait(watcher)
    finally:
        watcher.close()


def some(sock: socket.socket, size: int, flags: int = 0) -> bytes:
    """At most ``size`` bytes, at least one. ``flags``: of recv(2). Blocks. Raises EOFError, OSError."""
    while True:
        readable(sock)
        try:
            data = sock.recv(size, flags)
        except (BlockingIOError, InterruptedError):
            continue
        if not data:
            raise EOFError("end of file")
        return data


def exactly(sock: socket.socket, size: int) -> bytes:
    """So many bytes; what comes behind them stays in the kernel. Blocks. Raises EOFError, OSError."""
    found = b""
    while len(found) < size:
        found += some(sock, size - len(found))
    return found
