"""Connects to another server. The targets of a domain are tried one after the other (RFC 2782), the addresses of a target
side by side (Happy Eyeballs, RFC 8305)."""

from __future__ import annotations

import _socket
import errno
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import gevent
from gevent.queue import Empty, SimpleQueue

from ..xmpp.protocols import RFC
from .dnsrv import PORT, Resolver, Target, literal

PROTOCOLS = (RFC(8305, "Happy Eyeballs"),)

STAGGER = 0.25
"""Seconds after which the next address is tried, too, if the ones before have not answered (RFC 8305 section 5)."""
DIRECT_TLS_PORT = 5270


@dataclass(frozen=True)
class Attempt:
    """An address that did not answer, and why."""

    target: Target
    address: str
    fault: str

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.target.host} ({address}:{self.target.port}): {self.fault}"


class ConnectError(Exception):
    """No server could be reached. ``tried``: the addresses, with the reason of each. ``timed_out``: did one of them not
    answer in time?"""

    def __init__(self, tried: Sequence[Attempt]) -> None:
        super().__init__("; ".join(map(str, tried)) or "there is no address to try")
        self.tried = tuple(tried)
        self.timed_out = any(attempt.fault == SILENT for attempt in tried)


SILENT = "no answer in time"


def connect(
    targets: Sequence[Target], timeout: float, each_timeout: float
) -> tuple[_socket.socket, Target, tuple[Attempt, ...]]:
    """Connects to the first target that answers. Blocks for ``timeout`` seconds at most, for each target ``each_timeout``.
    Returns a plain non-blocking socket (as `accept` makes them), its target, and the attempts that failed. Raises
    ConnectError."""
    end = time.monotonic() + timeout
    tried: list[Attempt] = []
    for target in targets:
        left = min(end - time.monotonic(), each_timeout)
        sock = _race(target, time.monotonic() + left, tried) if left > 0 else None
        if sock is not None:
            return sock, target, tuple(tried)
    raise ConnectError(tried)


def _race(target: Target, deadline: float, tried: list[Attempt]) -> _socket.socket | None:
    """Connects to the first address of the target that answers. None: all have failed, or ``deadline`` has come."""
    waiting = _alternating(target.addresses)
    results: SimpleQueue = SimpleQueue()
    running: dict[str, tuple[_socket.socket, gevent.Greenlet]] = {}
    winner = None
    try:
        while (waiting or running) and (left := deadline - time.monotonic()) > 0:
            if waiting:
                address = waiting.pop(0)
                try:
                    sock = _open(address)
                except OSError as error:
                    tried.append(Attempt(target, address, error.strerror or str(error)))
                    continue
                running[address] = sock, gevent.spawn(_dial, sock, address, target.port, results)
            try:
                address, code = results.get(timeout=min(left, STAGGER) if waiting else left)
            except Empty:
                continue
            sock, _ = running[address]
            if code == 0:
                winner = sock
                return sock
            del running[address]
            sock.close()
            tried.append(Attempt(target, address, SILENT if code == errno.ETIMEDOUT else os.strerror(code)))
        tried += [Attempt(target, address, SILENT) for address in chain(running, waiting)]
        return None
    finally:
        gevent.killall([greenlet for _, greenlet in running.values()])  # no watcher may outlive its socket
        for sock, _ in running.values():
            if sock is not winner:
                sock.close()


def _open(address: str) -> _socket.socket:
    # socket.socket is gevent's after monkey-patching
    sock = _socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _dial(sock: _socket.socket, address: str, port: int, results: SimpleQueue) -> None:
    code = sock.connect_ex((address, port))
    if code == errno.EINPROGRESS:
        hub = gevent.get_hub()
        watcher = hub.loop.io(sock.fileno(), 2)
        try:
            hub.wait(watcher)
        finally:
            watcher.stop()
            watcher.close()
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    results.put((address, code))


def _alternating(addresses: Sequence[str]) -> list[str]:
    """Each once; IPv6 first, then the two families by turns (RFC 8305 section 4)."""
    once = dict.fromkeys(addresses)
    six = [address for address in once if ":" in address]
    four = [address for address in once if ":" not in address]
    return [address for pair in zip_longest(six, four) for address in pair if address]


def parse_route(text: str) -> tuple[str, int, bool]:
    """Host, port and whether TLS comes first: ``host``, ``host:port``, ``[::1]:port``, ``tls://host:port``. Raises
    ValueError, for a person to read: it may serve an Option."""
    direct = text.startswith("tls://")
    rest = text.removeprefix("tls://")
    port = DIRECT_TLS_PORT if direct else PORT
    host, colon, number = rest.rpartition(":")
    if literal(rest) is not None or not colon:
        host = rest
    elif number.isascii() and number.isdigit() and 0 < int(number) < 65536:
        port = int(number)
    else:
        host = ""
    if not host or "/" in host or "@" in host or (":" in host and literal(host) is None):
        raise ValueError(f"must be 'host', 'host:port', '[::1]:port' or 'tls://host:port', not {text!r}")
    return host, port, direct


def route(text: str, resolver: Resolver) -> Target:
    """The target of a static route. Raises ValueError or DNSError."""
    return resolver.target(*parse_route(text))
