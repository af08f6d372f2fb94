"""What a new password must be, wherever somebody sets one."""

from __future__ import annotations

from typing import Any

from ..hooks import Module, Option
from ..xmpp.errors import StanzaError


class Passwords(Module):
    """Refuses passwords that are too short, of everybody but the server's own user (jabberctl)."""

    shortest = Option(
        int, 6, "characters that a new password has at least; jabberctl takes shorter ones", min=1
    )

    def __init__(self, host: Any, settings: Any = None) -> None:
        super().__init__(host, settings)
        host.users.rules.append(self.check)

    def check(self, password: str) -> None:
        """A rule for new passwords. Raises StanzaError (not-acceptable)."""
        if len(password) < self.shortest:
            raise StanzaError("not-acceptable", f"a password needs {self.shortest} characters")
