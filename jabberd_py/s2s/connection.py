"""One stream between two servers (RFC 6120), whichever side opened it: what `Incoming` and `Outgoing` have in common."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any

from .. import log
from ..net.entity import Entity, fault
from ..net.karma import neighbourhood
from ..net.stream import Closed, Stream
from ..xdb import xdb
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError, StreamError
from ..xmpp.parser import Close, Header
from ..xmpp.protocols import RFC, XEP
from ..xmpp.sm import SM
from ..xmpp.syntax import LANG
from . import dialback
from .acks import Acks
from .dialback import DIALBACK
from .pair import Failure
from .traffic import LONGEST, Traffic

if TYPE_CHECKING:
    from .uplink import Uplink

PROTOCOLS = (
    RFC(6120, "XMPP: core"),
    XEP(288, "1.0.1", "Bidirectional Server-to-Server Connections"),
)

logger = log.get(__name__)

STANZAS = frozenset(("message", "presence", "iq"))
OVER_A_STANZA = frozenset(
    (
        "bad-format", "bad-namespace-prefix", "host-unknown", "improper-addressing", "internal-server-error", "invalid-from",
        "invalid-namespace", "invalid-xml", "not-well-formed", "policy-violation", "restricted-xml", "undefined-condition",
        "unsupported-encoding", "unsupported-stanza-type", "xml-not-well-formed",
    )
)  # fmt: skip
"""Stream errors with which servers answer a stanza that they do not take."""
BIDI, BIDI_FEATURE = "urn:xmpp:bidi", "urn:xmpp:features:bidi"


def said(error: Element | None, namespace: str) -> str:
    """The condition and the text of an error of the other side, cut to `LONGEST` characters."""
    if error is None:
        return "error"
    names = [each.name for each in error.elements() if each.name != "text"]
    text = error.text_of("text", namespace)
    return ((names[0] if names else "error") + (f": {text}" if text else ""))[:LONGEST]


class Connection(Traffic, Entity):
    """``proof``: how the other side, or we, did it; ``trouble``: what is wrong with its certificate; ``refused``: the other
    side has ended the stream, over a stanza of ours perhaps."""

    incoming = False
    content = ns.SERVER

    def __init__(self, uplink: Uplink, stream: Stream | None, address: str) -> None:
        super().__init__(uplink, stream)
        self.address = address
        self.id = ""
        self.bidi = False
        self.proof = ""
        self.trouble: str | None = "no TLS"
        self.error = ""
        self.refused = False
        self.began_at = time.monotonic()
        self.resumable = True  # not after a stream error of ours (RFC 6120 section 4.9.1.1)

    # -- its life ------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            self.begin()
            self._loop()
            self.settle()  # before the goodbye, which is not acknowledged yet
            self.goodbye()
        except Failure as failure:
            self._fail(failure)
        except StreamError as error:
            self.note("s2s stream error", remote=self.remote, condition=error.condition, text=error.text)
            self.error = self.error or f"{error.condition}: {error.text or ''}".rstrip(": ")
            self.resumable = error.condition == "connection-timeout"
            self.settle()
            self.fail(error)
        except Closed as error:
            self.error = self.error or str(error)
            self.settle()
            self.stream.abort()
        except ssl.SSLError as error:
            self.error = f"TLS failed: {error.reason or error}"
        except Exception as error:
            logger.exception("an s2s stream failed", address=self.address, remote=self.remote)
            self.error = "a fault of this server"
            self.resumable = False
            if self.stream is not None:
                self.fail(fault(error))
        finally:
            try:
                self.end()
                xdb.release()
            finally:
                if self.stream is not None:
                    self.leave()

    def _fail(self, failure: Failure) -> None:
        """Ends the stream without a stream error: the other side need not know why."""
        self.error = failure.text
        if self.stream is not None:
            self.stream.close(b"</stream:stream>" if self.opened else b"")

    def begin(self) -> None:
        """Before the first element."""

    def end(self) -> None:
        """Called after the last element: the pairs look for another stream."""
        self.ended = True
        self.uplink.gone(self)
        sm, self.sm = self.sm, None
        if sm is not None:
            if self.refused:
                sm.suspect(self.error)
            self.keep(sm)
        self.hand_back()
        pairs, self.pairs = self.pairs, set()
        for pair in pairs:
            if pair.connection is self:
                pair.detach(time.monotonic() - self.began_at)

    def keep(self, sm: Acks) -> None:
        """Called when the stream is over. What was not acknowledged is sent again on the next one."""
        sm.give_back()

    def _loop(self) -> None:
        stream = self.stream
        while not stream.closing:
            element = stream.read()
            soon = self.soon
            if element.name in STANZAS and element.ns == ns.CLIENT:
                self._stanza(element)
            elif isinstance(element, Header):
                self.open(element)
                continue
            elif isinstance(element, Close):
                self.error = self.error or "the other server closed the stream"
                return
            elif element.ns == DIALBACK:
                self._dialback(element)
            elif element.ns == SM:
                self._manage(element)
            elif element.ns == ns.STREAM and element.name == "error":
                self._told(element)
            elif not self.negotiate(element):
                raise StreamError("unsupported-stanza-type")
            if soon:
                self.heard()
            xdb.release()

    def open(self, header: Header) -> None:
        raise NotImplementedError

    def negotiate(self, element: Element) -> bool:
        raise NotImplementedError

    def header_attrs(self) -> dict[str, str]:
        said = {
            "xmlns:db": DIALBACK,
            "id": self.id if self.incoming else "",
            "from": self.local,
            "to": self.remote,
        }
        said |= {"version": "1.0", "xml:lang": LANG}
        return {name: value for name, value in said.items() if value}

    def header(self) -> None:
        if self.stream is not None:
            super().header()

    def spoken(self, header: Header) -> None:
        """The other side's stream header, as far as both sides must say the same. Raises StreamError."""
        if header.name != "stream" or header.ns != ns.STREAM:
            raise StreamError("invalid-namespace")
        if header.root.content != ns.SERVER:
            raise StreamError("invalid-namespace", f"servers speak {ns.SERVER}")
        self.lang = header.attrs.get("xml:lang") or None

    def _told(self, error: Element) -> None:
        """A stream error of theirs."""
        self.error = f"the other server said {said(error, ns.STREAMS)}"
        self.resumable = False
        self.refused = not OVER_A_STANZA.isdisjoint(each.name for each in error.elements())
        self.note("s2s stream error of the other side", remote=self.remote, error=self.error)

    def suffices(self, domain: str) -> bool:
        """Does the configuration allow that domain with the proof that the other side has given?"""
        o = self.uplink.options
        return o.permits(domain) and (self.proof != "dialback" or not o.wants_certificate(domain))

    # -- dialback (XEP-0220) -----------------------------------------------------------------------

    def _dialback(self, element: Element) -> None:
        try:
            theirs, ours = dialback.domains(element)
        except ValueError as error:
            raise StreamError("improper-addressing", str(error)) from None
        type = element.attrs.get("type")
        if element.name == "result":
            self.proven(theirs, ours, element) if type else self.identify(theirs, ours, element.text)
        elif element.name == "verify":
            self.verified(theirs, ours, element) if type else self._verify(theirs, ours, element)
        else:
            raise StreamError("unsupported-stanza-type")

    def _verify(self, receiving: str, ours: str, element: Element) -> None:
        """As the authoritative server (section 2.2.2), answers whether a key is ours."""
        id = element.attrs.get("id", "")
        uplink = self.uplink
        if ours not in uplink.router.instances:
            error = StanzaError("item-not-found", f"{ours} is not here")
            self.send(dialback.failure("verify", ours, receiving, error, id))
            return
        good = dialback.same(element.text.strip(), dialback.key(uplink.secret, receiving, ours, id))
        if not good:
            self.note("a dialback key that is not ours", shown_to=receiving, domain=ours)
        self.send(dialback.element("verify", ours, receiving, id=id, type="valid" if good else "invalid"))

    def identify(self, theirs: str, ours: str, key: str) -> None:
        """Called when the other side shows a key, to speak for ``theirs``."""
        raise StreamError("not-authorized", "no dialback in this direction")

    def proven(self, theirs: str, ours: str, element: Element) -> None:
        """Called with the verdict on a key that we have shown. A verdict that we did not ask for is dropped (section 3.1)."""
        self._unasked(theirs, element)

    def verified(self, theirs: str, ours: str, element: Element) -> None:
        """Called with the verdict on a key that was shown to us."""
        self._unasked(theirs, element)

    def _unasked(self, theirs: str, element: Element) -> None:
        self.note("a dialback verdict nobody asked for", said_by=theirs, kind=element.name)

    def note(self, event: str, **values: Any) -> None:
        """Logs what the other side can cause at will. The number of such lines is limited for each address."""
        if self.uplink.notes.spend(neighbourhood(self.address)):
            logger.warning(event, address=self.address, **values)

    @property
    def secure(self) -> bool:
        """Is the stream encrypted? False while there is no socket yet."""
        return self.stream is not None and bool(self.stream.secure)

    # -- for people --------------------------------------------------------------------------------

    @property
    def info(self) -> dict[str, Any]:
        now = time.monotonic()
        return {
            "direction": "in" if self.incoming else "out",
            "local": self.local,
            "remote": ", ".join(sorted(self.remotes)) or self.remote,
            "address": self.address,
            "tls": None if self.stream is None else self.stream.tls_version,
            "certificate": self.trouble or "valid",
            "proof": self.proof or "not yet",
            "bidi": self.bidi,
            "acks": self.sm is not None,
            "sent": self.sent,
            "received": self.received,
            "seconds": round(now - self.began_at),
        }


class ParkedStream:
    """What is kept of a stream that has ended, for as long as the other side may resume it."""

    def __init__(self, connection: Connection, sm: Acks) -> None:
        self.sm = sm
        self.local, self.bidi = connection.local, connection.bidi
        self.remotes, self.pairs = set(connection.remotes), list(connection.pairs)
        self.parked_at = time.monotonic()
