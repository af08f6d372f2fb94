"""XEP-0198: Stream Management.

A message counts as delivered when the client has acknowledged it, and not before. What the server acknowledges is committed.

If a resumable stream breaks, its session stays and collects what comes, until the client resumes it or the time is over. Then
the unacknowledged messages go to the user's other clients, or wait in the store.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from gevent.event import Event

from .. import log
from ..archive import messages
from ..cluster import cluster
from ..heartbeat import heartbeat
from ..jsm.notes import lasting
from ..jsm.returns import send_back
from ..jsm.session import Session
from ..xdb import Ticket, xdb
from ..xdb.numbers import next_id
from ..xmpp.element import Element
from ..xmpp.errors import StreamError
from ..xmpp.protocols import XEP
from ..xmpp.sm import ASK, SM, WRAP, answer, count_of, newly
from . import resumable

if TYPE_CHECKING:
    from .client import Client
    from .listener import Service

PROTOCOLS = (XEP(198, "1.6.3", "Stream Management"),)

logger = log.get(__name__)

OLD = 60.0
"""Seconds after which ``handled`` is saved if only rows of the archive tell it (see restore.py)."""
LOST = 4096
"""A session without a stream counts as so many bytes in addition to its queue."""
ANSWERS = 100
"""At most so many <a/> wait for the writer; with more, nothing is read from the client."""


class StreamManagement:
    """Stream management of one session. While the session has no stream, this is also its transport.

    number     names the stream in the store; ``token`` names it to the client
    client     the client whose stream this is; None while the session has none
    handled    how many stanzas of the client were handled
    sent       how many stanzas were sent to the client
    queue      those of them that are not acknowledged: (bytes, row number or 0)
    stored     the count of the last stanza of the client that has a row in the client's own archive
    saved      the value of ``handled`` that was given to the store last; -1: unknown
    refusal    the value of ``sent`` after an error for a stanza that could not be stored. Until the client has acknowledged
    that error, no other process may resume the stream, because ``handled`` would acknowledge the stanza
    withheld   the last so many stanzas of the queue wait for `release`; None: stanzas are sent at once
    leaving    set when the client that had the stream before has ended
    forgotten  Unix time since when the client may have missed what the last process forgot when it was killed; or None
    """

    __slots__ = (
        "number", "token", "session", "client", "service", "handled", "sent", "stored", "saved", "queue", "bytes", "asked",
        "resumable", "slot", "expires", "drained", "forgotten", "presence", "notes", "refusal", "leaving", "answers",
        "withheld", "noted",
    )  # fmt: skip

    session: Session

    def __init__(self, service: Service, resumable: bool, client: Client | None = None) -> None:
        """The caller must set ``session``."""
        self.number = next_id()
        self.token = secrets.token_urlsafe(24)
        self.service = service
        self.client = client
        self.resumable = resumable
        self.handled = self.sent = self.stored = self.saved = 0
        self.queue: deque[tuple[bytes, int]] = deque()
        self.bytes = 0
        self.asked = False
        self.slot = 0
        self.expires = 0.0
        self.drained: Event | None = None
        self.forgotten: float | None = None
        self.presence: Element | None = None
        self.notes = "{}"
        self.refusal: int | None = None
        self.leaving: Event | None = None
        self.answers = 0
        self.withheld: int | None = None
        self.noted: Ticket | None = None

    # -- out -----------------------------------------------------------------------------

    def push(self, stanza: Element, data: bytes) -> None:
        self.queue.append((data, stanza.uid))
        self.bytes += len(data)
        self.sent = (self.sent + 1) % WRAP
        client = self.client
        if client is not None:
            if self.withheld is not None:
                self.withheld += 1
            else:
                self._send(client, data)
        else:
            self.service.weigh(self, LOST + self.bytes)
        o = self.service.options
        if len(self.queue) > o.unacknowledged or self.bytes > o.buffer:
            self._overflow()

    def _send(self, client: Client, *stanzas: bytes) -> None:
        for data in stanzas:
            client.send(data)
        if not self.asked:  # <r/> goes out in the same write; the next one when this is answered
            self.asked = True
            client.send(ASK)

    def hold(self) -> None:
        """From now on stanzas are counted and queued, but not sent before `release`."""
        if self.withheld is None and self.client is not None:
            self.withheld = 0

    def release(self) -> None:
        """Sends what was held."""
        count, self.withheld = self.withheld or 0, None
        if count and self.client is not None:
            self._send(
                self.client, *(d for d, _ in islice(self.queue, max(len(self.queue) - count, 0), None))
            )

    def _overflow(self) -> None:
        if self.client is not None:
            self.resumable = False  # nothing is lost: the messages are in the store
            self.client.kick("resource-constraint", "too much was never acknowledged")
        else:
            self.expire()

    def expire(self) -> None:
        """Ends a session without a stream soon. Not at once: the sender of a stanza would have to wait for it."""
        self.expires = 0.0
        heartbeat.at(time.monotonic(), self)

    def acknowledged(self, h: int) -> None:
        """The client has acknowledged all stanzas up to ``h``. Raises StreamError if it was not sent so many."""
        count = newly(h, self.sent, len(self.queue))
        marks, user = self.session.host.marks, self.session.user
        for _ in range(count):
            data, uid = self.queue.popleft()
            self.bytes -= len(data)
            if uid:
                marks.delivered(user, uid)
        self.asked = False
        if self.refusal is not None and (h - self.refusal) % WRAP < WRAP // 2:
            self.refusal = None
            self.save()
        self._has_room()
        if count and self.queue and self.client is not None:
            self.asked = True
            self.client.stream.send(ASK)

    @property
    def connected(self) -> bool:
        return self.client is not None

    @property
    def place(self) -> str:
        return f"{self.number}:{self.sent} " if self.resumable and self.forgotten is None else ""

    def unacknowledged(self) -> list[int]:
        return [uid for _, uid in self.queue if uid]

    def refused(self) -> None:
        if self.resumable:
            self.refusal, self.saved = self.sent, -1
            xdb.write(resumable.forget, self.number)

    def drain(self) -> None:
        o = self.service.options
        if self.withheld and (len(self.queue) > o.unacknowledged // 2 or self.bytes > o.buffer // 2):
            self.release()
        while len(self.queue) > o.unacknowledged // 2 or self.bytes > o.buffer // 2:
            if self.client is None or self.client.stream.closing:
                return
            if self.drained is None:
                self.drained = Event()
            self.drained.wait(5)

    def _has_room(self) -> None:
        drained, self.drained = self.drained, None
        if drained is not None:
            drained.set()

    # -- in ------------------------------------------------------------------------------

    def take(self, element: Element) -> bool:
        """Handles <r/> and <a/>. False: it is another element. Raises StreamError."""
        if element.name == "r":
            self.answer()
        elif element.name == "a":
            h = count_of(element)
            if h is None:
                raise StreamError("invalid-xml", "'h' must be a count of stanzas")
            self.acknowledged(h)
        else:
            return False
        return True

    def answer(self) -> None:
        """Sends ``<a/>`` when all that the client has sent, and ``handled``, are committed. Blocks if `ANSWERS` wait
        already."""
        h, client = self.handled, self.client
        assert client is not None
        if self.resumable and h != self.saved and self.refusal is None:
            if h != self.stored:
                self._save_count()
            elif not self.slot:
                heartbeat.at(time.monotonic() + OLD, self)
        ticket = xdb.newest
        data = answer(h)
        if ticket is None:
            client.stream.send(data)
            return
        self.answers += 1
        ticket.then(
            lambda ticket: self._say(client, data)
        )  # to this client, even if the stream is resumed meanwhile
        if self.answers > ANSWERS:
            xdb.sync()

    def _say(self, client: Client, data: bytes) -> None:
        self.answers -= 1
        client.stream.send(data)

    def changed(self) -> None:
        """The client has sent a stanza that is no message. If its presence or its lasting notes have changed, saves them: the
        count of a later message would acknowledge the stanza to a process that does not know them."""
        if self.resumable and (self.session.presence is not self.presence or self._lasting() != self.notes):
            self.save()

    def _lasting(self) -> str:
        notes = ((key, self.session.note(key)) for key in lasting())
        return json.dumps({key: note for key, note in notes if note is not None})

    # -- lost and found --------------------------------------------------------------------

    def lose(self) -> None:
        """The stream has broken. The session stays for ``c2s.resume_timeout``. Tells event ``lost``."""
        self.client = self.withheld = None
        self.session.transport = self
        self.asked = False
        self._has_room()
        wait = self.service.options.resume_timeout
        self.expires = time.time() + wait
        if not self.service.stopping:  # when the server stops, `Service.save` saves all together
            self.save()
        heartbeat.at(time.monotonic() + wait, self)
        self.service.weigh(self, LOST + self.bytes)
        self.session.host.hooks.tell("lost", self.session)

    def due(self, now: float) -> float | None:
        if self.client is not None:
            if self.resumable and self.handled != self.saved:
                self._save_count()
        elif self.expires <= time.time():
            logger.info("logged out", jid=self.session.full, reason="was lost, and not resumed in time")
            self.end()
        return None

    def end(self) -> None:
        """Ends the session. Unacknowledged messages go to other sessions or wait in the store; the senders of unacknowledged
        requests get errors."""
        session, host = self.session, self.session.host
        self.service.resumable.pop(self.token, None)
        heartbeat.cancel(self)
        self.service.weigh(self, 0)
        if self.resumable:
            xdb.write(resumable.forget, self.number)
        self.resumable = False
        queue, self.queue = self.queue, deque()
        session.sm = None
        host.end(session)
        for data, uid in queue:
            if not uid:
                send_back(host, session.user, data)
        host.spool.returned(session.user, [uid for _, uid in queue if uid])

    def resume(self, client: Client, h: int) -> Element | None:
        """Resumes the session on a new stream. Returns ``<resumed/>``; the caller must send it and call `replay` at once.
        None: the session has ended meanwhile. Blocks until everything that ``<resumed/>`` acknowledges is committed. Raises
        StreamError."""
        while self.resumable:
            if self.forgotten is None:
                newly(h, self.sent, len(self.queue))
            if self.client is not None:
                self.leaving = self.client.expel("conflict", "the session was resumed elsewhere")
                self.lose()
            if self.leaving is not None:
                xdb.release()
                self.leaving.wait()  # the old client may still handle a stanza, which must be counted
            if self.forgotten is not None:
                self.session.host.spool.resumed(self.session, self.number, self.forgotten, h)
            self.save(connected=True)
            xdb.sync()
            if self.resumable and self.client is None:  # or another one came while we waited
                return self._found(client, h)
        return None

    def _found(self, client: Client, h: int) -> Element:
        if self.forgotten is not None:  # the client alone knows what it got; the spool sends the rest
            self.forgotten = None
            self.sent = (h + len(self.queue)) % WRAP
            counts = enumerate(self.queue, h + 1)
            taken = [(f"{self.number}:{count % WRAP} ", uid) for count, (_, uid) in counts if uid]
            if taken:
                messages.sort()
                self.noted = xdb.write(messages.note_taken, taken)
        self.acknowledged(h)
        self.client, self.leaving = client, None
        heartbeat.cancel(self)
        self.service.weigh(self, 0)
        self.session.transport = client
        self.withheld = len(self.queue)  # until `replay`, and what comes meanwhile, too
        return Element("resumed", SM, h=self.handled, previd=self.token)

    def replay(self, client: Client) -> None:
        """To be called after ``<resumed/>`` was sent: sends again what the client has not acknowledged. After a crash it is
        sent when the store knows the counts."""
        if self.noted is None:
            self.release()
        else:
            self.noted.then(lambda ticket: self.release())
            self.noted = None
        logger.info("resumed", session=client.id, jid=self.session.full, address=client.address)
        self.session.host.hooks.tell("resumed", self.session)
        if self.session.priority >= 0 and self.session.presence is not None:
            self.session.host.spool.flush(self.session.user)

    # -- kept for the next process -----------------------------------------------------------

    def save(self, whole: bool = False, connected: bool = False) -> Ticket | None:
        """Writes what another process needs to resume the stream. ``whole``: with the queue, when the server stops. Returns
        None if another process must not resume it now (``refusal``). Does not wait for the commit."""
        if self.refusal is not None and not whole:
            return None
        self.saved = self.handled
        self.presence = presence = self.session.presence
        self.notes = self._lasting()
        mine = self.session.host.marks.of(self.session.user)
        row = {
            "owner": self.session.user,
            "resource": self.session.jid.resource,
            "node": cluster.node,
            "number": self.number,
            "token": self.token,
            "handled": self.handled,
            "sent": self.sent,
            "presence": str(presence) if presence is not None else "",
            "notes": self.notes,
            # the row number is 0 if another session has acknowledged the message meanwhile
            "queue": json.dumps([[data.decode(), mine.row(uid)] for data, uid in self.queue])
            if whole and self.forgotten is None
            else "",
            "expires": 0.0 if connected or self.client is not None else self.expires,
        }
        return self._written(xdb.write(resumable.save, row))

    def _save_count(self) -> None:
        self.saved = self.handled
        self._written(xdb.write(resumable.count, self.number, self.handled))

    def _written(self, ticket: Ticket) -> Ticket:
        ticket.then(self._look)
        return ticket

    def _look(self, ticket: Ticket) -> None:
        if ticket.error is not None:
            self.saved, self.presence = -1, None
            if self.client is not None:
                heartbeat.at(time.monotonic() + OLD, self)

    # -- as a transport, while lost ------------------------------------------------------------

    private = False
    """A session without a stream is asked for no password."""

    @property
    def info(self) -> dict[str, Any]:
        return {"transport": "lost", "expires": self.expires, "waiting": len(self.queue)}

    def send(self, data: bytes) -> None:
        """What is no stanza is of no use later."""

    def kick(self, condition: str, text: str | None = None) -> None:
        self.end()
