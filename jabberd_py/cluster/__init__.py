"""Where an owner is at home.

Everything in memory belongs to an owner: the bare address of an account or a room, or the domain of a service. Every owner
has one home: the process where its state lives. A single process is everybody's home (`Alone`), at no cost. In a cluster a
home is a lease: another `Cluster` takes the place of `Alone`, and no feature changes. So every feature keeps these rules:

- It reads and changes the state of the owner that it works for, and of no other. It reaches another owner with a stanza
  or a question to the router (`Router.has_session`, `presence_of`, `pace`).
- It keeps in the store what an owner needs to go on in another process.
- Rows of what is under way have a `node`, and row numbers contain it (`xdb.numbers`).
- A job for a whole service runs at the home of the service.

`tests/cluster/test_home.py` and an import contract in pyproject.toml check the first rule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from ..xdb.cache import forget_owner


class Cluster(ABC):
    """
    node      the number of this process, 0 to 63: in rows of what is under way, and in row numbers
    arrived   functions to call with an owner when its home has come to this process, before its state is loaded
    """

    node: int

    def __init__(self) -> None:
        # what this process remembers of the owner may be old
        self.arrived: list[Callable[[str], None]] = [forget_owner]

    @abstractmethod
    def here(self, owner: str) -> bool:
        """Is this process the owner's home? Does not block."""

    @abstractmethod
    def claim(self, owner: str) -> bool:
        """Makes this process the home of an owner that has none. Returns whether this process is the home now. May block. The
        caller loads the state of the owner afterwards. Raises StoreError if the cluster cannot tell at present."""

    @abstractmethod
    def release(self, owner: str) -> None:
        """To be called when nothing of the owner is in memory any more: another process may become its home."""


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
