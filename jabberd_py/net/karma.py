"""Karma (jabberd 1.x's word): token buckets, for what strangers may do only so often and for what a stream may say."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

SIZE = 20_000
READ = 50
"""Bytes that every read costs besides its own: a byte in a packet of its own is no cheaper."""


class Karma:
    """``burst`` tokens for each key, and ``rate`` new ones a second. Remembers the `SIZE` keys used last, and of each what it
    owes: other limits forgive nothing."""

    def __init__(self, rate: float, burst: float) -> None:
        self._owed: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self.limit(rate, burst)

    def limit(self, rate: float, burst: float) -> None:
        """Other limits from now on; what was spent is spent."""
        self.rate, self.burst = rate, burst

    def left(self, key: Hashable) -> float:
        """Tokens; fewer than none while turns are waited for."""
        return self.burst - self._debt(key)

    def spend(self, key: Hashable, tokens: float = 1.0) -> bool:
        """Takes tokens; False, and nothing taken, if there are not enough."""
        debt = self._debt(key)
        if debt + tokens > self.burst:
            return False
        self._owe(key, debt + tokens)
        return True

    def turn(self, key: Hashable, most: float) -> float | None:
        """Takes one token, be it a future one. Seconds until it is there; None, and nothing taken, if that is more than
        ``most``."""
        debt = self._debt(key) + 1
        wait = max(0.0, (debt - self.burst) / self.rate)
        if wait > most:
            return None
        self._owe(key, debt)
        return wait

    def _debt(self, key: Hashable) -> float:
        debt, when = self._owed.get(key, (0.0, 0.0))
        return max(0.0, debt - (time.monotonic() - when) * self.rate)

    def _owe(self, key: Hashable, debt: float) -> None:
        self._owed[key] = (debt, time.monotonic())
        self._owed.move_to_end(key)
        if len(self._owed) > SIZE:
            self._owed.popitem(last=False)


def neighbourhood(address: str) -> str:
    """What counts as one stranger: an IPv4 address, or the /64 that one IPv6 customer has."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False).network_address)
    return address


ENOUGH = 1e18
"""Of no limit at all."""


class Rates(NamedTuple):
    """What a stream may say each second, and at once after a silence."""

    stanzas: float = ENOUGH
    burst_stanzas: float = ENOUGH
    bytes: float = ENOUGH
    burst_bytes: float = ENOUGH


class Purse:
    """Two buckets of one stream. Whoever spends subtracts and asks nobody; `debt` looks at the clock, and is asked only
    when one of them is below zero. As it is filled no earlier, up to twice the burst may pass after a long silence."""

    __slots__ = ("rates", "stanzas", "bytes", "filled")

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self.stanzas, self.bytes = rates.burst_stanzas, rates.burst_bytes
        self.filled = time.monotonic()

    def limit(self, rates: Rates) -> None:
        """Other rates from now on; what was spent is spent, what is left fits the new bursts."""
        self.rates = rates
        self.stanzas = min(self.stanzas, rates.burst_stanzas)
        self.bytes = min(self.bytes, rates.burst_bytes)

    def debt(self, now: float) -> float:
        """Fills up what time has earned; seconds until nothing is owed any more, 0 if that is now."""
        rates, passed = self.rates, now - self.filled
        self.filled = now
        self.stanzas = min(rates.burst_stanzas, self.stanzas + passed * rates.stanzas)
        self.bytes = min(rates.burst_bytes, self.bytes + passed * rates.bytes)
        return max(0.0, -self.stanzas / rates.stanzas, -self.bytes / rates.bytes)
