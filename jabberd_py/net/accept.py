"""Accepting connections: one greenlet for each (gevent's StreamServer)."""

from __future__ import annotations

import _socket
import socket
from collections.abc import Callable
from typing import Any

import gevent
from gevent.server import StreamServer

from .. import log
from .ports import listen

logger = log.get(__name__)

BACKLOG = 4096
Serve = Callable[[socket.socket, str], bool | None]
"""True: the connection goes on, though this greenlet ends."""


def _room() -> bool:
    return True


class Listener(StreamServer):
    """Calls ``serve(sock, address)`` in a new greenlet for every connection, with a plain non-blocking socket: the stream
    has watchers of its own, so gevent's socket object would only cost memory. While ``room()`` is false nobody is let in:
    who comes waits in the kernel's queue, until `go_on` is called."""

    max_accept = 1  # then their greenlets begin, and `room` knows of them

    def __init__(
        self, kind: str, address: str, port: int, serve: Serve, room: Callable[[], bool] = _room
    ) -> None:
        self.kind = kind
        self.room = room
        self.bound = (address, port)
        listening = listen(address, port, BACKLOG)
        self.bound = listening.getsockname()[:2]
        super().__init__(listening, serve)

    def full(self) -> bool:
        """Asked by gevent before every connection; if true, it stops listening."""
        return not self.room()

    def go_on(self) -> None:
        """There is room again."""
        if self.started:
            self.start_accepting()

    def do_read(self) -> Any:
        try:
            fd, address = self.socket._accept()
        except BlockingIOError:
            return None
        # _socket's own class: monkey-patching has put gevent's in the place of socket.socket
        sock = _socket.socket(fileno=fd)
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host = address[0] if address else ""
        return sock, host.removeprefix("::ffff:")

    def do_handle(self, sock: Any, address: str) -> None:
        gevent.spawn_raw(self._guarded, sock, address)

    def _guarded(self, sock: Any, address: str) -> None:
        goes_on = None
        try:
            goes_on = self._handle(sock, address)
        except Exception:
            logger.exception("a connection failed", kind=self.kind, address=address)
        if not goes_on:
            sock.close()
