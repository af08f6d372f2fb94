"""Who is there to hear an account's events: its own clients and those of its contacts, with what they want (``+notify``).

Whoever shows an account his presence is known here until he goes: the account's own clients by their sessions, contacts on this
and on other servers by the presence that they send.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

MOST = 5000
"""Clients that one account's events go to."""
EACH = 50
"""Of these, clients of one contact."""
SUFFIX = "+notify"

Wants = frozenset[str]
"""The names of nodes."""

NOTHING: Wants = frozenset()


class Seen:
    """A kind of client. ``key``: what its presence says of its capabilities; ``wants``: nodes, None while that is asked."""

    __slots__ = ("key", "wants")

    def __init__(self, key: tuple[str, ...], wants: Wants | None = None) -> None:
        self.key, self.wants = key, wants


class Latest:
    """The presence that came last: its ``kids``, its sender, and what it says of the sender's capabilities (``key`` as in
    `Seen`, ``node``: to ask for)."""

    __slots__ = ("full", "key", "kids", "node")

    def __init__(self, kids: list[str], full: str, shown: Any) -> None:
        self.kids, self.full = kids, full
        self.key: tuple[str, ...] | None = None if shown is None else shown.key(full)
        self.node: str = "" if shown is None else shown.node


_shared: dict[tuple[tuple[str, ...], frozenset[str]], Seen] = {}


def seen_with(key: tuple[str, ...], features: frozenset[str]) -> Seen:
    """What is known of a client with these features. All clients of its kind share it."""
    found = _shared.get((key, features))
    if found is None:
        wants = frozenset(each.removesuffix(SUFFIX) for each in features if each.endswith(SUFFIX))
        found = Seen(key, wants)
        if len(_shared) > 1000:
            _shared.clear()
        _shared[key, features] = found
    return found


class Audience:
    """``of``: account -> full address of a client -> `Seen`. ``early``: account -> bare addresses of contacts who were seen
    before they may see the account's events. ``shares``: account -> how many clients each bare address has there. Shared by all
    greenlets; no I/O here."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, Seen]] = {}
        self.early: dict[str, set[str]] = {}
        self.shares: dict[str, Counter[str]] = {}

    def find(self, user: str, full: str) -> Seen | None:
        clients = self.of.get(user)
        return None if clients is None else clients.get(full)

    def put(self, user: str, full: str, seen: Seen) -> bool:
        """False: the account has too many, or this contact. The account's own clients always have a place."""
        clients = self.of.setdefault(user, {})
        if full not in clients:
            bare = full.partition("/")[0]
            shares = self.shares.setdefault(user, Counter())
            if bare != user and (len(clients) >= MOST or shares[bare] >= EACH):
                return False
            shares[bare] += 1
        clients[full] = seen
        return True

    def remove(self, user: str, full: str) -> None:
        clients = self.of.get(user)
        if clients is not None and clients.pop(full, None) is not None:
            if not clients:
                self.forget(user)
                return
            bare, shares = full.partition("/")[0], self.shares[user]
            shares[bare] -= 1
            if not shares[bare]:
                del shares[bare]

    def forget(self, user: str) -> None:
        self.of.pop(user, None)
        self.shares.pop(user, None)
        self.early.pop(user, None)

    def clients(self, user: str) -> list[tuple[str, Seen]]:
        return list(self.of.get(user, {}).items())

    def clients_of(self, user: str, bare: str) -> list[tuple[str, Seen]]:
        """Those of one contact."""
        return [each for each in self.clients(user) if each[0].partition("/")[0] == bare]
