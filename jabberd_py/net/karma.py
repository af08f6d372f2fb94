"""Karma (a word of jabberd 1.x): token buckets. `Karma` limits how often something may happen for each key, such as an
address; `Purse` limits how much is read of one stream."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Hashable
from functools import lru_cache
from typing import NamedTuple

SIZE = 20_000
READ = 50
"""Bytes that every read costs in addition to the bytes that were read: many small packets cost time, too."""


class Karma:
    """A token bucket for each key: ``burst`` tokens when it is full, and ``rate`` new ones a second. The `SIZE` keys that were
    used last are remembered. Stored is what a key has spent, not what it has left, so it stays spent if the limits change."""

    def __init__(self, rate: float, burst: float) -> None:
        self._owed: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self.limit(rate, burst)

    def limit(self, rate: float, burst: float) -> None:
        """Sets other limits. What was spent stays spent."""
        self.rate, self.burst = rate, burst

    def left(self, key: Hashable) -> float:
        """The tokens of the key; negative while somebody waits for a token of the future (`turn`)."""
        return self.burst - self._debt(key)

    def spend(self, key: Hashable, tokens: float = 1.0) -> bool:
        """Takes tokens. If there are not enough, takes none and returns False."""
        debt = self._debt(key)
        if debt + tokens > self.burst:
            return False
        self._owe(key, debt + tokens)
        return True

    def turn(self, key: Hashable, most: float) -> float | None:
        """Takes one token, if need be one that is still to come. Returns the seconds until it is there. If that is more than
        ``most``, takes none and returns None."""
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


@lru_cache(maxsize=SIZE)
def neighbourhood(address: str) -> str:
    """The key under which an IP address is counted: an IPv4 address itself, of an IPv6 address its /64, which is what one
    customer has."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False).network_address)
    return address


ENOUGH = 1e18
"""Stands for "no limit"."""


class Rates(NamedTuple):
    """What is read of a stream: stanzas and bytes each second, and the bursts of both after a silence."""

    stanzas: float = ENOUGH
    burst_stanzas: float = ENOUGH
    bytes: float = ENOUGH
    burst_bytes: float = ENOUGH


class Purse:
    """The two token buckets of one stream, stanzas and bytes. The reader subtracts from them directly, which costs no call.
    Only when one is below zero it asks `debt`, which looks at the clock and fills them. They are not filled earlier, so up to
    twice the burst may pass after a long silence."""

    __slots__ = ("rates", "stanzas", "bytes", "filled")

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self.stanzas, self.bytes = rates.burst_stanzas, rates.burst_bytes
        self.filled = time.monotonic()

    def limit(self, rates: Rates) -> None:
        """Sets other rates. What was spent stays spent, and no bucket holds more than its new burst."""
        self.rates = rates
        self.stanzas = min(self.stanzas, rates.burst_stanzas)
        self.bytes = min(self.bytes, rates.burst_bytes)

    def debt(self, now: float) -> float:
        """Fills the buckets for the time that has passed. Returns the seconds until neither is below zero; 0: none is."""
        rates, passed = self.rates, now - self.filled
        self.filled = now
        self.stanzas = min(rates.burst_stanzas, self.stanzas + passed * rates.stanzas)
        self.bytes = min(rates.burst_bytes, self.bytes + passed * rates.bytes)
        return max(0.0, -self.stanzas / rates.stanzas, -self.bytes / rates.bytes)
