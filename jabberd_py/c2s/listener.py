"""Where clients connect: plain TCP with STARTTLS, and direct TLS (XEP-0368)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

from .. import log
from ..heartbeat import heartbeat
from ..jsm.host import Host
from ..net.accept import Ports, with_direct
from ..net.backlog import Backlog
from ..net.crowd import Crowd
from ..net.guard import Guard
from ..net.karma import Rates
from ..net.stream import Stream
from ..net.tls import Certificates
from ..options import OptionError
from ..router import Router
from ..xmpp.errors import StreamError
from ..xmpp.parser import Limits
from ..xmpp.protocols import RFC, XEP
from .client import Client
from .options import C2S
from .sm import StreamManagement

PROTOCOLS = (
    RFC(7590, "TLS in XMPP"),
    XEP(368, "1.1.0", "SRV records for XMPP over TLS"),
)

logger = log.get(__name__)


class Service:
    """All client streams of the server and what they share.

    clients     the streams
    resumable   token -> the session that a client may resume with it (XEP-0198)
    lost        session without a stream -> the bytes that it takes; the one that was lost first comes first
    lost_bytes  the sum of these
    crowd       counts the streams of each address
    guard       counts wrong passwords
    backlog     counts what waits for all clients
    """

    def __init__(self, options: C2S, router: Router, certificates: Certificates) -> None:
        self.router = router
        self.certificates = certificates
        self.clients: set[Client] = set()
        self.resumable: dict[str, StreamManagement] = {}
        self.lost: dict[StreamManagement, int] = {}
        self.lost_bytes = 0
        self.stopping = False
        self.crowd = Crowd()
        self.guard = Guard()
        self.backlog = Backlog(0)
        self.ports = Ports()
        self.configure(options)

    def configure(self, options: C2S) -> None:
        """Takes new options. New limits apply to new streams, new rates to all streams."""
        self.options = options
        o = options
        self.limits = Limits(o.max_stanza, o.max_depth, o.max_attributes, elements=o.max_elements)
        self.early_limits = Limits(o.max_stanza_before_login, o.max_depth, o.max_attributes)
        self.rates = Rates(o.rate_stanzas, o.burst_stanzas, o.rate_bytes, o.burst_bytes)
        stanzas, octets = o.rate_stanzas_before_login, o.rate_bytes_before_login
        self.early_rates = Rates(stanzas, 10 * stanzas, octets, 10 * octets)
        for client in self.clients:
            client.stream.limit(self.early_rates if client.user is None else self.rates)
        self.crowd.limit(o.streams_per_address, o.logins_per_address, o.logins_in_all)
        self.backlog.limit = o.buffer_in_all
        self.guard.limit(o.failures_per_account, o.failures_per_address, o.failures_per_account_in_all)
        self._go_on()

    def admits(self) -> bool:
        """May another connection be accepted? False while too many clients are logging in: new ones wait in the queue of the
        kernel."""
        return not self.crowd.full

    def _go_on(self) -> None:
        if self.admits():
            self.ports.go_on()

    @staticmethod
    def check(options: C2S) -> None:
        """Checks options that depend on each other. Raises OptionError."""
        if not options.tls and options.require_tls and options.port is not None:
            raise OptionError(
                "tls",
                "nobody could log in at c2s.port: set require_tls: false, too, or port: null",
            )

    def prepare(self, options: C2S, undo: ExitStack) -> Callable[[], None]:
        """The first step of a change, see `Ports`. Raises OptionError. Returns the second step."""
        self.check(options)
        wanted = with_direct(options, "c2s", self._serve, self._direct, self.admits)
        listen = self.ports.prepare(wanted, undo)

        def switch() -> None:
            self.configure(options)
            listen()

        return switch

    def start(self) -> None:
        """Begins to serve. `restore` comes before."""
        self.ports.start()

    def stop(self) -> None:
        """Accepts no new connections, and closes all streams with ``system-shutdown``. Does not wait for their end."""
        self.ports.close()
        self.stopping = True
        for client in list(self.clients):
            if client.stream.closing:
                heartbeat.at(time.monotonic() + client.stream.linger, client.stream)
            client.kick("system-shutdown")

    def leave(self, host: Host) -> bool:
        """Ends the streams of a host that is removed, with ``host-gone``, and its sessions without a stream. False while
        there are still some streams."""
        clients = [client for client in self.clients if client.host is host]
        for client in clients:
            client.kick("host-gone")
        for sm in [sm for sm in self.resumable.values() if sm.session.host is host and sm.client is None]:
            sm.end()
        return not clients

    def save(self) -> None:
        """To be called when the server stops and the streams have ended: saves the sessions that can be resumed. A stream that
        did not end in time is not saved again: the store knows of it what it would know after a crash."""
        for sm in list(self.resumable.values()):
            if sm.client is None:
                sm.save(whole=True)

    # -- one connection -----------------------------------------------------------------

    def _direct(self, sock: socket.socket, address: str) -> bool:
        return self.serve(self.stream(sock), address, direct=True)

    def _serve(self, sock: socket.socket, address: str) -> bool:
        return self.serve(self.stream(sock), address)

    def stream(self, sock: socket.socket, cls: type[Stream] = Stream) -> Stream:
        """Makes the stream of a new connection. ``cls``: the class for its transport."""
        o = self.options
        return cls(sock, self.early_limits, o.buffer, o.login_timeout, self.early_rates, self.backlog)

    def serve(self, stream: Stream, address: str, direct: bool = False) -> bool:
        """Serves a client until its stream ends. ``direct``: TLS begins at once. Blocks. Returns True if the client is
        silent; then another greenlet will serve it."""
        client = Client(self, stream, address, direct)
        admitted = self.crowd.enter(address)
        self.clients.add(client)
        client.stranger = True
        if not admitted and (direct or self.crowd.swamped(address)):
            stream.abort()  # one stream too many gets no TLS handshake; above twice the limit it gets no answer at all
            self.gone(client)
            return False
        return client.run(StreamError("policy-violation", "too many connections") if not admitted else None)

    def gone(self, client: Client) -> None:
        """To be called when the stream of the client is over."""
        self.clients.discard(client)
        self.crowd.leave(client.address, client.stranger)
        client.stranger = False
        self._go_on()

    # -- lost sessions ------------------------------------------------------------------

    def weigh(self, sm: StreamManagement, size: int) -> None:
        """Notes that a session without a stream takes ``size`` bytes; 0: it has a stream again, or has ended. If all of them
        take too much together, the ones that were lost first end."""
        self.lost_bytes += size - self.lost.get(sm, 0)
        if size:
            self.lost[sm] = size
        else:
            self.lost.pop(sm, None)
        while self.lost_bytes > self.options.lost_sessions:
            first = next(iter(self.lost))
            self.lost_bytes -= self.lost.pop(first)
            first.expire()

    def known(self, client: Client) -> None:
        """To be called when the client has logged in: it no longer counts as a stranger."""
        if client.stranger:
            client.stranger = False
            self.crowd.known(client.address)
            self._go_on()
