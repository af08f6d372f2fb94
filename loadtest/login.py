"""Logging many clients in: one loop, as many at a time as is asked for, so that a storm of thousands costs no threads."""

import os
import re
import select
import socket
import ssl
import time
from base64 import b64decode, b64encode
from collections.abc import Generator, Sequence
from typing import Any

from tests.scram import Scram

from .peers.base import DOMAIN

AT_ONCE = 4
"""Logins that run side by side, where nothing else is asked for."""
PATIENCE = 20.0
"""Seconds that a server may take for one login, when no others wait."""
PER_ADDRESS = 40
"""Clients that share one address of 127.0.0.0/8: fewer than any server's limit."""
RECV = 64 * 1024

_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_context.check_hostname, _context.verify_mode = False, ssl.CERT_NONE

HEADER = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
).encode()
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"

Steps = Generator[tuple[bytes, bytes], bytes, str]


class Failed(Exception):
    """The server said no, or nothing, or goodbye."""


def steps(name: str, password: str, resource: str, tls: bool) -> Steps:
    """The dialogue: yields (what to send, what the answer ends in), is sent the answer, returns the full JID.

    An empty piece to send means: TLS begins.
    """
    yield HEADER, b"</stream:features>"
    if tls:
        yield STARTTLS, b">"
        yield b"", b""
        yield HEADER, b"</stream:features>"
    scram = Scram("SCRAM-SHA-1", name, password)
    answer = yield _sasl("auth", scram.first(), " mechanism='SCRAM-SHA-1'"), b"</challenge>"
    final = scram.final(b64decode(_inside(answer, b"challenge")))
    answer = yield _sasl("response", final), b"</success>"
    scram.verify(b64decode(_inside(answer, b"success")))
    yield HEADER, b"</stream:features>"
    bind = (
        "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
        f"<resource>{resource}</resource></bind></iq>"
    )
    return _inside((yield bind.encode(), b"</iq>"), b"jid").decode()


def _inside(data: bytes, name: bytes) -> bytes:
    match = re.search(rb"<%b[^>]*>([^<]*)</%b>" % (name, name), data)
    if match is None:
        raise Failed(f"no <{name.decode()}/> in {data!r}")
    return match[1]


def _sasl(name: str, said: bytes, attributes: str = "") -> bytes:
    data = b64encode(said).decode()
    return f"<{name} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'{attributes}>{data}</{name}>".encode()


class Login:
    """One client on its way in; ``sock`` is plain first and may become TLS."""

    def __init__(self, client: Any, address: tuple[str, int], tls: bool, source: str) -> None:
        self.client = client
        self.steps = steps(client.name, client.password, client.resource, tls)
        self.began = time.monotonic()
        self.sock: Any = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.bind((source, 0))
        self.sock.connect_ex(address)
        self.connected = self.shaking = False
        self.got, self.until = b"", b""

    def go_on(self) -> str | None:
        """Does what can be done now. The full JID at the end. Raises Failed."""
        try:
            if not self.connected:
                error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise Failed(f"{self.client.name}: {os.strerror(error)}")
                self.connected = True
                self._send(next(self.steps))
            while True:
                if self.shaking:
                    self.sock.do_handshake()
                    self.shaking = False
                    self._send(self.steps.send(b""))
                piece = self.sock.recv(RECV)
                self.got += piece
                if not piece or any(
                    word in piece for word in (b"<failure", b"<stream:error", b"type='error'")
                ):
                    said = self.got.decode(errors="replace")[-500:] or "the connection is closed"
                    raise Failed(f"{self.client.name}: {said}")
                if self.until in self.got and self.got.endswith(b">"):
                    answer, self.got = self.got, b""
                    self._send(self.steps.send(answer))
        except StopIteration as end:
            return str(end.value)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except (OSError, AssertionError) as error:  # AssertionError: by Scram
            raise Failed(f"{self.client.name}: {error}") from None

    def _send(self, step: tuple[bytes, bytes]) -> None:
        data, self.until = step
        if data:
            self.sock.send(data)
        else:
            self.sock = _context.wrap_socket(self.sock, server_hostname=DOMAIN, do_handshake_on_connect=False)
            self.shaking = True


def source(number: int) -> str:
    """The loopback address of the client of that number."""
    block = number // PER_ADDRESS
    return f"127.1.{block // 250}.{block % 250 + 1}"


def login(
    clients: Sequence[Any],
    address: tuple[str, int],
    tls: bool,
    at_once: int = AT_ONCE,
    first: int = 0,
    failures: list[str] | None = None,
    patience: float = PATIENCE,
) -> None:
    """All ``clients`` get their ``socket``, ``jid`` and ``tls``; those that fail are told in ``failures``, or the first
    raises Failed. ``first``: number of the first one's address (`source`)."""
    waiting = iter(enumerate(clients, first))
    active: dict[int, Login] = {}
    told = failures if failures is not None else []

    def failed(login: Login, why: str) -> None:
        login.sock.close()
        told.append(why)
        if failures is None:
            raise Failed(why)

    with select.epoll() as epoll:
        try:
            while True:
                for number, client in waiting if len(active) < at_once else ():
                    new = Login(client, address, tls, source(number))
                    active[new.sock.fileno()] = new
                    epoll.register(new.sock.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
                    if len(active) >= at_once:
                        break
                if not active:
                    return
                events = epoll.poll(1.0)
                for fd, event in events:
                    login = active.get(fd)
                    if login is None or (event == select.EPOLLOUT and login.connected):
                        continue
                    try:
                        jid = login.go_on()
                    except Failed as error:
                        del active[fd]
                        failed(login, str(error))
                        continue
                    if jid:
                        del active[fd]
                        epoll.unregister(fd)
                        login.client.enter(login.sock, jid, tls)
                if not events:
                    _give_up(active, patience, failed)
        finally:
            for login in active.values():
                login.sock.close()


def _give_up(active: dict[int, Login], patience: float, failed: Any) -> None:
    oldest = time.monotonic() - patience
    for fd, login in [*active.items()]:
        if login.began < oldest:
            del active[fd]
            failed(login, f"{login.client.name}: nothing more than {login.got[-200:]!r} in {patience} s")
