"""A light XMPP session for load: gevent socket, expat, SCRAM-SHA-1, nothing built that is not looked at."""

import contextlib
import itertools
import socket
import ssl
from base64 import b64decode, b64encode
from collections.abc import Callable
from xml.parsers import expat

import gevent
from gevent.queue import Queue

from tests.scram import Scram

TIMEOUT = 30.0
ROSTER = "<query xmlns='jabber:iq:roster'/>"


class Failed(Exception):
    """The server said no, or nothing, or goodbye."""


class Node:
    """What came: a name without namespace, attributes, text, children."""

    __slots__ = ("name", "attrs", "text", "children")

    def __init__(self, name: str, attrs: dict[str, str]) -> None:
        self.name, self.attrs, self.text = name.rpartition(" ")[2], attrs, ""
        self.children: list[Node] = []

    def all(self, name: str) -> "list[Node]":
        """Every descendant of that name."""
        return [n for child in self.children for n in ([child] if child.name == name else child.all(name))]


class Session:
    """One connection of `user`. `on_stanza(node)`: sees what no `get` is waiting for; it must not block."""

    ids = itertools.count(1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def __init__(
        self,
        address: tuple[str, int],
        domain: str,
        user: str,
        password: str,
        tls: str,
        on_stanza: Callable[[Node], None] | None = None,
    ) -> None:
        self.address, self.domain, self.user, self.password, self.tls = address, domain, user, password, tls
        self.bare, self.jid, self.on_stanza = f"{user}@{domain}", "", on_stanza
        self.inbox: Queue = Queue(1000)
        self.reader: gevent.Greenlet | None = None

    def connect(self) -> Node:
        """The stream's features, inside TLS if asked for."""
        self.socket = socket.create_connection(self.address, TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls == "direct":
            self._encrypt()
        features = self.open()
        if self.tls == "starttls":
            self.ask("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "proceed")
            self._encrypt()
            features = self.open()
        return features

    def _encrypt(self) -> None:
        self._stop_reading()
        self.socket = self.context.wrap_socket(self.socket, server_hostname=self.domain)

    def open(self) -> Node:
        self._stop_reading()
        self.stack: list[Node] = []
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler, self.parser.EndElementHandler = self._start, self._end
        self.parser.CharacterDataHandler = self._text
        self.socket.settimeout(None)
        self.reader = gevent.spawn(self._read)
        return self.ask(
            f"<?xml version='1.0'?><stream:stream to='{self.domain}' version='1.0' "
            "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
            "features",
        )

    def _stop_reading(self) -> None:
        if self.reader:
            self.reader.kill()

    def _read(self) -> None:
        try:
            while data := self.socket.recv(16384):
                self.parser.Parse(data)
        except (OSError, expat.ExpatError):
            pass
        self._got(Node("closed", {}))

    def _start(self, name: str, attrs: dict[str, str]) -> None:
        node = Node(name, attrs)
        if len(self.stack) > 1:
            self.stack[-1].children.append(node)
        self.stack.append(node)

    def _text(self, text: str) -> None:
        if len(self.stack) > 1:
            self.stack[-1].text += text

    def _end(self, name: str) -> None:
        node = self.stack.pop()
        if len(self.stack) == 1:
            self._got(node)

    def _got(self, node: Node) -> None:
        if self.on_stanza:
            self.on_stanza(node)
        if self.inbox.full():
            self.inbox.get_nowait()
        self.inbox.put_nowait(node)

    def send(self, xml: str) -> None:
        self.socket.sendall(xml.encode())

    def get(self, *names: str, **attrs: str) -> Node:
        """The next with one of these names and attributes (`sender`: `from`); what came before is dropped."""
        attrs = {"from" if key == "sender" else key: value for key, value in attrs.items()}
        with gevent.Timeout(TIMEOUT, Failed(f"no {names} {attrs} in {TIMEOUT} s")):
            while True:
                node = self.inbox.get()
                if node.name in names and attrs.items() <= node.attrs.items():
                    return node
                if node.name in ("closed", "error", "failure"):
                    raise Failed(node.children[0].name if node.children else node.name)

    def ask(self, xml: str, *names: str) -> Node:
        self.send(xml)
        return self.get(*names)

    def iq(self, kind: str, payload: str) -> Node:
        number = f"l{next(self.ids)}"
        self.send(f"<iq type='{kind}' id='{number}'>{payload}</iq>")
        node = self.get("iq", id=number)
        if node.attrs.get("type") == "error":
            raise Failed(", ".join(child.name for error in node.all("error") for child in error.children))
        return node

    def register(self) -> None:
        self.iq(
            "set",
            f"<query xmlns='jabber:iq:register'><username>{self.user}</username>"
            f"<password>{self.password}</password></query>",
        )

    def login(self) -> None:
        """Authenticated, bound, roster fetched, available: our presence has come back."""
        scram = Scram("SCRAM-SHA-1", self.user, self.password)
        try:
            challenge = self.ask(_sasl("auth", scram.first(), " mechanism='SCRAM-SHA-1'"), "challenge").text
            success = self.ask(_sasl("response", scram.final(b64decode(challenge))), "success").text
            scram.verify(b64decode(success))
        except AssertionError as error:
            raise Failed(str(error)) from None
        self.open()
        bound = self.iq("set", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>")
        self.jid = bound.all("jid")[0].text
        self.iq("get", ROSTER)
        self.send("<presence/>")
        self.get("presence", sender=self.jid)

    def ping(self) -> None:
        self.iq("get", "<ping xmlns='urn:xmpp:ping'/>")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.send("</stream:stream>")
        self._stop_reading()
        self.socket.close()


def befriend(a: Session, b: Session) -> None:
    """Mutual contacts, unless they are already."""
    items = a.iq("get", ROSTER).all("item")
    if any(i.attrs["jid"] == b.bare and i.attrs.get("subscription") == "both" for i in items):
        return
    for asking, asked in ((a, b), (b, a)):
        asking.send(f"<presence to='{asked.bare}' type='subscribe'/>")
        asked.get("presence", sender=asking.bare, type="subscribe")
        asked.send(f"<presence to='{asking.bare}' type='subscribed'/>")
        asking.get("presence", sender=asked.bare, type="subscribed")


def _sasl(name: str, said: bytes, attributes: str = "") -> str:
    data = b64encode(said).decode()
    return f"<{name} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'{attributes}>{data}</{name}>"
