"""Karma (jabberd 1.x's word): token buckets for whatever strangers may do only so often."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Hashable

SIZE = 20_000


class Karma:
    """``burst`` tokens for each key, and ``rate`` new ones a second. Remembers the `SIZE` keys used last."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def left(self, key: Hashable) -> float:
        tokens, when = self._buckets.get(key, (self.burst, 0.0))
        return min(self.burst, tokens + (time.monotonic() - when) * self.rate)

    def spend(self, key: Hashable, tokens: float = 1.0) -> bool:
        """Takes tokens; False, and nothing taken, if there are not enough."""
        left = self.left(key)
        if left < tokens:
            return False
        self._buckets[key] = (left - tokens, time.monotonic())
        self._buckets.move_to_end(key)
        if len(self._buckets) > SIZE:
            self._buckets.popitem(last=False)
        return True


def neighbourhood(address: str) -> str:
    """What counts as one stranger: an IPv4 address, or the /64 that one IPv6 customer has."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False).network_address)
    return address
