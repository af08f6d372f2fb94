"""Bounds the number of streams of one IP address, and of streams without a login in all."""

from __future__ import annotations

from collections import Counter

from .karma import neighbourhood


class Crowd:
    """Counts streams by `neighbourhood`. A *stranger* is a stream whose peer is not authenticated yet.

    streams    neighbourhood -> its streams, strangers included
    strangers  neighbourhood -> its strangers
    in_all     strangers of all addresses
    """

    def __init__(self) -> None:
        self.streams: Counter[str] = Counter()
        self.strangers: Counter[str] = Counter()
        self.in_all = 0
        self.limit(1, 1, 1)

    def limit(self, streams: int, strangers: int, in_all: int) -> None:
        """Sets the bounds: streams and strangers of one address, strangers of all addresses."""
        self.most = streams, strangers, in_all

    @property
    def full(self) -> bool:
        """Are there as many strangers as all addresses together may have?"""
        return self.in_all >= self.most[2]

    def enter(self, address: str) -> bool:
        """Counts a new stranger. False if its address has too many streams now; it counts all the same, until `leave`."""
        place = neighbourhood(address)
        streams, strangers, _ = self.most
        admitted = self.streams[place] < streams and self.strangers[place] < strangers
        self.streams[place] += 1
        self.strangers[place] += 1
        self.in_all += 1
        return admitted

    def swamped(self, address: str) -> bool:
        """Has the address twice as many strangers as it may? Then it does not even get a stream error."""
        return self.strangers[neighbourhood(address)] > 2 * self.most[1]

    def known(self, address: str) -> None:
        """A stranger is authenticated now."""
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
