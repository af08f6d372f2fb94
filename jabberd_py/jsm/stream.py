"""What a listener's stream is to modules: the ``stream`` of the events ``features`` and ``negotiate``."""

from __future__ import annotations

from typing import Any, Protocol

from .notes import Note
from .session import Session


class ClientStream(Protocol):
    """A client's stream, before and after it has logged in.

    address    of the client, as text
    user       the account's bare address; None before the login
    session    the bound resource; None before that
    notes      what modules remember about this stream
    """

    address: str
    user: str | None
    session: Session | None
    notes: dict[Note, Any]

    @property
    def secure(self) -> bool:
        """Can nobody on the way read or change what is said?"""

    @property
    def private(self) -> bool:
        """May passwords pass here: is it encrypted, or does this server do without?"""

    def send(self, data: bytes) -> None:
        """Queues the bytes of an element; never blocks, never raises."""

    def kick(self, condition: str, text: str | None = None) -> None:
        """Ends the stream with that stream error, soon."""
