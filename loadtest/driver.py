"""Clients that cost less than any server: raw sockets, epoll, prebuilt bytes; what comes is only counted.

Logins are plain blocking code on a few threads; only traffic is counted in one loop.
"""

import functools
import hashlib
import hmac
import os
import re
import select
import socket
import ssl
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from .peers.base import DOMAIN

TIMEOUT = 20.0
THREADS = 4
RECV = 64 * 1024
RESOURCE = "bench"

_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_context.check_hostname, _context.verify_mode = False, ssl.CERT_NONE

HEADER = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
).encode()
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
BIND = (
    "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
    f"<resource>{RESOURCE}</resource></bind></iq>"
).encode()


class Failed(Exception):
    """The server said no, or nothing, or goodbye."""


class Client:
    """One connection. After `login` the socket does not block any more."""

    def __init__(self, name: str, password: str) -> None:
        self.name, self.password = name, password
        self.bare = f"{name}@{DOMAIN}"
        self.jid = f"{self.bare}/{RESOURCE}"
        self.socket: Any = None
        self.tls = False
        self.tail = b""

    # -- login, blocking ---------------------------------------------------------------------

    def login(self, address: tuple[str, int], tls: bool) -> None:
        """Stream, STARTTLS if ``tls``, SCRAM-SHA-1, resource bound. Raises Failed."""
        try:
            self.socket = socket.create_connection(address, TIMEOUT)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ask(HEADER, b"</stream:features>")
            if tls:
                self._ask(STARTTLS, b"<proceed")
                self.socket = _context.wrap_socket(self.socket, server_hostname=DOMAIN)
                self.tls = True
                self._ask(HEADER, b"</stream:features>")
            self._authenticate()
            self._ask(HEADER, b"</stream:features>")
            self.jid = _inside(self._ask(BIND, b"</iq>"), b"jid").decode()
        except OSError as error:
            raise Failed(f"{self.name}: {error}") from None
        self.socket.setblocking(False)

    def _authenticate(self) -> None:
        nonce = b64encode(os.urandom(12)).decode()
        bare = f"n={self.name},r={nonce}"
        first = b64decode(_inside(self._ask(_sasl("auth", "n,," + bare, " mechanism='SCRAM-SHA-1'"),
                                            b"</challenge>"), b"challenge")).decode()  # fmt: skip
        said = dict(part.split("=", 1) for part in first.split(","))
        key = _client_key(self.password, said["s"], int(said["i"]))
        final = f"c=biws,r={said['r']}"
        signature = hmac.digest(hashlib.sha1(key).digest(), f"{bare},{first},{final}".encode(), "sha1")
        proof = b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
        self._ask(_sasl("response", f"{final},p={proof}"), b"</success>")

    def _ask(self, data: bytes, until: bytes) -> bytes:
        self.socket.sendall(data)
        got = b""
        while until not in got or not got.endswith(b">"):
            piece = self.socket.recv(RECV)
            if not piece or b"<failure" in piece or b"<stream:error" in piece or b"type='error'" in piece:
                raise Failed(
                    f"{self.name}: {(got + piece).decode(errors='replace') or 'the connection is closed'}"
                )
            got += piece
        return got

    # -- traffic, not blocking ---------------------------------------------------------------

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


def _inside(data: bytes, name: bytes) -> bytes:
    match = re.search(rb"<%b[^>]*>([^<]*)</%b>" % (name, name), data)
    if match is None:
        raise Failed(f"no <{name.decode()}/> in {data!r}")
    return match[1]


def _sasl(name: str, text: str, attributes: str = "") -> bytes:
    data = b64encode(text.encode()).decode()
    return f"<{name} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'{attributes}>{data}</{name}>".encode()


@functools.lru_cache(20_000)
def _client_key(password: str, salt: str, iterations: int) -> bytes:
    salted = hashlib.pbkdf2_hmac("sha1", password.encode(), b64decode(salt), iterations)
    return hmac.digest(salted, b"Client Key", "sha1")


def login(users: Iterable[tuple[str, str]], address: tuple[str, int], tls: bool) -> list[Client]:
    """All of them, or Failed and none."""
    clients = [Client(name, password) for name, password in users]
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda client: client.login(address, tls), clients))
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

    def drain(self, quiet: float = 0.3) -> None:
        """Reads away whatever comes, until nothing came for ``quiet`` seconds."""
        with select.epoll() as epoll:
            for fd in self.clients:
                epoll.register(fd, select.EPOLLIN)
            deadline = time.monotonic() + TIMEOUT
            while time.monotonic() < deadline and (events := epoll.poll(quiet)):
                for fd, _ in events:
                    self.clients[fd].count(self.marker)
