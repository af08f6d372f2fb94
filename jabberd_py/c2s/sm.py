"""XEP-0198: Stream Management.

What a client acknowledged, and nothing else, counts as delivered; what the server acknowledged is committed. A stream
that is lost leaves its session behind, which collects what comes until the client resumes it or the time is over; then what was
not acknowledged goes to the user's other clients, or waits in the store.
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

PROTOCOLS = (XEP(198, "1.6.3", "Stream Management", missing="location"),)

logger = log.get(__name__)

OLD = 60.0
"""Seconds after which a count is saved that until then only a row of the archive tells (see restore.py)."""
LOST = 4096
"""Bytes that a lost session takes at least."""
ANSWERS = 100
"""Answers that may wait for the writer; then the client does, too."""


class StreamManagement:
    """The state of one managed session. While it is lost it is also the session's transport.

    handled    stanzas of the client that were dealt with
    sent       stanzas sent to the client; the last len(queue) of them are not acknowledged
    stored     the last of the client's stanzas that left a row in the client's own archive
    saved      the count that the store knows, or will, once what it was given is committed; -1: it does not
    refusal    the value of ``sent`` behind an error for what could not be kept: until the client has that error, no
               other process may resume the stream, as its count would cover the stanza
    withheld   of the queue's last stanzas, so many wait for `release`; None: none does, nor will the next one
    leaving    the end of the client that had the stream before
    """

    __slots__ = (
        "number", "token", "session", "client", "service", "handled", "sent", "stored", "saved", "queue", "bytes", "asked",
        "resumable", "slot", "expires", "drained", "crashed", "presence", "notes", "refusal", "leaving", "answers", "withheld",
        "noted",
    )  # fmt: skip

    session: Session

    def __init__(self, service: Service, resumable: bool, client: Client | None = None) -> None:
        """Whoever makes it sets ``session``."""
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
        self.crashed = False
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
        if not self.asked:  # in the same write; the next request goes out when this one is answered
            self.asked = True
            client.send(ASK)

    def hold(self) -> None:
        """From now on stanzas are counted and queued, and wait for `release`."""
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
            self.resumable = False  # the messages lie in the store
            self.client.kick("resource-constraint", "too much was never acknowledged")
        else:
            self.expire()

    def expire(self) -> None:
        """A lost session takes too much: it ends soon (not at once: the sender of a stanza does not wait for that)."""
        self.expires = 0.0
        heartbeat.at(time.monotonic(), self)

    def acknowledged(self, h: int) -> None:
        """The client has all up to ``h``. Raises StreamError."""
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
        return f"{self.number}:{self.sent} " if self.resumable and not self.crashed else ""

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
        """A nonza of the client's. Raises StreamError."""
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
        """``<a/>`` goes out when all that the client has sent so far is committed, and the count, too."""
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
        ticket.then(lambda ticket: self._say(client, data))  # to this client: a new stream knows more already
        if self.answers > ANSWERS:
            xdb.sync()

    def _say(self, client: Client, data: bytes) -> None:
        self.answers -= 1
        client.stream.send(data)

    def changed(self) -> None:
        """The client has sent what is no message. Another process must know its presence and its notes: the count of a
        later message covers them."""
        if self.resumable and (self.session.presence is not self.presence or self._lasting() != self.notes):
            self.save()

    def _lasting(self) -> str:
        notes = ((key, self.session.note(key)) for key in lasting())
        return json.dumps({key: note for key, note in notes if note is not None})

    # -- lost and found --------------------------------------------------------------------

    def lose(self) -> None:
        """The stream is gone; the session stays for a while. Event ``lost`` is told at the end."""
        self.client = self.withheld = None
        self.session.transport = self
        self.asked = False
        self._has_room()
        wait = self.service.options.resume_timeout
        self.expires = time.time() + wait
        if not self.service.stopping:  # then all are saved together, when the last stanza has been dealt with
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
        """The session is over: what was not acknowledged finds another way."""
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
        """The client is back, on a new stream: ``<resumed/>``, behind which `replay` must follow at once; None if its
        session has ended meanwhile. Blocks until all that the element acknowledges is committed. Raises StreamError."""
        while self.resumable:
            if not self.crashed:
                newly(h, self.sent, len(self.queue))
            if self.client is not None:
                self.leaving = self.client.expel("conflict", "the session was resumed elsewhere")
                self.lose()
            if self.leaving is not None:
                xdb.release()
                self.leaving.wait()  # what it is just dealing with counts, too
            if self.crashed:
                self.session.host.spool.resumed(self.session.user, self.number, h)
            self.save(connected=True)
            xdb.sync()
            if self.resumable and self.client is None:  # or another one came while we waited
                return self._found(client, h)
        return None

    def _found(self, client: Client, h: int) -> Element:
        if self.crashed:  # only the client knows what it got before; the spool gives it the rest
            self.crashed = False
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
        """Sends again what the resumed client has not acknowledged, behind ``<resumed/>``; after a crash, when the store knows
        as which of the client's stanzas."""
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
        """Writes what a resumption needs; ``whole``, with the queue, when the server stops. None: it must not be resumed
        by another process yet."""
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
            # a message that another session has acknowledged waits for nobody any more
            "queue": json.dumps([[data.decode(), mine.row(uid)] for data, uid in self.queue])
            if whole and not self.crashed
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

    secure = False
    """Nobody says anything while it is lost."""

    @property
    def info(self) -> dict[str, Any]:
        return {"transport": "lost", "expires": self.expires, "waiting": len(self.queue)}

    def send(self, data: bytes) -> None:
        """What is no stanza is of no use later."""

    def kick(self, condition: str, text: str | None = None) -> None:
        self.end()
