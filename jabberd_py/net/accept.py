"""Accepts connections and starts a greenlet for each (gevent's StreamServer)."""

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
from .networks import Networks
from .ports import listen
from .proxyprotocol import read_header

logger = log.get(__name__)

BACKLOG = 4096
PATIENCE = 10.0
"""Seconds that a proxy has for its PROXY header."""
NOBODY = Networks()
Serve = Callable[[socket.socket, str], bool | None]
"""Called with a socket and the IP address of its peer. Returns True if the connection goes on after this greenlet has ended."""


def _always() -> bool:
    return True


class Listener(StreamServer):
    """Calls ``serve(sock, address)`` in a new greenlet for every connection. The socket is a plain non-blocking one: a stream
    has watchers of its own, and gevent's socket object would only cost memory. While ``admits()`` is false no connection is
    accepted: new ones wait in the queue of the kernel until `go_on` is called. ``name`` stands in the log. ``proxies``: from
    there a connection begins with a PROXY header, which tells the address."""

    max_accept = 1  # so that the greenlet of a connection begins, and `admits` counts it, before the next

    def __init__(
        self, name: str, address: str, port: int, serve: Serve, admits: Callable[[], bool] = _always
    ) -> None:
        self.name = name
        self.admits = admits
        self.proxies = NOBODY
        self.bound = (address, port)
        listening = listen(address, port, BACKLOG)
        self.bound = listening.getsockname()[:2]
        super().__init__(listening, serve)

    def full(self) -> bool:
        """gevent asks before every connection, and stops to accept if this is true."""
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
        sock = _socket.socket(fileno=fd)  # socket.socket is gevent's after monkey-patching
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
            client = self._client(sock, address) if address in self.proxies else address
            goes_on = client is not None and self._handle(sock, client)
        except Exception:
            logger.exception("a connection failed", kind=self.name, address=address)
        if not goes_on:
            sock.close()

    def _client(self, sock: Any, proxy: str) -> str | None:
        """The address that a PROXY header tells. Blocks. None: there is no header."""
        try:
            with gevent.Timeout(PATIENCE):
                return read_header(sock, proxy)
        except (EOFError, OSError) as error:  # a look at our health, perhaps
            logger.debug("no PROXY header", kind=self.name, address=proxy, reason=str(error))
        except (ValueError, gevent.Timeout) as error:
            logger.info("no PROXY header", kind=self.name, address=proxy, reason=str(error))
        return None


class Wanted(NamedTuple):
    """An address and port on which a part of the server is to listen. ``option``: the option that gives the port; ``proxies``:
    who sends PROXY headers."""

    name: str
    address: str
    port: int
    option: str
    serve: Serve
    admits: Callable[[], bool] = _always
    proxies: Networks = NOBODY


def with_direct(
    options: Any, name: str, serve: Serve, direct: Serve, admits: Callable[[], bool] = _always
) -> list[Wanted]:
    """What a part with the options ``address``, ``port`` and ``direct_port`` wants: ``serve`` for STARTTLS at the one port,
    ``direct`` for direct TLS at the other, at every address. A port that is None is not wanted."""
    proxies = Networks(options.proxy_protocol)
    return [
        Wanted(each, address, port, option, handler, admits, proxies)
        for address in options.address
        for each, port, option, handler in (
            (name, options.port, "port", serve),
            (f"{name}_direct", options.direct_port, "direct_port", direct),
        )
        if port is not None
    ]


class Ports:
    """The listeners of one part of the server. They change in two steps, so that all parts of the server change together or
    none does: `prepare` binds the new ports and returns the second step, which serves them and closes the old ones."""

    def __init__(self) -> None:
        self.listeners: dict[tuple[str, str, int], Listener] = {}
        self.running = False

    def prepare(self, wanted: Iterable[Wanted], undo: ExitStack) -> Callable[[], None]:
        """Binds the ports that are not bound yet. Nothing is accepted there before the second step, which is returned.
        ``undo`` closes them again. Raises OptionError."""
        new: dict[tuple[str, str, int], Listener] = {}
        believed: dict[tuple[str, str, int], Networks] = {}
        for name, address, port, option, serve, admits, proxies in wanted:
            key = (name, address, port)
            believed[key] = proxies
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
            for key, listener in new.items():
                listener.proxies = believed[key]
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
