"""The port of all SOCKS5 proxies of this server (XEP-0065): connections that wait for their activation, and bytestreams.

A connection says a name, by SOCKS5: the hash of the bytestream. Two connections with the same name wait until the proxy of a
host (proxy.py) is told by one of the two users that they belong together.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress

import gevent

from .. import log
from ..net.accept import Ports, Wanted
from ..net.crowd import Crowd
from ..net.karma import Purse
from ..net.plain import exactly
from ..options import Option, OptionError, Section, duration, list_of, optional, size
from ..xmpp.errors import StanzaError
from ..xmpp.prep import domainprep
from .relay import Bytestream, Leg, rates

logger = log.get(__name__)

HANDSHAKE = 10.0
"""Seconds for the handshake of SOCKS5."""
DOMAIN = 3
"""The type of an address that is a name (RFC 1928 section 5)."""
NOT_ALLOWED, NO_SUCH_COMMAND, NO_SUCH_TYPE = 2, 7, 8
"""Answers of RFC 1928 section 6."""
_digest = re.compile(r"[0-9a-f]{40}").fullmatch


def place(text: str) -> str:
    """A name, or an address as RFC 5952 writes it. Raises ValueError."""
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return domainprep(text)


class BytestreamOptions(Section):
    """The port by which clients send each other files where they cannot connect directly (XEP-0065), for the proxies of all
    hosts (services.proxy)."""

    address = Option(list_of(str), ["::"], "addresses to listen on; '::' is every IPv4 and IPv6 address")
    port = Option[int | None](
        optional(int),
        7777,
        "port; 0 takes any free one, null none: then there are no proxies",
        min=0,
        max=65535,
    )
    public = Option[list[str]](
        list_of(place),
        [],
        "names or addresses that clients are told to connect to, such as that of a router before this machine; by default the "
        "host's name",
    )
    public_port = Option[int | None](
        optional(int),
        None,
        "port that clients are told, where a router passes another one on",
        min=1,
        max=65535,
    )
    rate = Option(
        size, "10 MiB", "bytes a second that one bytestream carries in each direction", min="16 KiB"
    )
    rate_in_all = Option(size, "100 MiB", "bytes a second that all of them carry together", min="16 KiB")
    bytestreams = Option(int, 1000, "bytestreams at a time", min=1)
    bytestreams_per_account = Option(int, 10, "bytestreams that one account has activated, at a time", min=1)
    waiting = Option(
        int, 1000, "connections that wait for their activation; above that, new ones are not accepted", min=1
    )
    connections_per_address = Option(int, 50, "connections that one address (IPv6: one /64) may have", min=1)
    activation_timeout = Option(duration, "60s", "time in which a connection has to be activated", min=1)
    idle_timeout = Option(duration, "5m", "silence after which a bytestream ends", min=1)


class Refused(Exception):
    """A connection ends with this answer."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(answer)
        self.answer = answer


class Bytestreams:
    """
    waiting  hash -> the connections that have named it, two at most
    streams  hash -> the bytestream
    users    bare address -> how many bytestreams it has activated
    passed   bytes of bytestreams that have ended
    """

    def __init__(self) -> None:
        self.waiting: dict[str, list[Leg]] = {}
        self.streams: dict[str, Bytestream] = {}
        self.users: Counter[str] = Counter()
        self.passed = 0
        self.ports = Ports()
        self.crowd = Crowd()
        self.shared = Purse(rates(1, 1))
        self.configure(BytestreamOptions())

    def configure(self, options: BytestreamOptions) -> None:
        """Takes new options; bytestreams that there are keep their rates."""
        self.options = o = options
        self.crowd.limit(o.connections_per_address, o.connections_per_address, o.waiting)
        self.rate = rates(o.rate, 2)
        self.shared.limit(rates(o.rate_in_all, 0.1))
        self._go_on()

    def prepare(self, options: BytestreamOptions, undo: ExitStack) -> Callable[[], None]:
        """The first step of a change, see `Ports`. Raises OptionError. Returns the second step. If the usual port is taken, and
        the configuration does not name it, there are no proxies: another server on this machine may have them."""
        wanted = [
            Wanted("bytestreams", address, options.port, "port", self._serve, self._admits)
            for address in options.address
            if options.port is not None
        ]
        try:
            with ExitStack() as bound:
                listen = self.ports.prepare(wanted, bound)
                undo.push(bound.pop_all())
        except OptionError as error:
            if "port" in options.settings:
                raise
            logger.warning(
                "no proxies for files between clients", option="bytestreams.port", reason=str(error)
            )
            listen = self.ports.prepare([], undo)

        def switch() -> None:
            self.configure(options)
            listen()

        return switch

    def start(self) -> None:
        self.ports.start()

    def stop(self) -> None:
        """All connections end."""
        self.ports.close()
        for stream in list(self.streams.values()):
            stream.end("the server stops")
        for legs in list(self.waiting.values()):
            for leg in list(legs):
                self._leave(leg, "the server stops")

    def _admits(self) -> bool:
        return not self.crowd.full

    def _go_on(self) -> None:
        if self._admits():
            self.ports.go_on()

    def places(self, host: str) -> list[tuple[str, int]]:
        """Where clients connect to, as (name or address, port). Empty: nowhere."""
        listening = next(iter(self.ports.listeners.values()), None)
        if listening is None:
            return []
        port = self.options.public_port or listening.bound[1]
        return [(each, port) for each in self.options.public or [host]]

    # -- one connection -------------------------------------------------------------------------

    def _serve(self, sock: socket.socket, address: str) -> bool:
        """Blocks until the connection has said what it is for. True: it goes on after this greenlet."""
        admitted, leg = self.crowd.enter(address), None
        try:
            if admitted:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                with gevent.Timeout(HANDSHAKE):
                    leg = self._welcome(sock, address)
        except Refused as refused:
            with suppress(OSError):
                sock.send(refused.answer)
                sock.shutdown(socket.SHUT_WR)
                sock.recv(4096)  # closed with unread input, the answer would be lost
        except (EOFError, OSError, gevent.Timeout) as error:
            logger.debug("no SOCKS5 handshake", address=address, reason=str(error))
        finally:
            if leg is None:
                self.crowd.leave(address, True)
                self._go_on()
        return leg is not None

    def _welcome(self, sock: socket.socket, address: str) -> Leg:
        """The handshake (RFC 1928). Blocks. Raises Refused, EOFError, OSError."""
        version, count = exactly(sock, 2)
        if version != 5:
            raise Refused(b"")
        if 0 not in exactly(sock, count):
            raise Refused(b"\x05\xff")
        sock.send(b"\x05\x00")
        version, command, _, kind = exactly(sock, 4)
        if version != 5:
            raise Refused(b"")
        if kind != DOMAIN:
            raise Refused(b"\x05%c\x00\x01\x00\x00\x00\x00\x00\x00" % NO_SUCH_TYPE)
        length = exactly(sock, 1)
        named = length + exactly(sock, length[0] + 2)
        if command != 1:
            raise Refused(b"\x05%c\x00\x03%b" % (NO_SUCH_COMMAND, named))
        digest = named[1:-2].decode("latin-1").lower()
        legs = self.waiting.get(digest, [])
        if not _digest(digest) or len(legs) >= 2 or digest in self.streams:
            raise Refused(b"\x05%c\x00\x03%b" % (NOT_ALLOWED, named))
        leg = Leg(sock, address, digest, self._leave)
        self.waiting[digest] = [*legs, leg]
        leg.wait(self.options.activation_timeout)
        with suppress(OSError):
            sock.send(b"\x05\x00\x00\x03%b" % named)
        return leg

    def _leave(self, leg: Leg, reason: str) -> None:
        """A connection that waits ends."""
        left = [each for each in self.waiting.pop(leg.digest, []) if each is not leg]
        if left:
            self.waiting[leg.digest] = left
        logger.debug("a connection was not activated", address=leg.address, reason=reason)
        self._close(leg)

    def _close(self, leg: Leg) -> None:
        leg.close()
        self.crowd.leave(leg.address, leg.stranger)
        self._go_on()

    # -- bytestreams ------------------------------------------------------------------------------

    def activate(self, digest: str, user: str) -> None:
        """Joins the two connections of that name. ``user``: the bare address of who wants it. Never blocks. Raises
        StanzaError."""
        legs = self.waiting.get(digest)
        if legs is None:
            if digest in self.streams:
                raise StanzaError("conflict", "it is activated already")
            raise StanzaError("item-not-found", "nobody is connected for such a bytestream")
        if len(legs) < 2:
            raise StanzaError("not-allowed", "only one of the two is connected")
        o = self.options
        if len(self.streams) >= o.bytestreams or self.users[user] >= o.bytestreams_per_account:
            raise StanzaError("resource-constraint", "too many bytestreams at a time")
        one, other = legs
        del self.waiting[digest]
        for leg in legs:
            leg.stranger = False
            self.crowd.known(leg.address)
        self._go_on()
        self.users[user] += 1

        def gone(stream: Bytestream, reason: str) -> None:
            self._gone(digest, stream, reason)

        self.streams[digest] = Bytestream(user, (one, other), self.rate, self.shared, o.idle_timeout, gone)
        logger.info("a bytestream begins", user=user, addresses=f"{one.address} {other.address}")

    def _gone(self, digest: str, stream: Bytestream, reason: str) -> None:
        del self.streams[digest]
        self.users[stream.user] -= 1
        if not self.users[stream.user]:
            del self.users[stream.user]
        self.passed += stream.passed
        for leg in stream.legs:
            self.crowd.leave(leg.address, False)
        self._go_on()
        seconds = round(time.monotonic() - stream.began, 1)
        logger.info(
            "a bytestream ends", user=stream.user, bytes=stream.passed, seconds=seconds, reason=reason
        )


bytestreams = Bytestreams()
