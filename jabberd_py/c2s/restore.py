"""Sessions of the process before this one (XEP-0198): their clients may resume them."""

from __future__ import annotations

import heapq
import json
import secrets
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from peewee import fn

from ..archive.messages import Fresh, Message
from ..cluster import cluster
from ..heartbeat import heartbeat
from ..jsm.host import Host
from ..jsm.notes import lasting
from ..jsm.session import Session
from ..xdb import spoilt, xdb
from ..xdb.numbers import FUTURE
from ..xmpp.element import from_text
from ..xmpp.jid import parse
from ..xmpp.sm import WRAP
from . import resumable
from .resumable import ResumableStream
from .sm import LOST, StreamManagement

if TYPE_CHECKING:
    from .listener import Service


RECENT = 300
"""Seconds before the newest message in which messages are counted; older ones are in the saved counts (`sm.OLD`)."""


def restore(service: Service) -> None:
    """Returns when the store says that these sessions are in use again: another crash must not find their old queues. After
    a crash what the clients had sent is counted by the rows that it left."""
    now, wait = time.time(), service.options.resume_timeout
    counted = _counted()
    query = ResumableStream.select().where(ResumableStream.node == cluster.node)
    query = query.order_by(ResumableStream.number.desc())
    names = [field.name for field in ResumableStream._meta.sorted_fields]
    rows = ResumableStream._meta.database.execute_sql(*query.sql()).fetchall()  # as they are, damaged perhaps
    for values in rows:
        row = SimpleNamespace(**dict(zip(names, values, strict=True)))
        try:
            kept = _restore(service, row, now, wait, counted)
        except Exception as error:  # whatever is wrong with it
            spoilt("resumable_stream", row.owner, error)
            kept = False
        if not kept:
            xdb.write(resumable.forget, row.number)
    xdb.sync()


def _restore(service: Service, row: Any, now: float, wait: float, counted: dict[int, int]) -> bool:
    """One session; False: it is over. Raises what a damaged row makes of it; then there is no such session."""
    jid = parse(f"{row.owner}/{row.resource}")
    host = service.router.instances.get(jid.domain)
    over = row.expires and row.expires <= now or not wait
    if over or not isinstance(host, Host) or host.sessions.find(jid) is not None:
        return False
    sm = StreamManagement(service, True)
    sm.session = session = Session(host, jid, sm, secrets.token_hex(8), now)
    session.sm = sm
    sm.number, sm.token, sm.handled, sm.sent = row.number, row.token, row.handled, row.sent
    later = counted.get(row.number, sm.handled)
    if (later - sm.handled) % WRAP < WRAP // 2:
        sm.handled = later
    saved = json.loads(row.notes)
    session.notes.update((note, saved[note]) for note in lasting() if note in saved)
    if row.presence:
        session.presence = from_text(row.presence)
        session.priority = int(session.presence.text_of("priority") or 0)
    sm.expires = row.expires or now + wait
    queue = [(str(text).encode(), int(uid)) for text, uid in json.loads(row.queue or "[]")]
    if not all(isinstance(each, int) for each in (sm.number, sm.handled, sm.sent)):
        raise ValueError("no counts")
    # the row was good; what is changed from here on concerns others
    waiting = host.marks.of(session.user).waiting
    sm.forgotten = None if row.queue else sm.expires - wait
    for data, uid in queue:  # what the client had not acknowledged when the server stopped in peace
        sm.queue.append((data, uid))
        sm.bytes += len(data)
        if uid:
            waiting[uid] = None
    host.sessions.add(session)
    presence, session.presence = session.presence, None
    host.hooks.tell("session", session)
    session.presence = presence
    service.resumable[sm.token] = sm
    heartbeat.at(time.monotonic() + sm.expires - now, sm)
    sm.save()
    service.weigh(sm, LOST + sm.bytes)
    return True


def _counted() -> dict[int, int]:
    """By the number of the stream: how many of its stanzas the recent messages say were handled."""
    ids = (table.select(fn.MAX(table.id)).where(table.id < FUTURE).scalar() for table in (Message, Fresh))
    newest = max(id or 0 for id in ids)
    recent = [  # fresh ones are there only if they could not be sorted in
        table.select(table.id, table.stream, table.seq)
        .where(table.id > newest - (RECENT * 1000 << 20), table.id < FUTURE)
        .where(table.stream > 0, table.stream < FUTURE, table.seq < WRAP)
        .order_by(table.id)
        .tuples()
        .iterator()
        for table in (Message, Fresh)
    ]
    counted: dict[int, int] = {}
    for _, stream, seq in heapq.merge(*recent):
        counted[stream] = seq
    return counted
