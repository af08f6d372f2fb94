"""Sessions of the process before this one (XEP-0198): their clients may resume them."""

from __future__ import annotations

import heapq
import json
import secrets
import time
from typing import TYPE_CHECKING

from peewee import fn

from ..cluster import cluster
from ..heartbeat import heartbeat
from ..jsm.host import Host
from ..jsm.messages import Fresh, Message
from ..jsm.notes import lasting
from ..jsm.session import Session
from ..xdb import xdb
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
    for row in list(
        ResumableStream.select()
        .where(ResumableStream.node == cluster.node)
        .order_by(ResumableStream.number.desc())
    ):
        jid = parse(f"{row.owner}/{row.resource}")
        host = service.router.instances.get(jid.domain)
        over = row.expires and row.expires <= now or not wait
        if over or not isinstance(host, Host) or host.sessions.find(jid) is not None:
            xdb.write(resumable.forget, row.number)
            continue
        sm = StreamManagement(service, True)
        sm.session = session = Session(host, jid, sm, secrets.token_hex(8), now)
        session.sm = sm
        sm.number, sm.token, sm.handled, sm.sent = row.number, row.token, row.handled, row.sent
        later = counted.get(row.number, sm.handled)
        if (later - sm.handled) % WRAP < WRAP // 2:
            sm.handled = later
        _fill(sm, row.queue)
        host.sessions.add(session)
        saved = json.loads(row.notes)
        session.notes.update((note, saved[note]) for note in lasting() if note in saved)
        host.hooks.tell("session", session)
        if row.presence:
            session.presence = from_text(row.presence)
            session.priority = int(session.presence.text_of("priority") or 0)
        service.resumable[sm.token] = sm
        sm.expires = row.expires or now + wait
        heartbeat.at(time.monotonic() + sm.expires - now, sm)
        sm.save()
        service.weigh(sm, LOST + sm.bytes)
    xdb.settle()


def _counted() -> dict[int, int]:
    """By the number of the stream: how many of its stanzas the recent messages say were handled."""
    newest = max(table.select(fn.MAX(table.id)).scalar() or 0 for table in (Message, Fresh))
    recent = [  # fresh ones are there only if they could not be sorted in
        table.select(table.id, table.stream, table.seq)
        .where(table.id > newest - (RECENT * 1000 << 20), table.stream > 0)
        .order_by(table.id)
        .tuples()
        .iterator()
        for table in (Message, Fresh)
    ]
    counted: dict[int, int] = {}
    for _, stream, seq in heapq.merge(*recent):
        counted[stream] = seq
    return counted


def _fill(sm: StreamManagement, queue: str) -> None:
    """What the client had not acknowledged when the server stopped in peace."""
    sm.crashed = not queue
    waiting = sm.session.host.marks.of(sm.session.user).waiting
    for text, uid in json.loads(queue or "[]"):
        data = text.encode()
        sm.queue.append((data, uid))
        sm.bytes += len(data)
        if uid:
            waiting[uid] = None
