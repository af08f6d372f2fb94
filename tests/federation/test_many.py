"""A thousand other domains, fifty of them dead or slow: nobody else waits for these."""

import socket
import statistics
import time

import gevent
import pytest

from tests.ca import CA
from tests.client import Client
from tests.conftest import CONFIG
from tests.federation.conftest import log_in
from tests.federation.rawpeer import RawServer
from tests.match import CLIENT
from tests.server import ServerProcess

DOMAINS, DEAD, SLOW = 1000, 25, 25
US = "us.example"


class Mute:
    """Accepts and never says a word."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.accepted: list[socket.socket] = []
        self.greenlet = gevent.spawn(self._accept)

    def _accept(self) -> None:
        while True:
            self.accepted.append(self.listener.accept()[0])

    def stop(self) -> None:
        self.greenlet.kill()
        for sock in (self.listener, *self.accepted):
            sock.close()


@pytest.fixture
def world(tmp_path, databases):
    """(our server, the one that answers for all live domains, their names, the dead ones and the slow ones)."""
    live, mute = (
        RawServer(CA(tmp_path / "ca").server_certificate("elsewhere.example", self_signed=True)),
        Mute(),
    )
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    names = [f"d{number}.example" for number in range(DOMAINS)]
    step = DOMAINS // (DEAD + SLOW)
    bad = names[::step]  # spread among the others, and before them
    dead, slow = bad[:DEAD], bad[DEAD:]
    routes = dict.fromkeys(names, live.route)
    routes |= dict.fromkeys(dead, f"127.0.0.1:{nobody}")
    routes |= dict.fromkeys(slow, f"127.0.0.1:{mute.listener.getsockname()[1]}")
    s2s = {"address": ["127.0.0.1"], "port": 0, "routes": routes, "login_timeout": "10s"}
    config = {**CONFIG, **databases(tmp_path / "us"), "hosts": {US: {}}, "s2s": s2s}
    server = ServerProcess(config, tmp_path / "us")
    yield server, live, [name for name in names if name not in bad], dead, slow
    server.kill9()
    mute.stop()
    live.stop()


def post(romeo: Client, live: RawServer, names: list[str], wanted: int, text: str) -> list[float]:
    """One message to each domain; the seconds each of the `wanted` ones that arrive took, in their order."""
    sent: dict[str, float] = {}
    took: list[float] = []
    live.got.clear()

    def write() -> None:
        for name in names:
            sent[name] = time.monotonic()
            romeo.send(f"<message to='j@{name}' type='chat'><body>{text}</body></message>")
            gevent.sleep(0)

    writer = gevent.spawn(write)
    with gevent.Timeout(90, AssertionError(f"{len(took)} of {wanted} arrived")):
        while len(took) < wanted:
            live.news.clear()
            got, live.got[:] = list(live.got), []
            now = time.monotonic()
            for element in got:
                if element.findtext(f"{{{CLIENT}}}body") == text:
                    took.append(now - sent[element.get("to", "").partition("@")[2]])
            if len(took) < wanted:
                live.news.wait()
    writer.join()
    return sorted(took)


def test_the_dead_delay_nobody(world):
    server, live, good, dead, slow = world
    Client(server.address(), US).connect().register("romeo", "secret").close()
    romeo = log_in(server.address(), US, "romeo")
    memory, cpu = server.pss(), server.cpu()

    half = len(good) // 2
    alone = post(romeo, live, good[:half], half, "alone")
    among = [*dead, *slow, *good[half:]]  # the dead and the slow ones first
    beside = post(romeo, live, among, len(good) - half, "beside")
    again = post(romeo, live, good, len(good), "again")

    grown, used = server.pss() - memory, server.cpu() - cpu
    for what, took in (("alone", alone), ("beside the dead", beside), ("on open streams", again)):
        print(f"{what}: median {statistics.median(took):.2f} s, slowest {took[-1]:.2f} s")
    print(f"{len(live.streams)} streams: {grown / len(live.streams) / 1024:.0f} KB each; CPU {used:.1f} s")
    assert beside[-1] < 2 * alone[-1] + 5  # the slow ones take ten seconds to give up
    assert again[-1] < 10
    assert grown < len(live.streams) * 200 * 1024

    errors = {}
    for name in (*dead, *slow):  # each comes back, and says why
        error = romeo.gets(f"<message type='error' from='j@{name}'/>", 60)
        errors[name] = {element.tag.rpartition("}")[2]: element.text for element in error.iter()}
    for name, error in errors.items():
        assert error.keys() & {"remote-server-not-found", "remote-server-timeout"}, (name, error)
        assert error.get("text"), (name, error)
    romeo.close()
