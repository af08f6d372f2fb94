"""Addresses and networks of whom we believe: proxies in front of this server."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any


def unmapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """The address as text; that of IPv4, if it stands in one of IPv6 (``::ffff:192.0.2.1``)."""
    return str(getattr(address, "ipv4_mapped", None) or address)


def network(value: Any) -> str:
    """An address or a network, such as ``10.0.0.0/8``. Raises ValueError."""
    return str(ipaddress.ip_network(str(value)))


def loopback(address: str) -> bool:
    """Is it this machine?"""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def reached_at(address: str) -> str:
    """Where others reach a listener of that IP address, as a URL writes it: the address itself, or, of one that listens at all
    addresses, this machine's on the way to the internet. Its name where there is no such way."""
    if not ipaddress.ip_address(address).is_unspecified:
        return f"[{address}]" if ":" in address else address
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((far, 9))  # sends nothing
            return reached_at(sock.getsockname()[0])
    return socket.gethostname()


class Networks:
    """``address in networks``: is the IP address, as text, in one of them?"""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self.networks = [ipaddress.ip_network(each) for each in networks]

    def __contains__(self, address: str) -> bool:
        if not self.networks:
            return False
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in each for each in self.networks if each.version == found.version)
