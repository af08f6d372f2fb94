import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import gevent
import pytest

from jabberd_py.net import connect as connecting
from jabberd_py.net.connect import ConnectError, connect, parse_route, route
from jabberd_py.net.dnsrv import DNS, DNSError, Resolver, Target
from tests.dns import DNSServer


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def full() -> Iterator[int]:
    """A port on 127.0.0.2 that does not answer: its queue is full."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = []
        for _ in range(3):
            sock = socket.socket()
            sock.settimeout(0.01)
            sock.connect_ex(("127.0.0.2", port))
            waiting.append(sock)
        yield port
        for sock in waiting:
            sock.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_the_socket_is_plain_and_ready(listener: socket.socket) -> None:
    target = Target("a.example", listener.getsockname()[1], ("127.0.0.1",))
    sock, reached, tried = connect([target], 5, 5)
    with closing(sock), listener.accept()[0] as other:
        assert reached is target and tried == ()
        assert type(sock).__module__ == "_socket" and not sock.getblocking()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        sock.send(b"hi")
        assert other.recv(2) == b"hi"


def test_the_next_target_is_tried(listener: socket.socket) -> None:
    dead = Target("dead.example", closed_port(), ("127.0.0.1", "127.0.0.3"))
    alive = Target("alive.example", listener.getsockname()[1], ("127.0.0.1",))
    sock, reached, tried = connect([dead, alive], 5, 5)
    sock.close()
    assert reached is alive
    assert [attempt.address for attempt in tried] == ["127.0.0.1", "127.0.0.3"]
    assert str(tried[0]) == f"dead.example (127.0.0.1:{dead.port}): Connection refused"


def test_a_silent_address_does_not_hold_up_the_next(full: int) -> None:
    with socket.create_server(("127.0.0.4", full)):
        before = descriptors()
        began = time.monotonic()
        sock, _, tried = connect([Target("a.example", full, ("127.0.0.2", "127.0.0.4"))], 30, 30)
        assert sock.getpeername()[0] == "127.0.0.4"
        assert 0.2 < time.monotonic() - began < 20 and tried == ()
        sock.close()
        assert descriptors() == before  # the loser is closed


def test_a_refused_address_does_not_wait_for_the_stagger(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "STAGGER", 60)
    sock, _, tried = connect([Target("a", listener.getsockname()[1], ("127.0.0.9", "127.0.0.1"))], 50, 50)
    sock.close()
    assert [attempt.fault for attempt in tried] == ["Connection refused"]


def test_time_is_bounded(full: int) -> None:
    target = Target("a.example", full, ("127.0.0.2",))
    before = descriptors()
    with pytest.raises(ConnectError, match=r"a.example \(127.0.0.2:\d+\): no answer in time") as error:
        connect([target] * 100, 0.5, 0.2)
    assert 2 <= len(error.value.tried) <= 3 and error.value.timed_out
    assert descriptors() == before


def test_nothing_to_try() -> None:
    with pytest.raises(ConnectError, match="there is no address to try") as error:
        connect([], 1, 1)
    assert not error.value.timed_out


def test_a_caller_that_gives_up_leaves_nothing(full: int) -> None:
    before = descriptors()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.4):
        connect([Target("a.example", full, ("127.0.0.2", "127.0.0.2"))], 30, 30)
    assert descriptors() == before


def test_ipv6_first_then_by_turns() -> None:
    assert connecting._alternating(["1.1.1.1", "2.2.2.2", "::1", "::2", "::3"]) == [
        "::1", "1.1.1.1", "::2", "2.2.2.2", "::3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("a.example", ("a.example", 5269, False)),
        ("a.example:1", ("a.example", 1, False)),
        ("tls://a.example", ("a.example", 5270, True)),
        ("tls://[::1]:5", ("[::1]", 5, True)),
        ("[::1]", ("[::1]", 5269, False)),
        ("::1", ("::1", 5269, False)),
        ("127.0.0.1:65535", ("127.0.0.1", 65535, False)),
    ],
)
def test_routes(text: str, parsed: tuple[str, int, bool]) -> None:
    assert parse_route(text) == parsed


@pytest.mark.parametrize(
    "text", ["", ":1", "a:", "a:0", "a:65536", "a:x", "http://a", "a:1:2", "tls://", "a:²", "[a]:1:"]
)
def test_what_is_no_route(text: str) -> None:
    with pytest.raises(ValueError, match="must be 'host'"):
        parse_route(text)


def test_a_route_is_looked_up() -> None:
    with DNSServer({"a.example": {"A": "192.0.2.1"}}) as server:
        resolver = Resolver(DNS({"nameservers": server.address, "hosts": None}))
        assert route("tls://a.example:7", resolver) == Target("a.example", 7, ("192.0.2.1",), direct_tls=True)
        assert route("[::1]:7", resolver) == Target("::1", 7, ("::1",))
        with pytest.raises(DNSError):
            route("b.example", resolver)
