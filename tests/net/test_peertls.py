import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

from jabberd_py.net.chain import Authorities, judge, verify
from jabberd_py.net.channel import Channel
from jabberd_py.net.peertls import PeerChannel, PeerContext
from jabberd_py.net.stream import Closed, Stream
from jabberd_py.net.tls import Certificates, TLSOptions
from jabberd_py.xmpp.parser import Limits
from tests.ca import CA

CIPHERS = TLSOptions.options()["ciphers"].default
BIG = bytes(range(256)) * 1000


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> CA:
    return CA(tmp_path_factory.mktemp("ca"))


Make = Callable[..., PeerContext]


@pytest.fixture(scope="module")
def context(ca: CA) -> Make:
    return lambda domain, **options: PeerContext(*ca.certificate(domain, **options), CIPHERS)


def shake(client: Any, server: Any) -> None:
    """The handshake of two channels."""
    done = [False, False]
    for _ in range(10):
        for at, (one, other) in enumerate(((client, server), (server, client))):
            done[at] = done[at] or one.handshake()
            other.incoming.write(one.outgoing.read())
        if all(done):
            return
    raise AssertionError("the handshake does not end")


def says(one: Any, other: Any, data: bytes) -> None:
    plain, fault = other.decrypt(one.encrypt(data))
    assert (plain, fault) == (data, None)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, None),
        ({"intermediate": True}, None),
        ({"self_signed": True}, "the certificate is self-signed"),
        ({"expired": True}, "the certificate expired on "),
    ],
)
def test_a_bad_certificate_is_no_end_but_a_verdict(
    ca: CA, context: Make, options: dict, reason: str | None
) -> None:
    client = context("a.example", **options).channel(False, "b.example")
    server = context("b.example", **options).channel(True, None)
    shake(client, server)
    for one, other in ((client, server), (server, client)):
        says(one, other, b"hi")
        says(one, other, BIG)
    authorities = Authorities(str(ca.file))
    for channel, domain in ((client, "b.example"), (server, "a.example")):
        verdict = judge(channel.peer_chain(), domain, authorities)
        assert verdict is None if reason is None else str(verdict).startswith(reason)
        assert len(channel.peer_chain()) == 1 + options.get("intermediate", False)
    assert client.bindings == server.bindings and len(client.bindings["tls-exporter"]) == 32
    assert client.version == "TLSv1.3"
    assert client.tls.get_alpn_proto_negotiated() == b"xmpp-server"


def test_no_certificate_at_all(context: Make) -> None:
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE
    client, server = Channel(plain, False, "b.example"), context("b.example").channel(True, None)
    shake(client, server)
    says(client, server, BIG)
    says(server, client, BIG)
    assert server.peer_chain() == []
    assert verify(server.peer_chain(), Authorities.only([])) == "no certificate was shown"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_with_a_strict_client_of_another_make(ca: CA, context: Make, version: ssl.TLSVersion) -> None:
    strict = ssl.create_default_context(cafile=str(ca.file))
    strict.minimum_version = strict.maximum_version = version
    strict.load_cert_chain(*ca.certificate("a.example", self_signed=True))
    client, server = Channel(strict, False, "b.example"), context("b.example").channel(True, None)
    shake(client, server)
    says(client, server, b"hi")
    assert verify(server.peer_chain(), Authorities(str(ca.file))) == "the certificate is self-signed"
    assert (not server.bindings) == (version == ssl.TLSVersion.TLSv1_2)


def test_old_tls_is_refused(context: Make) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="unsupported protocol"):
        shake(Channel(old, False), context("b.example").channel(True, None))


def test_junk_for_a_hello(context: Make) -> None:
    server = context("b.example").channel(True, None)
    server.incoming.write(b"<stream:stream xmlns='jabber:server'>")
    with pytest.raises(ssl.SSLError) as error:
        server.handshake()
    assert error.value.reason
    assert server.outgoing.pending == len(server.outgoing.read())


def test_a_broken_record_is_a_fault(context: Make) -> None:
    client, server = context("a.example").channel(False, None), context("b.example").channel(True, None)
    shake(client, server)
    good, bad = client.encrypt(b"good"), bytearray(client.encrypt(b"bad"))
    bad[-1] ^= 1
    plain, fault = server.decrypt(good + bytes(bad))
    assert (
        plain == b"good"
        and isinstance(fault, ssl.SSLError)
        and "decrypt" in fault.reason.replace("bad record mac", "decrypt")
    )


def test_the_end_is_announced(context: Make) -> None:
    client, server = context("a.example").channel(False, None), context("b.example").channel(True, None)
    shake(client, server)
    assert server.decrypt(client.close()) == (b"", None)
    assert server.close() and client.close() == b""


def test_one_channel_finds_the_context_of_the_domain(ca: CA, tmp_path: Path) -> None:
    certificates = Certificates(TLSOptions(), tmp_path)
    certificates.prepare(TLSOptions(), {"one.example": [], "münchen.example": []})()
    for domain in ("münchen.example", "one.example", "else.example"):
        client = certificates.peers["one.example"].channel(False, domain)
        server = certificates.direct_peer().channel(True, None)
        shake(client, server)
        shown = domain if domain != "else.example" else "one.example"
        assert "self-signed" in str(judge(client.peer_chain(), shown, Authorities.only([])))
        assert judge(client.peer_chain(), shown, Authorities.only(client.peer_chain())) is None
        says(client, server, b"hi")


def test_files_that_are_wrong(ca: CA, tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    with pytest.raises(ValueError, match="junk.pem: "):
        PeerContext(tmp_path / "junk.pem", None, CIPHERS)
    cert, _ = ca.certificate("a.example")
    _, key = ca.certificate("b.example")
    with pytest.raises(ValueError, match="a.example.pem: key values mismatch"):
        PeerContext(cert, key, CIPHERS)


def test_streams(context: Make) -> None:
    left, right = socket.socketpair()
    streams = []
    for sock in (left, right):
        sock.setblocking(False)
        streams.append(Stream(sock, Limits(), 1 << 20, None))
    one, other = streams
    job = gevent.spawn(other.start_tls, context("b.example").channel(True, None))
    one.start_tls(context("a.example").channel(False, "b.example"))
    job.get(timeout=10)
    assert isinstance(one.channel, PeerChannel) and len(one.channel.peer_chain()) == 1
    one.send(
        b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
    )
    one.send(b"<message><body>" + b"x" * 100_000 + b"</body></message>")
    assert other.read().name
    assert other.read().name == "message"
    one.close()
    with pytest.raises(Closed):
        other.read()
    for stream in streams:
        stream.abort()
