"""Asks somebody else's web server, and never one in our own network by mistake."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import gevent

NAT64 = ipaddress.ip_network("64:ff9b::/96")
GLOBAL = ipaddress.ip_network("2000::/3")
"""All IPv6 addresses of the internet (RFC 4291 section 2.4); Python takes some others for public, too."""


class Refused(Exception):
    """The address leads where it must not."""


def url(value: Any) -> str:
    """An address on the web. Raises ValueError."""
    try:
        parts = urlsplit(str(value))
        port = parts.port
    except ValueError:
        raise ValueError(f"is no address on the web: {str(value)[:60]!r}") from None
    if (
        parts.scheme not in ("https", "http")
        or not parts.hostname
        or parts.username
        or parts.fragment
        or port == 0
    ):
        raise ValueError(f"must be https://NAME/PATH, not {str(value)[:60]!r}")
    if not str(value).isascii() or not str(value).isprintable() or " " in str(value):
        raise ValueError("must be of plain characters")
    return str(value)


def public(text: str) -> bool:
    """Is that IP address one of the public internet? Addresses that carry another one are as good as that one."""
    ip = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner:
            return public(str(inner))
        if ip not in GLOBAL:
            return False
    return ip.is_global and not ip.is_multicast


def connect(address: str, timeout: float, private: bool) -> http.client.HTTPConnection:
    """A connection to the server of that address; each wait for it ends after ``timeout`` seconds. The name is looked up once:
    it cannot lead elsewhere after the check. ``private``: addresses of our own network and http are fine. Nobody follows a
    redirection. Blocks. Raises Refused, OSError."""
    parts = urlsplit(address)
    secure, name = parts.scheme == "https", parts.hostname or ""
    if not secure and not private:
        raise Refused("only https, unless private addresses are allowed")
    port = parts.port or (443 if secure else 80)
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    ips = list(dict.fromkeys(str(each[4][0]) for each in found))
    if not private and not all(map(public, ips)):
        raise Refused(f"{name} is an address of our own network")
    sock = _first((ip, port) for ip in ips)
    try:
        sock.settimeout(timeout)
        if secure:
            sock = _context().wrap_socket(sock, server_hostname=name)
    except BaseException:
        sock.close()
        raise
    connection = http.client.HTTPConnection(name, port)
    connection.sock, connection.auto_open = sock, 0
    return connection


def _first(places: Iterable[tuple[str, int]], patience: float = 5) -> socket.socket:
    """Connected to the first of these that answers. Raises OSError."""
    failure: OSError = OSError("the name has no address")
    for place in places:
        try:
            return socket.create_connection(place, patience)
        except OSError as error:
            failure = error
    raise failure


def post(address: str, body: bytes, headers: dict[str, str], timeout: float, private: bool) -> int:
    """The status of the answer, all within ``timeout`` seconds. Blocks. Raises Refused, OSError, http.client.HTTPException,
    gevent.Timeout."""
    parts = urlsplit(address)
    with gevent.Timeout(timeout), closing(connect(address, timeout, private)) as connection:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, headers | {"Connection": "close"})
        return connection.getresponse().status


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()
