"""The Instance for all domains that are not ours: it finds, opens and keeps the streams to other servers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import gevent
from gevent.timeout import Timeout

from .. import log
from ..instance import Instance
from ..net import dane
from ..net.accept import Ports, with_direct
from ..net.chain import Authorities, judge
from ..net.crowd import Crowd
from ..net.dnsrv import Resolver, Target
from ..net.karma import Karma
from ..net.peertls import PeerChannel
from ..net.stream import Stream
from ..net.tls import Certificates
from ..options import OptionError
from ..outbox import Entry
from ..router import Router
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError, StreamError
from ..xmpp.jid import JID
from .acks import Acks
from .connection import Connection, ParkedStream
from .finding import AT_ONCE, SHARE, SOON, Seekers
from .incoming import Incoming
from .options import S2S
from .outgoing import Outgoing
from .pair import Failure, Pair

logger = log.get(__name__)


class Uplink(Instance):
    """Serves from the first `prepare` and its second step on.

    options      what the configuration says of s2s
    authorities  whose certificates are trusted
    pairs        (local, remote) -> what waits there, and which stream it uses
    outgoing     (local, remote) -> the stream that we have opened for that pair
    incoming     the streams that others have opened
    left         pair -> the counters of its last outgoing stream, which the next one may resume
    parked       token -> an incoming stream that has ended and that the other side may resume
    promised     (local, remote) of pairs that may soon send on an incoming stream, so they open none
    seekers      for whom other servers are looked for
    """

    options: S2S
    authorities: Authorities

    def __init__(self, router: Router, resolver: Resolver, certificates: Certificates) -> None:
        super().__init__(router, "")
        self.resolver = resolver
        self.certificates = certificates
        self.pairs: dict[tuple[str, str], Pair] = {}
        self.outgoing: dict[tuple[str, str], Outgoing] = {}
        self.incoming: set[Incoming] = set()
        self.left: dict[Pair, Acks] = {}
        self.parked: dict[str, ParkedStream] = {}
        self.promised: set[tuple[str, str]] = set()
        self.seekers = Seekers()
        self.crowd = Crowd()
        self.notes = Karma(0.2, 30)  # lines of the log, by address
        self.subscribing = Karma(0.1, 1)
        self.ports = Ports()
        self.stopping = False
        self.random_secret = secrets.token_hex(32)
        self.jobs.append((10, self._tidy))

    # -- options ---------------------------------------------------------------------------------

    def prepare(self, options: S2S, undo: ExitStack) -> Callable[[], None]:
        """The first step of a change, see `Ports`. Raises OptionError. Returns the second step."""
        authorities = self._read_authorities(options)
        wanted = with_direct(options, "s2s", self._serve, self._direct)
        listen = self.ports.prepare(wanted, undo)

        def switch() -> None:
            self.authorities = authorities
            self._configure(options)
            listen()

        return switch

    @staticmethod
    def _read_authorities(options: S2S) -> Authorities:
        """Raises OptionError."""
        try:
            return Authorities(more=options.ca)
        except (OSError, ValueError) as error:
            reason = f"{options.ca}: {error.strerror}" if isinstance(error, OSError) else str(error)
            raise OptionError("ca", reason) from None

    def _configure(self, options: S2S) -> None:
        """Takes new options. Limits apply to new streams only; the policy also ends streams that it forbids."""
        self.options = o = options
        self.secret = o.secret or self.random_secret
        self.subscribing.limit(0.1, o.subscriptions)
        for connection in self.connections:
            if connection.stream is not None and not all(
                map(connection.suffices, {connection.remote, *connection.remotes} - {""})
            ):
                connection.stream.interrupt(
                    StreamError("policy-violation", "the policy of this server has changed")
                )
        self.crowd.limit(o.streams_per_address, o.logins_per_address, o.logins_in_all)

    # -- certificates ----------------------------------------------------------------------------

    def start_tls(self, stream: Stream, local: str, server_side: bool, remote: str = "") -> None:
        """TLS on the stream, for our domain ``local``: a service without a certificate shows that of the host it belongs to.
        Raises ssl.SSLError or Closed."""
        peers = self.certificates.peers
        while local not in peers and "." in local:
            local = local.partition(".")[2]
        context = peers.get(local) or self.certificates.direct_peer()
        stream.start_tls(context.channel(server_side, remote or None))

    def trouble(self, stream: Stream, domain: str, target: Target | None = None) -> str | None:
        """Why the certificate of the other side does not prove that it is ``domain``; None: it does. If the ``target`` has TLSA
        records that DNSSEC vouches for, they decide (RFC 7712)."""
        channel = stream.channel
        if not isinstance(channel, PeerChannel):
            return "no TLS"
        shown = channel.peer_chain()
        records = dane.usable(target.tlsa) if target is not None else ()
        if target is not None and records:
            return dane.judge(records, shown, (domain, target.host), self.authorities)
        return judge(shown, domain, self.authorities)

    # -- stanzas ---------------------------------------------------------------------------------

    def deliver(self, stanza: Element, to: JID) -> None:
        """Raises StanzaError."""
        sender = stanza.from_
        assert sender is not None
        if sender.domain not in self.router.instances:
            raise StanzaError("not-allowed", "this server does not pass on what others say to others")
        if not self.options.permits(to.domain):
            raise StanzaError("not-allowed", f"this server does not talk to {to.domain}")
        self.pair(sender.domain, to.domain, sender.user).send(stanza)

    def requeue(self, entry: Entry, to: JID) -> bool:
        sender = entry.stanza.from_
        assert sender is not None
        if sender.domain not in self.router.instances or not self.options.permits(to.domain):
            raise StanzaError("not-allowed", f"this server does not talk to {to.domain} any more")
        self.pair(sender.domain, to.domain).enqueue(entry)
        return True

    def pair(self, local: str, remote: str, seeker: str = "") -> Pair:
        """``seeker``: who writes, a bare address; "": the server itself. Raises StanzaError where there are too many."""
        pair = self.pairs.get((local, remote))
        if pair is None:
            if len(self.pairs) >= self.options.links:
                raise StanzaError("resource-constraint", "this server talks to too many others")
            if seeker:
                self.seekers.make(seeker, max(self.options.links // SHARE, AT_ONCE))
            pair = self.pairs[local, remote] = Pair(self, local, remote, seeker)
        return pair

    def damp(self, domain: str, stanza: Element) -> None:
        """Raises StanzaError (resource-constraint) if one domain sends too many subscription requests."""
        if stanza.name == "presence" and stanza.type == "subscribe" and not self.subscribing.spend(domain):
            raise StanzaError("resource-constraint", f"too many requests from {domain}", type="wait")

    # -- outgoing streams --------------------------------------------------------------------------

    def connect(self, pair: Pair) -> None:
        """Gives the pair a stream: one that is there already, if it may share that, or a new one, when it is its turn."""
        if self.stopping or (pair.local, pair.remote) in self.promised:
            return
        connection = self._shared(pair) or self._opened(pair)
        if connection is None:
            sender = pair.writer
            if sender and not self.seekers.enter(sender, pair):
                return
            connection = self._open(pair)
            connection.seeker = sender
            if sender:
                gevent.spawn_later(SOON, self.found, connection)
        connection.want(pair)

    def found(self, connection: Outgoing) -> None:
        """The server is reached, or it is not, or that takes long: those who wait behind it in the sender's line have their
        turns."""
        sender, connection.seeker = connection.seeker, ""
        if sender:
            self.seekers.leave(sender)

    def _opened(self, pair: Pair) -> Outgoing | None:
        connection = self.outgoing.get((pair.local, pair.remote))
        return None if connection is None or connection.stream and connection.stream.closing else connection

    def _open(self, pair: Pair) -> Outgoing:
        connection = self._opened(pair)
        if connection is None:
            connection = self.outgoing[pair.local, pair.remote] = Outgoing(self, pair)
            gevent.spawn(connection.run)
        return connection

    def _shared(self, pair: Pair) -> Outgoing | None:
        """A stream to that domain that another domain of ours has opened (XEP-0220 section 2.6.1)."""
        if (
            pair.own_stream
            or (pair.local, pair.remote) in self.outgoing
            or self.options.wants_certificate(pair.remote)
        ):
            return None
        for (_, remote), connection in self.outgoing.items():
            if (
                remote == pair.remote
                and connection.multiplex
                and connection.authenticated
                and not connection.stream.closing
            ):
                return connection if len(connection.pairs) < self.options.domains_per_stream else None
        return None

    def failed(self, pair: Pair, failure: Failure, shared: bool = False) -> None:
        """To be called when no stream came up for the pair. ``shared``: it was the stream of another pair; then a stream of
        its own is tried."""
        if shared and not pair.own_stream:
            pair.own_stream = True
            self.connect(pair)
            return
        logger.info("a server cannot be talked to", local=pair.local, remote=pair.remote, reason=failure.text)
        sm = self.left.pop(pair, None)
        if sm is not None:
            sm.give_back()
        pair.failed(failure)

    def verify(self, local: str, theirs: str, id: str, key: str) -> bool:
        """Dialback: asks the authoritative server of ``theirs`` whether the key is its own. ``id``: of the stream on which
        the key was shown. Blocks. Raises Failure. Strangers cause this, so it uses at most half of ``s2s.links``."""
        if (local, theirs) not in self.pairs and len(self.pairs) >= self.options.links // 2:
            raise Failure("remote-server-timeout", "too many others are asked already")
        try:
            pair = self.pair(local, theirs)
        except StanzaError as error:
            raise Failure("remote-server-timeout", error.text or error.condition) from None
        connection = self._open(pair)
        result = connection.verify(local, theirs, id, key)
        try:
            return bool(result.get(timeout=self.options.connect_timeout + self.options.login_timeout))
        except Timeout:
            raise Failure(
                "remote-server-timeout", f"{theirs} does not say whether the key is its own"
            ) from None
        finally:
            connection.verifications.pop((theirs, local, id), None)

    # -- incoming streams --------------------------------------------------------------------------

    def admits(self, remote: str, local: str) -> bool:
        """May that server begin a stream to that domain of ours?"""
        return self.options.permits(remote) and not self.router.instances[local].shuns(remote)

    def leave(self, domain: str) -> bool:
        """Ends the streams of a domain of ours that is removed, with ``host-gone``. False while there are still some."""
        streams = [
            connection.stream
            for connection in self.connections
            if connection.stream is not None and connection.local == domain
        ]
        for stream in streams:
            stream.interrupt(StreamError("host-gone"))
        return not streams

    def _direct(self, sock: Any, address: str) -> None:
        self._serve(sock, address, direct=True)

    def _serve(self, sock: Any, address: str, direct: bool = False) -> None:
        full = self.crowd.full
        admitted = self.crowd.enter(address) and not full
        refusal = None if admitted else StreamError("policy-violation", "too many connections")
        connection = Incoming(self, sock, address, direct, refusal)
        self.incoming.add(connection)
        if refusal is not None and (direct or self.crowd.swamped(address)):
            connection.stream.abort()
        connection.run()

    def known(self, connection: Incoming) -> None:
        """To be called when the other side has proven who it is."""
        self.crowd.known(connection.address)

    def gone(self, connection: Connection) -> None:
        """The stream is over."""
        if isinstance(connection, Incoming):
            if connection in self.incoming:
                self.incoming.discard(connection)
                self.crowd.leave(connection.address, connection.stranger)
            return
        assert isinstance(connection, Outgoing)
        if self.outgoing.get((connection.local, connection.remote)) is connection:
            del self.outgoing[connection.local, connection.remote]
        self.found(connection)

    def park(self, parked: ParkedStream) -> None:
        """Keeps an incoming stream that has ended, so that the other side may resume it (XEP-0198)."""
        if len(self.parked) >= self.options.links:
            parked.sm.give_back()
        else:
            self.parked[parked.sm.token] = parked

    def superseded(self, connection: Incoming) -> None:
        """To be called when the other side begins a new stream instead of resuming: gives up parked streams of the same
        domains, so that their stanzas go out on other streams."""
        for token, parked in list(self.parked.items()):
            if parked.local == connection.local and parked.remotes <= connection.remotes:
                del self.parked[token]
                parked.sm.give_back()

    # -- its life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to serve."""
        self.ports.start()

    @property
    def connections(self) -> list[Connection]:
        return [*self.outgoing.values(), *self.incoming]

    def links(self, domain: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for each in self.outgoing.values():
            for pair in each.pairs:
                if pair.local == domain:
                    found.setdefault(pair.remote, []).append("bidi" if each.bidi else "outgoing")
        for other in self.incoming:
            for remote in other.remotes if other.local == domain else ():
                found.setdefault(remote, []).append("bidi" if other.bidi else "incoming")
        return found

    def stop(self, deadline: float) -> None:
        """Ends all streams. Until ``deadline`` (`time.monotonic`) they may still acknowledge what they got. Blocks until
        then."""
        self.ports.close()
        half = (time.monotonic() + deadline) / 2
        while any(pair.connection and pair.queue for pair in self.pairs.values()) and time.monotonic() < half:
            gevent.sleep(0.02)
        while (
            any(connection.sm is not None and connection.sm.queue for connection in self.connections)
            and time.monotonic() < half
        ):
            gevent.sleep(0.02)
        self.stopping = True
        for connection in self.connections:
            if connection.stream is not None:
                connection.stream.interrupt(StreamError("system-shutdown"))
        while (
            any(connection.stream is not None for connection in self.connections)
            and time.monotonic() < deadline
        ):
            gevent.sleep(0.02)
        late = [
            connection.sm for connection in self.connections if connection.sm is not None
        ]  # they did not end in time
        for sm in [*late, *self.left.values(), *(parked.sm for parked in self.parked.values())]:
            sm.give_back()
        for pair in self.pairs.values():
            pair.save()

    def _tidy(self) -> None:
        """Called periodically: closes unused streams, forgets idle pairs, gives up parked streams that are too old."""
        now = time.monotonic()
        for connection in list(self.outgoing.values()):
            waiting = (
                connection.verifications
                or connection.wanted.keys() - connection.pairs
                or connection.sm is not None
                and connection.sm.queue
            )
            if connection.ready and not waiting and now - connection.used > self.options.idle_timeout:
                connection.close()
        for each in self.connections:
            if each.sm is not None and each.sm.asked and now - each.sm.asked_at > self.options.answer_timeout:
                each.stream.interrupt(
                    StreamError("connection-timeout", "nothing was acknowledged for too long")
                )
        for token, parked in list(self.parked.items()):
            if now - parked.parked_at > self.options.resume_timeout:
                del self.parked[token]
                parked.sm.give_back()
        kept = {pair for parked in self.parked.values() for pair in parked.pairs}
        kept |= {pair for sm in self.left.values() for pair, _ in sm.queue}
        for key, pair in list(self.pairs.items()):
            if pair.idle and pair not in kept and pair not in self.left and key not in self.outgoing:
                del self.pairs[key]
                self.seekers.forget(pair)
