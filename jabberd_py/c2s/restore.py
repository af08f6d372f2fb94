"""Sessions of the process before this one (XEP-0198): their clients may resume them."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING

from ..heartbeat import heartbeat
from ..jsm.host import Host
from ..jsm.messages import Message
from ..jsm.session import Session
from ..xdb import xdb
from ..xmpp.element import from_text
from ..xmpp.jid import parse
from .resumable import ResumableStream
from .sm import StreamManagement

if TYPE_CHECKING:
    from .listener import Service


def restore(service: Service) -> None:
    """Sessions of the process before this one, for their clients to resume. After a crash what the clients had sent is
    counted by the rows that it left."""
    now = time.time()
    rows = list(ResumableStream.select().where(ResumableStream.expires > now))
    xdb.save(lambda: ResumableStream.delete().where(ResumableStream.expires <= now).execute())
    if not rows:
        return
    counted: dict[int, int] = {}
    since = min(row.since for row in rows)
    sent = Message.select(Message.stream, Message.seq).where(Message.id > since, Message.stream > 0)
    for stream, seq in sent.tuples().iterator():
        counted[stream] = max(counted.get(stream, 0), seq)
    for row in rows:
        jid = parse(f"{row.owner}/{row.resource}")
        host = service.router.instances.get(jid.domain)
        if not isinstance(host, Host) or host.sessions.find(jid) is not None:
            continue
        sm = StreamManagement.__new__(StreamManagement)
        session = Session(host, jid, sm, secrets.token_hex(8), now)
        sm.__init__(service, session, None, True)  # type: ignore[misc]
        sm.number, sm.token = row.number, row.token
        sm.handled = sm.saved = max(row.handled, counted.get(row.number, 0))
        sm.sent = row.sent
        sm.crashed = not row.queue
        state = host.spool.state(session.user)
        for text, uid in json.loads(row.queue or "[]"):
            sm.queue.append((text.encode(), uid))
            sm.bytes += len(text)
            if uid:
                state.waiting[uid] = None
        session.sm = sm
        host.sessions.add(session)
        host.hooks.tell("session", session)
        if row.presence:
            session.presence = from_text(row.presence)
            session.priority = int(session.presence.text_of("priority") or 0)
        service.resumable[sm.token] = sm
        sm.expires = now + service.options.resume_timeout
        heartbeat.at(time.monotonic() + service.options.resume_timeout, sm)
