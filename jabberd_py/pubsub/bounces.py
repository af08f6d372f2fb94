"""XEP-0060 section 12.3: who cannot be reached for very long is subscribed no longer."""

from __future__ import annotations

import time
from collections import OrderedDict

ONCE = 3600.0
"""All errors of so many seconds count as one."""
MANY = 24
"""So many end the subscription."""
FORGOTTEN = 12 * 3600.0
"""After so many seconds without an error all is well again."""
KEPT = 20_000
"""Addresses that are remembered."""


class Bounces(OrderedDict[str, tuple[int, float]]):
    """Address -> (errors, when the last one counted, `time.monotonic`). After a restart all is well again."""

    def add(self, jid: str) -> bool:
        """An event could not be delivered there. Were these enough?"""
        number, last = self.get(jid, (0, -ONCE))
        now = time.monotonic()
        if now - last < ONCE:
            return False
        if now - last > FORGOTTEN:
            number = 0
        if number + 1 >= MANY:
            self.pop(jid, None)
            return True
        self[jid] = number + 1, now
        self.move_to_end(jid)
        if len(self) > KEPT:
            self.popitem(last=False)
        return False
