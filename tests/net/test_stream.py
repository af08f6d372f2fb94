"""What is sent leaves, whatever becomes of others' streams."""

import socket
from types import SimpleNamespace

import gevent

from jabberd_py.net.stream import Stream
from jabberd_py.xmpp.parser import Limits


def test_a_stream_that_cannot_be_written_holds_up_no_other() -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    for ours, _ in pairs:
        ours.setblocking(False)
    first, broken, last = (Stream(ours, Limits(), 100_000, None) for ours, _ in pairs)

    def encrypt(data: bytes) -> bytes:
        raise ValueError("a fault of ours")

    broken.channel = SimpleNamespace(encrypt=encrypt)  # type: ignore[assignment]
    for stream in (first, broken, last):
        stream.send(b"<presence/>")
    with gevent.Timeout(10):
        assert [theirs.recv(100) for _, theirs in (pairs[0], pairs[2])] == [b"<presence/>"] * 2
    assert broken.closing and not last.closing
    for stream in (first, last):
        stream.abort()
    broken.channel = None
    broken.abort()
    for _, theirs in pairs:
        theirs.close()
