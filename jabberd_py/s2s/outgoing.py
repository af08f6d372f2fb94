"""A stream that we open to another server: we are the initiating server (RFC 6120 sections 4 to 6, XEP-0220, XEP-0178)."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from gevent.event import AsyncResult

from .. import log
from ..net.dnsrv import Target
from ..net.entity import limits
from ..net.stream import Stream
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.parser import Header
from ..xmpp.sm import SM, count
from . import dialback
from .acks import Acks
from .connection import BIDI, BIDI_FEATURE, Connection, said
from .finding import find
from .pair import Failure, Pair

if TYPE_CHECKING:
    from .uplink import Uplink

logger = log.get(__name__)


class Outgoing(Connection):
    """Opened for one pair. Other domains of ours may use it, too (multiplexing, XEP-0220 section 2.6.1).

    The way up: `begin` connects; `open` takes the header of the other side; `_features` chooses what comes next: STARTTLS, or
    `_begin_proofs`, which proves with SASL EXTERNAL or with dialback keys who we are. When the other side trusts a pair
    (`_trusted`), the stream is resumed or stream management is enabled, and then the pair may send (`_let_send`).

    steps              what was done so far, for `jabberctl check federation`: (what, result)
    awaiting_features  True between a stream header of the other side and its features
    sasl               True between our <auth/> and its answer
    ready              True once the features are known and neither TLS nor SASL is under way: keys may be shown and verified
    wanted             the pairs that want to send here
    asked              (remote, local) -> a pair whose key was shown and that waits for the verdict
    verifications      (remote, local, stream id) -> (key, result) of keys that are verified for incoming streams
    external           may SASL EXTERNAL still be tried?
    resuming           the counters of an earlier stream while we wait for the answer to <resume/>
    held_back          pairs that the other side trusts, and that must wait for that answer
    failure            why the stream did not come up; None: it did, or it broke
    seeker             whose stanzas wait for the server to be reached (`Seekers`); "": nobody's
    """

    failure: Failure | None = None
    target: Target | None = None

    def __init__(self, uplink: Uplink, pair: Pair, both_ways: bool = True) -> None:
        super().__init__(uplink, None, "")
        self.pair = pair
        self.both_ways = both_ways and uplink.options.bidi
        self.local, self.remote = pair.local, pair.remote
        self.steps: list[tuple[str, str]] = []
        self.wanted: dict[Pair, None] = {}
        self.asked: dict[tuple[str, str], Pair] = {}
        self.verifications: dict[tuple[str, str, str], tuple[str, AsyncResult]] = {}
        self.awaiting_features = self.sasl = self.ready = False
        self.authenticated = False
        self.external = True
        self.seeker = ""
        self.multiplex = False
        self.offered_sm = False
        self.resuming: Acks | None = None
        self.held_back: list[Pair] = []

    # -- coming up ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Raises Failure."""
        uplink = self.uplink
        o = uplink.options
        if not o.permits(self.remote):  # it was when the stanzas came
            raise Failure("not-allowed", f"this server does not talk to {self.remote}", True)
        sock, target = find(uplink.resolver, o, self.remote, self.step)
        self.target = target
        self.address = f"{target.host}:{target.port}"
        stream = self.stream = Stream(sock, o.early_limits, o.buffer, o.login_timeout, o.rates)
        stream.parser.limits, stream.parser.content = o.limits, ns.SERVER
        if target.direct_tls:
            self._start_tls()
        self.header()

    def step(self, what: str, result: str) -> None:
        self.steps.append((what, result))

    def _start_tls(self) -> None:
        uplink = self.uplink
        uplink.start_tls(self.stream, self.local, server_side=False, remote=self.remote)
        self.trouble = uplink.trouble(self.stream, self.remote, self.target)
        self.step("TLS", self.stream.tls_version or "?")
        self.step("certificate", self.trouble or f"valid for {self.remote}")
        if self.trouble is not None and uplink.options.wants_certificate(self.remote):
            raise Failure(
                "remote-server-not-found",
                f"the certificate of {self.remote} is not good: {self.trouble}",
                True,
            )

    def open(self, header: Header) -> None:
        self.spoken(header)
        self.id = header.attrs.get("id", "")
        self.awaiting_features = True
        if header.attrs.get("version", "0").partition(".")[0] != "1":
            self._features(Element("features", ns.STREAM))  # a server of before 2004 has none

    def negotiate(self, element: Element) -> bool:
        if element.ns == ns.STREAM and element.name == "features" and self.awaiting_features:
            self._features(element)
        elif element.ns == ns.TLS and element.name == "proceed" and not self.secure:
            if self.stream.drop_input():
                raise Failure("remote-server-timeout", f"{self.remote} sent data behind <proceed/>")
            self.opened = False
            self.stream.restart()
            self._start_tls()
            self._reopen()
        elif element.ns == ns.TLS:
            raise Failure("remote-server-timeout", f"{self.remote} cannot encrypt now")
        elif element.ns == ns.SASL and element.name == "success" and self.sasl:
            self.sasl = False
            self.step("SASL EXTERNAL", "accepted")
            self.authenticated, self.proof = True, "certificate"
            self.stream.restart()
            self._reopen()
        elif element.ns == ns.SASL and element.name == "failure" and self.sasl:
            self.sasl = False
            reason = said(element, ns.SASL)
            self.step("SASL EXTERNAL", f"refused: {reason}")
            self._begin_proofs()
        else:
            return False
        return True

    def _reopen(self) -> None:
        """The stream begins anew, after TLS or SASL."""
        self.opened = False
        self.header()

    def _features(self, features: Element) -> None:
        """Chooses the next step by what the other side offers. Raises Failure."""
        o = self.uplink.options
        self.awaiting_features = False
        if not self.secure and features.has("starttls", ns.TLS):
            self.send(b"<starttls xmlns='%b'/>" % ns.TLS.encode())
            return
        if not self.secure and (o.require_tls or o.wants_certificate(self.remote)):
            raise Failure("remote-server-not-found", f"{self.remote} does not offer TLS", True)
        self.offered_sm = features.has("sm", SM)
        feature = features.child("dialback", dialback.FEATURE)
        self.multiplex = feature is not None and feature.has("errors", dialback.FEATURE)
        if self.authenticated:
            self._trusted(self.pair)
            self._begin_proofs()
            return
        mechanisms = features.child("mechanisms", ns.SASL)
        offered = [] if mechanisms is None else [each.text.strip() for each in mechanisms.elements()]
        self.external = self.external and "EXTERNAL" in offered
        if self.both_ways and features.has("bidi", BIDI_FEATURE) and not self.bidi:
            self.bidi = True
            self.send(Element("bidi", BIDI, limits(o.max_stanza, o.idle_timeout)).to_bytes())
        self.step("stream", "up")
        self._begin_proofs()

    def _begin_proofs(self) -> None:
        """Nothing more is to be negotiated: tries SASL EXTERNAL, or begins with dialback."""
        if self._try_external():
            return
        self.ready = True
        for (theirs, ours, id), (key, _) in self.verifications.items():
            self.send(dialback.element("verify", ours, theirs, key, id=id))
        if self.wanted:
            self._prove_pairs()
        elif not self.authenticated:
            self.stream.established(self.uplink.options.idle_timeout)

    # -- proving who we are --------------------------------------------------------------------------

    def want(self, pair: Pair) -> None:
        """Lets the pair send here, as soon as the stream is up and the other side allows it."""
        self.wanted[pair] = None
        if pair in self.pairs:
            pair.attach(self)
        elif self.ready:
            self._prove_pairs()

    def _try_external(self) -> bool:
        """Tries SASL EXTERNAL if it was not tried yet. True: it was sent, and until the answer comes nothing else may be
        sent."""
        if not self.external or self.pair not in self.wanted:
            return False
        self.external = self.ready = False
        self.sasl = True
        name = b64encode(self.local.encode()).decode()
        self.send(Element("auth", ns.SASL, name, mechanism="EXTERNAL").to_bytes())
        return True

    def _prove_pairs(self) -> None:
        """Proves for each pair that wants to send who we are: with the certificate or with a dialback key."""
        if self._try_external():
            return
        for pair in list(self.wanted):
            names = pair.remote, pair.local
            done = pair in self.pairs or pair is self.pair and self.authenticated
            if not done and names not in self.asked:
                self.asked[names] = pair
                key = dialback.key(self.uplink.secret, pair.remote, pair.local, self.id)
                self.send(dialback.element("result", pair.local, pair.remote, key))

    def proven(self, theirs: str, ours: str, element: Element) -> None:
        pair = self.asked.pop((theirs, ours), None)
        type = element.attrs["type"]
        if pair is None:
            self._unasked(theirs, element)
            return
        if type == "valid":
            self.step("dialback", "valid")
            self.proof = self.proof or "dialback"
            self._trusted(pair)
            return
        if type == "error":
            reason = said(element.child("error"), ns.STANZAS)
            failure = Failure("remote-server-timeout", f"{theirs} did not accept us: {reason}")
        else:
            failure = Failure("internal-server-error", f"{theirs} does not believe that we are {ours}", True)
        self.step("dialback", failure.text)
        self.wanted.pop(pair, None)
        self.uplink.failed(pair, failure, shared=pair is not self.pair)
        if not self.wanted and not self.pairs and not self.verifications:
            raise failure

    def _trusted(self, pair: Pair) -> None:
        """The other side believes that we are ``pair.local``."""
        if pair in self.pairs:
            return
        if self.resuming is not None:
            self.held_back.append(pair)
            return
        self.authenticated = True
        stream = self.stream
        if stream.login_deadline is not None:
            stream.established(None)  # it is for us to close it when nobody uses it
        if self.bidi:
            self.remotes.add(pair.remote)
        if self.sm is None and self.offered_sm and pair is self.pair:
            self._manage_stream()
        else:
            self._let_send(pair)

    def _let_send(self, pair: Pair) -> None:
        """Last step: the pair sends on this stream from now on."""
        logger.info("a server takes our stanzas", remote=pair.remote, local=pair.local, proof=self.proof,
                    address=self.address)  # fmt: skip
        self.step("ready", f"{pair.local} may send to {pair.remote}")
        self.authorised(pair)
        self.uplink.found(self)

    # -- verifying others (XEP-0220 section 2.1.2) ----------------------------------------------------

    def verify(self, local: str, theirs: str, id: str, key: str) -> AsyncResult:
        """Asks whether ``theirs`` knows the key. Does not block: the result will be True or False, or raise Failure. Raises
        Failure if too many questions wait."""
        names = theirs, local, id
        if names not in self.verifications:
            if len(self.verifications) >= self.uplink.options.domains_per_stream:
                raise Failure("remote-server-timeout", f"too many questions wait for {theirs}")
            self.verifications[names] = key, AsyncResult()
            if self.ready:
                self.send(dialback.element("verify", local, theirs, key, id=id))
        return self.verifications[names][1]

    def verified(self, theirs: str, ours: str, element: Element) -> None:
        waiting = self.verifications.pop((theirs, ours, element.attrs.get("id", "")), None)
        if waiting is None:
            self._unasked(theirs, element)
        elif element.attrs["type"] == "error":
            waiting[1].set_exception(
                Failure("remote-server-not-found", f"{theirs} cannot say whose key it is")
            )
        else:
            waiting[1].set(element.attrs["type"] == "valid")

    # -- stream management, as a client (XEP-0198) ----------------------------------------------------

    def _manage_stream(self) -> None:
        """Sends <resume/> if the last stream of this pair can be resumed, else <enable/>."""
        old = self.resuming = self.uplink.left.pop(self.pair, None)
        if old is not None:
            self.send(b"<resume xmlns='%b' previd='%b' h='%d'/>" % (
                SM.encode(), old.token.encode(), old.handled))  # fmt: skip
        else:
            self._enable()

    def _enable(self) -> None:
        self.sm = Acks()
        self.send(b"<enable xmlns='%b' resume='true'/>" % SM.encode())
        self._let_send(self.pair)

    def _after_resumption(self) -> None:
        held_back, self.held_back = self.held_back, []
        for pair in held_back:
            self._trusted(pair)

    def manage(self, element: Element) -> bool:
        sm, old = self.sm, self.resuming
        if element.name == "enabled" and sm is not None:
            if element.attrs.get("resume") in ("true", "1"):
                sm.token = element.attrs.get("id", "")
        elif element.name == "resumed" and old is not None:
            old.acknowledged(count(element))
            self.resuming, self.sm = None, old
            old.asked = False
            for _, entry in old.queue:
                self.send(entry.data)
            if old.queue:
                self.send(old.ask())
            self._let_send(self.pair)
            self._after_resumption()
        elif element.name == "failed" and old is not None:
            if "h" in element.attrs:
                old.acknowledged(count(element))
            self.resuming = None
            old.give_back()
            self._enable()
            self._after_resumption()
        elif element.name == "failed" and sm is not None:
            self.sm = None
            for pair, entry in sm.queue:
                self.hand(pair, entry)
        else:
            return False
        return True

    # -- the end ------------------------------------------------------------------------------------

    def keep(self, sm: Acks) -> None:
        """Keeps the counters for the next stream of this pair, which may resume this one. If that is up already, puts the
        unacknowledged stanzas back into their queues."""
        usable = sm.token and sm.queue and self.resumable and not self.uplink.stopping
        if usable and (self.local, self.remote) not in self.uplink.outgoing:
            self.uplink.left[self.pair] = sm
        else:
            sm.give_back()

    def end(self) -> None:
        old, self.resuming = self.resuming, None
        if old is not None:
            old.give_back()
        was_up = self.pairs.copy()
        super().end()
        failure = Failure("remote-server-timeout", f"{self.remote}: {self.error or 'the stream broke'}")
        for _, result in self.verifications.values():
            result.set_exception(failure)
        for pair in self.wanted:
            if pair not in was_up and pair.connection is None:
                self.uplink.failed(pair, self.failure or failure, shared=pair is not self.pair)

    def _fail(self, failure: Failure) -> None:
        self.failure = failure
        self.step("failed", failure.text)
        super()._fail(failure)

    def close(self) -> None:
        """Nobody uses it."""
        self.stream.close(b"</stream:stream>")
