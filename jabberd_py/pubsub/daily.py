"""What counts by the day."""

from __future__ import annotations

import time
from collections import OrderedDict

ASKED = 10_000
"""Questions to owners that are remembered: who asks again on the same day is not a question once more."""
DAY = 86_400.0
DOMAINS = 50
"""Other servers whose users one address subscribes to nodes in a day, without their asking."""


class Asked(OrderedDict[str, float]):
    """When owners were asked about a subscription, in monotonic seconds."""

    def first(self, what: str) -> bool:
        """Is that the first time today? Then it counts."""
        now = time.monotonic()
        if now - self.get(what, -DAY) < DAY:
            return False
        self[what] = now
        self.move_to_end(what)
        if len(self) > ASKED:
            self.popitem(last=False)
        return True


class Domains(OrderedDict[str, tuple[float, set[str]]]):
    """Bare address -> (when that began, other servers whose users it has subscribed to nodes on that day)."""

    def takes(self, user: str, domain: str) -> bool:
        """May they subscribe somebody of that server, too? Then it counts. Events to many unknown servers are a burden for all
        who want to reach others."""
        now = time.monotonic()
        began, found = self.get(user, (now, set[str]()))
        if now - began > DAY:
            began, found = now, set()
        if domain not in found and len(found) >= DOMAINS:
            return False
        found.add(domain)
        self[user] = began, found
        self.move_to_end(user)
        if len(self) > ASKED:
            self.popitem(last=False)
        return True
