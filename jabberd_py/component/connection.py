"""One stream with a component (XEP-0114), whichever side has connected."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import gevent

from .. import log, outbox
from ..net.entity import Entity, fault
from ..net.stream import Closed, Stream
from ..outbox import Entry
from ..xdb import xdb
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError, StreamError, error_reply
from ..xmpp.jid import parse
from ..xmpp.parser import Close, Header
from ..xmpp.protocols import XEP
from ..xmpp.syntax import checked
from .instance import Component

if TYPE_CHECKING:
    from .service import Components

PROTOCOLS = (XEP(114, "1.6", "Jabber Component Protocol"),)

logger = log.get(__name__)

STANZAS = frozenset(("message", "presence", "iq"))
LOOK = 0.2
"""Seconds after which we look again whether a slow socket has taken a stanza."""


def handshake(id: str, secret: str) -> str:
    return hashlib.sha1((id + secret).encode(), usedforsecurity=False).hexdigest()


class Connection(Entity):
    """
    component  whose stream it is; when we connect it is known at once, else when the header has said so
    ours       we have connected
    opened     our stream header is sent
    proved     the secret is known on both sides
    given      bytes that were given to the stream
    under_way  (``given`` at its end, stanza): what the socket had not taken when we looked last
    """

    def __init__(
        self, service: Components, sock: socket.socket, address: str, component: Component | None = None
    ) -> None:
        o = service.options
        self.service, self.address, self.component = service, address, component
        self.ours = component is not None
        self.stream = Stream(sock, service.limits, o.buffer, o.handshake_timeout)
        self.content = ns.COMPONENT_CONNECT if self.ours else ns.COMPONENT
        self.stream.parser.content = self.content
        self.id = secrets.token_hex(16)
        self.opened = self.proved = False
        self.given = 0
        self.under_way: deque[tuple[int, Entry]] = deque()
        self.looking = False
        self.lang: str | None = None
        keep_alive(sock, o.keepalive)

    # -- for its component -----------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        """May more be sent? True while less than half of the stream's buffer waits for the component."""
        stream = self.stream
        return not stream.closing and stream.size + len(stream.rest) <= stream.cap // 2

    def send(self, entry: Entry) -> None:
        """Queues a stanza for the socket. Its row in the outbox goes when the socket has taken its last byte, because the
        protocol has no acknowledgements. Never blocks."""
        self.write(entry.data)
        self.under_way.append((self.given, entry))
        if not self.looking:
            self.looking = True
            # runs after the stream's own callback, which writes at the end of this turn
            gevent.get_hub().loop.run_callback(self._look)

    def _look(self) -> None:
        self.looking = False
        self._forget_taken()
        if self.under_way and not self.stream.closing:
            self.looking = True
            gevent.spawn_later(LOOK, self._look)

    def _forget_taken(self) -> None:
        under_way, taken = self.under_way, self.stream.taken
        while under_way and under_way[0][0] <= taken:
            outbox.forget(under_way.popleft()[1])

    def unsent(self) -> list[Entry]:
        """Takes over the stanzas that the socket has not taken completely: the caller must send them elsewhere."""
        self._forget_taken()
        entries = [entry for _, entry in self.under_way]
        self.under_way.clear()
        return entries

    def write(self, data: bytes) -> None:
        self.given += len(data)
        self.stream.send(data)

    def kick(self, condition: str, text: str | None = None) -> None:
        self.stream.interrupt(StreamError(condition, text))

    def replaced(self) -> None:
        """Ends this stream, because the component has connected anew. What is not sent yet goes to the new stream."""
        reason, unsent = "replaced by a new connection", self.unsent()
        if unsent or self.stream.closing:
            self.stream.cut_off(reason)  # else it would be sent here, too
        else:
            self.kick("conflict", reason)
        assert self.component is not None
        self.component.detach(self, reason, unsent)

    # -- its life ----------------------------------------------------------------------------------

    def run(self) -> str:
        """Serves the component until the stream ends. Blocks. Returns why it ended, for a person."""
        stream, reason = self.stream, "the component closed the stream"
        try:
            self._connect() if self.ours else self._accept()
            self._join()
            self._loop()
            self.goodbye()
        except StreamError as error:
            reason = f"{error.condition}: {error.text}" if error.text else error.condition
            logger.warning("component stream error", component=self.domain, address=self.address,
                           condition=error.condition, text=error.text)  # fmt: skip
            self.fail(error)
        except Closed as error:
            reason = str(error)
        except Exception as error:
            logger.exception("a component's stream failed", component=self.domain)
            said = fault(error)
            reason = said.condition
            self.fail(said)
        finally:
            xdb.release()
            if stream.closing and stream.watcher is not None:
                stream.finish()
            stream.abort()
            if self.proved and self.component is not None:
                logger.info("component disconnected", component=self.domain, reason=reason)
                self.component.detach(self, reason, self.unsent())
                xdb.release()
        return reason

    @property
    def domain(self) -> str | None:
        return None if self.component is None else self.component.domain

    def _accept(self) -> None:
        header = self._read_header(ns.COMPONENT)
        try:
            to = str(parse(header.attrs.get("to", "")))
        except ValueError:
            raise StreamError("host-unknown") from None
        component = self.service.known.get(to)
        if component is None or component.options.connect is not None:
            logger.info("no such component", address=self.address, component=to)
            raise StreamError("host-unknown", "no component of that name is awaited")
        self.component = component
        self.header()
        proof, wanted = self._read_handshake(), handshake(self.id, component.options.secret)
        if not self.service.trusts(self.address, component.domain):
            raise StreamError("not-authorized", "too many wrong secrets")
        if not hmac.compare_digest(proof.encode(), wanted.encode()):
            self.service.distrust(self.address, component.domain)
            raise StreamError("not-authorized", "wrong secret")
        other = component.connection
        if component.options.conflict == "refuse" and other is not None and not other.stream.closing:
            raise StreamError("conflict", "this component is connected already")
        self.write(b"<handshake/>")

    def _connect(self) -> None:
        assert self.component is not None
        self.header()
        header = self._read_header(ns.COMPONENT_CONNECT)
        id = header.attrs.get("id")
        if not id:
            raise StreamError("bad-format", "the stream header lacks 'id'")
        secret = self.component.options.secret
        self.write(f"<handshake>{handshake(id, secret)}</handshake>".encode())
        self._read_handshake()

    def _read_header(self, content: str) -> Header:
        header = self.stream.read()
        if not isinstance(header, Header) or (header.name, header.ns) != ("stream", ns.STREAM):
            raise StreamError("invalid-namespace")
        if header.root.content != content:
            raise StreamError("invalid-namespace", f"{content} is spoken here")
        self.lang = header.attrs.get("xml:lang") or None
        return header

    def _read_handshake(self) -> str:
        element = self.stream.read()
        if isinstance(element, Close):
            raise Closed("the peer closed the stream before it was trusted")
        if element.name == "error" and element.ns == ns.STREAM:
            raise Closed(f"refused: {' '.join(each.name for each in element.elements())}")
        if (element.name, element.ns) != ("handshake", ns.CLIENT):
            raise StreamError("not-authorized", "a handshake was expected")
        return element.text.strip()

    def _join(self) -> None:
        component = self.component
        assert component is not None
        if self.service.known.get(component.domain) is not component:
            raise StreamError("host-unknown")  # the configuration has changed meanwhile
        self.proved = True
        self.stream.established(None)  # a component may listen only; TCP finds out whether it is still there
        self.service.proved(self)
        old = component.connection
        if old is not None:
            old.replaced()
        logger.info("component connected", component=component.domain, address=self.address)
        component.attach(self)

    def _loop(self) -> None:
        stream = self.stream
        while not stream.closing:
            element = stream.read()
            if element.name in STANZAS and element.ns == ns.CLIENT:
                self._take(element)
            elif isinstance(element, Close):
                return
            elif element.name == "error" and element.ns == ns.STREAM:
                raise Closed(f"stream error: {' '.join(each.name for each in element.elements())}")
            elif element.ns in ("", ns.SERVER):
                raise StreamError("invalid-namespace")
            else:
                raise StreamError("unsupported-stanza-type")
            xdb.release()

    def _take(self, stanza: Element) -> None:
        """Handles a stanza from the component. A bad one gets an error, and the stream goes on: the name of one contact must
        not end the stream of a gateway with many users. Raises StreamError if an address is missing (RFC 6120 section 4.9.3.7),
        which no contact can cause."""
        component, attrs = self.component, stanza.attrs
        assert component is not None
        if not attrs.get("from") or not attrs.get("to"):
            raise StreamError("improper-addressing", "stanzas of components have 'from' and 'to'")
        component.counts["received"] += 1
        try:
            stanza = self._check(component, stanza)
        except StanzaError as error:
            self._refuse(component, stanza, error)
            return
        attrs = stanza.attrs
        attrs["from"], attrs["to"] = str(stanza.from_), str(stanza.to)
        if self.lang is not None:
            attrs.setdefault("xml:lang", self.lang)
        component.router.deliver(stanza)

    def _check(self, component: Component, stanza: Element) -> Element:
        """What is to be routed. Raises StanzaError."""
        try:
            sender = stanza.from_
        except ValueError as error:
            raise StanzaError("jid-malformed", f"'from' is no address: {error}") from None
        if sender is None or sender.domain not in component.domains:
            raise StanzaError("not-allowed", f"'from' is no address of {component.domain}")
        return checked(stanza)

    def _refuse(self, component: Component, stanza: Element, error: StanzaError) -> None:
        """Sends the error on this stream, whatever ``from`` the stanza has. Bad addresses are not repeated in it, because the
        component's library may fail on them, too."""
        component.counts["refused"] += 1
        if self.service.notes.spend(component.domain):
            logger.warning("a component's stanza was refused", component=component.domain, reason=error.text)
        answer = error_reply(stanza, error)
        if answer is not None:
            if error.condition == "jid-malformed":
                answer.attrs |= {"from": component.domain, "to": component.domain}
                with suppress(ValueError):
                    answer.attrs["to"] = str(stanza.from_)
            self.write(answer.across())

    def header_attrs(self) -> dict[str, str]:
        said = {"from": self.domain or "", "id": "" if self.ours else self.id}
        return {name: value for name, value in said.items() if value}


def keep_alive(sock: socket.socket, seconds: float) -> None:
    """Turns on TCP keep-alive: the kernel asks a silent peer after ``seconds``, and ends the connection if it is gone or takes
    nothing."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = max(1, int(seconds))
    for name, value in (("TCP_KEEPIDLE", idle), ("TCP_KEEPINTVL", max(1, idle // 3)), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2000 * idle)
