"""A client over WebSocket for tests: frames by wsproto, everything else in `tests.client`."""

from typing import Any, Self
from xml.etree.ElementTree import Element, fromstring

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from tests.client import Client
from tests.http.web import Web
from tests.server import ServerProcess

FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
SPACE = "jabber:client"


class WebSocketClient(Client):
    """`kind`: "http" or "https". `code`: what the server's close frame said. Stanzas that do not name their namespace get
    jabber:client's."""

    path = "/xmpp-websocket"

    def __init__(
        self, server: ServerProcess, domain: str = "localhost", kind: str = "https", **headers: str
    ) -> None:
        super().__init__(server.address("c2s"), domain, "direct" if kind == "https" else "none")
        self.server, self.kind, self.headers = server, kind, headers
        self.code: int | None = None
        self.pongs: list[bytes] = []
        self.text = ""

    def connect(self) -> Self:
        self.open_socket()
        self.open()
        return self

    def open_socket(self) -> None:
        self.web = Web(self.server, self.kind, self.domain)
        self.socket = self.web.socket
        self.ws = WSConnection(ConnectionType.CLIENT)
        extra = [(name.replace("_", "-").encode(), value.encode()) for name, value in self.headers.items()]
        asked = Request(host=self.domain, target=self.path, subprotocols=["xmpp"], extra_headers=extra)
        self.raw(self.ws.send(asked))
        accepted = False
        while not accepted:
            data = self.socket.recv(65536)
            assert data, "closed"
            self.ws.receive_data(data)
            for event in self.ws.events():
                assert not isinstance(event, RejectConnection), event
                accepted = accepted or isinstance(event, AcceptConnection)
                self.happens(event)
        self.socket.settimeout(None)
        self._read_on()

    def open(self, to: str | None = None, attributes: str = "") -> Element:
        self.send(f"<open xmlns='{FRAMING}' to='{to or self.domain}' version='1.0'{attributes}/>")
        self.stream = dict(self.gets(f"<open xmlns='{FRAMING}'/>").attrib)
        self.features = self.gets("<stream:features/>")
        return self.features

    def send(self, xml: str) -> None:
        for name in ("message", "presence", "iq"):
            if xml.startswith(f"<{name}") and "xmlns" not in xml.partition(">")[0]:
                xml = xml.replace(f"<{name}", f"<{name} xmlns='{SPACE}'", 1)
        if xml == "</stream:stream>":
            xml = f"<close xmlns='{FRAMING}'/>"
        self.say(TextMessage(data=xml))

    def say(self, event: Any) -> None:
        self.raw(self.ws.send(event))

    def _parse(self, data: bytes) -> None:
        self.ws.receive_data(data)
        for event in self.ws.events():
            self.happens(event)
        self.news.set()

    def happens(self, event: Any) -> None:
        if isinstance(event, TextMessage):
            self.text += event.data
            if event.message_finished:
                element, self.text = fromstring(self.text), ""
                self.inbox.append(element)
                if element.tag == f"{{{FRAMING}}}close":
                    self._goodbye()
        elif isinstance(event, CloseConnection):
            self.code = event.code
        elif isinstance(event, Pong):
            self.pongs.append(bytes(event.payload))
        elif isinstance(event, Ping):
            self.say(event.response())
