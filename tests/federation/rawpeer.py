"""A server by hand: streams that a test opens to ours (`Raw`), and a listener that accepts ours (`RawServer`).

What is in jabber:server comes out in jabber:client, so that templates (tests/match.py) read as usual.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Self
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

import gevent
from gevent.event import Event

from tests.ca import Certificate
from tests.match import CLIENT, STREAM, show
from tests.stream import TIMEOUT, TLS, Stream

SERVER = "jabber:server"
DIALBACK = "jabber:server:dialback"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"


def header(to: str, sender: str, more: str = "version='1.0'") -> str:
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='{SERVER}' xmlns:stream='{STREAM}' xmlns:db='{DIALBACK}' "
        f"to='{to}' from='{sender}' {more}>"
    )


class Raw(Stream):
    """To the server of `domain` at `address`, as `sender`; `certificate` is shown to it. TLS as `Stream` does it."""

    def __init__(
        self,
        address: tuple[str, int],
        domain: str,
        sender: str,
        certificate: Certificate | None = None,
        tls: str = "starttls",
    ) -> None:
        shown = (str(certificate.chain), str(certificate.key)) if certificate else None
        super().__init__(address, domain, tls, certificate=shown)
        self.sender = sender

    def open(self, to: str | None = None, attributes: str = "version='1.0'") -> Element:
        self.restart_parser()
        self.send(header(to or self.domain, self.sender, attributes))
        self.features = self.gets("<stream:features/>")
        return self.features

    def _parse(self, data: bytes) -> None:
        before = len(self.inbox)
        super()._parse(data)
        for element in self.inbox[before:]:
            in_client(element)

    def show_key(self, key: str = "key", sender: str | None = None, to: str | None = None) -> None:
        """XEP-0220, step 1."""
        self.send(f"<db:result from='{sender or self.sender}' to='{to or self.domain}'>{key}</db:result>")

    def prove(self) -> Self:
        """By dialback; whoever is asked says it is valid."""
        self.connect()
        self.show_key()
        self.gets(f"<result xmlns='{DIALBACK}' from='{self.domain}' to='{self.sender}' type='valid'/>", 15)
        return self

    def verdict(self, timeout: float = 15) -> tuple[str, str]:
        """(type, error condition or "") of the next <db:result/>."""
        answer = self.gets(f"<result xmlns='{DIALBACK}' type='...'/>", timeout)
        conditions = [
            element.tag.rpartition("}")[2]
            for element in answer.iter()
            if element.tag.startswith("{urn:ietf:params:xml:ns:xmpp-stanzas}")
        ]
        return answer.get("type", ""), next((name for name in conditions if name != "text"), "")

    def asks(self, key: str, id: str, sender: str, to: str) -> tuple[str, str]:
        """XEP-0220, step 2: (type, error condition or "") of the answer."""
        self.send(f"<db:verify from='{sender}' to='{to}' id='{id}'>{key}</db:verify>")
        answer = self.gets(f"<verify xmlns='{DIALBACK}' from='{to}' to='{sender}' id='{id}' type='...'/>")
        error = answer.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}*")
        return answer.get("type", ""), "" if error is None else error.tag.rpartition("}")[2]


def in_client(element: Element) -> None:
    for each in element.iter():
        if each.tag.startswith(f"{{{SERVER}}}"):
            each.tag = f"{{{CLIENT}}}" + each.tag.rpartition("}")[2]


class Accepted:
    """One stream that the server under test has opened to us. `header`: its last; `got`: all elements."""

    def __init__(self, server: "RawServer", sock: Any) -> None:
        self.server, self.socket = server, sock
        self.header: dict[str, str] = {}
        self.id = ""
        self.got: list[Element] = []
        self.received = b""
        self.secure = self.said_goodbye = False

    def send(self, xml: str) -> None:
        self.socket.sendall(xml.encode())

    def run(self) -> None:
        self.restart()
        with contextlib.suppress(OSError, ParseError):
            while data := self.socket.recv(65536):
                self.received += data
                self.parser.feed(data)
                for event, element in self.parser.read_events():
                    self._event(event, element)
                    if self.fresh:
                        break
                self.fresh = False
        if self.server.polite:
            self.socket.close()

    def restart(self) -> None:
        self.parser, self.root, self.depth = XMLPullParser(("start", "end")), None, 0
        self.fresh = False

    def _event(self, event: str, element: Element) -> None:
        if event == "start":
            self.depth += 1
            if self.depth == 1:
                self.root, self.header = element, dict(element.attrib)
                self._opened()
            return
        self.depth -= 1
        if self.depth == 1:
            self.root.clear()
            in_client(element)
            self._take(element)
        elif self.depth == 0:
            self.said_goodbye = True
            self.server.news.set()
            if self.server.polite:
                self.send("</stream:stream>")

    def _opened(self) -> None:
        server = self.server
        self.id = f"raw{next(Stream.numbers)}"
        features = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
        if server.context and not self.secure:
            features = f"<starttls xmlns='{TLS}'><required/></starttls>"
        elif server.bidi:
            features += "<bidi xmlns='urn:xmpp:features:bidi'/>"
        features += server.features
        text = header(self.header.get("from", ""), self.header.get("to", ""), f"version='1.0' id='{self.id}'")
        self.send(text + f"<stream:features>{features}</stream:features>")

    def _take(self, element: Element) -> None:
        if element.tag == f"{{{TLS}}}starttls":
            self.send(f"<proceed xmlns='{TLS}'/>")
            self.socket = self.server.context.wrap_socket(self.socket, server_side=True)
            self.secure = True
            self.restart()
            self.fresh = True
            return
        self.got.append(element)
        self.server.got.append(element)
        if element.tag == f"{{{DIALBACK}}}verify" and not element.get("type"):
            self.server.on_verify(self, element)
        elif element.tag == f"{{{DIALBACK}}}result" and not element.get("type"):
            self.server.on_result(self, element)
        self.server.news.set()

    def answer(self, element: Element, verdict: str, **changed: str) -> None:
        """<db:verify/> or <db:result/> of that type; `changed`: attributes that are not what they should be."""
        name = element.tag.rpartition("}")[2]
        attributes = {"from": element.get("to"), "to": element.get("from"), "id": element.get("id")} | changed
        text = "".join(f" {key}='{value}'" for key, value in attributes.items() if value)
        self.send(f"<db:{name}{text} type='{verdict}'/>")


class RawServer:
    """Answers for all domains at once; `certificate` None: no TLS. `port` 0: any.

    `on_verify(stream, element)`, `on_result(stream, element)`: what is done with a key; by default all are valid.
    """

    def __init__(
        self, certificate: Certificate | None, address: str = "127.0.0.1", port: int = 0, backlog: int = 1024
    ) -> None:
        self.context: ssl.SSLContext | None = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate.chain, certificate.key)
        self.listener = socket.create_server((address, port), backlog=backlog)
        self.address: tuple[str, int] = self.listener.getsockname()[:2]
        self.bidi = False  # offer XEP-0288
        self.features = ""  # more of them, as XML
        self.polite = True  # answer </stream:stream>, and close
        self.streams: list[Accepted] = []
        self.got: list[Element] = []
        self.news = Event()
        self.valid()
        self.greenlets = [gevent.spawn(self._accept)]

    @property
    def route(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"

    def valid(self) -> None:
        """Whatever is asked, the answer is yes."""
        self.on_verify: Callable[[Accepted, Element], None] = lambda stream, element: stream.answer(
            element, "valid"
        )
        self.on_result: Callable[[Accepted, Element], None] = lambda stream, element: stream.answer(
            element, "valid"
        )

    def take(self, wanted: Callable[[Element], bool], what: str, timeout: float = TIMEOUT) -> Element:
        with gevent.Timeout(timeout, False):
            while True:
                self.news.clear()
                for i, element in enumerate(self.got):
                    if wanted(element):
                        return self.got.pop(i)
                self.news.wait()
        raise AssertionError(f"no {what} came: {[show(element) for element in self.got]}")

    def message(self, body: str, timeout: float = TIMEOUT) -> Element:
        return self.take(
            lambda element: element.findtext(f"{{{CLIENT}}}body") == body, f"message {body!r}", timeout
        )

    def key(self, sender: str, to: str, timeout: float = TIMEOUT) -> tuple[str, str]:
        """(key, stream id) that the server under test shows for this pair."""
        for stream in self._streams(timeout):
            for element in stream.got:
                if (element.tag, element.get("from"), element.get("to")) == (
                    f"{{{DIALBACK}}}result",
                    sender,
                    to,
                ):
                    return (element.text or "").strip(), stream.id
        raise AssertionError(f"no key from {sender} to {to} was shown")

    def _streams(self, timeout: float) -> Iterable[Accepted]:
        with gevent.Timeout(timeout, False):
            while True:
                self.news.clear()
                yield from list(self.streams)
                self.news.wait()

    def _accept(self) -> None:
        while True:
            sock, _ = self.listener.accept()
            stream = Accepted(self, sock)
            self.streams.append(stream)
            self.greenlets.append(gevent.spawn(stream.run))

    def stop(self) -> None:
        gevent.killall(self.greenlets)
        self.listener.close()
        for stream in self.streams:
            with contextlib.suppress(OSError):
                stream.socket.close()
