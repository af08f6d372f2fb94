"""SOCKS5 bytestreams (XEP-0065) by the proxy; the examples are numbered as in the text."""

import hashlib
import secrets
import socket
import struct
import time
from contextlib import ExitStack

import gevent
import pytest

from jabberd_py.options import OptionError
from jabberd_py.services.bytestreams import BytestreamOptions, Bytestreams
from tests.client import Client
from tests.conftest import CONFIG, Place
from tests.match import show
from tests.server import ServerProcess
from tests.services.socks import Socks, digest

NS = "http://jabber.org/protocol/bytestreams"
PROXY = "proxy.localhost"


@pytest.fixture
def connect(server):
    opened = []

    def connect(where=server):
        opened.append(Socks(where))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()


def activate(who, sid, target, proxy=PROXY):
    return who.iq("set", f"<query xmlns='{NS}' sid='{sid}'><activate>{target}</activate></query>", to=proxy)


def condition(answer):
    assert answer.get("type") == "error", show(answer)
    return answer.find("{jabber:client}error")[0].tag.partition("}")[2]


@pytest.fixture
def sid():
    return secrets.token_hex(8)


@pytest.fixture
def pair(connect, sid, romeo, juliet):
    """A bytestream of Romeo's and Juliet's that is activated: their two connections."""
    name = digest(sid, romeo.jid, juliet.jid)
    target, requester = connect().connect(name), connect().connect(name)
    assert activate(romeo, sid, juliet.jid).get("type") == "result"
    return requester, target


# -- discovery ------------------------------------------------------------------------------------------


@pytest.mark.topology("one host")
def test_examples_3_to_6_the_proxy_is_found(romeo, server):
    items = romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", to="localhost")
    assert PROXY in [item.get("jid") for item in items[0]]
    info = show(romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to=PROXY))
    assert "category='proxy'" in info and "type='bytestreams'" in info and f"var='{NS}'" in info


@pytest.mark.topology("one host")
def test_examples_7_and_8_its_address(romeo, server):
    answer = romeo.iq("get", f"<query xmlns='{NS}'/>", to=PROXY)
    (host,) = answer[0]
    port = server.address("bytestreams")[1]
    assert host.attrib == {"host": "localhost", "jid": PROXY, "port": str(port)}


@pytest.mark.topology("two hosts", "two servers")
def test_example_9_only_for_the_accounts_of_its_host(romeo, juliet):
    for kind, payload in (("get", f"<query xmlns='{NS}'/>"),
                          ("set", f"<query xmlns='{NS}' sid='s'><activate>a@b/c</activate></query>")):  # fmt: skip
        answer = juliet.iq(kind, payload, to=f"proxy.{romeo.domain}")
        if answer.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}remote-server-not-found") is None:
            assert condition(answer) == "forbidden"
            assert answer.find("{jabber:client}error").get("type") == "auth"


def test_example_10_without_a_port_there_is_no_proxy(start_server, account, make_client):
    server = start_server(CONFIG, "no port", "--set", "bytestreams.port=null")
    romeo = make_client(account("romeo", Place(server, "localhost")))
    assert condition(romeo.iq("get", f"<query xmlns='{NS}'/>", to=PROXY)) == "not-allowed"
    items = romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", to="localhost")
    assert PROXY not in [item.get("jid") for item in items[0]]


def test_a_usual_port_that_is_taken(monkeypatch):
    """A second server on the machine starts, without proxies; only a port that was named must be free."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(BytestreamOptions.port, "default", port)
        for named in ({}, {"port": port}):
            service, options = Bytestreams(), BytestreamOptions({"address": "127.0.0.1", **named})
            with ExitStack() as undo:
                if named:
                    with pytest.raises(OptionError):
                        service.prepare(options, undo)
                else:
                    service.prepare(options, undo)()
                    assert service.places("localhost") == []


# -- a transfer -----------------------------------------------------------------------------------------


@pytest.mark.topology("one host", "two hosts")
def test_examples_20_to_29_a_file_goes_both_ways(pair):
    requester, target = pair
    data = bytes(range(256)) * 8192  # 2 MiB
    for sender, reader in ((requester, target), (target, requester)):
        sending = gevent.spawn(sender.socket.sendall, data)
        assert hashlib.sha256(reader.take(len(data))).digest() == hashlib.sha256(data).digest()
        sending.get(timeout=10)


@pytest.mark.topology("one host")
def test_one_side_is_done_and_the_other_goes_on(pair):
    requester, target = pair
    requester.socket.sendall(b"the end")
    requester.socket.shutdown(socket.SHUT_WR)
    assert target.take(7) == b"the end" and target.ended()
    target.socket.sendall(b"thanks")
    assert requester.take(6) == b"thanks"
    target.close()
    assert requester.ended()


@pytest.mark.topology("one host")
def test_a_side_that_breaks_ends_the_other(pair):
    requester, target = pair
    requester.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    requester.close()
    assert target.ended()


@pytest.mark.topology("one host")
def test_a_reader_that_does_not_read_stops_the_sender(pair):
    """The proxy keeps a piece, the kernel its buffers; then the sender waits, and nothing is lost."""
    requester, target = pair
    requester.socket.settimeout(0.5)
    sent, piece = 0, 65536 * b"x"
    with pytest.raises(TimeoutError):  # noqa: PT012
        while sent < 200_000_000:
            sent += requester.socket.send(piece)
    requester.socket.settimeout(10)
    requester.socket.shutdown(socket.SHUT_WR)
    got = 0
    while data := target.socket.recv(1 << 20):
        got += len(data)
    assert got == sent


@pytest.mark.topology("one host")
def test_what_comes_before_the_activation_is_ignored(connect, romeo, juliet, sid):
    name = digest(sid, romeo.jid, juliet.jid)
    target, requester = connect().connect(name), connect().connect(name)
    target.socket.sendall(b"too early")
    assert connect().greet().ask("x") == 2  # all in order: the proxy has read that, too
    assert activate(romeo, sid, juliet.jid).get("type") == "result"
    target.socket.sendall(b"now")
    assert requester.take(3) == b"now"


# -- errors of the activation ----------------------------------------------------------------------------


@pytest.mark.topology("one host")
def test_activation_by_somebody_else(connect, romeo, juliet, sid):
    name = digest(sid, romeo.jid, juliet.jid)
    connect().connect(name), connect().connect(name)
    assert condition(activate(juliet, sid, juliet.jid)) == "item-not-found"
    assert condition(activate(romeo, "another", juliet.jid)) == "item-not-found"
    assert activate(romeo, sid, juliet.jid).get("type") == "result"
    assert condition(activate(romeo, sid, juliet.jid)) == "conflict"


@pytest.mark.topology("one host")
def test_activation_with_one_side_missing(connect, romeo, juliet, sid):
    assert condition(activate(romeo, sid, juliet.jid)) == "item-not-found"
    connect().connect(digest(sid, romeo.jid, juliet.jid))
    assert condition(activate(romeo, sid, juliet.jid)) == "not-allowed"


@pytest.mark.topology("one host")
def test_who_leaves_makes_room_for_another(connect, romeo, juliet, sid):
    name = digest(sid, romeo.jid, juliet.jid)
    connect().connect(name)
    connect().connect(name).close()
    with gevent.Timeout(10):
        while connect().greet().ask(name) != 0:
            pass  # it has yet to see that one go
    assert activate(romeo, sid, juliet.jid).get("type") == "result"


@pytest.mark.parametrize("query", [
    f"<query xmlns='{NS}' sid='s'/>",
    f"<query xmlns='{NS}'><activate>juliet@localhost/balcony</activate></query>",
    f"<query xmlns='{NS}' sid=''><activate>juliet@localhost/balcony</activate></query>",
    f"<query xmlns='{NS}' sid='s'><activate/></query>",
    f"<query xmlns='{NS}' sid='s'><streamhost-used jid='a'/></query>",
])  # fmt: skip
@pytest.mark.topology("one host")
def test_an_activation_that_lacks_something(romeo, query):
    assert condition(romeo.iq("set", query, to=PROXY)) == "bad-request"


@pytest.mark.topology("one host")
def test_a_target_that_is_no_address(romeo):
    assert condition(activate(romeo, "s", "@@@")) == "jid-malformed"


@pytest.mark.topology("one host")
def test_the_addresses_are_prepared(connect, romeo, juliet, sid):
    name = digest(sid, romeo.jid, juliet.jid)
    connect().connect(name.upper()), connect().connect(name)
    loud = juliet.jid.replace("juliet", "JULIET").replace("localhost", "LocalHost")
    assert activate(romeo, sid, f" {loud} ").get("type") == "result"


# -- SOCKS5 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n\r\n", b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", b"\x16\x03\x01"]
)
def test_who_speaks_another_language(connect, said):
    one = connect()
    one.socket.sendall(said)
    assert one.ended()


def test_who_wants_to_log_in(connect):
    one = connect()
    one.socket.sendall(b"\x05\x02\x01\x02")
    assert one.take(2) == b"\x05\xff" and one.ended()


@pytest.mark.topology("one host")
def test_a_client_that_says_all_at_once(connect, romeo, juliet, sid):
    name = digest(sid, romeo.jid, juliet.jid).encode()
    one = connect()
    one.socket.sendall(b"\x05\x02\x02\x00" + b"\x05\x01\x00\x03\x28" + name + b"\x00\x00")
    assert one.take(2) == b"\x05\x00" and one.take(47) == b"\x05\x00\x00\x03\x28" + name + b"\x00\x00"


@pytest.mark.parametrize("command", [2, 3])
def test_no_other_command(connect, command):
    one = connect().greet()
    assert one.ask(40 * "a", command) == 7 and one.ended()


@pytest.mark.parametrize("address", [b"\x01\x7f\x00\x00\x01\x00\x50", b"\x04" + 16 * b"\x00" + b"\x00\x50"])
def test_it_is_no_way_to_the_internet(connect, address):
    one = connect().greet()
    one.socket.sendall(b"\x05\x01\x00" + address)
    assert one.take(2) == b"\x05\x08" and len(one.take(8)) == 8 and one.ended()


@pytest.mark.parametrize("name", ["example.org", "", 41 * "a", 40 * "g"])
def test_a_name_that_is_no_hash(connect, name):
    one = connect().greet()
    assert one.ask(name) == 2 and one.ended()


def test_the_third_with_one_name(connect):
    name = hashlib.sha1(b"third").hexdigest()
    connect().connect(name), connect().connect(name)
    assert connect().greet().ask(name) == 2


def test_much_before_the_activation(connect):
    one = connect().connect(hashlib.sha1(b"much").hexdigest())
    with pytest.raises(OSError):  # noqa: PT012
        for _ in range(1000):
            one.socket.sendall(65536 * b"x")
        raise ConnectionResetError


# -- limits ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(tmp_path_factory, databases) -> ServerProcess:
    """A server whose proxies allow little."""
    folder = tmp_path_factory.mktemp("strict")
    config = {
        **CONFIG,
        "bytestreams": {
            "rate": "64 KiB", "bytestreams_per_account": 1, "connections_per_address": 6, "activation_timeout": "8s",
            "idle_timeout": "5s", "public": ["192.0.2.1", "[2001:DB8:0::1]"], "public_port": 1080,
        },
        "services": {"proxy": {"allow": ["other.localhost"], "deny": ["mallory@other.localhost"]}},
    }  # fmt: skip
    process = ServerProcess({**databases(folder), **config}, folder)
    yield process
    assert process.stop() == 0, process.tail()


@pytest.fixture
def people(strict, account, make_client):
    return [
        make_client(account("romeo", Place(strict, name)), resource="orchard")
        for name in ("localhost", "other.localhost")
    ]


def test_the_addresses_behind_a_router(people):
    for each in people:  # the second one is allowed by name
        hosts = [host.attrib for host in each.iq("get", f"<query xmlns='{NS}'/>", to=PROXY)[0]]
        assert [(host["host"], host["port"]) for host in hosts] == [
            ("192.0.2.1", "1080"),
            ("2001:db8::1", "1080"),
        ]


def test_an_account_that_is_denied(strict, make_client):
    client = Client(strict.address("c2s"), "other.localhost").connect().register("mallory", "secret")
    client.login("mallory", "secret")
    assert condition(client.iq("get", f"<query xmlns='{NS}'/>", to=PROXY)) == "forbidden"
    client.close()


def test_number_rate_and_silence(strict, connect, people):
    romeo, juliet = people
    names = [digest(sid, romeo.jid, juliet.jid) for sid in "ab"]
    sender, reader = connect(strict).connect(names[0]), connect(strict).connect(names[0])
    began = time.monotonic()
    assert activate(romeo, "a", juliet.jid).get("type") == "result"
    others = [connect(strict).connect(names[1]) for _ in "12"]
    assert condition(activate(romeo, "b", juliet.jid)) == "resource-constraint"
    others += [connect(strict).connect(40 * digit) for digit in "12"]
    assert connect(strict).ended()  # the seventh of this address

    sending = gevent.spawn(sender.socket.sendall, 256 * 1024 * b"x")
    assert len(reader.take(256 * 1024)) == 256 * 1024
    assert time.monotonic() - began > 1  # 128 KiB pass at once, 64 KiB in each second, and 64 KiB are a piece
    sending.get(timeout=10)
    for each in others:  # nobody has activated them
        assert each.ended()
    assert sender.ended() and reader.ended()  # silence
