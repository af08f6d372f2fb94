"""How many streams an address may have, and how many strangers there may be in all."""

from __future__ import annotations

from collections import Counter

from .karma import neighbourhood


class Crowd:
    """Counts streams by `neighbourhood`; *strangers* are those that have not said who they are."""

    def __init__(self) -> None:
        self.streams: Counter[str] = Counter()
        self.strangers: Counter[str] = Counter()
        self.in_all = 0
        self.limit(1, 1, 1)

    def limit(self, streams: int, strangers: int, in_all: int) -> None:
        """What one address may have, and what all strangers together."""
        self.most = streams, strangers, in_all

    @property
    def full(self) -> bool:
        """Are there as many strangers as all addresses together may have?"""
        return self.in_all >= self.most[2]

    def enter(self, address: str) -> bool:
        """A new stranger; False if it is one too many of its address (it counts all the same, until it has left)."""
        place = neighbourhood(address)
        streams, strangers, _ = self.most
        admitted = self.streams[place] < streams and self.strangers[place] < strangers
        self.streams[place] += 1
        self.strangers[place] += 1
        self.in_all += 1
        return admitted

    def swamped(self, address: str) -> bool:
        """So far past the limit that not even an answer is due."""
        return self.strangers[neighbourhood(address)] > 2 * self.most[1]

    def known(self, address: str) -> None:
        """A stranger has said who it is."""
        self.in_all -= 1
        self._less(self.strangers, neighbourhood(address))

    def leave(self, address: str, stranger: bool) -> None:
        self._less(self.streams, neighbourhood(address))
        if stranger:
            self.known(address)

    @staticmethod
    def _less(counter: Counter[str], place: str) -> None:
        counter[place] -= 1
        if not counter[place]:
            del counter[place]
