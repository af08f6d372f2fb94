"""Hostile clients over real sockets: each gets its exact error of RFC 6120, and nobody else notices."""

import contextlib
import os
import socket
import ssl
import subprocess
import sys

import gevent
import pytest

from tests.c2s.attacks import ATTACKS, HEADER, Attack, connect, strike
from tests.client import Client
from tests.server import ROOT
from tests.stream import TLS


@pytest.fixture(scope="module")
def villain(server):
    Client(server.address()).connect().register("villain", "secret").close()
    return "villain", "secret"


@pytest.mark.parametrize("name", ATTACKS)
def test_each_attack_gets_its_stream_error(name, server, villain):
    assert strike(ATTACKS[name], server.address(), *villain) == (ATTACKS[name].condition, True)


@pytest.mark.parametrize("cut", [1, 7])
@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if len(attack.data) < 200])
def test_also_in_pieces(name, cut, server, villain):
    attack = ATTACKS[name]
    client = connect(server.address(), attack.stage, *villain)
    data = attack.data if isinstance(attack.data, bytes) else attack.data.encode()
    with contextlib.suppress(OSError):
        for at in range(0, len(data), cut):
            client.raw(data[at : at + cut])
    assert client.stream_error() == attack.condition
    assert client.closed()
    client.close()


# -- STARTTLS ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("injected", ["<auth/>", "<iq type='get' id='evil'/>", " <", "x", HEADER])
def test_nothing_slips_in_behind_starttls(server, injected):
    """CVE-2011-0411 and its kin: what came in clear must not be taken for what came inside TLS."""
    client = Client(server.address(), tls="none").connect()
    client.send(f"<starttls xmlns='{TLS}'/>{injected}")
    assert client.stream_error() in ("policy-violation", "bad-format")
    assert client.closed()
    assert b"<proceed" not in client.received


def test_what_was_said_in_clear_is_forgotten(server, villain):
    """The first stream's header may differ: TLS begins a stream of its own."""
    client = Client(server.address(), tls="none").connect()
    first = client.stream["id"]
    client.send(f"<starttls xmlns='{TLS}'/>")
    client.gets(f"<proceed xmlns='{TLS}'/>")
    client.start_tls()
    client.tls = "starttls"
    client.open("other.localhost")
    assert client.stream["from"] == "other.localhost"
    assert client.stream["id"] != first
    client.close()


def test_starttls_twice_is_a_failure(server):
    client = Client(server.address()).connect()
    client.send(f"<starttls xmlns='{TLS}'/>")
    client.gets(f"<failure xmlns='{TLS}'/>")
    assert client.closed()
    assert b"stream:error" not in client.received
    client.close()


@pytest.mark.parametrize(
    "garbage", [b"hello, this is no TLS\r\n", HEADER.encode(), b"\x16\x03\x01\xff\xff" + b"x" * 70_000]
)
@pytest.mark.parametrize("kind", ["c2s", "c2s_direct"])
def test_garbage_instead_of_tls(server, kind, garbage):
    client = Client(server.address(kind), tls="none")
    if kind == "c2s":
        client.connect()
        client.send(f"<starttls xmlns='{TLS}'/>")
        client.gets(f"<proceed xmlns='{TLS}'/>")
        client.restart_parser()
    else:
        client.open_socket()
    before = len(client.received)
    with contextlib.suppress(OSError):
        client.raw(garbage)
    client.closed()
    assert b"<" not in client.received[before:]  # a TLS alert perhaps, but no word in clear
    client.close()


@pytest.mark.parametrize("kind", ["c2s", "c2s_direct"])
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_refused(server, kind, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context.wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    client = Client(server.address(kind), tls="none")
    if kind == "c2s":
        client.connect()
        client.send(f"<starttls xmlns='{TLS}'/>")
        client.gets(f"<proceed xmlns='{TLS}'/>")
    else:
        client.open_socket()
    before = len(client.received)
    client.raw(outgoing.read())
    client.closed()
    alert = bytes(client.received[before:])
    assert alert[0] == 21 and alert[5:7] == b"\x02\x46"  # fatal, protocol_version
    client.close()


# -- slow, silent, gone ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(tmp_path_factory, databases):
    """A server with little patience."""
    from tests.conftest import CONFIG
    from tests.server import ServerProcess

    c2s = {
        "login_timeout": "1s",
        "idle_timeout": "1h",
        "buffer": "64 KiB",
        "logins_per_address": 3,
        "streams_per_address": 6,
    }
    folder = tmp_path_factory.mktemp("strict")
    process = ServerProcess({**CONFIG, **databases(folder), "c2s": c2s}, folder)
    for user in ("villain", "romeo"):
        Client(process.address()).connect().register(user, "secret").close()
    yield process
    assert process.stop() == 0


@pytest.mark.parametrize("stage", ["socket", "stream"])
@pytest.mark.parametrize("data", ["", "<iq type='set' id='1'><bind", " "])
def test_who_does_not_log_in_is_sent_away(strict, stage, data):
    client = connect(strict.address(), stage, "", "")
    client.send(data if stage == "stream" else "<stream:stream to='localhost'"[: 9 * len(data)])
    assert client.stream_error() == "connection-timeout"
    assert client.closed()
    client.close()


@pytest.mark.parametrize("kind", ["c2s", "c2s_direct"])
def test_who_does_not_begin_tls_is_sent_away(strict, kind):
    client = Client(strict.address(kind), tls="none")
    if kind == "c2s":
        client.connect()
        client.send(f"<starttls xmlns='{TLS}'/>")
        client.gets(f"<proceed xmlns='{TLS}'/>")
    else:
        client.open_socket()
    before = len(client.received)
    client.closed()
    assert len(client.received) == before
    client.close()


def test_authenticated_but_not_bound_is_no_session(strict):
    client = Client(strict.address()).connect().auth("romeo", "secret")
    assert client.stream_error() == "connection-timeout"
    client.close()


def test_an_unfinished_stanza_is_the_end_of_nobody_else(strict):
    client = Client(strict.address()).login("romeo", "secret", "x")
    client.send("<message><body>")
    other = Client(strict.address()).login("romeo", "secret", "y")
    other.sync()
    client.send("</body></message>")
    client.sync()
    client.close()
    other.close()


def test_a_token_trickled_byte_by_byte(server, villain):
    client = connect(server.address(), "session", *villain)
    before = server.cpu()
    for _ in range(20_000):
        client.raw(b"<message a='" if _ == 0 else b"x")
    client.raw(b"'/>")
    client.sync()
    assert server.cpu() - before < 4  # mostly system calls and TLS; 20,000 scans from the start take far more
    client.close()


def test_who_does_not_read_is_cut_off(strict):
    slow = Client(strict.address()).login("villain", "secret", "slow").available()
    slow.reader.kill()
    romeo = Client(strict.address()).login("romeo", "secret", "orchard").available()
    before = strict.pss()
    body = "x" * 10_000
    for _ in range(2_000):  # 20 MB
        romeo.send(f"<message to='{slow.jid}' type='headline'><body>{body}</body></message>")
    romeo.sync()
    assert strict.pss() - before < 8_000_000
    slow.socket.settimeout(5)
    received = 0
    with contextlib.suppress(OSError):
        while data := slow.socket.recv(65536):
            received += len(data)
    assert received < 19_000_000  # and the connection ended
    romeo.sync()
    slow.close()
    romeo.close()


def test_many_connections_from_one_address(strict):
    idle = [Client(strict.address(), tls="none") for _ in range(3)]
    for client in idle:
        client.open_socket()
        client.open()
    surplus = Client(strict.address(), tls="none")
    surplus.open_socket()
    assert surplus.stream_error() == "policy-violation"
    assert surplus.closed()
    direct = Client(strict.address("c2s_direct"), tls="none")
    direct.open_socket()
    direct.closed()
    assert not direct.received
    for client in [*idle, surplus, direct]:
        client.close()
    Client(strict.address()).login("romeo", "secret").close()  # who leaves makes room


@pytest.mark.parametrize("tls", ["none", "starttls"])
def test_who_was_sent_away_may_not_go_on_sending(strict, tls):
    """Reading on until the peer has closed must not mean to read gigabytes."""
    villain = Client(strict.address(), tls=tls)
    villain.polite = False
    villain.connect()
    villain.send("<garbage>")
    villain.send("</garbage><message/>")
    assert villain.stream_error()
    sent, chunk = 0, b"x" * 65536
    villain.socket.settimeout(8)
    with contextlib.suppress(OSError):
        while sent < 100_000_000:
            villain.raw(chunk)
            sent += len(chunk)
    assert sent < 30_000_000, "it was all read"  # the kernel's buffers are some megabytes
    assert villain.closed(10)
    villain.close()


def test_streams_per_address(strict):
    sessions = [Client(strict.address()).login("romeo", "secret") for _ in range(6)]
    surplus = Client(strict.address(), tls="none")
    surplus.open_socket()
    assert surplus.stream_error() == "policy-violation"
    for client in [*sessions, surplus]:
        client.close()


# -- the end of a stream -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["stream", "session"])
def test_the_closing_handshake(server, villain, stage):
    client = connect(server.address(), stage, *villain)
    client.polite = False
    client.send("</stream:stream>")
    assert client.closed()
    assert b"stream:error" not in client.received
    client.close()


@pytest.mark.parametrize("stage", ["socket", "stream", "session"])
def test_half_open_connections_are_closed(server, villain, stage):
    client = connect(server.address(), stage, *villain)
    with socket.socket(
        fileno=os.dup(client.socket.fileno())
    ) as same:  # gevent's TLS socket would forget its TLS
        same.shutdown(socket.SHUT_WR)
    client.closed()
    client.close()


def test_a_cut_cable(server, villain, make_client):
    observer = make_client()
    gone = connect(server.address(), "session", *villain)
    jid = gone.jid
    gone.abort()
    observer.sync()
    back = Client(server.address()).login(*villain, resource=jid.rpartition("/")[2])
    assert back.jid == jid
    back.close()


def test_who_has_gone_leaves_nothing(start_server):
    """Not even for a garbage collector that comes seldom: a TLS session weighs 20 KB."""
    server = start_server()
    address = server.address("c2s_direct")
    Client(server.address()).connect().register("romeo", "secret").close()

    def come_and_go(times):
        for _ in range(times):
            Client(address, tls="direct").login("romeo", "secret", mechanism="PLAIN").available().abort()
        Client(address, tls="direct").login("romeo", "secret").close()
        return server.pss()

    before = come_and_go(50)
    assert come_and_go(200) - before < 2_000_000


def test_stanzas_before_the_fault_count(make_client):
    romeo, juliet = make_client(), make_client()
    romeo.send(f"<message to='{juliet.jid}'><body>1</body></message><message>&boom;</message>")
    assert romeo.stream_error() == "restricted-xml"
    juliet.gets("<message><body>1</body></message>")


# -- all together ------------------------------------------------------------------------------------------


def test_nobody_else_notices(start_server):
    """All attacks at a server of their own: another user's pings stay under 200 ms, and it hardly grows."""
    server = start_server()
    host, port = server.address()
    for user in ("villain", "nurse"):
        Client((host, port)).connect().register(user, "secret").close()
    strike(Attack("session", "x", ""), (host, port), "villain", "secret")
    pinger = subprocess.Popen([sys.executable, "-m", "tests.c2s.pinger", host, str(port), "nurse", "secret"],
                              cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert pinger.stdout.readline() == b"ready\n"
    before = server.pss()
    for name, attack in ATTACKS.items():
        assert strike(attack, (host, port), "villain", "secret") == (attack.condition, True), name
    crowd = [
        gevent.spawn(strike, attack, (host, port), "villain", "secret")
        for attack in list(ATTACKS.values())[:15]
    ]
    gevent.joinall(crowd, raise_error=True)
    grown = server.pss() - before
    said, _ = pinger.communicate()
    count, slowest = said.split()
    assert int(count) > 30
    assert float(slowest) < 200
    print(f"{count.decode()} pings, the slowest {float(slowest):.0f} ms; grown by {grown // 1024} KB")
    assert grown < 16 * 1024 * 1024
