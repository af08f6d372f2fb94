"""A carrier of messages in the place of TCP: the framing of WebSocket (RFC 7395) over a socket pair. Nothing of c2s has to
change for it: one frame, and one kind of stream that tells messages apart."""

import socket
import struct
from base64 import b64encode
from xml.etree.ElementTree import fromstring

import gevent
import pytest

from jabberd_py import config, schema
from jabberd_py.net.stream import Stream
from jabberd_py.server import Server
from jabberd_py.xmpp import ns
from jabberd_py.xmpp.element import Element, from_text
from jabberd_py.xmpp.errors import StreamError
from tests.match import matches, parse, show

FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
SM = "urn:xmpp:sm:3"


class WebSocketFrame:
    """RFC 7395 section 3: one element a message, and each stands for itself."""

    carrier = "WebSocket"

    def opening(self, content, attrs):
        return Element("open", FRAMING).copy(**attrs).to_bytes()

    def features(self, features):
        return b"<stream:features xmlns:stream='%b'>%b</stream:features>" % (
            ns.STREAM.encode(),
            features.inner,
        )

    def error(self, error: StreamError):
        return error.to_bytes().replace(b">", b" xmlns:stream='%b'>" % ns.STREAM.encode(), 1)

    def goodbye(self):
        return Element("close", FRAMING).to_bytes()

    def element(self, data):
        """An element without a namespace of its own is in the content namespace, which nothing declares here."""
        name = data[1:].split(b">")[0].split(b" ")[0].rstrip(b"/")
        if name not in (b"message", b"presence", b"iq") or data[1 + len(name) :].startswith(b" xmlns="):
            return data
        return b"<%b xmlns='jabber:client'%b" % (name, data[1 + len(name) :])


class Messages(Stream):
    """Each message with its length before it, in the place of WebSocket's own framing."""

    __slots__ = ("buffer",)
    frame = WebSocketFrame()
    secure = True  # https has seen to it

    def send(self, data):
        message = self.frame.element(data)
        super().send(struct.pack("!I", len(message)) + message)

    def recv(self):
        self.buffer = getattr(self, "buffer", b"")
        while len(self.buffer) < 4 or len(self.buffer) < 4 + self._length:
            self.buffer += super().recv()
        end = 4 + self._length
        message, self.buffer = self.buffer[4:end], self.buffer[end:]
        if message.startswith(b"<open"):  # the parser has always read streams
            try:
                attrs = "".join(f" {name}='{value}'" for name, value in from_text(message).attrs.items())
            except ValueError:
                raise StreamError("not-well-formed") from None
            return f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAM}'{attrs}>".encode()
        return b"</stream:stream>" if message.startswith(b"<close") else message

    @property
    def _length(self):
        return struct.unpack("!I", self.buffer[:4])[0]


class Talk:
    """A client's end."""

    def __init__(self, service):
        self.sock, other = socket.socketpair()
        self.sock.settimeout(10)
        other.setblocking(False)
        stream = service.stream(other, Messages)
        self.life = gevent.spawn(service.serve, stream, "192.0.2.1")

    def says(self, xml):
        data = xml.encode()
        self.sock.sendall(struct.pack("!I", len(data)) + data)

    def hears(self, template):
        """The next message, which must be XML by itself and match."""
        (length,) = struct.unpack("!I", self._read(4))
        message = fromstring(self._read(length))
        assert not matches(parse(template), message), show(message)
        return message

    def _read(self, length):
        data = b""
        while len(data) < length:
            data += self.sock.recv(length - len(data)) or pytest.fail("closed")
        return data

    def opens(self):
        self.says(f"<open xmlns='{FRAMING}' to='localhost' version='1.0'/>")
        self.hears(f"<open xmlns='{FRAMING}' from='localhost' version='1.0' id='...'/>")
        return self.hears("<stream:features/>")

    def logs_in(self):
        assert "starttls" not in show(self.opens())
        proof = b64encode(b"\0romeo\0secret").decode()
        self.says(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{proof}</auth>")
        self.hears(f"<success xmlns='{ns.SASL}'/>")
        assert "urn:ietf:params:xml:ns:xmpp-bind" in show(self.opens())
        return self

    def binds(self):
        self.says(
            "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
        )
        return self.hears("<iq type='result' id='b'/>").findtext(".//{*}jid")


@pytest.fixture
def service(tmp_path, monkeypatch):
    monkeypatch.setattr(Stream, "linger", Stream.linger)  # a server that stops makes it shorter
    options = [
        f"data={tmp_path}",
        "hosts=[localhost]",
        "c2s={port: null, direct_port: null}",
        "s2s.enabled=false",
    ]
    server = Server(lambda: config.load(None, options, {}, schema=schema.schema()))
    server.start()
    server.router.instances["localhost"].users.create("romeo@localhost", "secret")
    yield server.c2s
    server.stop()


def test_a_whole_conversation(service):
    romeo = Talk(service).logs_in()
    jid = romeo.binds()
    romeo.says(f"<message xmlns='jabber:client' to='{jid}' id='1'><body>to myself &lt;&gt;</body></message>")
    romeo.hears(f"<message from='{jid}' id='1'><body>to myself &lt;&gt;</body></message>")
    romeo.says("<iq xmlns='jabber:client' type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq>")
    romeo.hears("<iq type='result' id='2'/>")
    (session,) = service.router.instances["localhost"].sessions.of("romeo@localhost")
    assert session.transport.info["transport"] == "WebSocket" and session.transport.secure
    romeo.says(f"<close xmlns='{FRAMING}'/>")
    romeo.hears(f"<close xmlns='{FRAMING}'/>")
    romeo.sock.close()
    romeo.life.get(timeout=10)


def test_resumption(service):
    romeo = Talk(service).logs_in()
    jid = romeo.binds()
    romeo.says(f"<enable xmlns='{SM}' resume='true'/>")
    token = romeo.hears(f"<enabled xmlns='{SM}' resume='true'/>").get("id")
    romeo.says(f"<message xmlns='jabber:client' to='{jid}' id='1'><body>hello</body></message>")
    romeo.hears("<message id='1'/>")
    romeo.hears(f"<r xmlns='{SM}'/>")
    romeo.sock.close()  # without a goodbye
    romeo.life.get(timeout=10)
    again = Talk(service).logs_in()
    again.says(f"<resume xmlns='{SM}' h='0' previd='{token}'/>")
    again.hears(f"<resumed xmlns='{SM}' h='1' previd='{token}'/>")
    again.hears("<message id='1'><body>hello</body></message>")
    again.hears(f"<r xmlns='{SM}'/>")
    again.sock.close()


@pytest.mark.parametrize(("said", "condition"), [
    ("<message xmlns='jabber:client' to='nurse@localhost'/>", "not-authorized"),
    ("<open", "not-well-formed"),
    ("<!-- no --><x xmlns='y'/>", "restricted-xml"),
])  # fmt: skip
def test_errors(service, said, condition):
    romeo = Talk(service)
    romeo.opens()
    romeo.says(said)
    error = romeo.hears("<stream:error/>")
    assert condition in show(error)
    romeo.hears(f"<close xmlns='{FRAMING}'/>")
    romeo.sock.close()


def test_a_carrier_that_is_cut_off(service):
    romeo = Talk(service)
    romeo.opens()
    romeo.sock.close()
    romeo.life.get(timeout=10)
    assert not service.clients
