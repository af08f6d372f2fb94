"""Karma: who says too much is read more slowly, loses nothing, and nobody else waits."""

import json
import signal

import gevent
import pytest

from jabberd_py.c2s.options import C2S
from jabberd_py.net import turns
from jabberd_py.net.karma import Purse, Rates
from jabberd_py.options import OptionError
from tests.client import Client
from tests.conftest import CONFIG
from tests.stream import TIMEOUT

PING = "<iq type='get' id='p{}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
STRICT = {"rate_stanzas": 1, "burst_stanzas": 10, "rate_stanzas_before_login": 100}


@pytest.fixture
def strict(start_server):
    """A server whose clients have little karma, and two of them."""
    server = start_server({**CONFIG, "c2s": STRICT})
    clients = []
    for name in ("flooder", "other"):
        Client(server.address()).connect().register(name, "secret").close()
        clients.append(Client(server.address()).login(name, "secret", "desk"))
    yield server, *clients
    for client in clients:
        client.close()


def flood(client):
    """Far more than it may, in one write; then one ping more, of which nothing can have been read with the others."""
    client.send("".join(PING.format(n) for n in range(100)))
    for n in range(100):  # what was read is dealt with
        client.answer(f"p{n}")
    client.send(PING.format("last"))


def test_a_flooder_is_held_and_nobody_else(strict):
    server, flooder, other = strict
    flood(flooder)
    for _ in range(5):
        other.sync()
    assert not [e for e in flooder.inbox if e.get("id") == "plast"]
    # with other limits it is heard again: nothing was lost, and all comes in order
    flooder.send("".join(PING.format(n) for n in range(100, 150)))
    c2s = json.loads(server.file.read_text())["c2s"] | {"rate_stanzas": 1000, "burst_stanzas": 1000}
    server.file.write_text(json.dumps({**json.loads(server.file.read_text()), "c2s": c2s}))
    server.process.send_signal(signal.SIGHUP)
    flooder.answer("plast", 2 * TIMEOUT)
    answers = []
    while len(answers) < 50:
        answers.append(flooder.gets("<iq type='result'/>").get("id"))
    assert answers == [f"p{n}" for n in range(100, 150)]


def test_the_session_of_a_held_client_can_end(strict):
    server, flooder, other = strict
    flood(flooder)
    again = Client(server.address()).login("flooder", "secret", "desk")
    assert flooder.stream_error() == "conflict"
    again.sync()
    again.close()


@pytest.mark.parametrize("option", ["rate_stanzas", "burst_stanzas", "rate_bytes", "burst_bytes",
                                    "rate_stanzas_before_login", "rate_bytes_before_login"])  # fmt: skip
def test_limits_are_checked(option):
    with pytest.raises(OptionError):
        C2S({option: 0})
    assert getattr(C2S({option: 1 << 30}), option) == 1 << 30


def test_a_purse():
    purse = Purse(Rates(stanzas=10, burst_stanzas=50, bytes=1000, burst_bytes=5000))
    now = purse.filled
    purse.stanzas -= 60
    assert purse.debt(now) == pytest.approx(1)
    assert purse.debt(now + 1) == pytest.approx(0)
    assert purse.debt(now + 1000) == 0 and (purse.stanzas, purse.bytes) == (50, 5000)
    purse.bytes -= 7000
    assert purse.debt(now + 1000) == pytest.approx(2)
    purse.limit(Rates(stanzas=10, burst_stanzas=20, bytes=2000, burst_bytes=5000))
    assert purse.stanzas == 20 and purse.debt(now + 1000) == pytest.approx(1)


def test_long_work_lets_sockets_be_served():
    """gevent.sleep(0) would not have looked at them for 5 ms."""
    from gevent import socket

    one, other = socket.socketpair()
    served = []

    def talk():
        while data := one.recv(1):
            served.append(len(done))
            one.sendall(data)

    def ask():
        for _ in range(5):
            other.sendall(b"x")
            other.recv(1)
        other.close()

    done = []

    def work():
        began = turns.time.monotonic()
        for n in turns.fairly(range(10**9)):
            done.append(n)
            if asking.ready() or turns.time.monotonic() - began > TIMEOUT:
                break

    talking, asking = gevent.spawn(talk), gevent.spawn(ask)
    working = gevent.spawn(work)
    gevent.joinall([working], timeout=2 * TIMEOUT)
    assert asking.ready() and len(served) == 5 and len(done) > served[0]
    talking.kill()
    one.close()


def test_a_greenlet_killed_while_it_waits_for_its_turn():
    first, second = gevent.spawn(turns.pause), gevent.spawn(turns.pause)
    gevent.sleep(0)  # both have begun
    first.kill()
    second.join(TIMEOUT)
    assert second.ready() and not turns._waiting


def test_when_all_come_back_at_once_they_wait_and_nobody_is_refused(start_server):
    server = start_server({**CONFIG, "c2s": {"logins_in_all": 2}})
    Client(server.address()).connect().register("romeo", "secret").close()
    first = Client(server.address()).login("romeo", "secret", "first")
    idle = [Client(server.address(), tls="none") for _ in range(3)]
    for client in idle:
        client.open_socket()
    idle[0].open()
    idle[1].open()
    waiting = gevent.spawn(idle[2].open)
    for _ in range(5):
        first.sync()
    assert not idle[2].received
    idle[0].close()  # one leaves: the next may come in
    waiting.get(timeout=TIMEOUT)
    storm = [gevent.spawn(Client(server.address()).login, "romeo", "secret", f"r{n}") for n in range(30)]
    first.sync()
    assert not any(login.ready() for login in storm)
    for client in idle[1:]:
        client.close()
    for login in storm:
        login.get(timeout=5 * TIMEOUT).close()
    first.close()
