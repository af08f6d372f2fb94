"""The disk is full, the folder read-only, the write fails: who was told "stored" (XEP-0198) finds it stored, who was not
was told; what needs no disk goes on, and all goes on when the cause is gone."""

import json
import os
import resource
import subprocess
import sys

import gevent
import pytest

from tests.client import Client
from tests.server import ROOT, environment

pytestmark = pytest.mark.sqlite  # full disks and broken writes: of our own files

SM = "urn:xmpp:sm:3"
CONFIG = {"hosts": {"localhost": {}}}
MUCH = "x" * 20_000


def mount(*arguments):
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mount is not permitted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """A file system of 12 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    mount("-t", "tmpfs", "-o", "size=12m", "tmpfs", folder)
    yield folder
    while subprocess.run(["umount", "-l", folder], capture_output=True).returncode == 0:
        pass


@pytest.fixture
def server(disk, start_server):
    server = start_server(CONFIG, disk / "data")
    for name in ("romeo", "juliet", "nurse"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")
    return server


class Full:
    def __init__(self, server):
        self.filler = server.data.parent / "filler"

    def strike(self):
        with open(self.filler, "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass

    def mend(self):
        self.filler.unlink()


class WriteError:
    """No file may grow past its first byte."""

    def __init__(self, server):
        self.server = server
        self.before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)

    def strike(self):
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (1, self.before[1]))

    def mend(self):
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, self.before)


class ReadOnly:
    """The folder is mounted over itself, read-only. Files that are open stay as they are, so a failed write comes first,
    after which the server opens them anew."""

    def __init__(self, server):
        self.server, self.error = server, WriteError(server)

    def strike(self):
        mount("--bind", self.server.data, self.server.data)
        mount("-o", "remount,bind,ro", self.server.data)
        self.error.strike()
        self.server.ctl("stats")
        gevent.spawn_later(1, self.error.mend)

    def mend(self):
        subprocess.run(["umount", "-l", self.server.data], check=True)


class Sender:
    """Knows what was acknowledged, and what was refused."""

    def __init__(self, server, name):
        self.client = Client(server.address("c2s"), "localhost").login(name, "secret", "desk")
        self.client.send(f"<enable xmlns='{SM}' resume='true'/>")
        self.client.gets(f"<enabled xmlns='{SM}'/>")
        self.acknowledged, self.refused, self.count = [], [], 0

    def say(self, to, id, body=MUCH):
        """True: it is safe."""
        self.client.send(
            f"<message to='{to}@localhost' type='chat' id='{id}'><body>{body}</body></message>"
            f"<r xmlns='{SM}'/>"
        )
        self.client.gets(f"<a xmlns='{SM}'/>", 20)
        self.client.sync()
        for element in [each for each in self.client.inbox if each.get("type") == "error"]:
            self.client.inbox.remove(element)
            error = element.find("{*}error")
            assert error.get("type") == "wait" and error.find("{*}resource-constraint") is not None
            self.refused.append(element.get("id"))
        self.acknowledged.append(id)
        return id not in self.refused

    def promised(self):
        return [id for id in self.acknowledged if id not in self.refused]


@pytest.mark.parametrize("kind", [Full, WriteError, ReadOnly])
def test_acknowledged_50_lost_0(server, kind):
    trouble = kind(server)
    nurse = Client(server.address("c2s"), "localhost").login("nurse", "secret", "chamber").available()
    romeo = Sender(server, "romeo")
    away = [f"away-{number}" for number in range(60)]
    for id in away[:10]:
        assert romeo.say("juliet", id)
    trouble.strike()
    with gevent.Timeout(60, AssertionError("it never failed")):
        for number, id in enumerate(away[10:30]):
            romeo.say("juliet", id)
            romeo.say("nurse", f"here-{number}", "are you there?")
            romeo.client.iq("get", "<ping xmlns='urn:xmpp:ping'/>", "localhost")
            if number == 10:
                gevent.sleep(1.5 if kind is ReadOnly else 0)  # until the mount alone is the trouble
    assert len([id for id in romeo.refused if id in away]) >= 10
    stats = json.loads(server.ctl("stats", "--json"))
    assert stats["store_trouble"] and stats["sessions"] == 2
    rows = json.loads(server.ctl("check", "store", "--json", code=1))
    assert [row for row in rows if row["check"] == "last commit"][0]["found"] == "lost"
    answer = romeo.client.iq("set", "<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>")
    assert answer.get("type") == "error" and answer.find(".//{*}resource-constraint") is not None
    for number in range(20):  # who is there gets what is said to them
        assert nurse.gets(f"<message id='here-{number}'/>") is not None
    trouble.mend()
    for id in away[30:]:
        romeo.say("juliet", id)
    assert not set(romeo.refused) & set(away[31:]), "it recovers with the first write"
    assert json.loads(server.ctl("stats", "--json"))["store_trouble"] is None
    promised = [id for id in romeo.promised() if id in away]
    assert len(promised) >= 39
    server.kill9()
    server.start()
    juliet = Client(server.address("c2s"), "localhost").login("juliet", "secret", "balcony").available()
    for id in promised:
        juliet.gets(f"<message id='{id}'/>", 10)
    assert not [
        row
        for row in json.loads(server.ctl("check", "store", "--json", code=None))
        if row["trouble"] and row["check"] != "disk"
    ]


def test_a_start_on_a_read_only_folder_says_so(disk, start_server):
    server = start_server(CONFIG, disk / "data")
    assert server.stop() == 0
    before = sorted(os.listdir(server.data))
    mount("-o", "remount,ro", disk)
    command = [sys.executable, "-m", "jabberd_py", "--config", str(server.file)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr
    mount("-o", "remount,rw", disk)
    assert sorted(os.listdir(server.data)) == before
    server.start()
