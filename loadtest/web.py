"""What clients over WebSocket and BOSH cost, and files over HTTP. They say what the clients over TCP say in the other rows."""

import re
import socket
import struct
import threading
import time

from . import driver
from .driver import Client, Failed, Loop
from .login import HEADER, RECV, source, steps
from .peers.base import DOMAIN, Users
from .rows import IDLE, OURS, Bed, Row, Setup, accounts, idle, play, traffic

FILE = 100_000_000
"""Bytes of the file that goes up and down."""
PIECE = 256 * 1024
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
HTTPBIND, XBOSH = "http://jabber.org/protocol/httpbind", "urn:xmpp:xbosh"
BROWSER = (
    f'Host: {DOMAIN}\r\nConnection: keep-alive\r\nsec-ch-ua-platform: "Linux"\r\n'
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n"
    "Accept: */*\r\nOrigin: https://chat.example\r\nReferer: https://chat.example/\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n"
)
"""What a browser says in every request."""


class WebClient(Client):
    """Logs in by itself, with blocking calls."""

    def begin(self) -> None:
        """Prepares the connection."""

    def say(self, data: bytes) -> None:
        """Sends an element of the login, or a stream header."""
        raise NotImplementedError

    def hear(self, until: bytes) -> bytes:
        """An answer that has ``until`` in it."""
        got = b""
        while until not in got or not self.whole(got):
            piece = self.socket.recv(RECV)
            got += piece
            if not piece or b"<failure" in got or b"type='error'" in got or b"type='terminate'" in got:
                raise Failed(f"{self.name}: {got[-500:]!r}")
        return got

    def whole(self, got: bytes) -> bool:
        return got.endswith(b">")

    def log_in(self, address: tuple[str, int], own: str) -> None:
        self.socket = socket.create_connection(address, 20, (own, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.begin()
        dialogue = steps(self.name, self.password, self.resource, False)
        try:
            said, until = next(dialogue)
            while True:
                self.say(said)
                said, until = dialogue.send(self.hear(until))
        except StopIteration as end:
            self.jid = str(end.value)
        self.socket.setblocking(False)


class WebSocketClient(WebClient):
    """Its mask is zero: then a frame's payload is the stanza as it is."""

    def begin(self) -> None:
        upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        head = BROWSER.replace("keep-alive", "Upgrade") + upgrade + key
        self.socket.sendall(f"GET /xmpp-websocket HTTP/1.1\r\n{head}\r\n".encode())
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            piece = self.socket.recv(RECV)
            got += piece
            if not piece or not got.startswith(b"HTTP/1.1 101"[: len(got)]):
                raise Failed(f"{self.name}: {got!r}")

    def say(self, data: bytes) -> None:
        if data == HEADER:
            data = f"<open xmlns='{FRAMING}' to='{DOMAIN}' version='1.0'/>".encode()
        self.send(self.packed(data))

    def packed(self, stanza: bytes) -> bytes:
        stanza = spaced(stanza)
        size = len(stanza)
        head = bytes((0x81, 0x80 | size)) if size < 126 else struct.pack("!BBH", 0x81, 0xFE, size)
        return head + bytes(4) + stanza


class BOSHClient(WebClient):
    """One connection: a stanza goes out with the request that waits for the next one. ``held``: is a request unanswered?"""

    def begin(self) -> None:
        self.rid, self.sid = 1_000_000_000, ""

    def say(self, data: bytes) -> None:
        if data != HEADER:
            self.send(spaced(data))
        elif not self.sid:
            said = f"to='{DOMAIN}' hold='1' wait='60' ver='1.6' xml:lang='en' xmpp:version='1.0' xmlns:xmpp='{XBOSH}'"
            self.post(b"", said)
        else:
            self.post(b"", f"to='{DOMAIN}' xml:lang='en' xmpp:restart='true' xmlns:xmpp='{XBOSH}'")

    def hear(self, until: bytes) -> bytes:
        got = super().hear(until)
        self.held = False
        if not self.sid:
            found = re.search(rb" sid='([^']*)'", got)
            self.sid = found[1].decode() if found else ""
        return got

    def whole(self, got: bytes) -> bool:
        return got.endswith(b"</body>")

    def packed(self, stanza: bytes) -> bytes:
        return spaced(stanza)

    def send(self, data: bytes) -> None:
        self.post(data)

    def post(self, payload: bytes, said: str = "") -> None:
        self.rid += 1
        sid = f" sid='{self.sid}'" if self.sid else ""
        head = f"<body rid='{self.rid}'{sid} xmlns='{HTTPBIND}'{' ' if said else ''}{said}"
        body = b"%b>%b</body>" % (head.encode(), payload) if payload else f"{head}/>".encode()
        fields = f"{BROWSER}Content-Type: text/xml; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        super().send(f"POST /http-bind HTTP/1.1\r\n{fields}\r\n".encode() + body)
        self.held = True

    def count(self, marker: bytes) -> int:
        found = super().count(marker)
        self.held = self.held and not found
        return found


def spaced(stanza: bytes) -> bytes:
    """It names its namespace."""
    return re.sub(rb"^<(message|presence|iq)(?=[ />])", rb"<\1 xmlns='jabber:client'", stanza)


def log_in(bed: Bed, kind: type[WebClient], users: Users, first: int = 0) -> list[WebClient]:
    clients = [kind(name, password) for name, password in users]
    try:
        for number, client in enumerate(clients, first):
            client.log_in(bed.peer.web, source(number))
    except BaseException:
        driver.close(clients)
        raise
    return clients


def chat(bed: Bed, kind: type[WebClient], in_flight: int) -> float:
    """Microseconds for a message between two sessions, see `rows.chat`."""
    clients = log_in(bed, kind, accounts(bed.size.users))
    try:
        routes: dict[Client, Client] = {}
        for one, other in zip(clients[::2], clients[1::2], strict=True):
            routes[one], routes[other] = other, one
            if isinstance(other, BOSHClient):
                other.post(b"")
        return play(bed, routes, clients[::2], in_flight)
    finally:
        driver.close(clients)
        bed.settle()


def idle_websocket(bed: Bed) -> float:
    """KiB, see `rows.idle`."""

    def enter(users: Users, first: int) -> list[Client]:
        clients: list[Client] = [*log_in(bed, WebSocketClient, users, first)]
        for client in clients:
            client.send(client.packed(b"<presence/>"))
        bed.quiet(Loop(clients, b">"))
        return clients

    return idle(bed, enter)


def transfer(bed: Bed) -> float:
    """Seconds of CPU for a GB that is uploaded; the details have the same for downloads, and the most that memory grew."""
    (client,) = bed.login(accounts(1), False, available=False)
    try:
        slot = f"<request xmlns='urn:xmpp:http:upload:0' filename='film' size='{FILE}'/>"
        client.socket.setblocking(True)
        client.send(f"<iq type='get' id='slot' to='upload.{DOMAIN}'>{slot}</iq>".encode())
        got = b""
        while b"</iq>" not in got and b"type='error'" not in got:
            got += client.socket.recv(RECV)
        found = re.search(rb"<put url='https?://[^/]*([^']*)'", got)
        if found is None:
            raise Failed(f"no slot: {got!r}")
        path = found[1].decode()
    finally:
        driver.close([client])
    bed.settle()
    empty, piece = bed.peer.pss(), bytes(PIECE)
    grown = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal grown
        while not done.wait(0.05):
            grown = max(grown, bed.peer.pss() - empty)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        before = bed.peer.cpu()
        with socket.create_connection(bed.peer.web, 60) as sock:
            sock.sendall(f"PUT {path} HTTP/1.1\r\n{BROWSER}Content-Length: {FILE}\r\n\r\n".encode())
            for at in range(0, FILE, PIECE):
                sock.sendall(piece[: FILE - at])
            answer = sock.recv(RECV)
        if b" 201 " not in answer:
            raise Failed(f"not taken: {answer!r}")
        bed.settle()
        up = bed.peer.cpu() - before
        before = bed.peer.cpu()
        with socket.create_connection(bed.peer.web, 60) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\n{BROWSER}\r\n".encode())
            received = 0
            while received < FILE:
                size = len(sock.recv(PIECE))
                if not size:
                    raise Failed(f"{received} bytes of {FILE}")
                received += size
        time.sleep(0.1)
        down = bed.peer.cpu() - before
    finally:
        done.set()
        watcher.join()
    bed.details |= {"download": down * 1e9 / FILE, "grown MB": grown / 1e6}
    return up * 1e9 / FILE


WEB = Setup(traffic, web=True)

ROWS = (
    Row("chat WebSocket 1 in flight", "µs", lambda bed: chat(bed, WebSocketClient, 1), 27, WEB, only=OURS),
    Row("chat WebSocket 8 in flight", "µs", lambda bed: chat(bed, WebSocketClient, 8), 18, WEB, only=OURS),
    Row("chat BOSH 1 in flight", "µs", lambda bed: chat(bed, BOSHClient, 1), 108, WEB, only=OURS),
    Row("file up", "s/GB", transfer, None, WEB, also="download", only=OURS),
    Row(
        "idle session WebSocket",
        "KiB",
        idle_websocket,
        18,
        Setup(IDLE.fill, fresh=True, web=True),
        once=True,
        only=OURS,
    ),
)
