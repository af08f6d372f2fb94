"""Where the web server listens: without TLS for a proxy on this machine, with TLS for all."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

from .. import log
from ..net.accept import Ports, Wanted
from ..net.channel import XMPP, Channel, Secure
from ..net.crowd import Crowd
from ..net.identity import a_label_form
from ..net.karma import Rates
from ..net.networks import Networks
from ..net.stream import Closed
from ..net.tls import Certificates
from ..pages import Refusal, Request
from ..router import Router
from ..xmpp.errors import StanzaError, StreamError
from .connection import Connection
from .gate import Gate
from .handler import Handler, Site
from .options import HTTPOptions
from .proxies import Proxies
from .routes import Routes
from .wellknown import WellKnown

logger = log.get(__name__)
BURST = 10
"""Seconds' worth of requests that may come at once."""


class Web:
    """The web server. ``routes``: its pages. ``clients``: the listener of clients' streams, which may come to the port with
    TLS, too."""

    def __init__(self, options: HTTPOptions, router: Router, certificates: Certificates) -> None:
        self.certificates = certificates
        self.clients: Any = None
        self.routes = Routes(router)
        self.site = Site(self.routes)
        self.gate = Site(Gate(self.routes, self.base))
        self.ports = Ports()
        self.crowd = Crowd()
        self.connections: set[Connection] = set()
        self.options = options
        self.wellknown = WellKnown(self, router)
        self.configure(options)

    def configure(self, options: HTTPOptions) -> None:
        """Takes new options; connections that there are keep their rates."""
        self.options = options
        self.crowd.limit(
            options.connections_per_address, options.connections_per_address, options.connections
        )
        for site in (self.site, self.gate):
            site.max_header, site.idle_timeout = options.max_header, options.idle_timeout
            site.prefix = self.prefix
        self.routes.hsts = int(options.hsts)
        self.site.proxies = Proxies(options.proxies)
        self.rates = Rates(options.rate_requests, BURST * options.rate_requests)
        self._go_on()

    def prepare(self, options: HTTPOptions, undo: ExitStack) -> Callable[[], None]:
        """The first step of a change, see `Ports`. Raises OptionError. Returns the second step."""
        proxies = Networks(options.proxy_protocol)
        wanted = [
            Wanted(name, address, port, option, serve, self._admits, proxies)
            for name, addresses, port, option, serve in (
                ("http", options.address, options.port, "port", self._plain),
                ("https", options.tls_address, options.tls_port, "tls_port", self._tls),
                (
                    "challenges",
                    options.tls_address,
                    options.challenge_port,
                    "challenge_port",
                    self._challenges,
                ),
            )
            if port is not None
            for address in addresses
        ]
        listen = self.ports.prepare(wanted, undo)

        def switch() -> None:
            self.configure(options)
            listen()

        return switch

    def _admits(self) -> bool:
        return not self.crowd.full

    def _go_on(self) -> None:
        if self._admits():
            self.ports.go_on()

    def start(self) -> None:
        self.ports.start()

    def stop(self) -> None:
        """No new connections; those that there are end. Pages that are being sent are cut off."""
        self.ports.close()
        for each in list(self.connections):
            each.interrupt(Closed("the server stops"))

    def base(self, host: str) -> str:
        """What the addresses of a host's pages begin with, for clients. Raises StanzaError: there is no web server."""
        options, host = self.options, a_label_form(host)
        if options.url is not None:
            return options.url.replace("{host}", host)
        if not self.ports.listeners:
            raise StanzaError("service-unavailable", "there is no web server here")
        if options.tls_port is None:
            return f"https://{host}"
        port = next(
            (each.bound[1] for key, each in self.ports.listeners.items() if key[0] == "https"),
            options.tls_port,
        )
        return f"https://{host}" if port == 443 else f"https://{host}:{port}"

    @property
    def prefix(self) -> str:
        """The path of `http.url`; empty, or it begins with a slash."""
        return urlsplit(self.options.url or "").path

    def admit(self, request: Request, clients: Any) -> None:
        """May somebody log in from there? ``clients``: the listener of clients' streams. Raises Refusal."""
        origin, sites = request.header("Origin").lower(), self.options.origins
        if origin and "*" not in sites and origin not in sites:
            raise Refusal(403, "not from that site")
        if not request.secure and clients.options.require_tls:
            raise Refusal(403, "only by https")
        if not clients.admits():
            raise Refusal(503, "too many are logging in", Retry_After="10")

    # -- one connection -----------------------------------------------------------------------

    def _plain(self, sock: socket.socket, address: str) -> bool:
        return self._serve(sock, address, False)

    def _tls(self, sock: socket.socket, address: str) -> bool:
        return self._serve(sock, address, True)

    def _challenges(self, sock: socket.socket, address: str) -> bool:
        return self._serve(sock, address, False, self.gate)

    def _serve(self, sock: socket.socket, address: str, tls: bool, site: Site | None = None) -> bool:
        """Serves a connection until it ends, or is something else. Blocks. True: it goes on after this greenlet."""
        trusted = self.site.proxies.trusts(address)
        connection = Connection(sock, self.options.timeout, Rates() if trusted else self.rates)
        self.connections.add(connection)
        go_on: Callable[[], bool | None] | None = None
        try:
            if not self.crowd.enter(address) and not trusted:
                connection.abort()
                logger.info("too many connections", address=address)
                return False
            if tls and self._secure(connection):
                go_on = lambda: self._stream(*connection.hand_over(), address)  # noqa: E731
            else:
                handler = Handler(connection, address, site or self.site)
                handler.handle()
                go_on = handler.upgrade
        except (Closed, StreamError, OSError) as error:  # ssl.SSLError is an OSError
            level = logger.info if isinstance(error, ssl.SSLError) else logger.debug
            level("a connection failed", address=address, reason=getattr(error, "reason", None) or str(error))
        finally:
            self.connections.discard(connection)
            self.crowd.leave(address, True)
            self._go_on()
            if go_on is None:
                connection.closed = True
                if connection.closing:
                    connection.finish()
                connection.abort()
        try:
            return bool(go_on is not None and go_on())
        except Closed as error:
            logger.debug("a connection failed", address=address, reason=str(error))
            connection.abort()
            return False

    def _secure(self, connection: Connection) -> bool:
        """Begins TLS. True: the client does not speak HTTP but XMPP (XEP-0368). It says so by ALPN, or else by its first byte.
        Blocks. Raises Closed, ssl.SSLError."""
        channel = Channel(self.certificates.direct())
        connection.start_tls(channel)
        if channel.protocol is not None or self.clients is None:
            return channel.protocol == XMPP and self.clients is not None
        connection.until(self.options.idle_timeout)
        return connection.first == b"<"

    def _stream(self, sock: socket.socket, channel: Secure | None, came: bytes, address: str) -> bool:
        """Serves a client's stream until it ends. Blocks. True: it goes on after this greenlet."""
        stream = self.clients.stream(sock)
        stream.channel = channel
        if not self.clients.admits():
            stream.abort()
            return False
        if came:
            stream.take(came)
        return bool(self.clients.serve(stream, address, direct=True))
