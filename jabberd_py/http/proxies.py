"""Who is the client behind a proxy: Forwarded (RFC 7239), X-Forwarded-For and X-Forwarded-Proto, of trusted addresses only."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from ..net.networks import Networks, unmapped

PLAIN = ("http", "ws")
"""What a proxy calls a connection without TLS; Traefik says ``ws`` of a WebSocket."""


class Proxies:
    """``networks``: of those whom we believe."""

    def __init__(self, networks: Iterable[str]) -> None:
        self.networks = Networks(networks)

    def trusts(self, address: str) -> bool:
        return address in self.networks

    def client(self, peer: str, environ: Mapping[str, Any], tls: bool) -> tuple[str, bool]:
        """The address of the client, and whether nobody on the way can read what it says. ``peer``: who has connected; ``tls``:
        with TLS of ours? Each proxy adds an address at the end, so the last one that is no proxy of ours is the client's; what
        stands before it may be made up. Forwarded counts only without X-Forwarded-For: most proxies add the one and pass on the
        other as the client has sent it."""
        if not self.trusts(peer):
            return peer, tls
        hops, schemes = _forwarded(environ.get("HTTP_FORWARDED", ""))
        schemes += [each.strip().lower() for each in environ.get("HTTP_X_FORWARDED_PROTO", "").split(",")]
        if "HTTP_X_FORWARDED_FOR" in environ:
            hops = [each.strip() for each in environ["HTTP_X_FORWARDED_FOR"].split(",")]
        secure = not any(each in PLAIN for each in schemes)
        for hop in reversed(hops):
            address = _address(hop)
            if address is None:
                break
            peer = address
            if not self.trusts(address):
                break
        return peer, secure


def _forwarded(text: str) -> tuple[list[str], list[str]]:
    hops, schemes = [], []
    for element in text.split(","):
        pairs = {}
        for pair in element.split(";"):
            name, _, value = pair.partition("=")
            pairs[name.strip().lower()] = value.strip().strip('"')
        hops.append(pairs.get("for", ""))
        schemes.append(pairs.get("proto", "").lower())
    return hops, schemes


def _address(hop: str) -> str | None:
    """Of ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1``, ``[2001:db8::1]:80``."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return unmapped(ipaddress.ip_address(hop))
    except ValueError:
        return None
