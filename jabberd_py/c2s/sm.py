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
from typing import TYPE_CHECKING, Any

from gevent.event import Event

from .. import log
from ..heartbeat import heartbeat
from ..jsm.host import Host
from ..jsm.messages import number, when
from ..jsm.session import Session
from ..xdb import StoreError, Ticket, xdb
from ..xmpp import ns
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError, StreamError
from . import resumable

if TYPE_CHECKING:
    from .client import Client
    from .listener import Service

logger = log.get(__name__)

SM = "urn:xmpp:sm:3"
WRAP = 2**32
ASK = b"<r xmlns='urn:xmpp:sm:3'/>"
OLD = 60.0
"""Seconds after which the saved state is renewed, so that after a crash few rows need to be counted."""


class StreamManagement:
    """The state of one managed session. While it is lost it is also the session's transport.

    handled    stanzas of the client that were dealt with
    sent       stanzas sent to the client; the last len(queue) of them are not acknowledged
    stored     the last of the client's stanzas that left a row in the store
    """

    __slots__ = (
        "number", "token", "session", "client", "service", "handled", "sent", "stored", "saved", "queue", "bytes",
        "since", "asked", "resumable", "slot", "expires", "room", "crashed",
    )  # fmt: skip

    def __init__(self, service: Service, session: Session, client: Client | None, resumable: bool) -> None:
        self.number = self.since = number()
        self.token = secrets.token_urlsafe(24)
        self.service = service
        self.session = session
        self.client = client
        self.resumable = resumable
        self.handled = self.sent = self.stored = self.saved = 0
        self.queue: deque[tuple[bytes, int]] = deque()
        self.bytes = 0
        self.asked = False
        self.slot = 0
        self.expires = 0.0
        self.room: Event | None = None
        self.crashed = False

    # -- out -----------------------------------------------------------------------------

    def push(self, stanza: Element) -> None:
        data = stanza.to_bytes()
        self.queue.append((data, stanza.uid))
        self.bytes += len(data)
        self.sent = (self.sent + 1) % WRAP
        client = self.client
        if client is not None:
            client.stream.send(data)
            if not self.asked:  # in the same write; the next request goes out when this one is answered
                self.asked = True
                client.stream.send(ASK)
        o = self.service.options
        if len(self.queue) > o.unacknowledged or self.bytes > o.buffer:
            self._overflow()

    def _overflow(self) -> None:
        if self.client is not None:
            self.resumable = False  # the messages lie in the store
            self.client.kick("resource-constraint", "too much was never acknowledged")
        else:
            self.expires = 0.0
            heartbeat.at(time.monotonic(), self)

    def acknowledged(self, h: int) -> None:
        """The client has all up to ``h``. Raises StreamError if we never sent so many."""
        count = (h - (self.sent - len(self.queue))) % WRAP
        if count > len(self.queue):
            extra = Element("handled-count-too-high", SM)
            extra.attrs = {"h": str(h), "send-count": str(self.sent)}
            raise StreamError("undefined-condition", f"only {self.sent} stanzas were sent", extra)
        spool, user = self.session.host.spool, self.session.user
        for _ in range(count):
            data, uid = self.queue.popleft()
            self.bytes -= len(data)
            if uid:
                spool.delivered(user, uid)
        self.asked = False
        if self.room is not None:
            self.room.set()
        if count and self.queue and self.client is not None:
            self.asked = True
            self.client.stream.send(ASK)

    @property
    def connected(self) -> bool:
        return self.client is not None

    def unacknowledged(self) -> list[int]:
        return [uid for _, uid in self.queue if uid]

    def refused(self) -> None:
        """See `Managed`."""

    def drain(self) -> None:
        o = self.service.options
        while len(self.queue) > o.unacknowledged // 2 or self.bytes > o.buffer // 2:
            if self.client is None or self.client.stream.closing:
                return
            self.room = Event()
            self.room.wait(5)

    # -- in ------------------------------------------------------------------------------

    def take(self, element: Element) -> bool:
        """A nonza of the client's. Raises StreamError."""
        if element.name == "r":
            self.answer()
        elif element.name == "a":
            self.acknowledged(_count(element))
        else:
            return False
        return True

    def answer(self) -> None:
        """``<a/>`` goes out when all that the client has sent so far is committed."""
        h = self.handled
        if self.resumable and (h not in (self.stored, self.saved) or time.time() - when(self.since) > OLD):
            self.save()
        ticket = xdb.newest
        if ticket is None:
            self._say(h)
        else:
            ticket.then(lambda ticket: self._say(h))

    def _say(self, h: int) -> None:
        if self.client is not None:
            self.client.stream.send(b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % h)

    # -- lost and found --------------------------------------------------------------------

    def lose(self) -> None:
        """The stream is gone; the session stays for a while."""
        self.client = None
        self.session.transport = self
        self.asked = False
        if self.room is not None:
            self.room.set()
        wait = self.service.options.resume_timeout
        self.expires = time.time() + wait
        self.save()
        heartbeat.at(time.monotonic() + wait, self)

    def due(self, now: float) -> float | None:
        if self.client is None and self.expires <= time.time():
            self.end()
        return None

    def end(self) -> None:
        """The session is over: what was not acknowledged finds another way."""
        session, host = self.session, self.session.host
        self.service.resumable.pop(self.token, None)
        heartbeat.cancel(self)
        if self.resumable:
            xdb.write(resumable.forget, self.number)
        self.resumable = False
        queue, self.queue = self.queue, deque()
        session.sm = None
        host.end(session)
        host.spool.undelivered(session.user, [uid for _, uid in queue if uid])
        for data, uid in queue:
            if not uid:
                _return(host, data)
        host.spool.flush(session.user)

    def resume(self, client: Client, h: int) -> None:
        """The client is back, on a new stream. Raises StreamError."""
        if self.crashed:  # only the client knows what it got before; the spool gives it the rest
            self.crashed = False
            self.sent = (h + len(self.queue)) % WRAP
        self.acknowledged(h)
        old, self.client = self.client, client
        if old is not None:
            old.session = None
            old.kick("conflict", "the session was resumed elsewhere")
        heartbeat.cancel(self)
        self.session.transport = client
        client.stream.send(
            b"<resumed xmlns='urn:xmpp:sm:3' h='%d' previd='%b'/>" % (self.handled, self.token.encode())
        )
        for data, _ in self.queue:
            client.stream.send(data)
        if self.queue:
            self.asked = True
            client.stream.send(ASK)
        self.session.host.hooks.tell("resumed", self.session)
        if self.session.priority >= 0 and self.session.presence is not None:
            self.session.host.spool.flush(self.session.user)

    # -- kept for the next process -----------------------------------------------------------

    def save(self, whole: bool = False) -> Ticket:
        """Writes what a resumption needs; ``whole`` with the queue."""
        self.saved = self.handled
        self.since = number()
        presence = self.session.presence
        row = {
            "owner": self.session.user,
            "resource": self.session.jid.resource,
            "number": self.number,
            "since": self.since,
            "token": self.token,
            "handled": self.handled,
            "sent": self.sent,
            "presence": str(presence) if presence is not None else "",
            "queue": json.dumps([[data.decode(), uid] for data, uid in self.queue]) if whole else "",
            "expires": time.time() + self.service.options.resume_timeout,
        }
        return xdb.write(resumable.save, row)

    # -- as a transport, while lost ------------------------------------------------------------

    @property
    def info(self) -> dict[str, Any]:
        return {"transport": "lost", "expires": self.expires, "waiting": len(self.queue)}

    def send(self, data: bytes) -> None:
        """What is no stanza is of no use later."""

    def kick(self, condition: str, text: str | None = None) -> None:
        self.end()


def _count(element: Element) -> int:
    try:
        h = int(element.attrs["h"])
        if 0 <= h < WRAP:
            return h
    except (KeyError, ValueError):
        pass
    raise StreamError("undefined-condition", "h must be a count of stanzas")


def _return(host: Host, data: bytes) -> None:
    """A stanza that is not in the store and never reached the client: requests get an error, all else is dropped."""
    stanza = from_text(data)
    if stanza.name == "iq" and stanza.type in ("get", "set"):
        host.router.bounce(stanza, StanzaError("recipient-unavailable"))


def remember(session: Session) -> None:
    """At the events ``available`` and ``unavailable``: another process must know who would take messages."""
    if isinstance(session.sm, StreamManagement) and session.sm.resumable and session.sm.client is not None:
        session.sm.save()


# -- negotiation -----------------------------------------------------------------------------


def negotiate(client: Client, element: Element) -> None:
    """``<enable/>``, ``<resume/>``, ``<r/>`` and ``<a/>``. Raises StreamError."""
    session = client.session
    sm = session.sm if session is not None else None
    if isinstance(sm, StreamManagement) and sm.take(element):
        return
    if element.name == "enable" and session is not None and sm is None:
        _enable(client, session, element)
    elif element.name == "resume" and session is None and client.user is not None:
        _resume(client, element)
    elif element.name in ("enable", "resume"):
        _failed(client, "unexpected-request")
    else:
        raise StreamError("unsupported-stanza-type")


def _failed(client: Client, condition: str, h: int | None = None) -> None:
    client.stream.send(Element("failed", SM, Element(condition, ns.STANZAS), h=h).to_bytes())


def _enable(client: Client, session: Session, element: Element) -> None:
    service = client.service
    wanted = element.attrs.get("resume") in ("true", "1")
    wait = service.options.resume_timeout
    sm = StreamManagement(service, session, client, wanted and wait > 0)
    if sm.resumable:
        try:
            ticket = sm.save()
            xdb.release()  # the writer may need the connection
            ticket.wait()  # what was promised outlives a crash
        except StoreError:
            sm.resumable = False
    session.sm = sm  # stanzas that were sent meanwhile are not counted: <enabled/> comes behind them
    if sm.resumable:
        service.resumable[sm.token] = sm
        client.stream.send(Element("enabled", SM, id=sm.token, resume="true", max=int(wait)).to_bytes())
    else:
        client.stream.send(Element("enabled", SM).to_bytes())


def _resume(client: Client, element: Element) -> None:
    sm = client.service.resumable.get(element.attrs.get("previd", ""))
    if sm is None or sm.session.user != client.user:  # a stranger learns nothing from the answer
        _failed(client, "item-not-found")
        return
    sm.resume(client, _count(element))
    client.negotiation = None
    client.bound(sm.session)
