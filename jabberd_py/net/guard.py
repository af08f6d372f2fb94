"""Wrong passwords: how many are allowed, and who must wait after too many."""

from __future__ import annotations

from collections import OrderedDict

from .karma import Karma, neighbourhood

RATE = 0.1
"""So many wrong passwords are forgiven in a second."""
TURNS = 1.0
"""If an account is under attack, all strangers together may try so many logins a second."""
PATIENCE = 10.0
"""At most this many seconds one of them waits for its turn."""
ACCOUNTS = 20_000
PLACES = 8
"""The addresses of successful logins are remembered for `ACCOUNTS` accounts, `PLACES` for each."""


class Guard:
    """Counts wrong passwords by account and by *place* (`neighbourhood` of an address). An account is *known* at a place from
    which it has logged in: wrong passwords from elsewhere cannot lock it out there. Accounts that do not exist are counted in
    the same way, so that nobody can find out which ones exist."""

    def __init__(self) -> None:
        self._pairs = Karma(RATE, 1)
        self._places = Karma(RATE, 1)
        self._accounts = Karma(RATE, 1)
        self._turns = Karma(TURNS, 1)
        self._known: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    def limit(self, per_account: int, per_address: int, per_account_in_all: int) -> None:
        """Sets new limits (options ``c2s.failures_*``). What was counted stays."""
        self._pairs.limit(RATE, per_account)
        self._places.limit(RATE, per_address)
        self._accounts.limit(RATE, per_account_in_all)

    def refuses(self, user: str | None, address: str) -> bool:
        """Must a login for this account from this address be refused, because of too many wrong passwords?"""
        place = neighbourhood(address)
        if user is not None and self._pairs.left((user, place)) < 1:
            return True
        return self._places.left(place) < 1 and not self._knows(user, place)

    def wait(self, user: str | None, address: str) -> float | None:
        """Returns how many seconds the login must wait for its turn, usually 0. None: too many wait already."""
        place = neighbourhood(address)
        if user is None or self._accounts.left(user) >= 1 or self._knows(user, place):
            return 0.0
        return self._turns.turn(user, PATIENCE)

    def failed(self, user: str | None, address: str) -> None:
        """Counts a wrong password."""
        place = neighbourhood(address)
        self._places.spend(place)
        if user is not None:
            self._pairs.spend((user, place))
            self._accounts.spend(user)

    def succeeded(self, user: str, address: str) -> None:
        """Notes that the account has logged in from there."""
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
