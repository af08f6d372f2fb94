"""Where an owner is at home.

Everything in memory belongs to an owner: the bare address of an account or a room, or the domain of a service. Every owner
has one home: the process where its state lives. A single process is everybody's home (`Alone`), at no cost. In a cluster a
home is a lease: another `Cluster` stands here then, and no feature notices. So in every feature:

- State is reached by its owner, through the router, and never by taking another owner's object.
- What an owner needs to go on elsewhere is in the store.
- Rows of what is under way say the `node`, and so do row numbers (`xdb.numbers`).
- A job for a whole service runs where the service itself is at home.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable


class Cluster(ABC):
    """
    node      the number of this process, 0 to 63: in rows of what is under way, and in row numbers
    arrived   called with an owner whose home has just come to this process, before its state is loaded
    """

    node: int

    def __init__(self) -> None:
        self.arrived: list[Callable[[str], None]] = []

    @abstractmethod
    def here(self, owner: str) -> bool:
        """Is this process the owner's home? Does not block."""

    @abstractmethod
    def claim(self, owner: str) -> bool:
        """Makes this process the owner's home, if it has none. Returns whether it is now. May block; the state of the owner is
        to be loaded after it. Raises StoreError where that cannot be known at present."""

    @abstractmethod
    def release(self, owner: str) -> None:
        """Nothing of the owner is in memory any more: another process may become its home."""


class Alone(Cluster):
    """The only process: everybody's home, for as long as it runs."""

    node = 0

    def here(self, owner: str) -> bool:
        return True

    def claim(self, owner: str) -> bool:
        return True

    def release(self, owner: str) -> None:
        pass


cluster: Cluster = Alone()
