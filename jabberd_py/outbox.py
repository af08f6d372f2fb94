"""Stanzas that leave by a way that may be down: another server, a component, later a mail server.

An `Entry` waits in the queue of its way. A message whose sender may see it acknowledged (XEP-0198) must not be lost with
this process: its entry has a row in `Outbox` until the other side has it. Rows are written with the writer's group commit,
so nobody waits for the disk. `start` puts what the process before this one left into the queues again, in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import gevent
from peewee import BigIntegerField, CharField, DoubleField, SmallIntegerField, TextField

from . import log
from .cluster import cluster
from .xdb import OWNER_LENGTH, Table, Ticket, xdb
from .xdb.numbers import above, next_id
from .xmpp.element import Element
from .xmpp.errors import StanzaError
from .xmpp.parser import reread
from .xmpp.syntax import name_language

if TYPE_CHECKING:
    from .router import Router

logger = log.get(__name__)

LAG = 0.05
"""Seconds that finished rows gather before one statement removes them. After a crash these messages are sent twice."""


class Outbox(Table):
    """One message that must not be lost, as nobody else has it yet.

    id           its number (`xdb.numbers`); a queue is sent in this order
    node         the process of a cluster in whose queue it stands
    owner        the bare address of its sender
    way          the part of the server in whose queue it stands: "s2s", "component"
    destination  the domain it goes to
    xml          the stanza
    time         when it came, Unix time
    """

    id = BigIntegerField(primary_key=True)
    node = SmallIntegerField()
    owner = CharField(max_length=OWNER_LENGTH)
    way = CharField(max_length=20)
    destination = CharField(max_length=1023)
    xml = TextField()
    time = DoubleField()


COLUMNS = ("id", "node", "owner", "way", "destination", "xml", "time")


class Entry:
    """One stanza in a queue. ``row``: its number in `Outbox`, 0 if it has no row. ``queued_at``: when it was queued
    (`time.monotonic`). ``suspect``: the other side has ended a stream with an error, over this stanza perhaps."""

    __slots__ = ("stanza", "data", "row", "queued_at", "suspect")

    def __init__(self, stanza: Element, row: int = 0) -> None:
        name_language(stanza)
        self.stanza = stanza
        self.data = stanza.across()
        self.row = row
        self.queued_at = time.monotonic()
        self.suspect = False


def keep(way: str, destination: str, entry: Entry, failed: Callable[[Entry], object]) -> None:
    """Writes a row for the entry. Does not wait for the commit; blocks only while the queue of the writer is full. If the
    commit fails, ``failed(entry)`` is called later in the writer's greenlet; it must not block. The caller must queue the
    entry before its next call that may block, so that the queue and the table have the same order. Raises StoreError."""
    text = entry.data.decode()
    owner = entry.stanza.attrs.get("from", "").partition("/")[0][:OWNER_LENGTH]
    # first: a number given before the wait would stand behind larger ones in the queue
    xdb.wait_for_space(len(text))
    entry.row = next_id()
    row = (entry.row, cluster.node, owner, way, destination, text, time.time())
    xdb.row(Outbox, row, COLUMNS, len(text), failed, entry)


def refuse(router: Router, entry: Entry) -> None:
    """Sends the error to the sender of an entry whose row could not be kept. The caller must have taken it from its queue."""
    entry.row = 0
    error = StanzaError("resource-constraint", "the server cannot store this now", type="wait")
    router.bounce(entry.stanza, error)
    session = entry.stanza.session
    if session is not None and session.sm is not None:
        session.sm.refused()


def save(
    router: Router,
    entries: Iterable[Entry],
    lasts: Callable[[Element], bool],
    keep: Callable[[Entry], object],
) -> None:
    """To be called when the server stops while these wait. Stanzas for which ``lasts`` is true get a row by ``keep``, if they
    have none. The senders of other messages and of IQs get an error. Other presence is dropped: it is sent anew after the
    start."""
    error = StanzaError("remote-server-timeout", "the server was stopped")
    for entry in list(entries):
        stanza = entry.stanza
        if lasts(stanza):
            if not entry.row:
                keep(entry)
        elif stanza.name != "presence":
            router.bounce(stanza, error)


_done: list[int] = []


def forget(entry: Entry) -> None:
    """Removes the row of an entry soon: the other side has the stanza, or its sender has an error."""
    if entry.row:
        if not _done:
            gevent.spawn_later(LAG, flush)
        _done.append(entry.row)
        entry.row = 0


def flush() -> None:
    """Removes the rows that `forget` was called for. Does not wait for the commit."""
    if _done and xdb.store is not None:
        done = _done[:]
        _done.clear()
        xdb.write(_remove, done).then(lambda ticket: _removed(ticket, done))


def _removed(ticket: Ticket, done: list[int]) -> None:
    if ticket.error is not None:  # the next flush tries again; after a crash they are sent twice
        if not _done:
            gevent.spawn_later(1, flush)
        _done.extend(done)


def _remove(ids: list[int]) -> None:
    """In the writer."""
    for at in range(0, len(ids), 500):
        Outbox.delete().where(Outbox.id.in_(ids[at : at + 500])).execute()


# -- after a restart ---------------------------------------------------------------------------------


def left() -> list[Entry]:
    """What the process before this one left, in order. A row that cannot be read is logged, and goes."""
    entries = []
    rows = Outbox.select(Outbox.id, Outbox.xml).where(Outbox.node == cluster.node).order_by(Outbox.id)
    for id, xml in rows.tuples().iterator():
        try:
            stanza = reread(xml.encode())
            if stanza.from_ is None or stanza.to is None:
                raise ValueError("it has no addresses")
            entries.append(Entry(stanza, id))
        except (ValueError, TypeError, AttributeError) as error:
            logger.error("a stanza that was to be sent cannot be read", number=id, reason=str(error))
            _done.append(id)
        above(id)
    flush()
    return entries


def start(router: Router, entries: list[Entry]) -> None:
    """Queues them where their addresses belong now: the configuration may have changed."""
    for entry in entries:
        stanza, to = entry.stanza, entry.stanza.to
        assert to is not None
        instance = router.instances.get(to.domain, router.uplink)
        try:
            if instance.requeue(entry, to):
                continue
        except StanzaError as error:
            router.bounce(stanza, error)
        else:
            router.deliver(stanza)
        forget(entry)
