"""Wrong passwords: how many one may try, and who waits when too many were tried."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from ..net.karma import Karma, neighbourhood

if TYPE_CHECKING:
    from .listener import C2S

RATE = 0.1
"""Wrong passwords a second that are forgiven."""
TURNS = 1.0
"""Logins a second that an account under attack lets strangers try, all of them together."""
PATIENCE = 10.0
"""Seconds that one of them waits for its turn at most."""
ACCOUNTS = 20_000
PLACES = 8
"""Addresses of successful logins are remembered of so many accounts, so many of each."""


class Guard:
    """Counts by *place* (`neighbourhood` of an address). An account that has logged in from a place is *known* there: others
    who guess elsewhere cannot lock it out. An account that does not exist is counted like one that does."""

    def __init__(self) -> None:
        self._pairs = Karma(RATE, 1)
        self._places = Karma(RATE, 1)
        self._accounts = Karma(RATE, 1)
        self._turns = Karma(TURNS, 1)
        self._known: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    def limit(self, options: C2S) -> None:
        """Other limits from now on; what was counted stays."""
        self._pairs.limit(RATE, options.failures_per_account)
        self._places.limit(RATE, options.failures_per_address)
        self._accounts.limit(RATE, options.failures_per_account_in_all)

    def refuses(self, user: str | None, address: str) -> bool:
        """Have too many wrong passwords come from there?"""
        place = neighbourhood(address)
        if user is not None and self._pairs.left((user, place)) < 1:
            return True
        return self._places.left(place) < 1 and not self._knows(user, place)

    def wait(self, user: str | None, address: str) -> float | None:
        """Seconds that the login has to wait for its turn, mostly 0; None: too many wait already."""
        place = neighbourhood(address)
        if user is None or self._accounts.left(user) >= 1 or self._knows(user, place):
            return 0.0
        return self._turns.turn(user, PATIENCE)

    def failed(self, user: str | None, address: str) -> None:
        """A wrong password."""
        place = neighbourhood(address)
        self._places.spend(place)
        if user is not None:
            self._pairs.spend((user, place))
            self._accounts.spend(user)

    def succeeded(self, user: str, address: str) -> None:
        """The right one."""
        place = neighbourhood(address)
        known = self._known.get(user, ())
        if known[-1:] != (place,):
            known = (*(each for each in known if each != place), place)[-PLACES:]
            self._known[user] = known
        self._known.move_to_end(user)
        if len(self._known) > ACCOUNTS:
            self._known.popitem(last=False)

    def _knows(self, user: str | None, place: str) -> bool:
        return user is not None and place in self._known.get(user, ())
