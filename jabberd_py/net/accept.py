"""Accepting connections: one greenlet for each (gevent's StreamServer)."""

from __future__ import annotations

import _socket
import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, NamedTuple

import gevent
from gevent.server import StreamServer

from .. import log
from ..options import OptionError
from .ports import listen

logger = log.get(__name__)

BACKLOG = 4096
Serve = Callable[[socket.socket, str], bool | None]
"""True: the connection goes on, though this greenlet ends."""


def _always() -> bool:
    return True


class Listener(StreamServer):
    """Calls ``serve(sock, address)`` in a new greenlet for every connection, with a plain non-blocking socket: the stream
    has watchers of its own, so gevent's socket object would only cost memory. While ``admits()`` is false
    nobody is let in: new connections wait in the queue of the kernel until `go_on` is called."""

    max_accept = 1  # then their greenlets begin, and `admits` counts them

    def __init__(
        self, name: str, address: str, port: int, serve: Serve, admits: Callable[[], bool] = _always
    ) -> None:
        self.name = name
        self.admits = admits
        self.bound = (address, port)
        listening = listen(address, port, BACKLOG)
        self.bound = listening.getsockname()[:2]
        super().__init__(listening, serve)

    def full(self) -> bool:
        """Asked by gevent before every connection; if true, it stops listening."""
        return not self.admits()

    def go_on(self) -> None:
        """Accepts connections again, after ``admits()`` has been false."""
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
            logger.exception("a connection failed", kind=self.name, address=address)
        if not goes_on:
            sock.close()


class Wanted(NamedTuple):
    """Where one part of the server wants to listen. ``option``: what the configuration calls the port."""

    name: str
    address: str
    port: int
    option: str
    serve: Serve
    admits: Callable[[], bool] = _always


class Ports:
    """The listeners of one part of the server. They change in two steps, so that several parts change together or not at
    all: `prepare` takes what is new, and the step that it returns begins to serve there and closes what is gone."""

    def __init__(self) -> None:
        self.listeners: dict[tuple[str, str, int], Listener] = {}
        self.running = False

    def prepare(self, wanted: Iterable[Wanted], undo: ExitStack) -> Callable[[], None]:
        """Takes ports, without serving yet; ``undo`` gives them back. Raises OptionError. Returns the second step."""
        new: dict[tuple[str, str, int], Listener] = {}
        for name, address, port, option, serve, admits in wanted:
            key = (name, address, port)
            if key in self.listeners:
                new[key] = self.listeners[key]
                continue
            try:
                new[key] = Listener(name, address, port, serve, admits)
            except OSError as error:
                reason = f"cannot listen on {address} port {port}: {error.strerror}"
                raise OptionError(option, reason) from None
            undo.callback(new[key].close)

        def switch() -> None:
            old, self.listeners = self.listeners, new
            for key, listener in old.items():
                if key not in new:
                    listener.close()
            if self.running:
                self.start()

        return switch

    def start(self) -> None:
        self.running = True
        for listener in self.listeners.values():
            if not listener.started:
                listener.start()

    def go_on(self) -> None:
        """Accepts connections again, after ``admits()`` has been false."""
        for listener in self.listeners.values():
            listener.go_on()

    def close(self) -> None:
        for listener in self.listeners.values():
            listener.close()
