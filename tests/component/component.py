"""A component for tests (XEP-0114), on the test client's stream. It shares no code with the server."""

import hashlib
import socket
from typing import Any, Self
from xml.etree.ElementTree import Element, XMLPullParser

from tests.match import CLIENT, STREAM
from tests.stream import TIMEOUT, Stream

ACCEPT, CONNECT = "jabber:component:accept", "jabber:component:connect"


class Component(Stream):
    """`gets` and the rest of Stream work; what is in the stream's content namespace is shown in jabber:client.

    c = Component(server.address("component"), "irc.localhost", "secret").join()
    """

    content = ACCEPT

    def __init__(self, address: tuple[str, int], domain: str, secret: str = "secret") -> None:
        super().__init__(address, domain, "none")
        self.secret = secret

    def header(self, to: str | None = None, content: str = ACCEPT) -> Self:
        """TCP and a stream header; the server's is awaited by `identified`."""
        self.open_socket()
        self.send(f"<stream:stream xmlns='{content}' xmlns:stream='{STREAM}' to='{to or self.domain}'>")
        return self

    def identified(self) -> str:
        """The stream's id, once the server's header has come."""
        while not self.stream:
            self.news.clear()
            assert self.news.wait(TIMEOUT), "no stream header"
        return self.stream["id"]

    def shake(self, secret: str | None = None) -> Self:
        proof = hashlib.sha1((self.identified() + (secret or self.secret)).encode()).hexdigest()
        self.send(f"<handshake>{proof}</handshake>")
        return self

    def join(self) -> Self:
        self.header().shake().gets("<handshake/>")
        return self

    def _parse(self, data: bytes) -> None:
        before = len(self.inbox)
        super()._parse(data)
        for element in self.inbox[before:]:
            translate(element, self.content)

    def sync(self, to: str = "localhost") -> None:
        """The server has dealt with what we sent."""
        number = self.fresh()
        self.send(
            f"<iq type='get' id='{number}' from='{self.domain}' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>"
        )
        self.answer(number)

    def ask(self, kind: str, payload: str, to: str) -> Element:
        number = self.fresh()
        self.send(f"<iq type='{kind}' id='{number}' from='{self.domain}' to='{to}'>{payload}</iq>")
        return self.answer(number)


class Awaiting(Component):
    """A component that listens; the server connects (jabber:component:connect)."""

    content = CONNECT

    def __init__(self, domain: str, secret: str = "secret") -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(20)
        super().__init__(self.listener.getsockname()[:2], domain, secret)

    def accept(self, id: str = "abc") -> Self:
        """Waits for the server, checks its handshake and lets it in."""
        self.socket, _ = self.listener.accept()
        self.stream, self.lost, self.ended, self.said_goodbye = {}, False, False, False
        self._read_on()
        while not self.stream:
            self.news.clear()
            assert self.news.wait(TIMEOUT), "no stream header"
        self.send(f"<stream:stream xmlns='{CONNECT}' xmlns:stream='{STREAM}' id='{id}' from='{self.domain}'>")
        self.gets(f"<handshake>{hashlib.sha1((id + self.secret).encode()).hexdigest()}</handshake>")
        self.send("<handshake/>")
        return self


def translate(element: Element, content: str) -> None:
    if element.tag.startswith(f"{{{content}}}"):
        element.tag = element.tag.replace(content, CLIENT)
    for child in element:
        translate(child, content)


def silent(address: tuple[str, int]) -> Any:
    """A socket that its owner does not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(address)
    return sock


__all__ = ["ACCEPT", "CONNECT", "Awaiting", "Component", "XMLPullParser", "silent"]
