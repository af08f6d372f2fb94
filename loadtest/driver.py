"""Clients that cost less than any server: raw sockets, epoll, prebuilt bytes; what comes is only counted."""

import select
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from . import login as _login
from .login import AT_ONCE, PATIENCE, RECV, Failed
from .peers.base import DOMAIN

__all__ = ["Client", "Failed", "Loop", "close", "login"]

RESOURCE = "bench"


class Client:
    """One connection; its socket does not block. ``held``: it can send nothing before something comes (BOSH)."""

    held = False

    def __init__(self, name: str, password: str, resource: str = RESOURCE) -> None:
        self.name, self.password, self.resource = name, password, resource
        self.bare = f"{name}@{DOMAIN}"
        self.jid = f"{self.bare}/{resource}"
        self.socket: Any = None
        self.tls = False
        self.tail = b""

    def enter(self, sock: Any, jid: str, tls: bool) -> None:
        """Is logged in."""
        self.socket, self.jid, self.tls, self.tail = sock, jid, tls, b""

    def packed(self, stanza: bytes) -> bytes:
        """A stanza as `send` takes it; several may follow each other."""
        return stanza

    def send(self, data: bytes) -> None:
        if data and self.socket.send(data) != len(data):
            raise Failed(f"{self.name}: the server does not read")

    def count(self, marker: bytes) -> int:
        """How many markers have come since the last call."""
        found = 0
        with suppress(BlockingIOError, ssl.SSLWantReadError):
            while True:
                data = self.socket.recv(RECV)
                if not data:
                    raise Failed(f"{self.name}: the connection is closed: {self.tail[-500:]!r}")
                if self.tail:
                    data = self.tail + data
                found += data.count(marker)
                self.tail = data[data.rfind(b">") + 1 :]  # a marker ends with '>'
                if not (self.tls and self.socket.pending()):
                    break  # epoll tells of the rest
        return found

    def close(self) -> None:
        if self.socket is not None:
            with suppress(OSError):
                self.socket.close()

    def cut(self) -> None:
        """As a lost network does: no farewell, a reset."""
        with suppress(OSError):
            self.socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


def login(
    users: Iterable[tuple[str, str]],
    address: tuple[str, int],
    tls: bool,
    at_once: int = AT_ONCE,
    first: int = 0,
    patience: float = PATIENCE,
) -> list[Client]:
    """All of them (see `login.login`), or Failed and none."""
    clients = [Client(name, password) for name, password in users]
    try:
        _login.login(clients, address, tls, at_once, first, None, patience)
    except BaseException:
        close(clients)
        raise
    return clients


def close(clients: Iterable[Client]) -> None:
    for client in clients:
        client.close()


class Loop:
    """Counts ``marker`` on all clients; ``on_found(client, count)`` may send more."""

    def __init__(self, clients: Sequence[Client], marker: bytes) -> None:
        self.marker = marker
        self.clients = {client.socket.fileno(): client for client in clients}
        self.received = 0

    def run(self, on_found: Callable[[Client, int], None], done: Callable[[], bool], seconds: float) -> bool:
        """Until ``done()``, asked after each turn, or for so many seconds at most; False then."""
        deadline = time.monotonic() + seconds
        with select.epoll() as epoll:
            for fd in self.clients:
                epoll.register(fd, select.EPOLLIN)
            while not done():
                if time.monotonic() > deadline:
                    return False
                for fd, _ in epoll.poll(0.05):
                    client = self.clients[fd]
                    found = client.count(self.marker)
                    if found:
                        self.received += found
                        on_found(client, found)
        return True

    def drain(self, quiet: float = 0.3, limit: float = 20.0) -> None:
        """Counts whatever comes, until nothing came for ``quiet`` seconds, or for ``limit`` seconds."""
        with select.epoll() as epoll:
            for fd in self.clients:
                epoll.register(fd, select.EPOLLIN)
            deadline = time.monotonic() + limit
            while time.monotonic() < deadline and (events := epoll.poll(quiet)):
                for fd, _ in events:
                    self.received += self.clients[fd].count(self.marker)
