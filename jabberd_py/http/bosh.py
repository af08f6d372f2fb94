"""XMPP over BOSH (XEP-0124, XEP-0206): the page that clients ask again and again."""

from __future__ import annotations

from functools import lru_cache

import gevent

from .. import log
from ..pages import Answer, Page, Refusal, Request
from ..xmpp.errors import StreamError
from ..xmpp.protocols import XEP
from .bosh_body import Wrong, number, read, terminate
from .bosh_session import TYPE, Session
from .handler import Handler
from .listener import Web
from .mailbox import Body, MailboxStream
from .routes import CORS, SAFE
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


@lru_cache(maxsize=100)
def headers(kind: str) -> dict[str, str]:
    """Of an answer of that media type. What others have written is no page of this site, whatever the client calls it."""
    policy = {"Content-Security-Policy": "default-src 'none'; sandbox"}
    return {"Content-Type": kind, "Cache-Control": "no-store", **policy, **CORS, **SAFE}


class Bosh:
    """``sessions``: sid -> session."""

    def __init__(self, web: Web, clients: Clients) -> None:
        self.web, self.clients = web, clients
        self.sessions: dict[str, Session] = {}
        web.routes.add(Page(PATH, ("POST",), cors=True), self.talk, quiet=True)

    def talk(self, request: Request) -> Answer:
        """One request. Blocks until there is an answer. Raises Refusal. Requests with the same head then come to `_answer`
        directly."""
        handler: Handler = request.environ["jabberd.handler"]
        handler.repeats(lambda data: self._answer(request, data), self._most)
        return self._answer(request, request.body(self._most))

    @property
    def _most(self) -> int:
        """Bytes of a body."""
        return 2 * self.clients.limits.bytes + ENVELOPE

    def _answer(self, request: Request, data: bytes) -> Answer:
        kind = TYPE
        try:
            attrs, items = read(data, self.clients.limits)
            content = Body(data)
            content.items = items
            rid = number(attrs.get("rid", ""), 0, LARGEST)
            session = self._session(rid, attrs, content, request)
            kind = session.type
            said = session.take(rid, attrs, content).wait()
        except StreamError as error:
            said = terminate(_condition(error))
        except Wrong as wrong:
            said = terminate(str(wrong))
        return Answer(200, said, headers(kind))

    def _session(self, rid: int, attrs: dict[str, str], content: Body, request: Request) -> Session:
        """That the request is for. Raises Refusal and Wrong."""
        if "sid" not in attrs:
            return self._begin(rid, attrs, content, request)
        session = self.sessions.get(attrs["sid"])
        if session is None:
            raise Wrong("item-not-found")
        if session.stream.secure and not request.secure:
            raise Refusal(403, "this session began encrypted")  # section 18.1; who was heard must not end it
        if "stream" in attrs:  # there is one only, and it has no name
            session.fail("item-not-found")
            raise Wrong("item-not-found")
        if len(content) > 2 * session.stream.parser.limits.bytes + ENVELOPE:
            session.fail("policy-violation")
            raise Wrong("policy-violation")
        return session

    def _begin(self, rid: int, attrs: dict[str, str], content: Body, request: Request) -> Session:
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
        gevent.spawn_raw(self.clients.serve, stream, request.address)
        return session

    def _gone(self, session: Session) -> None:
        self.sessions.pop(session.sid, None)


def _condition(error: StreamError) -> str:
    return "policy-violation" if error.condition == "policy-violation" else "bad-request"
