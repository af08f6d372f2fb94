"""An XMPP stream as a client sees it, for tests: a socket, a reader greenlet, an inbox.

Everything the server sends at the top of its stream (stanzas, features, errors, SASL) goes to the inbox;
`gets` searches it in order and takes the first that matches. What is never taken does not disturb.
"""

import contextlib
import itertools
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any, Self
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

import gevent
from gevent.event import Event

from tests.match import CLIENT, STREAM, matches, parse, show

TLS = "urn:ietf:params:xml:ns:xmpp-tls"
STREAMS = "urn:ietf:params:xml:ns:xmpp-streams"
TIMEOUT = 5.0


class Stream:
    """`tls`: "starttls", "direct" or "none". Certificates are verified only against a given `cafile`.

    `certificate`: (certificate file, key file) of the client, for EXTERNAL. `source`: our own address.
    `polite`: answer the server's </stream:stream>. `stream`: the attributes of the server's last header.
    `received`: all bytes, decrypted.
    """

    numbers = itertools.count(1)

    def __init__(
        self,
        address: tuple[str, int],
        domain: str = "localhost",
        tls: str = "starttls",
        cafile: str | None = None,
        *,
        certificate: tuple[str, str] | None = None,
        source: str | None = None,
        maximum: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
    ) -> None:
        assert tls in ("starttls", "direct", "none"), tls
        self.address, self.domain, self.tls, self.polite = address, domain, tls, True
        self.source = (source, 0) if source else None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = cafile is not None
        self.context.verify_mode = ssl.CERT_REQUIRED if cafile else ssl.CERT_NONE
        self.context.maximum_version = maximum
        if cafile:
            self.context.load_verify_locations(cafile)
        if certificate:
            self.context.load_cert_chain(*certificate)
        self.socket: Any = None
        self.inbox: list[Element] = []
        self.received = bytearray()
        self.stream: dict[str, str] = {}
        self.features = Element("none")
        self.ended = self.lost = self.said_goodbye = False
        self.news = Event()
        self.reader: gevent.Greenlet | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.domain}>"

    # -- the stream

    def connect(self) -> Self:
        """Up to the stream's features, inside TLS if asked for."""
        self.open_socket()
        if self.tls == "direct":
            self.start_tls(["xmpp-client"])
        self.open()
        if self.tls == "starttls":
            self.send(f"<starttls xmlns='{TLS}'/>")
            self.gets(f"<proceed xmlns='{TLS}'/>")
            self.start_tls()
            self.open()
        return self

    def open_socket(self) -> None:
        """TCP alone: for tests that speak for themselves with `raw`."""
        self.socket = socket.create_connection(self.address, TIMEOUT, self.source)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(None)
        self._read_on()

    def start_tls(self, protocols: list[str] | None = None) -> None:
        if self.reader:
            self.reader.kill()  # it has read nothing of TLS: the server speaks second
        if protocols:
            self.context.set_alpn_protocols(protocols)
        self.socket.settimeout(TIMEOUT)
        self.socket = self.context.wrap_socket(self.socket, server_hostname=self.domain)
        self.socket.settimeout(None)
        self._read_on()

    def open(self, to: str | None = None, attributes: str = "") -> Element:
        """A new stream header, and the features that answer it."""
        self.restart_parser()
        self.send(
            f"<?xml version='1.0'?><stream:stream to='{to or self.domain}' version='1.0' xml:lang='en' "
            f"xmlns='{CLIENT}' xmlns:stream='{STREAM}'{attributes}>"
        )
        self.features = self.gets("<stream:features/>")
        return self.features

    def restart_parser(self) -> None:
        """The next bytes from the server begin a new XML document (also for tests that open by `raw`)."""
        self.parser, self.root, self.depth = XMLPullParser(("start", "end")), None, 0

    def _read_on(self) -> None:
        self.restart_parser()
        self.reader = gevent.spawn(self._read)

    def _read(self) -> None:
        try:
            while data := self.socket.recv(65536):
                self.received += data
                self._parse(data)
        except (OSError, ParseError) as error:
            self.inbox.append(parse(f"<lost xmlns='tests'>{type(error).__name__}</lost>"))
        self.lost = True
        self.news.set()

    def _parse(self, data: bytes) -> None:
        self.parser.feed(data)
        for event, element in self.parser.read_events():
            if event == "start":
                self.depth += 1
                if self.depth == 1:
                    self.root, self.stream = element, dict(element.attrib)
                continue
            self.depth -= 1
            if self.depth == 1:
                element.tail = None
                self.inbox.append(element)
                self.root.clear()
            elif self.depth == 0:
                self._goodbye()
        self.news.set()

    def _goodbye(self) -> None:
        self.ended = True
        if self.polite and not self.said_goodbye:
            self.said_goodbye = True
            with contextlib.suppress(OSError):  # gone already: `closed` will see it
                self.send("</stream:stream>")

    # -- sending

    def raw(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send(self, xml: str) -> None:
        self.raw(xml.encode())

    def iq(self, kind: str, payload: str = "", to: str | None = None, timeout: float = TIMEOUT) -> Element:
        """The answer to an IQ of ours, result or error."""
        number = self.fresh()
        to = f" to='{to}'" if to else ""
        self.send(f"<iq type='{kind}' id='{number}'{to}>{payload}</iq>")
        return self.answer(number, timeout)

    def fresh(self) -> str:
        """An id nobody else uses."""
        return f"t{next(Stream.numbers)}"

    # -- receiving

    def gets(self, template: str, timeout: float = TIMEOUT) -> Element:
        """The first in the inbox that matches, taken from it; waits for it up to `timeout` seconds."""
        want = parse(template)
        return self.take(lambda element: not matches(want, element), template, timeout)

    def answer(self, number: str, timeout: float = TIMEOUT) -> Element:
        return self.take(
            lambda element: (
                element.tag == f"{{{CLIENT}}}iq"
                and element.get("id") == number
                and element.get("type") in ("result", "error")
            ),
            f"<iq id='{number}'/>",
            timeout,
        )

    def take(self, wanted: Callable[[Element], bool], template: str, timeout: float) -> Element:
        with gevent.Timeout(timeout, False):
            while True:
                self.news.clear()
                for i, element in enumerate(self.inbox):
                    if wanted(element):
                        return self.inbox.pop(i)
                if self.lost:
                    break
                self.news.wait()
        raise AssertionError(self._complaint(template))

    def _complaint(self, template: str) -> str:
        what = "the stream ended" if self.lost or self.ended else "time is over"
        lines = [f"{self!r} did not get {template}: {what}; in the inbox:"]
        for element in self.inbox:
            lines.append("  " + show(element))
            lines += ["      " + line for line in matches(template, element)]
        return "\n".join(lines if self.inbox else [*lines, "  nothing"])

    def stream_error(self, timeout: float = TIMEOUT) -> str:
        """The condition of the stream error the server sends."""
        error = self.gets("<stream:error/>", timeout)
        names = [child.tag.rpartition("}")[2] for child in error if child.tag.startswith(f"{{{STREAMS}}}")]
        conditions = [name for name in names if name != "text"]
        assert len(conditions) == 1, show(error)
        return conditions[0]

    def closed(self, timeout: float = TIMEOUT) -> bool:
        """The server closes the connection; whether it said </stream:stream> before."""
        with gevent.Timeout(timeout, AssertionError(f"{self!r}: still connected after {timeout} s")):
            while not self.lost:
                self.news.clear()
                self.news.wait()
        return self.ended

    # -- leaving

    def close(self) -> None:
        """A clean goodbye: </stream:stream> both ways, then the socket. Harmless on a closed one."""
        if self.socket and not self.lost and not self.said_goodbye:
            self.said_goodbye = True
            with contextlib.suppress(OSError):
                self.send("</stream:stream>")
                self.closed()
        self._drop()

    def abort(self) -> None:
        """The cable is cut: a TCP reset, no </stream:stream>, no TLS goodbye."""
        if self.socket and not self.lost:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._drop()

    def _drop(self) -> None:
        if self.reader:
            self.reader.kill()
        if self.socket:
            self.socket.close()
        self.lost = True
