"""Binds ports, and explains why one cannot be bound."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

LISTENS = "0A"  # in /proc/net/tcp


def listen(address: str, port: int, backlog: int) -> socket.socket:
    """A listening, non-blocking socket. '::' means all addresses, IPv4 included. Raises OSError; its `strerror` is for a
    person."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        found = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise OSError(error.errno, _reason(error, address, port)) from None
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address != "::"))
        found.bind((address, port))
        found.listen(backlog)
        found.setblocking(False)
    except OSError as error:
        found.close()
        raise OSError(error.errno, _reason(error, address, port)) from None
    return found


def _reason(error: OSError, address: str, port: int) -> str:
    reason = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        return reason + _holder(port)
    if error.errno in (errno.EACCES, errno.EPERM) and port < 1024:
        return f"{reason}: ports below 1024 want CAP_NET_BIND_SERVICE, which the systemd unit gives"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{reason}: this machine has no address {address}"
    if error.errno == errno.EAFNOSUPPORT and ":" in address:
        return f"{reason}: this machine has no IPv6; write address: 0.0.0.0"
    return reason


def _holder(port: int) -> str:
    """Which process has the port, as the end of a sentence: " by nginx, process 123". Without root's rights, how to find
    out."""
    sockets = _listening(port)
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            for handle in (process / "fd").iterdir():
                if os.readlink(handle) not in sockets:
                    continue
                if int(process.name) == os.getpid():
                    return " by this server: another option has the same port, or the address changes, which takes a restart"
                return f" by {(process / 'comm').read_text().strip()}, process {process.name}"
        except OSError:
            continue  # another user's, or it has just ended
    return f"; `ss -tlnp sport = :{port}`, as root, says by whom"


def _listening(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state, *rest = line.split()
            if state == LISTENS and int(local.rpartition(":")[2], 16) == port:
                found.add(f"socket:[{rest[5]}]")
    return found
