"""XMPP over WebSocket (RFC 7395): a client's stream whose elements are messages. From the stanza on all is as over TCP."""

from __future__ import annotations

import hashlib
import socket
from base64 import b64decode, b64encode
from typing import Any, Protocol

from ..net.channel import Secure
from ..net.stream import Closed, Stream
from ..pages import Answer, Page, Refusal, Request
from ..xmpp import ns
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StreamError
from ..xmpp.frame import FRAMING, TCP, WEBSOCKET
from ..xmpp.parser import Close, Limits
from ..xmpp.protocols import RFC
from . import frames, slices
from .frames import Broken, Frames
from .handler import Handler
from .listener import Web
from .wellknown import WEBSOCKET as PATH

PROTOCOLS = (
    RFC(6455, "The WebSocket protocol", missing="extensions: compression is off"),
    RFC(7395, "XMPP over WebSocket"),
)

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
STANZAS = (b"<message", b"<iq", b"<presence")
SAID = ("to", "from", "version", "xml:lang", "id")
"""What a client may say as it opens its stream."""


class Clients(Protocol):
    """The listener of clients, which serves their streams, whatever carries them."""

    options: Any
    limits: Limits
    """Of stanzas, after the login."""

    def admits(self) -> bool:
        """Is there room for one who has not logged in yet?"""

    def stream(self, sock: socket.socket, cls: type[Stream]) -> Stream:
        """A stream of that class."""

    def serve(self, stream: Stream, address: str) -> bool:
        """Until the stream ends, or rests (True). Blocks."""


def header(attrs: dict[str, str]) -> bytes:
    """The header that a stream over TCP would have, for the parser."""
    whole = TCP.opening(ns.CLIENT, {name: attrs[name] for name in SAID if name in attrs})
    return whole[whole.index(b"<stream:") :]


class WebSocket(Stream):
    """``sheltered``: a proxy has seen to TLS. ``binds``: is channel binding offered? ``code``: of our close frame.
    ``over``: why there is nothing more to read."""

    __slots__ = ("frames", "sheltered", "binds", "code", "over")
    frame = WEBSOCKET

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.frames = Frames()
        self.sheltered = self.binds = False
        self.code = frames.NORMAL
        self.over: str | None = None

    @property
    def secure(self) -> bool:
        return self.channel is not None or self.sheltered

    @property
    def bindings(self) -> dict[str, bytes]:
        return super().bindings if self.binds else {}

    # -- reading -----------------------------------------------------------------------------

    def recv(self) -> bytes:
        if self.over is not None:
            raise Closed(self.over)
        return super().recv()

    def take(self, data: bytes) -> None:
        found: list[tuple[int, bytes]] = []
        items: list[Element] = []
        try:
            count = 0
            try:
                count = self.frames.feed(data, self.parser.limits.bytes, found)
            finally:
                for opcode, payload in found:
                    if opcode == frames.TEXT:
                        self._message(payload, items)
                    else:
                        self._control(opcode, payload)
            self.purse.stanzas -= count
        except Broken as error:
            self.code = error.code
            self._fail(StreamError("policy-violation", str(error)))
        except StreamError as error:
            self.code = frames.NOT_UTF8 if error.condition == "unsupported-encoding" else self.code
            self._fail(error)
        items.reverse()
        self.items = items

    def _fail(self, fault: StreamError) -> None:
        """Unless the stream has ended meanwhile."""
        if self.fault is None or isinstance(self.fault, StreamError):
            self.fault = fault

    def _message(self, message: bytes, items: list[Element]) -> None:
        """Raises StreamError."""
        if message.startswith(STANZAS):
            pass
        elif message.startswith(b"<open"):
            message = header(self._framing(message, "open"))
        elif message.startswith(b"<close"):
            self._framing(message, "close")
            items.append(Close.parsed("stream", ns.STREAM, {}))
            return
        elif message[:1] != b"<" or message.startswith(b"</"):  # white space, at best
            message = message.strip()
            if not message:
                return
            raise StreamError("bad-format", "a message is one element")
        parser = self.parser
        found, fault = slices.feed(parser, message)
        if fault is not None:
            raise fault
        if len(found) != 1 or (parser.worker is not None and parser.pending):
            raise StreamError("bad-format", "a message is one element")
        items += found

    @staticmethod
    def _framing(message: bytes, name: str) -> dict[str, str]:
        """The attributes of an element of RFC 7395. Raises StreamError."""
        try:
            element = from_text(message.decode())
        except UnicodeDecodeError:
            raise StreamError("unsupported-encoding") from None
        except ValueError:
            raise StreamError("not-well-formed") from None
        if (element.name, element.ns) != (name, FRAMING):
            raise StreamError("invalid-namespace")
        return element.attrs

    def _control(self, opcode: int, payload: bytes) -> None:
        """Raises Broken."""
        if opcode == frames.PING:
            super().send(frames.head(frames.PONG, len(payload)) + payload)
        elif opcode == frames.CLOSE:
            if self.over is None:
                said = frames.closed(payload)
                self.over = (
                    f"the client closed the WebSocket ({said})" if said else "the client closed the WebSocket"
                )
                super().send(frames.closing(frames.NORMAL))
                self.flush()
        elif opcode == frames.BINARY:
            raise Broken(frames.UNSUPPORTED, "a binary message")

    # -- writing -------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        if self.over is None:  # RFC 6455 section 5.5.1: nothing comes behind our close frame
            data = self.frame.element(data)
            super().send(frames.head(frames.TEXT, len(data)) + data)

    def close(self, last: bytes = b"") -> None:
        if self.watcher is None or self.closing:
            return
        if last:
            self.send(last)
        if self.over is None:
            super().send(frames.closing(self.code))
        super().close()


class Door:
    """The page where a client asks for a WebSocket."""

    def __init__(self, web: Web, clients: Clients) -> None:
        self.web, self.clients = web, clients
        web.routes.add(Page(PATH), self.open)

    def open(self, request: Request) -> Answer:
        """RFC 6455 section 4.2. Raises Refusal."""
        wishes = {each.strip().lower() for each in request.header("Connection").split(",")}
        if request.header("Upgrade").lower() != "websocket" or "upgrade" not in wishes:
            raise Refusal(426, "XMPP over WebSocket is spoken here (RFC 7395)", Upgrade="websocket")
        if request.header("Sec-WebSocket-Version") != "13":
            raise Refusal(426, Sec_WebSocket_Version="13")
        key = request.header("Sec-WebSocket-Key")
        try:
            whole = len(b64decode(key, validate=True)) == 16
        except ValueError:
            whole = False
        if not whole:
            raise Refusal(400, "no key")
        if "xmpp" not in [each.strip() for each in request.header("Sec-WebSocket-Protocol").split(",")]:
            raise Refusal(400, "the subprotocol is xmpp")
        self.web.admit(request, self.clients)
        handler: Handler = request.environ["jabberd.handler"]
        address, sheltered = request.address, request.secure
        connection = handler.connection

        def go_on() -> bool:
            sock, channel, came = connection.hand_over()
            return self._serve(sock, channel, came, address, sheltered)

        handler.upgrade = go_on
        proof = b64encode(hashlib.sha1(key.encode() + MAGIC).digest()).decode()
        return Answer(101, iter(()), {
            "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": proof, "Sec-WebSocket-Protocol": "xmpp",
        })  # fmt: skip

    def _serve(
        self, sock: socket.socket, channel: Secure | None, came: bytes, address: str, sheltered: bool
    ) -> bool:
        stream = self.clients.stream(sock, WebSocket)
        assert isinstance(stream, WebSocket)
        stream.channel, stream.sheltered = channel, sheltered
        stream.binds = self.web.options.channel_binding
        if came:
            stream.take(came)
        return self.clients.serve(stream, address)
