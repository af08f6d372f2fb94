"""XMPP over BOSH (XEP-0124, XEP-0206): the page that clients ask again and again."""

from __future__ import annotations

from typing import Any

import gevent

from .. import log
from ..pages import Answer, Page, Refusal, Request
from ..xdb import xdb
from ..xmpp.errors import StreamError
from ..xmpp.parser import Limits
from ..xmpp.protocols import XEP
from .bosh_session import WAIT, Session, Wrong, number, read, terminate
from .listener import Web
from .mailbox import Body, MailboxStream
from .websocket import Clients
from .wellknown import BOSH as PATH

PROTOCOLS = (
    XEP(124, "1.11.2", "Bidirectional-streams Over Synchronous HTTP (BOSH)",
        missing="several streams in one session, script syntax; version 1.5 and older (HTTP errors)"),
    XEP(206, "1.4", "XMPP Over BOSH"),
)  # fmt: skip

logger = log.get(__name__)
LARGEST = 1 << 53
"""Of a rid (section 14.1)."""
ENVELOPE = 4096
"""Bytes that a body may have beside its stanzas."""
XML = {"Content-Type": "text/xml; charset=utf-8", "Cache-Control": "no-store"}


class Bosh:
    """``sessions``: sid -> session."""

    def __init__(self, web: Web, clients: Clients) -> None:
        self.web, self.clients = web, clients
        self.sessions: dict[str, Session] = {}
        web.routes.add(Page(PATH, ("POST",), cors=True), self.talk, quiet=True)

    def talk(self, request: Request) -> Answer:
        """One request; blocks until there is an answer, `WAIT` seconds at most. Raises Refusal."""
        options = self.clients.options
        data = request.body(2 * options.max_stanza + ENVELOPE)
        try:
            limits = Limits(options.max_stanza, options.max_depth, options.max_attributes)
            attrs, items = read(data, limits)
            content = Body(data)
            content.items = items
            rid = number(attrs.get("rid", ""), 0, LARGEST)
            if "sid" in attrs:
                answer = self._go_on(rid, attrs, content)
            else:
                answer = self._begin(rid, attrs, content, request)
        except StreamError as error:
            return Answer(200, terminate(_condition(error)), XML)
        except Wrong as wrong:
            return Answer(200, terminate(str(wrong)), XML)
        xdb.release()
        try:
            return Answer(200, answer.get(timeout=2 * WAIT), XML)
        except gevent.Timeout:
            raise Refusal(504) from None

    def _go_on(self, rid: int, attrs: dict[str, str], content: Body) -> Any:
        session = self.sessions.get(attrs["sid"])
        if session is None:
            raise Wrong("item-not-found")
        if "stream" in attrs:  # there is one only, and it has no name
            session.fail("item-not-found")
            raise Wrong("item-not-found")
        if len(content) > 2 * session.stream.parser.limits.bytes + ENVELOPE:
            session.fail("policy-violation")
            raise Wrong("policy-violation")
        return session.take(rid, attrs, content)

    def _begin(self, rid: int, attrs: dict[str, str], content: Body, request: Request) -> Any:
        """A new session. Raises Refusal and Wrong."""
        self.web.admit(request, self.clients)
        if content.items:
            raise Wrong("bad-request")
        session = Session(rid, attrs, self.web.options.bosh_inactivity, self._gone)
        stream = self.clients.stream(session.mailbox, MailboxStream)  # type: ignore[arg-type]
        assert isinstance(stream, MailboxStream)
        stream.sheltered = request.secure
        session.carry(stream)
        self.sessions[session.sid] = session
        answer = session.take(rid, attrs, content)
        gevent.spawn_raw(self.clients.serve, stream, request.address)
        return answer

    def _gone(self, session: Session) -> None:
        self.sessions.pop(session.sid, None)


def _condition(error: StreamError) -> str:
    return "policy-violation" if error.condition == "policy-violation" else "bad-request"
