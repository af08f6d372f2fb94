"""Who is the client behind a proxy: Forwarded (RFC 7239), X-Forwarded-For and X-Forwarded-Proto, of trusted addresses only."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

_pairs = re.compile(r'\s*([A-Za-z-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;,"\s]*)\s*')


class Proxies:
    """``networks``: of those whom we believe."""

    def __init__(self, networks: Iterable[str]) -> None:
        self.networks = [ipaddress.ip_network(each) for each in networks]

    def trusts(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in each for each in self.networks if each.version == found.version)

    def client(self, peer: str, environ: Mapping[str, Any], tls: bool) -> tuple[str, bool]:
        """The address of the client, and whether nobody on the way can read what it says. ``peer``: who has connected; ``tls``:
        with TLS of ours? Each proxy adds an address at the end, so the last one that is no proxy of ours is the client's; what
        stands before it may be made up."""
        if not self.trusts(peer):
            return peer, tls
        if "HTTP_FORWARDED" in environ:
            hops, schemes = _forwarded(environ["HTTP_FORWARDED"])
        else:
            hops = [each.strip() for each in environ.get("HTTP_X_FORWARDED_FOR", "").split(",")]
            schemes = [each.strip().lower() for each in environ.get("HTTP_X_FORWARDED_PROTO", "").split(",")]
        secure = not any(each == "http" for each in schemes)
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
        pairs = {name.lower(): value.strip('"') for name, value in _pairs.findall(element)}
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
        return str(ipaddress.ip_address(hop)).removeprefix("::ffff:")
    except ValueError:
        return None
