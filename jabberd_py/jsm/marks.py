"""Which stored messages of an account have been delivered. Memory knows it exactly, the store knows a mark.

The mark of an account is a row number. All its messages up to the mark are delivered. The mark is written some time later, so
after a crash messages may come twice, but none is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent

from ..archive import messages
from ..cluster import cluster
from ..xdb import Ticket, xdb
from ..xmpp.element import Element

if TYPE_CHECKING:
    from .sessions import Sessions


LAG = 0.1
"""Seconds until a mark is written; `Marks.save` writes what else there is, and less often."""
_none = Element("none")


class Deliveries:
    """The deliveries to one user.

    upto       every row up to this one has been given to a session
    clear      True if there is no row behind ``upto``
    waiting    the rows that a client has to acknowledge yet. The value: True if the archive keeps the row, False if it goes
               once it is acknowledged, None if that is unknown
               In place of the value: the message itself, which is not in the store
    returned   rows up to ``upto`` whose session ended without an acknowledgement: to be delivered again
    kept_back  rows up to ``upto`` that no session may have now (XEP-0016): they wait for another session
    ahead      rows behind ``upto`` that are acknowledged; the store may not know that yet
    flushing   True while `Spool._flush` runs
    news       counts what became undelivered, so that a delivery under way notices it
    saved      the mark that was given to the store last
    """

    __slots__ = ("upto", "clear", "waiting", "returned", "kept_back", "ahead", "flushing", "news", "saved")

    def __init__(self) -> None:
        self.upto = 0
        self.clear = False
        self.waiting: dict[int, bool | Element | None] = {}
        self.returned: dict[int, bool | None] = {}
        self.kept_back: dict[int, bool | None] = {}
        self.ahead: dict[int, None] = {}
        self.flushing = False
        self.news = 0
        self.saved = 0

    @property
    def mark(self) -> int:
        pending = [min(ids) for ids in (self.waiting, self.returned, self.kept_back) if ids]
        return min(self.upto, min(pending) - 1) if pending else self.upto

    def passed(self, id: int) -> None:
        """`Spool._flush` is done with this row and goes on behind it."""
        self.returned.pop(id, None)
        self.upto = max(self.upto, id)

    def row(self, id: int) -> int:
        """``id`` if that row is in the store and waits for an acknowledgement; else 0."""
        return 0 if isinstance(self.waiting.get(id, _none), Element) else id

    def older(self, id: int) -> bool:
        """Is an older row perhaps not delivered yet? Then the mark cannot pass this one."""
        return bool(self.returned or self.kept_back or self.waiting and next(iter(self.waiting)) < id)


class Marks:
    """The deliveries and marks of all users of one host who have sessions."""

    SINGLES = 100_000
    """At most this many ``singles`` wait while the store cannot write. A dropped one stays in the store, or comes twice after a
    crash."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.users: dict[str, Deliveries] = {}
        self.dirty: set[str] = set()
        self.moving = False
        self.singles: list[int] = []
        """Delivered rows that the mark does not cover, or that must be removed."""

    def of(self, user: str) -> Deliveries:
        """The deliveries of the user; made if there are none."""
        mine = self.users.get(user)
        if mine is None:
            mine = self.users[user] = Deliveries()
        return mine

    def delivered(self, user: str, id: int) -> None:
        """A client has the message."""
        mine = self.users.get(user)
        if mine is None or id not in mine.waiting:
            return
        archived = mine.waiting.pop(id)
        self.dirty.add(user)
        if not self.moving:
            self.moving = True
            gevent.spawn_later(LAG, self._move)
        if isinstance(archived, Element):
            return
        if id > mine.upto:
            mine.ahead[id] = None
            self.singles.append(id)
        elif not archived or mine.older(id):
            self.singles.append(id)

    def had(self, user: str, ids: list[int]) -> None:
        """To be called when a client says after a crash that it has these stored messages."""
        mine = self.of(user)
        for id in ids:
            for waiting in (mine.waiting, mine.returned, mine.kept_back):
                waiting.pop(id, None)
            if id > mine.upto:
                mine.ahead[id] = None
            self.singles.append(id)
        self.dirty.add(user)

    def undelivered(self, user: str, ids: list[int]) -> list[Element]:
        """To be called when a session has ended before its client acknowledged these rows. They will be delivered again.
        Returns the messages among them that are not in the store."""
        mine = self.users.get(user)
        unstored: list[Element] = []
        if mine is None or not ids:
            return unstored
        others = [session.sm for session in self.sessions.of(user) if session.sm is not None]
        elsewhere = {id for sm in others for id in sm.unacknowledged()}
        for id in ids:
            if id in mine.waiting and id not in elsewhere:
                archived = mine.waiting.pop(id)
                if isinstance(archived, Element):
                    unstored.append(archived)
                elif id <= mine.upto:
                    mine.returned[id] = archived
        mine.clear = False
        mine.news += 1
        return unstored

    def forget(self, user: str) -> None:
        """The account is gone."""
        self.users.pop(user, None)
        self.dirty.discard(user)

    def gone(self, user: str) -> None:
        """A session of the user is over."""
        self.dirty.add(user)

    # -- the store -----------------------------------------------------------------------------

    def stored(self, user: str) -> int:
        """The mark that is in the store; 0 if there is none."""
        rows = messages.mark(user)
        return rows[0][0] if rows and isinstance(rows[0][0], int) else 0

    def _move(self) -> None:
        """Writes the marks, and nothing else."""
        self.moving = False
        if xdb.store is None:
            return
        moved: list[tuple[str, int]] = []
        for user in self.dirty & self.users.keys():
            mine = self.users[user]
            mark = mine.mark
            if mark > mine.saved:
                mine.saved = mark
                moved.append((user, mark))
        if moved:
            xdb.write(messages.move_marks, moved).then(lambda ticket: self._moved(ticket, moved))

    def _moved(self, ticket: Ticket, moved: list[tuple[str, int]]) -> None:
        if ticket.error is not None:
            for user, _ in moved:
                if user in self.users:
                    self.users[user].saved = 0
                    self.dirty.add(user)

    def save(self, last: bool = False) -> Ticket | None:
        """Writes what was delivered since the last call, and forgets users without sessions. ``last``: the server stops; then
        the store gets exactly what was delivered, also behind the marks. Does not wait for the commit."""
        marks: list[tuple[str, int]] = []
        exact: list[tuple[str, int, int, list[int]]] = []
        users, self.dirty = self.dirty, set()
        for user in self.users.keys() if last else users & self.users.keys():
            mine = self.users[user]
            mark = mine.mark
            if mark > mine.saved:
                mine.saved = mark
                marks.append((user, mark))
            if mark < mine.upto and (last or self._left(user, mine)):
                left = [*mine.waiting, *mine.returned, *mine.kept_back]
                exact.append((user, mark, mine.upto, left))
        singles, self.singles = self.singles, []
        if not marks and not exact and not singles:
            self._saved(None, users, singles)
            return messages.sort()
        ticket = messages.write(messages.save_marks, marks, exact, singles)
        ticket.then(lambda ticket: self._saved(ticket, users, singles))
        return ticket

    def _left(self, user: str, mine: Deliveries) -> bool:
        return not mine.waiting and not mine.flushing and user not in self.sessions.users

    def _saved(self, ticket: Ticket | None, users: set[str], singles: list[int]) -> None:
        """Called after the commit; after an error the next `save` tries again."""
        failed = ticket is not None and ticket.error is not None
        if failed:
            self.singles = [*singles, *self.singles][-self.SINGLES :]
            self.dirty |= users
        done = set(singles)
        for user in users & self.users.keys():
            mine = self.users[user]
            if failed:
                mine.saved = 0
            elif self._left(user, mine) and user not in self.dirty:
                del self.users[user]
                cluster.release(user)
            elif mine.ahead and not mine.flushing:
                # not while `_flush` runs: it has read a page already, and still needs to know
                for id in done.intersection(mine.ahead):
                    mine.ahead.pop(id, None)
