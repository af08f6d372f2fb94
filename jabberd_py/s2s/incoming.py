"""A stream that another server opened: we are the receiving server (RFC 6120 sections 4 to 6, XEP-0220, XEP-0178)."""

from __future__ import annotations

import secrets
import socket
from base64 import b64decode
from typing import TYPE_CHECKING

import gevent

from .. import log
from ..net.entity import limits
from ..net.karma import Purse, Rates
from ..net.stream import Stream
from ..xdb import xdb
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError, StreamError
from ..xmpp.jid import parse
from ..xmpp.parser import Header
from ..xmpp.protocols import XEP
from ..xmpp.sm import ASK, SM, count, newly
from . import dialback
from .acks import Acks
from .connection import BIDI, BIDI_FEATURE, Connection, ParkedStream
from .pair import Failure

if TYPE_CHECKING:
    from .uplink import Uplink

PROTOCOLS = (XEP(178, "1.2", "SASL EXTERNAL with Certificates"),)

logger = log.get(__name__)

STRANGER = Rates(20, 200, 16 << 10, 256 << 10)
"""The rates of a server that has not proven who it is. They suffice for a stream with many domains."""
PING = "urn:xmpp:ping"
QUIET = 1.0
"""Seconds for which we wait for the other side's first element before we send on a stream that it has opened (XEP-0288)."""


class Incoming(Connection):
    """
    refusal      a stream error that is sent instead of the stream features; None: the stream is welcome
    stranger     True until the other side has proven who it is
    failures     wrong attempts of SASL so far
    identifying  (remote, local) -> the greenlet that verifies a dialback key
    """

    incoming = True

    def __init__(
        self,
        uplink: Uplink,
        sock: socket.socket,
        address: str,
        direct: bool,
        refusal: StreamError | None = None,
    ) -> None:
        o = uplink.options
        super().__init__(uplink, Stream(sock, o.early_limits, o.buffer, o.login_timeout, STRANGER), address)
        self.stream.parser.content = ns.SERVER
        self.id = secrets.token_hex(12)
        self.direct = direct
        self.refusal = refusal
        self.stranger = True
        self.failures = 0
        self.identifying: dict[tuple[str, str], gevent.Greenlet] = {}

    def begin(self) -> None:
        if self.direct:
            self._start_tls()
        if self.refusal is not None:
            raise self.refusal

    # -- the stream header (RFC 6120 section 4.7) ----------------------------------------------------

    def open(self, header: Header) -> None:
        self.spoken(header)
        uplink = self.uplink
        to, sender = (_domain(header.attrs.get(name)) for name in ("to", "from"))
        if to is None:
            raise StreamError("improper-addressing", "the stream header lacks 'to'")
        if to not in uplink.router.instances or self.proof and to != self.local:
            logger.info("no such host", address=self.address, host=to, remote=sender)
            raise StreamError("host-unknown")
        if uplink.router.instances[to].ending:
            raise StreamError("host-gone")
        self.local = to
        if sender is not None:
            if self.proof and self.remotes and sender not in self.remotes:
                raise StreamError("invalid-from")
            if sender in uplink.router.instances:
                raise StreamError("invalid-from", f"{sender} is here")
            if not uplink.admits(sender, to):
                self.header()
                raise StreamError("policy-violation", f"this server does not talk to {sender}")
        self.remote = sender or ""
        if self.secure:
            self.trouble = uplink.trouble(self.stream, self.remote) if self.remote else "for nobody"
        self.header()
        if header.attrs.get("version", "0").partition(".")[0] == "1":
            features = b"".join(each.to_bytes() for each in self._features())
            self.send(b"<stream:features>%b</stream:features>" % features)
        if self.soon:
            self._listen()

    def _features(self) -> list[Element]:
        o = self.uplink.options
        found = []
        if not self.secure:
            required = Element("required", ns.TLS) if o.require_tls else None
            found.append(Element("starttls", ns.TLS, required))
        elif not self.proof and self.trouble is None:
            found.append(Element("mechanisms", ns.SASL, Element("mechanism", ns.SASL, "EXTERNAL")))
        if self.secure or not o.require_tls:
            errors = Element("errors", dialback.FEATURE)
            found.append(Element("dialback", dialback.FEATURE, errors))
            found.append(Element("sm", SM))
            if o.bidi:
                found.append(Element("bidi", BIDI_FEATURE))
        found.append(limits(o.max_stanza, o.idle_timeout))
        return found

    # -- TLS, SASL, bidi -----------------------------------------------------------------------------

    def negotiate(self, element: Element) -> bool:
        if not self.opened:
            raise StreamError("not-authorized")
        if element.ns == ns.TLS and element.name == "starttls":
            if self.secure or self.proof or self.identifying:
                self.stream.close(b"<failure xmlns='%b'/></stream:stream>" % ns.TLS.encode())
                return True
            if self.stream.drop_input():
                raise StreamError("policy-violation", "data behind <starttls/>, before TLS began")
            self.send(b"<proceed xmlns='%b'/>" % ns.TLS.encode())
            self.bidi = False  # what was said before TLS anybody may have said (RFC 6120 section 5.4.3.3)
            self._restart()
            self._start_tls()
        elif element.ns == ns.SASL:
            self._sasl(element)
        elif element.ns == BIDI and element.name == "bidi":
            self.bidi = self.uplink.options.bidi and not self.remotes
        elif element.ns == BIDI_FEATURE:
            pass  # ejabberd 24.10 asks for both directions by the feature's name: it gets one
        else:
            return False
        return True

    def _start_tls(self) -> None:
        self.uplink.start_tls(self.stream, self.local, server_side=True)

    def _restart(self) -> None:
        self.opened = False
        self.id = secrets.token_hex(12)
        self.stream.restart()

    def _sasl(self, element: Element) -> None:
        """XEP-0178 section 3: the certificate says who it is."""
        if element.name != "auth":
            self._refuse("aborted" if element.name == "abort" else "malformed-request")
        elif element.attrs.get("mechanism") != "EXTERNAL":
            self._refuse("invalid-mechanism")
        elif self.proof:
            raise StreamError("not-authorized")
        elif not self.secure:
            self._refuse("encryption-required")
        else:
            self._external(element.text.strip())

    def _external(self, text: str) -> None:
        try:
            wanted = "" if text in ("", "=") else b64decode(text, validate=True).decode()
        except ValueError:
            self._refuse("incorrect-encoding")
            return
        if wanted and _domain(wanted) != self.remote:
            self._refuse("invalid-authzid")
        elif not self.remote or self.trouble is not None:
            self.note("a certificate that proves nothing", remote=self.remote, trouble=self.trouble)
            self._refuse("not-authorized")
        else:
            self.send(b"<success xmlns='%b'/>" % ns.SASL.encode())
            self._known(self.remote, "certificate")
            self._restart()
            self._both_ways(self.local, self.remote)

    def _both_ways(self, ours: str, theirs: str) -> None:
        """If the other side has asked for both directions (XEP-0288), lets us send here, too, after its next element. After
        SASL that element comes behind the new stream headers. If it is ``<enable/>`` or ``<resume/>``, all that we send is
        acknowledged."""
        if self.bidi:
            self.soon += ((ours, theirs),)
            self.uplink.promised.add((ours, theirs))
            if self.opened:
                self._listen()

    def _listen(self) -> None:
        """Gives the other side a moment to speak first."""
        gevent.spawn_later(QUIET, self.heard)

    def heard(self) -> None:
        if self.ended or self.stream.closing:
            return
        for ours, theirs in self._kept():
            try:
                self.authorised(self.uplink.pair(ours, theirs))
            except StanzaError as error:
                self.note("no room for a stream in both directions", remote=theirs, reason=error.text)

    def _kept(self) -> tuple[tuple[str, str], ...]:
        """Empties ``soon`` and returns what was in it."""
        soon, self.soon = self.soon, ()
        self.uplink.promised.difference_update(soon)
        return soon

    def _refuse(self, condition: str) -> None:
        self.failures += 1
        self.send(Element("failure", ns.SASL, Element(condition, ns.SASL)).to_bytes())
        if self.failures > 3:
            raise StreamError("policy-violation", "too many failed attempts")

    def _known(self, remote: str, proof: str) -> None:
        """The other side has proven to be ``remote``."""
        self.remotes.add(remote)
        self.proof = self.proof or proof
        if self.stranger:
            self.stranger = False
            self.uplink.known(self)
            self.stream.parser.limits = self.uplink.options.limits
            self.stream.purse = Purse(self.uplink.options.rates)
            self.stream.established(self.uplink.options.idle_timeout * 2, ask=self._ask)
        logger.info("a server has proven who it is", remote=remote, proof=proof, address=self.address)

    def _ask(self) -> None:
        """Makes a silent peer answer, if we may send it anything (RFC 6120 section 4.6.3)."""
        if self.sm is not None:
            self.send(ASK)
        elif self.pairs:
            pair = next(iter(self.pairs))
            ping = Element("ping", PING)
            self.send(Element("iq", ns.CLIENT, ping, type="get", id=secrets.token_hex(8), from_=pair.local,
                              to=pair.remote).across())  # fmt: skip

    # -- dialback: the receiving server (XEP-0220 section 2.2.1) -------------------------------------------

    def identify(self, theirs: str, ours: str, key: str) -> None:
        uplink = self.uplink
        o = uplink.options
        pair = theirs, ours
        if not self.opened:
            raise StreamError("not-authorized")
        error = None
        if ours not in uplink.router.instances:
            error = StanzaError("item-not-found", f"{ours} is not here")
        elif theirs in uplink.router.instances or not uplink.admits(theirs, ours):
            error = StanzaError("forbidden", f"this server does not talk to {theirs}")
        elif o.require_tls and not self.secure:
            error = StanzaError("policy-violation", "TLS is required")
        elif len(self.identifying) + len(self.remotes) >= o.domains_per_stream:
            error = StanzaError("resource-constraint", "too many domains on one stream")
        if error is not None:
            self.send(dialback.failure("result", ours, theirs, error))
        elif self._certified(theirs):
            self._accept(theirs, ours, "certificate")  # proven already: nobody needs to be called back
        elif o.wants_certificate(theirs):
            error = StanzaError("not-authorized", f"a valid certificate is required: {self._trouble(theirs)}")
            self.send(dialback.failure("result", ours, theirs, error))
        elif len(key) > dialback.LONGEST:
            self.send(dialback.failure("result", ours, theirs, StanzaError("not-acceptable", "no such key")))
        elif pair not in self.identifying:
            self.identifying[pair] = gevent.spawn(self._call_back, theirs, ours, key.strip(), self.id)

    def _trouble(self, domain: str) -> str | None:
        return self.trouble if domain == self.remote else self.uplink.trouble(self.stream, domain)

    def _certified(self, domain: str) -> bool:
        return self._trouble(domain) is None

    def _call_back(self, theirs: str, ours: str, key: str, id: str) -> None:
        """Asks the authoritative server about a key, in a greenlet of its own. If the stream was restarted meanwhile, the
        verdict is dropped."""
        try:
            good = self.uplink.verify(ours, theirs, id, key)
        except Failure as failure:
            if self.id != id:
                return
            self.note("dialback failed", remote=theirs, reason=failure.text)
            condition = (
                "remote-server-timeout" if "timeout" in failure.condition else "remote-server-not-found"
            )
            error = StanzaError(condition, f"{theirs} cannot be asked")  # why is not for strangers
            self.send(dialback.failure("result", ours, theirs, error))
        else:
            if self.stream.closing or self.id != id:
                return
            if good:
                self._accept(theirs, ours, "dialback")
            else:
                self._reject(theirs, ours)
        finally:
            self.identifying.pop((theirs, ours), None)

    def _accept(self, theirs: str, ours: str, proof: str) -> None:
        self._known(theirs, proof)
        self.send(dialback.element("result", ours, theirs, type="valid"))
        self._both_ways(ours, theirs)

    def _reject(self, theirs: str, ours: str) -> None:
        self.note("a server is not who it says", claimed=theirs)
        if self.remotes:
            error = StanzaError("forbidden", f"{theirs} does not know that key")
            self.send(dialback.failure("result", ours, theirs, error))
        else:
            self.error = f"{theirs} does not know its dialback key"
            self.stream.close(dialback.element("result", ours, theirs, type="invalid") + b"</stream:stream>")

    # -- stream management, as a server (XEP-0198) -----------------------------------------------------------

    def manage(self, element: Element) -> bool:
        if element.name == "enable":
            if not self.remotes or self.sm is not None:
                self._failed("unexpected-request")
                return True
            wait = self.uplink.options.resume_timeout
            resumable = element.attrs.get("resume") in ("true", "1") and wait > 0
            self.sm = Acks(secrets.token_urlsafe(24) if resumable else "")
            self.uplink.superseded(self)
            answer = Element("enabled", SM)
            if resumable:
                answer.attrs |= {"id": self.sm.token, "resume": "true", "max": str(int(wait))}
            self.send(answer.to_bytes())
            return True
        if element.name != "resume":
            return False
        h = count(element)
        parked = self.uplink.parked.get(element.attrs.get("previd", ""))
        if (
            parked is None
            or self.sm is not None
            or not parked.remotes & self.remotes
            or not all(map(self.suffices, parked.remotes))
        ):
            self._failed("item-not-found")  # a stranger learns nothing from the answer
            return True
        # a false count ends this stream; the parked one stays, and may still be resumed
        newly(h, parked.sm.sent, len(parked.sm.queue))
        del self.uplink.parked[parked.sm.token]
        self._resume(parked, h)
        return True

    def _failed(self, condition: str) -> None:
        self.send(Element("failed", SM, Element(condition, ns.STANZAS)).to_bytes())

    def _resume(self, parked: ParkedStream, h: int) -> None:
        sm = self.sm = parked.sm  # first: whatever goes wrong, it is not forgotten
        xdb.sync()  # what <resumed/> says was handled must be safe
        sm.acknowledged(h)
        sm.asked = False
        self.remotes |= parked.remotes
        self.bidi = parked.bidi
        self.send(b"<resumed xmlns='%b' h='%d' previd='%b'/>" % (SM.encode(), sm.handled, sm.token.encode()))
        for _, entry in sm.queue:
            self.send(entry.data)
        if sm.queue:
            self.send(sm.ask())
        for pair in parked.pairs:
            self.authorised(pair)

    def keep(self, sm: Acks) -> None:
        if sm.token and self.resumable and not self.uplink.stopping:
            self.uplink.park(ParkedStream(self, sm))
        else:
            sm.give_back()

    def end(self) -> None:
        super().end()
        for names in self._kept():
            pair = self.uplink.pairs.get(names)
            if pair is not None:
                pair.pump()
        for each in list(self.identifying.values()):
            each.kill(block=False)


def _domain(text: str | None) -> str | None:
    """Raises StreamError where it is no domain."""
    if not text:
        return None
    try:
        jid = parse(text)
    except ValueError as error:
        raise StreamError("improper-addressing", str(error)) from None
    if jid.node is not None or jid.resource is not None:
        raise StreamError("improper-addressing", "a server is a domain")
    return jid.domain
