"""The archive is the spool: every message that is kept is one row per owner (XEP-0160, XEP-0313, XEP-0359).

A row's number is also the message's stanza-id: it grows with time and is known before the row is committed, so delivery
does not wait for the disk. Per account there is a mark up to which all was delivered. What lies past it *is* the offline store,
also after a crash; a message that came twice then carries the same stanza-id. The mark is written once a second at most, so
it lags: that costs duplicates after a crash, never a loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent

from .. import log
from ..xdb import StoreError, Ticket, xdb
from ..xdb.numbers import number, when
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.parser import reread
from . import messages
from .messages import PAGE, Message
from .notes import PICKING, SENT
from .stamps import late, stamped

if TYPE_CHECKING:
    from .host import Host
    from .session import Session

logger = log.get(__name__)

RETRY = 5.0
"""Seconds until a delivery of stored messages that failed is tried again."""


def settle() -> None:
    """All messages so far can be read. Raises StoreError."""
    if not messages.settle():
        raise StoreError("the newest messages cannot be read")


def origin(session: Session | None) -> tuple[int, int]:
    """The resumable stream of the session, and the count of the stanza that it is just sending."""
    if session is None or session.sm is None:
        return 0, 0
    return session.sm.number, session.sm.handled + 1


class State:
    """What is under way for one user with sessions.

    upto       every row up to this one has been given to a session
    clear      and there are none behind it
    waiting    the rows that a client has yet to acknowledge, and: does the archive keep them, then? (None: that is not known)
    lost       those up to ``upto`` whose session ended before it did: to be given out again
    ahead      behind ``upto``, but acknowledged; the rows may not say so yet
    news       counts what became undelivered, so that a delivery under way notices
    saved      the mark that the store knows, or will
    """

    __slots__ = ("upto", "clear", "waiting", "lost", "ahead", "flushing", "news", "saved")

    def __init__(self) -> None:
        self.upto = 0
        self.clear = False
        self.waiting: dict[int, bool | None] = {}
        self.lost: dict[int, bool | None] = {}
        self.ahead: dict[int, None] = {}
        self.flushing = False
        self.news = 0
        self.saved = 0

    @property
    def mark(self) -> int:
        pending = [min(ids) for ids in (self.waiting, self.lost) if ids]
        return min(self.upto, min(pending) - 1) if pending else self.upto


class Spool:
    """The kept messages of one host's users."""

    COUNTED = 10_000
    SINGLES = 100_000
    """Of these no more wait while the store cannot write; what is dropped stays in the store, or comes twice after a crash."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.offline = False  # does the host keep messages for those who are not there?
        self.limit = 0
        self.wants: Callable[[str, str], bool] | None = None
        """Does the user want messages from or to that address archived? None: there is no archive."""
        self.states: dict[str, State] = {}
        self.dirty: set[str] = set()
        self.singles: list[int] = []
        """Delivered out of order, so that the mark cannot say so, or to go now."""
        self.counts: dict[str, int] = {}

    # -- in ----------------------------------------------------------------------------------

    def keep(self, user: str, stanza: Element, archived: bool) -> Element:
        """Stores a message that is about to be delivered; returns what to deliver. Does not wait for the disk; should the
        commit fail, the sender gets an error."""
        state = self.state(user)
        id = number()
        state.waiting[id] = archived  # first: a full writer makes us wait, and others see the state
        if state.clear:
            state.upto = id
        self._insert(id, user, stanza, archived, self._unkept, stanza)
        return stamped(stanza, user, id)

    def store(self, user: str, stanza: Element, archived: bool) -> Ticket:
        """Stores a message for later. Raises StanzaError when there is no room for more (RFC 6121 section 8.5.2.2.1)."""
        count = self.counts.get(user)
        if count is None:
            count = self.count(user)
        if count >= self.limit:
            raise StanzaError("service-unavailable", "the user's offline storage is full")
        self.counts[user] = count + 1
        if len(self.counts) > self.COUNTED:
            del self.counts[next(iter(self.counts))]
        xdb.room(len(stanza.to_bytes()))  # while it waited with a number, the mark could pass it
        state = self.states.get(user)
        if state is not None:
            state.clear = False
            state.news += 1
        ticket = self._insert(number(), user, stanza, archived, self._unstored, (user, stanza))
        if self._takers(user):  # while the database counted, a session's own flush may have ended
            self.flush(user)
        return ticket

    def archive(self, user: str, stanza: Element, id: int, session: Session | None = None) -> None:
        """Keeps a copy of what the user sent to somebody elsewhere, under that number."""
        xml = stanza.to_bytes().decode()
        to = stanza.to
        stream, seq = origin(session)
        if session is not None and session.sm is not None:
            session.sm.stored = seq
        peer, resource = (to.user, to.resource or "") if to is not None else (user, "")
        messages.put((id, user, peer, resource, xml, 0, 1, stream, seq), self._unkept, stanza)

    def _insert(
        self,
        id: int,
        user: str,
        stanza: Element,
        archived: bool,
        failed: Callable[[Any], object],
        about: Any,
    ) -> Ticket:
        sender = stanza.from_
        peer, resource = (
            (sender.user, sender.resource or "") if sender is not None else (self.host.domain, "")
        )
        session: Session | None = stanza.session
        stream, seq = origin(session)
        xml = stanza.to_bytes().decode()
        row = (id, user, peer, resource, xml, 1, 1 if archived else 0, stream, seq)
        copy = session.note(SENT) if session is not None and session.user == peer else None
        if copy is None or session is None:
            return messages.put(row, failed, about)
        to = stanza.to
        ticket = messages.put(row, failed, about, copy, (to and to.resource) or "")
        session.notes.pop(SENT, None)  # both rows are on their way
        if session.sm is not None:
            session.sm.stored = seq
        return ticket

    def _fewer(self, user: str) -> None:
        if user in self.counts:
            self.counts[user] = max(self.counts[user] - 1, 0)

    def _unstored(self, about: tuple[str, Element]) -> None:
        user, stanza = about
        self._fewer(user)
        self._unkept(stanza)

    def _unkept(self, stanza: Element) -> None:
        error = StanzaError("resource-constraint", "the server cannot store this now", type="wait")
        self.host.router.bounce(stanza, error)
        session = stanza.session
        if session is not None and session.sm is not None:
            session.sm.refused()

    # -- out ---------------------------------------------------------------------------------

    def state(self, user: str) -> State:
        state = self.states.get(user)
        if state is None:
            state = self.states[user] = State()
        return state

    def delivered(self, user: str, id: int) -> None:
        """A client has the message."""
        state = self.states.get(user)
        if state is None or id not in state.waiting:
            return
        archived = state.waiting.pop(id)
        if id > state.upto:
            state.ahead[id] = None
            self.singles.append(id)
        elif not archived:
            self.singles.append(id)
        self.dirty.add(user)

    def undelivered(self, user: str, ids: list[int]) -> None:
        """A session that had these is over, and its client never acknowledged them. ``ids``: row numbers."""
        state = self.states.get(user)
        if state is None or not ids:
            return
        others = [session.sm for session in self.host.sessions.of(user) if session.sm is not None]
        elsewhere = {id for sm in others for id in sm.unacknowledged()}
        for id in ids:
            if id in state.waiting and id not in elsewhere:
                archived = state.waiting.pop(id)
                if id <= state.upto:
                    state.lost[id] = archived
        state.clear = False
        state.news += 1

    def missed(self, user: str, id: int) -> None:
        """The session that was to get it ended while its row waited for room in the writer's queue."""
        gevent.spawn(self._missed, user, id)  # when it has been given to the others, too

    def _missed(self, user: str, id: int) -> None:
        self.undelivered(user, [id])
        self.dirty.add(user)
        self.flush(user)

    def held(self, user: str, sessions: list[Session]) -> bool:
        """May there be older messages for these sessions in the store? Then a new one is stored too, and follows them."""
        state = self.states.get(user)
        if state is not None and state.clear or not self.offline:
            return False
        return not self._picking(user) and any(each in sessions for each in self.host.sessions.best(user))

    def flush(self, user: str) -> None:
        """Delivers what lies past the mark to the user's best sessions, in order; runs in a greenlet of its own."""
        state = self.state(user)
        if not state.flushing and not state.clear and self._takers(user) and not self._picking(user):
            state.flushing = True
            gevent.spawn(self._flush, user, state)

    def _picking(self, user: str) -> bool:
        return any(session.note(PICKING) for session in self.host.sessions.of(user))

    def _takers(self, user: str) -> list[Session]:
        """The best sessions, if a client is there to take what they are sent: a lost session's queue is small."""
        sessions = self.host.sessions.best(user)
        for session in sessions:
            if session.connected:
                return sessions
        return []

    def _flush(self, user: str, state: State) -> None:
        try:
            if user in self.dirty:
                self.save_marks()
            settle()
            mark = self.mark(user)
            state.upto, state.saved = max(state.upto, mark), max(state.saved, mark)
            while True:
                news = state.news
                lost = sorted(state.lost)[:PAGE]  # those that come meanwhile may have no row yet
                settle()
                lost = [id for id in lost if id in state.lost]
                rows = self.rows(lost)
                for id in set(lost).difference(row[0] for row in rows):
                    state.lost.pop(id, None)  # the row is gone
                rows = rows or messages.page(user, state.upto)
                if not self._hand_over(user, rows, state):
                    return
                if not lost and len(rows) < PAGE and state.news == news:
                    break
            state.clear = True
            state.ahead.clear()
            self.counts.pop(user, None)
            self.dirty.add(user)
        except Exception:
            logger.exception("delivery of stored messages failed", user=user)
            gevent.spawn_later(RETRY, self.flush, user)  # the database went away, perhaps
        finally:
            state.flushing = False
            self.singles += state.ahead  # once more: those that were saved meanwhile are still in `ahead`
            xdb.release()

    def _hand_over(self, user: str, rows: list[tuple[int, str, int]], state: State) -> bool:
        """False if there is nobody to take them any more."""
        sessions = self._takers(user)
        for id, xml, archived in rows:
            if id in state.waiting or id in state.ahead:
                state.upto = max(state.upto, id)
                continue
            for session in sessions:
                session.drain()  # a long queue must not overflow the buffer of one who reads as fast as the line allows
            sessions = self._takers(user)
            if not sessions:
                return False
            state.lost.pop(id, None)
            state.upto = max(state.upto, id)
            self._fewer(user)
            try:
                stanza = reread(xml.encode())
            except ValueError as error:  # the disk spoilt it: those behind it shall not wait for ever
                logger.error("a stored message cannot be read", user=user, number=id, reason=str(error))
                continue
            state.waiting[id] = bool(archived)
            stanza = late(stanza, user, id, self.host.domain, when(id))
            for session in sessions:
                self.host.pass_on(session, stanza)
        return True

    # -- the store -----------------------------------------------------------------------------

    def mark(self, user: str) -> int:
        rows = messages.mark(user)
        return int(rows[0][0]) if rows else 0

    def rows(self, ids: list[int]) -> list[tuple[int, str, int]]:
        if not ids:
            return []
        query = Message.select(Message.id, Message.xml, Message.archived).where(Message.id.in_(ids))
        return list(query.order_by(Message.id).tuples().iterator())

    def count(self, user: str) -> int:
        """How many messages lie past the mark."""
        return int(messages.count(user, self.mark(user))[0][0])

    def save_marks(self, last: bool = False) -> Ticket | None:
        """Writes what was delivered since the last time; forgets users who have gone. ``last``: the server stops, and
        the next one shall know exactly what was delivered, also behind the marks."""
        marks: list[tuple[str, int]] = []
        exact: list[tuple[str, int, int, list[int]]] = []
        users, self.dirty = self.dirty, set()
        for user in self.states.keys() if last else users & self.states.keys():
            state = self.states[user]
            mark = state.mark
            if mark > state.saved:
                state.saved = mark
                marks.append((user, mark))
            if mark < state.upto and (last or self._left(user, state)):
                exact.append((user, mark, state.upto, [*state.waiting, *state.lost]))
        singles, self.singles = self.singles, []
        if not marks and not exact and not singles:
            self._saved(None, users, singles)
            return messages.sort()
        ticket = messages.write(messages.save_marks, marks, exact, singles)
        ticket.then(lambda ticket: self._saved(ticket, users, singles))
        return ticket

    def _left(self, user: str, state: State) -> bool:
        return not state.waiting and not state.flushing and user not in self.host.sessions.users

    def _saved(self, ticket: Ticket | None, users: set[str], singles: list[int]) -> None:
        """The rows say it now, or the next second will try again."""
        failed = ticket is not None and ticket.error is not None
        if failed:
            self.singles = [*singles, *self.singles][-self.SINGLES :]
            self.dirty |= users
        done = set(singles)
        for user in users & self.states.keys():
            state = self.states[user]
            if failed:
                state.saved = 0
            elif self._left(user, state) and user not in self.dirty:
                del self.states[user]
            elif (
                state.ahead and not state.flushing
            ):  # a delivery has read a page already, and must not forget what it knew
                for id in done.intersection(state.ahead):
                    state.ahead.pop(id, None)

    def gone(self, user: str) -> None:
        """A session of the user is over."""
        self.dirty.add(user)
