"""The PROXY protocol: who the client is, a trusted proxy says before all else."""

import ipaddress
import os
import socket
import struct

import gevent
import pytest

from jabberd_py.net.proxyprotocol import SIGNATURE, read_header
from tests.client import Client
from tests.conftest import CONFIG, Place
from tests.http.web import Web
from tests.server import ServerProcess

LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 5222\r\n"


def binary(source="192.0.2.8", command=0x21, kind=0x11, more=b""):
    packed = ipaddress.ip_address(source).packed
    said = packed + packed + struct.pack(">HH", 1, 2) + more
    return SIGNATURE + bytes([command, kind]) + struct.pack(">H", len(said)) + said


GOOD = [
    (LINE, "192.0.2.7"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 5222\r\n", "2001:db8::7"),
    (b"PROXY TCP6 ::ffff:192.0.2.9 ::1 1 2\r\n", "192.0.2.9"),
    (b"PROXY UNKNOWN\r\n", "peer"),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "peer"),
    (binary(), "192.0.2.8"),
    (binary("2001:db8::8", kind=0x21), "2001:db8::8"),
    (binary(more=b"\x04\x00\x01x" + bytes(500)), "192.0.2.8"),  # with additions (TLV)
    (binary(command=0x20), "peer"),  # LOCAL: a look at our health
    (binary(kind=0x12), "peer"),  # UDP
    (SIGNATURE + b"\x21\x00\x00\x00", "peer"),
    (SIGNATURE + b"\x20\x00\x00\x00", "peer"),
]
BAD = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"<?xml version='1.0'?>",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 99999\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
    b"PROXY TCP5 192.0.2.7 198.51.100.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n",
    b"PROXY TCP4 nobody 198.51.100.1 1 2\r\n",
    b"PROXY " + 200 * b"x" + b"\r\n",
    b"PROXY TCP4 \xff\xfe 198.51.100.1 1 2\r\n",
    SIGNATURE + b"\x11\x11\x00\x00",
    SIGNATURE + b"\x21\x11\x00\x04\xc0\x00\x02\x01",
    SIGNATURE + b"\x21\x11\xff\xff" + bytes(20),
    LINE[:20],
    SIGNATURE[:5],
]


@pytest.fixture
def pipe():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize(("header", "address"), GOOD)
def test_the_address_and_not_a_byte_more(pipe, header, address):
    ours, theirs = pipe
    theirs.sendall(header + b"<stream")
    assert read_header(ours, "peer") == address
    assert ours.recv(100) == b"<stream"


@pytest.mark.parametrize("header", [LINE, binary()])
def test_a_header_byte_by_byte(pipe, header):
    ours, theirs = pipe
    reading = gevent.spawn(read_header, ours, "peer")
    for byte in header:
        theirs.sendall(bytes([byte]))
        gevent.sleep(0)
    assert reading.get(timeout=10).startswith("192.0.2.")


@pytest.mark.parametrize("header", BAD)
def test_what_is_no_header(pipe, header):
    ours, theirs = pipe
    theirs.sendall(header)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises((ValueError, EOFError)):
        read_header(ours, "peer")


# -- a server behind a proxy ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def behind(tmp_path_factory, databases) -> ServerProcess:
    folder = tmp_path_factory.mktemp("behind")
    trusted = {"proxy_protocol": ["127.0.0.1", "10.0.0.0/8"]}
    config = {
        **CONFIG,
        "c2s": trusted,
        "s2s": trusted,
        "http": {**trusted, "proxies": []},
        "log": {"level": "debug"},
    }
    process = ServerProcess({**databases(folder), **config}, folder)
    yield process
    assert process.stop() == 0, process.tail()


class Proxied(Client):
    """A client behind a proxy that says this first."""

    header = LINE

    def open_socket(self):
        super().open_socket()
        self.socket.sendall(self.header)


@pytest.mark.parametrize("kind", ["c2s", "c2s_direct", "https"])
def test_a_client(behind, kind):
    tls = "starttls" if kind == "c2s" else "direct"
    name = f"romeo-{os.urandom(4).hex()}"
    client = (
        Proxied(behind.address(kind), "localhost", tls)
        .connect()
        .register(name, "secret")
        .login(name, "secret")
    )
    client.available()
    (session,) = [line for line in behind.ctl("sessions", "list").splitlines() if name in line]
    assert "192.0.2.7" in session
    client.close()


def test_what_the_header_says_counts_for_the_web_too(behind):
    start = behind.log.stat().st_size
    one = Web(behind, first=binary("2001:db8::77", kind=0x21))
    assert one.get("/nothing", X_Forwarded_For="203.0.113.1").status == 404
    with gevent.Timeout(10):
        while "path=/nothing" not in behind.tail(start):
            gevent.sleep(0.02)
    assert "address=2001:db8::77" in behind.tail(start) and "203.0.113.1" not in behind.tail(start)


@pytest.mark.parametrize("kind", ["c2s", "c2s_direct", "s2s", "http", "https"])
def test_a_trusted_address_without_a_header(behind, kind):
    with socket.create_connection(behind.address(kind), 10) as sock:
        sock.sendall(b"<?xml version='1.0'?><stream:stream>")
        assert ended(sock)


def ended(sock):
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:  # it was closed with something unread
        return True


@pytest.mark.parametrize("kind", ["c2s", "http"])
def test_an_address_that_is_not_trusted(behind, kind):
    """Its header is what it is: nonsense."""
    with socket.create_connection(behind.address(kind), 10, ("127.0.0.2", 0)) as sock:
        sock.sendall(LINE)
        assert sock.recv(100)[:5] in (b"<?xml", b"HTTP/")


def test_a_reload_changes_who_is_trusted(start_server, account, make_client):
    server = start_server()
    romeo = make_client(account("romeo", Place(server, "localhost")))
    server.file.write_text(
        server.file.read_text().replace('"c2s": {', '"c2s": {"proxy_protocol": "127.0.0.1",')
    )
    server.ctl("reload")
    romeo.sync()
    Proxied(server.address(), "localhost").login(romeo.account.user, "secret").available().close()
    with socket.create_connection(server.address(), 10) as sock:
        sock.sendall(b"<?xml version='1.0'?>")
        assert ended(sock)
