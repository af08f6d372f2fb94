"""The map of sessions, shared by all greenlets. No I/O here: every call is atomic."""

from __future__ import annotations

from collections.abc import Iterator

from ..xmpp.jid import JID
from .session import Session

_none: dict[str, Session] = {}


def highest(sessions: list[Session]) -> list[Session]:
    """Those of the highest priority."""
    if len(sessions) < 2:
        return sessions
    top = max(session.priority for session in sessions)
    return [session for session in sessions if session.priority == top]


class Sessions:
    def __init__(self) -> None:
        self.users: dict[str, dict[str, Session]] = {}
        self.count = 0

    def add(self, session: Session) -> None:
        """The resource must be free."""
        assert session.jid.resource is not None
        self.users.setdefault(session.user, {})[session.jid.resource] = session
        self.count += 1

    def remove(self, session: Session) -> bool:
        """False if it was gone already (or replaced)."""
        mine = self.users.get(session.user, _none)
        resource = session.jid.resource or ""
        if mine.get(resource) is not session:
            return False
        del mine[resource]
        if not mine:
            del self.users[session.user]
        self.count -= 1
        return True

    def find(self, jid: JID) -> Session | None:
        """The session of a full address."""
        resources = self.users.get(jid.user)
        return None if resources is None or jid.resource is None else resources.get(jid.resource)

    def of(self, user: str) -> list[Session]:
        """All sessions of a user."""
        return list(self.users.get(user, _none).values())

    def available(self, user: str) -> list[Session]:
        """Those that have sent available presence, of any priority."""
        return [s for s in self.users.get(user, _none).values() if s.presence is not None]

    def willing(self, user: str) -> list[Session]:
        """Available with a priority that is not negative."""
        return [s for s in self.users.get(user, _none).values() if s.presence is not None and s.priority >= 0]

    def best(self, user: str) -> list[Session]:
        """The most available resources: those of the highest priority, if that is not negative."""
        return highest(self.willing(user))

    def __iter__(self) -> Iterator[Session]:
        for resources in list(self.users.values()):
            yield from list(resources.values())
