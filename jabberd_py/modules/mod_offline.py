"""XEP-0160: Best Practices for Handling Offline Messages.

What lies in the spool past the mark (`jsm/spool.py`) is delivered when a session becomes available.
"""

from __future__ import annotations

from typing import Any

from ..hooks import Module, Option, on
from ..jsm.session import Session


class Offline(Module):
    """Keeps messages for users who are not there."""

    features = ("msgoffline",)
    limit = Option(int, 1000, "messages that may wait for one user; more are returned to their senders", min=1)

    @on("start", "reload")
    def start(self) -> None:
        if not self.host.options.anonymous:
            self.host.spool.offline = True
            self.host.spool.limit = self.limit

    @on("available")
    def deliver(self, session: Session) -> None:
        if session.note("offline: flexible") is None:
            self.host.spool.flush(session.user)
