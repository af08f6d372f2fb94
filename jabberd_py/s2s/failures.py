"""Which servers could not be reached lately. An administrator looks here when a user says "my messages do not arrive"."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import NamedTuple

KEPT = 50
"""Pairs of domains; the one that failed the longest ago goes."""


class Failed(NamedTuple):
    """``when``: Unix time of the last attempt; ``returned``: stanzas that went back to their senders since the first."""

    when: float
    text: str
    returned: int


class Failures:
    """(Our domain, the other one) -> what went wrong."""

    def __init__(self) -> None:
        self.known: OrderedDict[tuple[str, str], Failed] = OrderedDict()

    def note(self, local: str, remote: str, text: str, returned: int) -> None:
        before = self.known.pop((local, remote), None)
        self.known[local, remote] = Failed(time.time(), text, returned + (before.returned if before else 0))
        while len(self.known) > KEPT:
            self.known.popitem(last=False)

    def forget(self, local: str, remote: str) -> None:
        """It can be reached."""
        self.known.pop((local, remote), None)


FAILURES = Failures()
