"""The spool: messages that wait for a user (XEP-0160). They are rows of the archive (XEP-0313), one for each owner.

The number of a row is also the stanza-id of the message (XEP-0359). It is known before the row is committed, so delivery does
not wait for the disk. Every account has a mark; all rows up to it are delivered (`marks.py`). The rows behind it are the
offline messages, also after a crash. A message that comes twice then has the same stanza-id.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gevent

from .. import log
from ..archive import messages
from ..archive.messages import PAGE, TAKEN, Message, readable
from ..archive.stamps import late, stamped
from ..net.turns import fairly
from ..xdb import StoreError, Ticket, xdb
from ..xdb.numbers import at, next_id, when
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.parser import reread
from ..xmpp.sm import WRAP
from ..xmpp.syntax import LANG, name_language
from .marks import Deliveries, Marks
from .notes import PICKING, SENT

if TYPE_CHECKING:
    from .host import Host
    from .session import Managed, Session

logger = log.get(__name__)

LATE = 600.0
"""Seconds that a client may be gone before its stream is found lost."""
RETRY = 5.0
"""Seconds after which a failed delivery of stored messages is tried again."""


class Page:
    """Stored messages that are delivered together. Resumable streams send them only when the store knows the counts under which
    they are sent: after a crash the client may say with a count that it has them."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int]] = []
        self.held: set[Managed] = set()

    def hold(self, sessions: list[Session]) -> None:
        for session in sessions:
            if session.sm is not None:
                session.sm.hold()
                self.held.add(session.sm)

    def send(self) -> None:
        """Writes the counts, then lets the streams send. Blocks until the commit; if that fails, they send all the same."""
        try:
            if self.taken:
                with suppress(StoreError):
                    xdb.save(messages.note_taken, self.taken)
        finally:
            for sm in self.held:
                sm.release()


class Spool:
    """The stored messages of the users of one host."""

    COUNTED = 10_000

    def __init__(self, host: Host) -> None:
        self.host = host
        self.marks = Marks(host.sessions)
        self.offline = False  # does the host keep messages for those who are not there?
        self.limit = 0
        self.wants: Callable[[str, str], bool] | None = None
        """Does the user want messages from or to that address archived? None: there is no archive."""
        self.counts: dict[str, int] = {}

    # -- in ----------------------------------------------------------------------------------

    def deliver(self, user: str, stanza: Element, archived: bool, sessions: list[Session]) -> Element:
        """Stores a message and gives it to these sessions. Returns the message as they got it. Does not wait for the commit;
        if it fails, the sender gets an error."""
        stanza, row = self.keep(user, stanza, archived)
        row[TAKEN] = self.give(user, stanza, sessions)
        return stanza

    def keep(self, user: str, stanza: Element, archived: bool) -> tuple[Element, list[Any]]:
        """Stores a message that is about to be delivered. Returns the message to deliver, and its row (`messages.put`)."""
        mine = self.marks.of(user)
        id = next_id()
        mine.waiting[id] = (
            archived  # first, because `_insert` may block while the queue of the writer is full
        )
        if mine.clear:
            mine.upto = id
        row, _ = self._insert(id, user, stanza, archived, self._unkept, stanza)
        return stamped(stanza, user, id), row

    def watch(self, user: str, stanza: Element) -> Element:
        """For a message that is about to be delivered and is not stored. If no client acknowledges it, it is delivered again,
        to other sessions or back to its sender. Returns the message to deliver."""
        twin = stanza.copy()
        twin.uid = next_id()
        self.marks.of(user).waiting[twin.uid] = stanza
        return twin

    def give(self, user: str, stanza: Element, sessions: list[Session]) -> str:
        """Gives a message to sessions of the user. Returns which resumable streams took it, as in `Row.taken`. If a filter
        stops it for all of them, it counts as delivered."""
        taken, streams = False, ""
        try:
            for session in sessions:
                if self.host.deliver_to(session, stanza):
                    taken = True
                    if session.sm is not None:
                        streams += session.sm.place
        finally:
            if not taken and stanza.uid:
                self.marks.delivered(user, stanza.uid)
        return streams

    def store(self, user: str, stanza: Element, archived: bool) -> Ticket:
        """Stores a message for later. Raises StanzaError when the storage is full (RFC 6121 section 8.5.2.2.1)."""
        count = self.counts.get(user)
        if count is None:
            count = self.count(user)
        if count >= self.limit:
            raise StanzaError("service-unavailable", "the user's offline storage is full")
        self.counts[user] = count + 1
        if len(self.counts) > self.COUNTED:
            del self.counts[next(iter(self.counts))]
        xdb.wait_for_space(
            len(stanza.to_bytes())
        )  # before it gets a number: meanwhile the mark could pass that
        mine = self.marks.users.get(user)
        if mine is not None:
            mine.clear = False
            mine.news += 1
        _, ticket = self._insert(next_id(), user, stanza, archived, self._unstored, (user, stanza))
        self._start(user)  # while the database counted, a session's own flush may have ended
        return ticket

    def archive(self, user: str, stanza: Element, id: int, session: Session | None = None) -> None:
        """Archives a message that the user has sent to another server, under that number. Does not wait for the commit."""
        name_language(stanza)
        xml = stanza.to_bytes().decode()
        to = stanza.to
        stream, seq = messages.origin(session)
        if session is not None and session.sm is not None:
            session.sm.stored = seq
        peer, resource = (to.user, to.resource or "") if to is not None else (user, "")
        messages.put([id, user, peer, resource, xml, 0, 1, stream, seq, ""], self._unkept, stanza)

    def _insert(
        self,
        id: int,
        user: str,
        stanza: Element,
        archived: bool,
        failed: Callable[[Any], object],
        about: Any,
    ) -> tuple[list[Any], Ticket]:
        sender = stanza.from_
        peer, resource = (
            (sender.user, sender.resource or "") if sender is not None else (self.host.domain, "")
        )
        session: Session | None = stanza.session
        stream, seq = messages.origin(session)
        if session is not None and archived:
            stanza.attrs.setdefault("xml:lang", LANG)  # `name_language`, without the call
        xml = stanza.to_bytes().decode()
        row = [id, user, peer, resource, xml, 1, 1 if archived else 0, stream, seq, ""]
        copy = session.note(SENT) if session is not None and session.user == peer else None
        if copy is None or session is None:
            return row, messages.put(row, failed, about)
        to = stanza.to
        ticket = messages.put(row, failed, about, copy, (to and to.resource) or "")
        session.notes.pop(SENT, None)  # both rows are on their way
        if session.sm is not None:
            session.sm.stored = seq
        return row, ticket

    def forget(self, user: str) -> None:
        """The account is gone."""
        self.marks.forget(user)
        self.counts.pop(user, None)

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

    def missed(self, user: str, id: int) -> None:
        """To be called if the session of a delivery has ended while the row waited for space in the queue of the writer."""
        gevent.spawn(self._missed, user, id)  # later: the message is just being given to other sessions, too

    def _missed(self, user: str, id: int) -> None:
        self.returned(user, [id])

    def returned(self, user: str, ids: list[int]) -> None:
        """To be called when a session has ended before its client acknowledged these messages. Other sessions get them, or they
        wait in the store. ``ids``: row numbers."""
        for stanza in self.marks.undelivered(user, ids):
            self.host.router.deliver(stanza.copy())
        self.marks.dirty.add(user)
        self.flush(user)

    def held(self, user: str, stanza: Element, sessions: list[Session]) -> bool:
        """May the store have older messages for these sessions? Then a new message must be stored, too, and follow them."""
        mine = self.marks.users.get(user)
        if mine is not None and mine.clear or not self.offline:
            return False
        return not self._picking(user) and any(each in sessions for each in self.host.takers(user, stanza))

    def flush(self, user: str) -> None:
        """Delivers the rows behind the mark to the user's best sessions, in order, in a greenlet of its own."""
        mine = self.marks.of(user)
        mine.returned |= mine.kept_back  # perhaps a session may have them now
        mine.kept_back.clear()
        self._start(user)

    def _start(self, user: str) -> None:
        mine = self.marks.of(user)
        if mine.flushing or mine.clear and not mine.returned or self._picking(user):
            return
        if any(session.connected for session in self.host.sessions.best(user)):
            mine.flushing = True
            gevent.spawn(self._flush, user, mine)

    def _picking(self, user: str) -> bool:
        return any(session.note(PICKING) for session in self.host.sessions.of(user))

    def _flush(self, user: str, mine: Deliveries) -> None:
        try:
            if user in self.marks.dirty:
                self.marks.save()
            readable()
            mark = self.marks.stored(user)
            mine.upto, mine.saved = max(mine.upto, mark), max(mine.saved, mark)
            while True:
                news = mine.news
                returned, rows = self._next_rows(user, mine)
                page = Page()
                try:
                    if not self._hand_over(user, rows, mine, page):
                        return
                finally:
                    page.send()
                if not returned and len(rows) < PAGE and mine.news == news:
                    break
            mine.clear = True
            mine.ahead.clear()
            self.counts.pop(user, None)
            self.marks.dirty.add(user)
        except Exception:
            logger.exception("delivery of stored messages failed", user=user)
            gevent.spawn_later(RETRY, self.flush, user)  # the database went away, perhaps
        finally:
            mine.flushing = False
            self.marks.singles += (
                mine.ahead
            )  # once more: those that were saved meanwhile are still in `ahead`
            xdb.release()

    def _next_rows(self, user: str, mine: Deliveries) -> tuple[bool, list[tuple[int, str, int]]]:
        """The next page: returned rows, or, if there are none, the rows behind ``upto``. Also tells whether there were returned
        ones. Blocks."""
        returned = sorted(mine.returned)[
            :PAGE
        ]  # before `readable`: those that return later may have no row yet
        readable()
        returned = [id for id in returned if id in mine.returned]
        rows = self.rows(returned)
        for id in set(returned).difference(row[0] for row in rows):
            mine.returned.pop(id, None)  # the row is gone
        return bool(returned), rows or messages.page(user, mine.upto)

    def _hand_over(
        self,
        user: str,
        rows: list[tuple[int, str, int]],
        mine: Deliveries,
        page: Page,
    ) -> bool:
        """Gives these rows to the best sessions. Blocks. False: there is no connected session any more."""
        host, sessions = self.host, self.host.sessions.best(user)
        for id, xml, archived in rows:
            if id in mine.waiting or id in mine.ahead:  # a client has it already, or is about to get it
                mine.passed(id)
                continue
            stanza = self.admitted(user, id, xml)
            if stanza is None:
                mine.passed(id)
                continue
            for session in sessions:
                session.drain()  # many messages must not overflow the buffer of a client that reads as fast as it can
            sessions = host.takers(user, stanza)
            if not sessions and host.sessions.willing(user):
                mine.passed(id)
                mine.kept_back[id] = bool(archived)
                continue
            if not any(session.connected for session in sessions):
                return False  # the queue of a session without a stream is small
            mine.passed(id)
            self._fewer(user)
            mine.waiting[id] = bool(archived)
            page.hold(sessions)
            streams = self.give(user, late(stanza, user, id, host.domain, when(id)), sessions)
            if streams:
                page.taken.append((streams, id))
        return True

    def admitted(self, user: str, id: int, xml: str) -> Element | None:
        """Parses a stored message. None: a filter stops it, or it cannot be read; then it counts as delivered, so that the rows
        behind it do not wait for ever. May block."""
        try:
            stanza = reread(xml.encode())
        except ValueError as error:
            logger.error("a stored message cannot be read", user=user, number=id, reason=str(error))
            self._over(user, id)
            return None
        return stanza if self.allowed(user, id, stanza) else None

    def allowed(self, user: str, id: int, stanza: Element) -> bool:
        """Do the filters let a stored message through? If not, it counts as delivered. ``stanza`` needs only the addresses."""
        stanza.uid = id
        if self.host.admits(user, stanza):
            return True
        self._over(user, id)
        return False

    def _over(self, user: str, id: int) -> None:
        self._fewer(user)
        self.marks.singles.append(id)

    # -- the store -----------------------------------------------------------------------------

    def rows(self, ids: list[int]) -> list[tuple[int, str, int]]:
        if not ids:
            return []
        query = Message.select(Message.id, Message.xml, Message.archived).where(Message.id.in_(ids))
        return list(query.order_by(Message.id).tuples().iterator())

    def resumed(self, session: Session, stream: int, since: float, h: int) -> None:
        """After a crash the client of a resumable stream says that it has ``h`` stanzas. What of the stored messages is among
        them counts as delivered. Those that it does not have, and another client of the user has, are queued for it; the others
        are sent anew, under other counts. Blocks; `xdb.sync` before more is sent. ``since``: Unix time when the stream was
        lost."""
        readable()
        user, mark = session.user, self.marks.stored(session.user)
        ahead = self.marks.of(user).ahead
        had, stale, missing = [], [], []
        for id, taken, spooled in fairly(messages.taken(user, min(mark, at(int((since - LATE) * 1000))))):
            streams = taken.split()
            mine = [each for each in streams if each.startswith(f"{stream}:")]
            counts = [int(each.partition(":")[2]) for each in mine if each.partition(":")[2].isdecimal()]
            waits = spooled and id > mark and id not in ahead
            if any((h - count) % WRAP < WRAP // 2 for count in counts):
                if waits:
                    had.append(id)
            elif mine and waits:
                stale.append(("".join(f"{each} " for each in streams if each not in mine), id))
            elif mine:
                missing.append(id)
        self.marks.had(user, had)
        if stale:
            xdb.write(messages.note_taken, stale)
        queued = set() if session.sm is None else set(session.sm.unacknowledged())
        for id, xml, _ in self.rows([id for id in missing[-PAGE:] if id not in queued]):
            with suppress(ValueError):  # a damaged row was told of when another client got it
                stanza = late(reread(xml.encode()), user, id, self.host.domain, when(id))
                if self.host.admits(user, stanza):
                    self.host.deliver_to(session, stanza)

    def count(self, user: str) -> int:
        """The number of stored messages that wait and that no client has got. Blocks."""
        position, mine, known = self.marks.stored(user), self.marks.users.get(user), 0
        if mine is not None:
            position = max(position, mine.upto)
            known = len(mine.returned) + len(mine.kept_back)
            known -= sum(id > position for ids in (mine.waiting, mine.ahead) for id in ids)
        return max(int(messages.count(user, position)[0][0]) + known, 0)
