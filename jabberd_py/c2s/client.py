"""One client's stream, from its first byte to its last (RFC 6120)."""

from __future__ import annotations

import secrets
import ssl
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gevent.event import Event

from .. import log
from ..hooks import HANDLED
from ..jsm.host import Host
from ..jsm.notes import Note
from ..jsm.session import Session
from ..jsm.stream import ClientStream
from ..net.channel import HTTP, Channel
from ..net.entity import Entity, fault, limits
from ..net.karma import Purse
from ..net.stream import Closed, Resting, Stream
from ..xdb import StoreError, xdb
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StreamError
from ..xmpp.jid import parse
from ..xmpp.parser import Close, Header
from ..xmpp.protocols import RFC
from ..xmpp.sm import ASK, SM, WRAP
from ..xmpp.syntax import LANG
from . import sm_elements
from .negotiate import Negotiation
from .sm import StreamManagement

if TYPE_CHECKING:
    from .listener import Service

PROTOCOLS = (RFC(6120, "XMPP: core"),)

logger = log.get(__name__)

STANZAS = frozenset(("message", "presence", "iq"))


class Client(Entity):
    """A client, from its connection to its end. Modules see it as a `ClientStream`.

    host         the host that the client's stream header names; None before
    user         the bare address of the account; None before the login
    session      the session; None before a resource is bound
    negotiation  handles the elements before that; None afterwards
    stranger     True until the login
    ended        why this server ends the stream; None: it does not
    """

    __slots__ = (
        "service", "address", "direct", "id", "host", "user", "mechanism", "session",
        "stranger", "negotiation", "notes", "lang", "gone", "ended", "send", "__weakref__",
    )  # fmt: skip

    def __init__(self, service: Service, stream: Stream, address: str, direct: bool = False) -> None:
        """``direct``: TLS begins at once, without STARTTLS."""
        self.service = service
        self.stream = stream
        self.send: Callable[[bytes], None] = stream.send
        self.address = sys.intern(address)  # many have the same one, behind a proxy all
        self.direct = direct
        self.id = secrets.token_hex(8)
        self.host: Host | None = None
        self.user: str | None = None
        self.mechanism: str | None = None
        self.session: Session | None = None
        self.stranger = False
        self.opened = False
        self.lang: str | None = None  # of stanzas that name none, if the stream header says another than ours
        self.negotiation: Negotiation | None = Negotiation(self)
        self.notes: dict[Note, Any] = {}
        self.gone: Event | None = None
        self.ended: str | None = None
        """Why this server ends the stream, where it is no fault of the client's."""

    @property
    def private(self) -> bool:
        """May passwords be sent here? True if the stream is encrypted or ``c2s.require_tls`` is off."""
        return self.secure or not self.service.options.require_tls

    # -- what a session needs of its transport ----------------------------------------------

    def drain(self) -> None:
        self.stream.drain()

    def kick(self, condition: str, text: str | None = None) -> None:
        self.ended = f"{condition}: {text}" if text else condition
        self.stream.items.clear()  # what it has sent, and nobody has looked at, is not handled any more
        self.stream.interrupt(StreamError(condition, text))

    def expel(self, condition: str, text: str) -> Event:
        """Ends the stream; its session goes on with another one. The event is set when the stanza that is just being handled is
        done. Stanzas that were received and not handled are dropped; the new stream will get them again."""
        self.session = None
        self.stream.items.clear()
        self.gone = Event()
        self.kick(condition, text)
        return self.gone

    @property
    def secure(self) -> bool:
        return self.stream.secure

    @property
    def info(self) -> dict[str, Any]:
        stream = self.stream
        return {
            "address": self.address,
            "transport": "direct TLS" if self.direct else stream.frame.carrier,
            "tls": stream.tls_version,
            "mechanism": self.mechanism,
            "stream": self.id,
        }

    def _ask(self) -> None:
        """Makes a silent client answer (RFC 6120 section 4.6.3). So a client that only listens is not cut off."""
        session = self.session
        if session is None:
            return
        if session.sm is not None:
            self.send(ASK)
            return
        ping = Element("iq", ns.CLIENT, Element("ping", ns.PING), type="get", id=secrets.token_hex(6))
        ping.attrs |= {"from": session.host.domain, "to": session.full}
        session.send(ping)

    # -- its life -----------------------------------------------------------------------------

    def run(self, refusal: StreamError | None = None) -> bool:
        """Serves the client until its stream ends. Blocks. ``refusal``: a stream error that is sent at once. Returns True if
        the client is silent; then this is called again in another greenlet when something comes."""
        stream = self.stream
        lost, reason = True, ""  # without a goodbye
        try:
            if self.direct and not stream.secure:
                channel = Channel(self.service.certificates.direct())
                stream.start_tls(channel)
                if channel.protocol == HTTP:
                    raise Closed("it wants to speak HTTP")
            if refusal is not None:
                raise refusal
            self._loop()
            lost = stream.closing
            reason = "the client closed the stream"
            self.goodbye()
        except Resting:
            stream.until_heard(self.run)
            return True
        except StreamError as error:
            reason = self.ended or (f"{error.condition}: {error.text}" if error.text else error.condition)
            if self.ended is None:
                logger.info("stream error", session=self.id, address=self.address, user=self.user,
                            condition=error.condition, text=error.text)  # fmt: skip
            lost = error.condition in ("connection-timeout", "system-shutdown")
            self.fail(error)
        except Closed as error:
            reason = f"connection lost: {error}" if str(error) else "connection lost"
            logger.debug("connection lost", session=self.id, address=self.address, reason=str(error))
            stream.abort()
        except ssl.SSLError as error:
            reason = f"TLS failed: {error.reason or error}"
            logger.info(
                "TLS failed", session=self.id, address=self.address, reason=error.reason or str(error)
            )
        except StoreError as error:
            reason = f"the store failed: {error}"
            logger.info("a stream needed the store", session=self.id, address=self.address, reason=str(error))
            self.fail(fault(error))
        except Exception as error:
            reason = "a fault of this server"
            logger.exception("a stream failed", session=self.id, address=self.address)
            lost = False  # on a resumed stream the same would happen again
            self.fail(fault(error))
        try:
            self._end(lost, reason)
        except Exception:
            logger.exception("the end of a stream failed", session=self.id, address=self.address)
        finally:
            self.service.gone(self)
        return False

    def _end(self, lost: bool, reason: str) -> None:
        if self.gone is not None:
            self.gone.set()
        if self.host is not None:
            self.host.unbound.discard(self)
        try:
            if self.session is not None:
                self._leave(self.session, lost, reason)
                xdb.release()
        finally:
            # the session refers to this as its transport: without the cycle both are freed at once
            self.session = None
            self.leave()

    def _leave(self, session: Session, lost: bool, reason: str) -> None:
        """Ends the session, or lets it wait if it can be resumed (XEP-0198)."""
        sm = session.sm
        waits = isinstance(sm, StreamManagement) and lost and sm.resumable
        logger.info("waits to be resumed" if waits else "logged out", session=self.id, jid=session.full,
                    address=self.address, reason=reason)  # fmt: skip
        if not isinstance(sm, StreamManagement):
            session.host.end(session)
        elif lost and sm.resumable:
            sm.lose()
        else:
            sm.end()

    def _loop(self) -> None:
        stream = self.stream
        while not stream.closing:
            element = stream.read()
            session = self.session
            if element.name in STANZAS and element.ns == ns.CLIENT:
                if session is not None:
                    if self.lang is not None:
                        element.attrs.setdefault("xml:lang", self.lang)
                    session.host.send(session, element)
                    if session.work:
                        stream.purse.stanzas -= session.work
                        session.work = 0
                    if session.sm is not None:
                        session.sm.handled = (session.sm.handled + 1) % WRAP
                        if element.name != "message":
                            session.sm.changed()
                else:
                    self._before(element)
            elif isinstance(element, Header):
                self._open(element)
            elif isinstance(element, Close):
                return
            else:
                self._before(element)
            xdb.release()

    def _before(self, element: Element) -> None:
        """Handles an element that is no stanza of a session: of XEP-0198, of a module (event ``negotiate``), of the
        negotiation."""
        if element.ns == SM:
            sm_elements.take(self, element)
            return
        if self.host is not None and self.host.hooks.call("negotiate", self, element) is HANDLED:
            return
        if self.negotiation is not None and self.negotiation.take(element):
            return
        if element.ns in (ns.TLS, ns.SASL) or (element.name in STANZAS and element.ns == ns.CLIENT):
            raise StreamError("not-authorized")
        if element.ns == ns.CLIENT or element.ns == ns.STREAM:
            raise StreamError("unsupported-stanza-type")
        if element.ns in ("", ns.SERVER):
            raise StreamError("invalid-namespace")
        raise StreamError("unsupported-stanza-type")

    def _open(self, header: Header) -> None:
        if header.name != "stream" or header.ns != ns.STREAM:
            raise StreamError("invalid-namespace")
        if header.root.content != ns.CLIENT:
            raise StreamError("invalid-namespace", f"clients speak {ns.CLIENT}")
        to = header.attrs.get("to")
        if not to:
            raise StreamError("improper-addressing", "the stream header lacks 'to'")
        try:
            host = self.service.router.instances.get(str(parse(to)))
        except ValueError:
            host = None
        if not isinstance(host, Host) or (
            self.host is not None and self.user is not None and host is not self.host
        ):
            logger.info("no such host", session=self.id, address=self.address, host=to)
            raise StreamError("host-unknown")
        if host.ending:
            raise StreamError("host-gone")
        self.host = host
        lang = header.attrs.get("xml:lang")
        self.lang = lang if lang and lang != LANG else None
        self.header()
        if header.attrs.get("version", "0").partition(".")[0] != "1":
            raise StreamError("unsupported-version", "XMPP 1.0 is spoken here")
        assert self.negotiation is not None
        bounds = limits(self.stream.parser.limits.bytes, self.service.options.idle_timeout)
        features = Element("features", ns.STREAM, *self.negotiation.features(), bounds)
        host.hooks.tell("features", self, features)
        self.send(self.stream.frame.features(features))

    def header_attrs(self) -> dict[str, str]:
        host = (
            self.host.domain if self.host is not None else next(iter(self.service.certificates.contexts), "")
        )
        return {"id": self.id, "from": host, "version": "1.0", "xml:lang": LANG}

    # -- for the negotiation ----------------------------------------------------------------------

    def restart(self) -> None:
        """After TLS or SASL the client opens the stream anew."""
        self.opened = False
        self.id = secrets.token_hex(8)
        self.stream.restart()

    def authenticated(self, user: str, mechanism: str) -> None:
        self.user = user
        assert self.host is not None
        self.host.unbound.add(self)
        self.mechanism = sys.intern(mechanism)
        self.stream.parser.limits = self.service.limits
        self.stream.purse = Purse(self.service.rates)
        self.service.known(self)

    def bound(self, session: Session) -> None:
        """The negotiation is over."""
        self.negotiation = None
        self.session = session
        session.host.unbound.discard(self)
        idle = self.service.options.idle_timeout
        self.stream.established(idle or None, may_rest=True, ask=self._ask)
        logger.info(
            "logged in", session=self.id, jid=session.full, address=self.address, mechanism=self.mechanism
        )


def _shown(client: Client) -> ClientStream:
    """mypy checks here that modules get what they are promised."""
    return client
