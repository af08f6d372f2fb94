"""The archive is the spool: every message that is kept is one row per owner (XEP-0160, XEP-0313, XEP-0359).

A row's number is also the message's stanza-id: it grows with time and is known before the row is committed, so delivery
does not wait for the disk. Per account there is a mark up to which all was delivered. What lies past it *is* the offline store,
also after a crash; a message that came twice then carries the same stanza-id. The mark is written once a second at most, so
it lags: that costs duplicates after a crash, never a loss.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
from peewee import BigIntegerField, CharField, SmallIntegerField, TextField, fn

from .. import log
from ..xdb import OWNER_LENGTH, JidField, Table, Ticket, xdb
from ..xmpp import ns
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError
from ..xmpp.stamp import utc

if TYPE_CHECKING:
    from .host import Host
    from .session import Session

logger = log.get(__name__)

SID = "urn:xmpp:sid:0"
PAGE = 50
PICKING = "offline: flexible"
"""The note of a session that picks the waiting messages itself (XEP-0013): they do not come by themselves."""
LATE = 2.0
"""A message that waited longer than so many seconds is told when it came (XEP-0203)."""


class Message(Table):
    """``id``: milliseconds since 1970 in the upper bits, see `number`. ``peer`` and ``resource``: the other side.
    ``spooled``: it came in and counts as undelivered past the mark. ``archived``: its owner wants it kept. ``stream`` and
    ``seq``: the sender's resumable stream (XEP-0198) and its count, so that a resumed sender repeats nothing."""

    id = BigIntegerField(primary_key=True)
    owner = CharField(max_length=OWNER_LENGTH)
    peer = JidField()
    resource = TextField()
    xml = TextField()
    spooled = SmallIntegerField()
    archived = SmallIntegerField()
    stream = BigIntegerField()
    seq = BigIntegerField()

    class Meta:
        # one index serves pages of all and of one contact: a second one would double what a message costs to store
        indexes = ((("owner", "id", "peer"), False),)


COLUMNS = ("id", "owner", "peer", "resource", "xml", "spooled", "archived", "stream", "seq")


class Mark(Table):
    """Every spooled row of ``owner`` with a number up to ``delivered`` has reached a client."""

    owner = CharField(max_length=OWNER_LENGTH)
    delivered = BigIntegerField()

    class Meta:
        indexes = ((("owner",), True),)


@xdb.prepared(str)
def _mark(owner: str) -> Any:
    return Mark.select(Mark.delivered).where(Mark.owner == owner)


@xdb.prepared(str, int)
def _page(owner: str, position: int) -> Any:
    waiting = Message.select(Message.id, Message.xml).where(
        Message.owner == owner, Message.id > position, Message.spooled == 1
    )
    return waiting.order_by(Message.id).limit(PAGE)


@xdb.prepared(str, int)
def _count(owner: str, position: int) -> Any:
    return Message.select(fn.COUNT(Message.id)).where(
        Message.owner == owner, Message.id > position, Message.spooled == 1
    )


_last = 0


def number() -> int:
    """The next row number: never twice, never smaller than the last, time-ordered (63 bits)."""
    global _last
    _last = max(_last + 64, int(time.time() * 1000) << 20)  # the low bits are for the number of a node
    return _last


def when(id: int) -> float:
    """The time that is in a row number."""
    return (id >> 20) / 1000


def start() -> None:
    """The clock may have been set back since the newest row was written."""
    global _last
    _last = max(_last, Message.select(Message.id).order_by(Message.id.desc()).limit(1).scalar() or 0)


def stamped(stanza: Element, user: str, id: int) -> Element:
    """A copy with our stanza-id in it and nobody else's in our name (XEP-0359 section 5)."""
    if f"{SID} stanza-id" in stanza.kids:
        stanza = unforged(stanza, user)
    twin = Element.raw(
        stanza.name,
        stanza.ns,
        stanza.attrs,
        b"%b<stanza-id xmlns='urn:xmpp:sid:0' by='%b' id='%d'/>" % (stanza.inner, user.encode(), id),
        [*stanza.kids, f"{SID} stanza-id"],
    )
    twin.uid = id
    return twin


def unforged(stanza: Element, user: str) -> Element:
    """Without stanza-ids that claim to be by ``user``'s account."""
    twin = Element.parsed(stanza.name, stanza.ns, stanza.attrs)
    return twin.append(
        *(
            child
            for child in stanza.children
            if isinstance(child, str)
            or (child.name, child.ns) != ("stanza-id", SID)
            or child.attrs.get("by") != user
        )
    )


def origin(session: Session | None) -> tuple[int, int]:
    """The resumable stream of the session, and the count of the stanza that it is just sending."""
    if session is None or session.sm is None:
        return 0, 0
    sm = session.sm
    sm.stored = sm.handled + 1
    return sm.number, sm.stored


class State:
    """What is under way for one user with sessions.

    upto       every row up to this one has been given to a session
    clear      and there are none behind it
    waiting    of those, the ones that a client has yet to acknowledge
    lost       and the ones whose session ended before it did: to be given out again
    """

    __slots__ = ("upto", "clear", "waiting", "lost", "flushing", "stored", "temporary")

    def __init__(self) -> None:
        self.upto = 0
        self.clear = False
        self.waiting: dict[int, None] = {}
        self.lost: dict[int, None] = {}
        self.flushing = False
        self.stored = 0
        self.temporary = True

    @property
    def mark(self) -> int:
        pending = [min(ids) for ids in (self.waiting, self.lost) if ids]
        return min(self.upto, min(pending) - 1) if pending else self.upto


class Spool:
    """The kept messages of one host's users."""

    COUNTED = 10_000

    def __init__(self, host: Host) -> None:
        self.host = host
        self.offline = False  # does the host keep messages for those who are not there?
        self.limit = 0
        self.wants: Callable[[str, str], bool] = lambda user, peer: False
        """Does the user want messages from or to that address archived?"""
        self.states: dict[str, State] = {}
        self.dirty: set[str] = set()
        self.singles: list[int] = []  # delivered out of order: the mark cannot say so
        self.counts: OrderedDict[str, int] = OrderedDict()

    # -- in ----------------------------------------------------------------------------------

    def keep(self, user: str, stanza: Element, archived: bool) -> Element:
        """Stores a message that is about to be delivered; returns what to deliver. Does not wait for the disk; should the
        commit fail, the sender gets an error."""
        state = self.state(user)
        id = number()
        self._insert(id, user, stanza, archived)
        state.waiting[id] = None
        if state.clear:
            state.upto = id
        if not archived:
            state.temporary = True
        return stamped(stanza, user, id)

    def store(self, user: str, stanza: Element, archived: bool) -> Ticket:
        """Stores a message for later. Raises StanzaError when there is no room for more (RFC 6121 section 8.5.2.2.1)."""
        count = self.counts.get(user)
        if count is None:
            count = self.count(user)
        if count >= self.limit:
            raise StanzaError("service-unavailable", "the user's offline storage is full")
        self.counts[user] = count + 1
        self.counts.move_to_end(user)
        if len(self.counts) > self.COUNTED:
            self.counts.popitem(last=False)
        state = self.states.get(user)
        if state is not None:
            state.clear = False
            state.stored += 1
        ticket = self._insert(number(), user, stanza, archived)
        if self.host.sessions.best(user):  # while the database counted, a session's own flush may have ended
            self.flush(user)
        return ticket

    def archive(self, user: str, stanza: Element, session: Session | None = None) -> int:
        """Keeps a copy of what the user sent; returns its number."""
        id = number()
        xml = stanza.to_bytes().decode()
        to = stanza.to
        stream, seq = origin(session)
        peer, resource = (str(to.bare), to.resource or "") if to is not None else (user, "")
        ticket = xdb.rows(Message, [(id, user, peer, resource, xml, 0, 1, stream, seq)], COLUMNS)
        ticket.then(lambda ticket: self._check(ticket, stanza))
        return id

    def _insert(self, id: int, user: str, stanza: Element, archived: bool) -> Ticket:
        sender = stanza.from_
        peer, resource = (
            (str(sender.bare), sender.resource or "") if sender is not None else (self.host.domain, "")
        )
        stream, seq = origin(stanza.session)
        xml = stanza.to_bytes().decode()
        row = (id, user, peer, resource, xml, 1, 1 if archived else 0, stream, seq)
        ticket = xdb.rows(Message, [row], COLUMNS)
        ticket.then(lambda ticket: self._check(ticket, stanza))
        return ticket

    def _check(self, ticket: Ticket, stanza: Element) -> None:
        if ticket.error is not None:
            error = StanzaError("resource-constraint", "the server cannot store this now", type="wait")
            self.host.router.bounce(stanza, error)

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
        del state.waiting[id]
        if id > state.upto:
            self.singles.append(id)
        self.dirty.add(user)

    def undelivered(self, user: str, id: int) -> None:
        """The session that had it is over and never acknowledged."""
        state = self.states.get(user)
        if state is not None and id in state.waiting:
            del state.waiting[id]
            if id <= state.upto:
                state.lost[id] = None
            state.clear = False

    def held(self, user: str) -> bool:
        """Are older messages being delivered just now? Then a new one is stored, and follows them."""
        state = self.states.get(user)
        return state is not None and state.flushing

    def flush(self, user: str) -> None:
        """Delivers what lies past the mark to the user's best sessions, in order; runs in a greenlet of its own."""
        state = self.state(user)
        picking = any(session.note(PICKING) for session in self.host.sessions.of(user))
        if not state.flushing and not state.clear and not picking:
            state.flushing = True
            gevent.spawn(self._flush, user, state)

    def _flush(self, user: str, state: State) -> None:
        try:
            self.save_marks()
            state.upto = max(state.upto, self.mark(user))
            while True:
                stored = state.stored
                xdb.settle()
                rows = self.rows(list(state.lost)[:PAGE]) or self.page(user, state.upto)
                if not rows and state.stored == stored:
                    break
                for id, xml in rows:
                    if id not in state.waiting and not self._hand_over(user, id, xml, state):
                        return
                    state.upto = max(state.upto, id)
            state.clear = True
            self.counts.pop(user, None)
            self.dirty.add(user)
        except Exception:
            logger.exception("delivery of stored messages failed", user=user)
        finally:
            state.flushing = False
            xdb.release()

    def _hand_over(self, user: str, id: int, xml: str, state: State) -> bool:
        """False if there is nobody to take it any more."""
        for session in self.host.sessions.best(user):
            session.drain()  # a long queue must not overflow the buffer of one who reads as fast as the line allows
        sessions = self.host.sessions.best(user)
        if not sessions:
            return False
        state.lost.pop(id, None)
        try:
            stanza = from_text(xml)
        except ValueError as error:  # the disk spoilt it: those behind it shall not wait for ever
            logger.error("a stored message cannot be read", user=user, number=id, reason=str(error))
            return True
        state.waiting[id] = None
        for delay in stanza.all("delay", ns.DELAY):
            if delay.attrs.get("from") == self.host.domain:
                stanza.remove(delay)  # forged: only we stamp in our name (XEP-0203 section 6)
        if time.time() - when(id) > LATE:
            stanza.append(Element("delay", ns.DELAY, from_=self.host.domain, stamp=utc(when(id))))
        stanza = stamped(stanza, user, id)
        for session in sessions:
            self.host.pass_on(session, stanza)
        return True

    # -- the store -----------------------------------------------------------------------------

    def mark(self, user: str) -> int:
        rows = _mark(user)
        return int(rows[0][0]) if rows else 0

    def rows(self, ids: list[int]) -> list[tuple[int, str]]:
        if not ids:
            return []
        query = Message.select(Message.id, Message.xml).where(Message.id.in_(ids)).order_by(Message.id)
        return [(id, xml) for id, xml in query.tuples().iterator()]

    def page(self, user: str, position: int) -> list[tuple[int, str]]:
        """Undelivered rows behind ``position``: (number, xml)."""
        return _page(user, position)

    def count(self, user: str) -> int:
        """How many messages lie past the mark."""
        return int(_count(user, self.mark(user))[0][0])

    def save_marks(self) -> Ticket | None:
        """Writes what was delivered since the last time; forgets users who have gone."""
        marks: list[tuple[str, int, bool, int, list[int]]] = []
        users, self.dirty = self.dirty, set()
        for user in users:
            state = self.states.get(user)
            if state is None:
                continue
            mark = state.mark
            leaving = not state.waiting and not state.flushing and user not in self.host.sessions.users
            if mark > 0:
                marks.append((user, mark, state.temporary, state.upto, list(state.lost) if leaving else []))
            state.temporary = bool(state.waiting)
            if leaving:
                del self.states[user]
        singles, self.singles = self.singles, []
        return xdb.write(_save_marks, marks, singles) if marks or singles else None

    def gone(self, user: str) -> None:
        """A session of the user is over."""
        self.dirty.add(user)


def _save_marks(marks: list[tuple[str, int, bool, int, list[int]]], singles: list[int]) -> None:
    for user, mark, temporary, upto, lost in marks:
        if not Mark.update(delivered=mark).where(Mark.owner == user).execute():
            Mark.delete().where(Mark.owner == user).execute()  # MySQL counts an equal value as no change
            Mark.create(owner=user, delivered=mark)
        mine = Message.owner == user
        if temporary:
            unwanted = Message.delete().where(
                mine, Message.id <= mark, Message.spooled == 1, Message.archived == 0
            )
            unwanted.execute()
        if lost:  # what came behind the lost ones did arrive; the mark alone cannot say so
            got = Message.update(spooled=0).where(
                mine, Message.id > mark, Message.id <= upto, Message.id.not_in(lost)
            )
            got.execute()
    for at in range(0, len(singles), 500):
        some = singles[at : at + 500]
        Message.delete().where(Message.id.in_(some), Message.archived == 0).execute()
        Message.update(spooled=0).where(Message.id.in_(some)).execute()


def tables() -> list[Any]:
    return [Message, Mark]
