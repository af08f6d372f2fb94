"""Tickets: passwords that are good for one login within a minute. The web page gives one to the chat in the same browser, so
nobody has to write the password twice, and no page ever has it."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .host import Host
    from .session import Session

BEGIN = "ticket-"
TICKET = "PLAIN, a ticket"
"""The mechanism of a session that has begun with one."""
LIFETIME = 60.0
"""Seconds."""
EACH, ALL = 5, 2000
"""Tickets of one account, and of all; the oldest goes."""


class Tickets:
    """The tickets of one host, in memory."""

    def __init__(self) -> None:
        self._all: dict[str, tuple[str, float]] = {}
        """Hash of the ticket -> account, and until when it is good; the oldest first."""

    def make(self, user: str) -> str:
        """A ticket for that account, a bare address."""
        now = time.monotonic()
        self._all = {key: each for key, each in self._all.items() if each[1] > now}
        mine = [key for key, (owner, _) in self._all.items() if owner == user]
        for key in mine[: len(mine) - EACH + 1] if len(mine) >= EACH else []:
            del self._all[key]
        if len(self._all) >= ALL:
            del self._all[next(iter(self._all))]
        ticket = BEGIN + secrets.token_urlsafe(32)
        self._all[_hashed(ticket)] = user, now + LIFETIME
        return ticket

    def forget(self, user: str) -> None:
        """The account has another password, or a session of it has ended: its tickets are void."""
        self._all = {key: each for key, each in self._all.items() if each[0] != user}

    def take(self, user: str | None, password: str) -> bool:
        """Is that a ticket of the account? It is used up then. Does not block."""
        if not password.startswith(BEGIN):
            return False
        owner, until = self._all.get(_hashed(password), ("", 0.0))
        if owner != user or until < time.monotonic():
            return False
        del self._all[_hashed(password)]
        return True


def by_ticket(session: Session) -> bool:
    """Has it begun with a ticket? Then its browser has shown no password: it gets no rights that last."""
    return session.transport.info.get("mechanism") == TICKET


def end_sessions(host: Host, user: str) -> None:
    """Ends those sessions of the account that have begun with a ticket: it is signed out in the browser."""
    for each in host.sessions.of(user):
        if by_ticket(each):
            each.transport.kick("not-authorized", "signed out in the browser")


def _hashed(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
