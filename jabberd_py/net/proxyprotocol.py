"""The PROXY protocol, versions 1 and 2 (HAProxy's specification): a proxy says first for whom it has connected.

The header is read before anything else of the connection, and not a byte behind it. It is read of trusted addresses only, and
they must send it: nobody guesses whether there is one."""

from __future__ import annotations

import ipaddress
import socket

from ..options import Option, list_of
from .networks import network, unmapped
from .plain import exactly, some

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
LINE = 107
"""Bytes of the longest header of version 1, its end included."""
MOST = 4096
"""Bytes that a header of version 2 may have behind its first 16."""
ADDRESS = {0x11: 4, 0x21: 16}
"""Version 2: family and transport (TCP over IPv4, IPv6) -> bytes of an address."""


def proxy_protocol() -> Option[list[str]]:
    """The option of a part of the server that listens."""
    return Option(
        list_of(network),
        [],
        "addresses and networks of proxies that send a PROXY header: each connection of theirs begins with one, version 1 or "
        "2, which tells the client's address; without it their connections are closed",
    )


def read_header(sock: socket.socket, peer: str) -> str:
    """Reads the header. Returns the client's address; ``peer``, the proxy's own, if the header names none (the proxy checks our
    health). Blocks. Raises ValueError: it is no header; EOFError, OSError."""
    start = exactly(sock, len(SIGNATURE))
    if start == SIGNATURE:
        return _binary(sock) or peer
    if start.startswith(b"PROXY "):
        return _text(start + _rest_of_line(sock, LINE - len(start))) or peer
    raise ValueError("it does not begin with a PROXY header")


def _binary(sock: socket.socket) -> str | None:
    command, kind, *length = exactly(sock, 4)
    size = int.from_bytes(bytes(length), "big")
    if command not in (0x20, 0x21) or size > MOST:
        raise ValueError("a PROXY header of an unknown kind, or too long")
    said = exactly(sock, size)
    if command == 0x20 or kind not in ADDRESS:
        return None
    if size < 2 * ADDRESS[kind] + 4:
        raise ValueError("a PROXY header that is too short")
    return unmapped(ipaddress.ip_address(said[: ADDRESS[kind]]))


def _rest_of_line(sock: socket.socket, most: int) -> bytes:
    found = b""
    while not found.endswith(b"\n"):
        seen = some(sock, most - len(found), socket.MSG_PEEK)
        found += exactly(sock, seen.find(b"\n") + 1 or len(seen))
        if len(found) >= most and not found.endswith(b"\n"):
            raise ValueError("a PROXY header that is too long")
    return found


def _text(line: bytes) -> str | None:
    words = line.decode("ascii").removesuffix("\r\n").split(" ")
    if words[1] == "UNKNOWN":
        return None
    versions = {"TCP4": 4, "TCP6": 6}
    if len(words) != 6 or words[1] not in versions or not line.endswith(b"\r\n"):
        raise ValueError("a PROXY header of an unknown kind")
    addresses = [ipaddress.ip_address(each) for each in words[2:4]]
    if any(each.version != versions[words[1]] for each in addresses):
        raise ValueError("a PROXY header with an address of another family")
    if not all(each.isdigit() and int(each) < 65536 for each in words[4:]):
        raise ValueError("a PROXY header without a port")
    return unmapped(addresses[0])
