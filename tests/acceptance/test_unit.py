"""conf/jabberd.service: systemd takes it, and the server works under its restrictions."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from tests.acceptance.sandbox import settings
from tests.client import Client
from tests.dns import DNSServer
from tests.server import ROOT, ServerProcess, environment

UNIT = ROOT / "conf/jabberd.service"
SANDBOX = ROOT / "tests/acceptance/sandbox.py"
NAMES = ("here.example", "there.example")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a sandbox")


def config(domain: str, names: str) -> dict[str, object]:
    return {
        "hosts": {domain: {}},
        "modules": {"mam": False},
        "s2s": {"direct_port": 0},
        "dns": {"nameservers": [names], "hosts": None},
    }


Start = Callable[..., ServerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(config, name, **environ)`: a server in the unit's sandbox, whose folder alone it may write to."""
    started: list[ServerProcess] = []

    def run(config: dict[str, object], name: str, **environ: str) -> ServerProcess:
        under = [sys.executable, str(SANDBOX), str(UNIT), str(tmp_path / name), "--"]
        started.append(ServerProcess(config, tmp_path / name, under=under, **environ))
        return started[-1]

    yield run
    for each in started:
        each.kill9()


@as_root
def test_two_servers_under_its_restrictions_federate(start: Start, tmp_path: Path) -> None:
    people: list[Client] = []
    with DNSServer() as names:
        for domain in NAMES:
            server = start(config(domain, names.address), domain)
            status = Path(f"/proc/{server.process.pid}/status").read_text()
            assert "NoNewPrivs:\t1" in status and "CapEff:\t0000000000000400" in status
            names.publish(domain, "127.0.0.1", server.address("s2s")[1])
            server.ctl("accounts", "add", f"you@{domain}", "--password", "secret")
            people.append(Client(server.address("c2s_direct"), domain, "direct").connect())
            people[-1].login("you", "secret")
            people[-1].available()
        romeo, juliet = people
        for one, other in ((romeo, juliet), (juliet, romeo)):
            one.send(f"<message to='{other.jid}' type='chat'><body>from here to there</body></message>")
            other.gets(f"<message from='{one.jid}' to='{other.jid}' type='chat'>"
                       "<body>from here to there</body></message>")  # fmt: skip
        for each in people:
            each.close()


@as_root
def test_a_backup_goes_where_the_server_cannot_write(start: Start, tmp_path: Path) -> None:
    server = start({"s2s": {"enabled": False}}, "mine")
    file = tmp_path / "backups" / "b.tar.gz"
    file.parent.mkdir()
    before = set(server.data.iterdir())
    assert json.loads(server.ctl("--json", "backup", str(file)))["file"] == str(file)
    with tarfile.open(file) as tar:
        assert {"jabberd.sqlite", "certificates/localhost.key"} <= set(tar.getnames())
    assert file.stat().st_mode & 0o777 == 0o600 and set(server.data.iterdir()) == before
    with pytest.raises(AssertionError, match="is there already"):
        server.ctl("backup", str(file))


@as_root
def test_it_really_is_a_sandbox(tmp_path: Path) -> None:
    code = f"""if True:
        import ctypes, mmap, pathlib
        pathlib.Path({str(tmp_path / "mine")!r}, "x").touch()
        for path in ({str(tmp_path / "x")!r}, "/etc/x", "/var/lib/x"):
            try:
                pathlib.Path(path).touch()
            except OSError as error:
                print(error.strerror)
        try:
            mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)
        except OSError as error:
            print(error.strerror)"""
    (tmp_path / "mine").mkdir()
    done = subprocess.run([sys.executable, SANDBOX, UNIT, tmp_path / "mine", "--", sys.executable, "-c", code],
                          capture_output=True, text=True, timeout=30)  # fmt: skip
    assert done.stdout.splitlines() == ["Read-only file system"] * 3 + ["Permission denied"], done.stderr


def test_it_tells_systemd_when_it_serves_and_when_it_stops(start_server, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0jabberd-{os.getpid()}")
        systemd.settimeout(20)
        server = ServerProcess({}, tmp_path / "server", NOTIFY_SOCKET=f"@jabberd-{os.getpid()}")
        assert systemd.recv(1000) == b"READY=1\nSTATUS=serving localhost"
        ending = gevent.spawn(server.stop)
        assert systemd.recv(1000) == b"STOPPING=1"
        assert ending.get() == 0


def test_a_reload_waits_and_fails_on_a_mistake(start_server) -> None:
    assert settings(str(UNIT))["ExecReload"].endswith("/jabberctl reload")
    server = start_server()
    command = [sys.executable, "-m", "jabberd_py.ctl.main", "--socket", str(server.socket), "reload"]

    def reload() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=30
        )

    assert reload().returncode == 0
    good = json.loads(server.file.read_text())
    server.file.write_text(json.dumps({**good, "log": {"levle": "debug"}}))
    done = reload()
    assert done.returncode == 1 and "log.levle: no such option (did you mean 'level'?)" in done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_systemd_takes_it(tmp_path: Path) -> None:
    """All but that the programs are not there yet."""
    done = subprocess.run(["systemd-analyze", "verify", UNIT], capture_output=True, text=True, timeout=60)
    said = [line for line in done.stderr.splitlines() if "jabberd.service" in line]
    assert [line for line in said if "is not executable" not in line] == []


def test_its_paths_are_those_of_make_install() -> None:
    wanted = settings(str(UNIT))
    makefile = (ROOT / "Makefile").read_text()
    assert wanted["Environment"] == "JABBERD_CONFIG=/etc/jabberd/jabberd.yaml"
    for path in ("/etc/jabberd", "/var/lib/jabberd", "/run/jabberd/jabberctl.sock", "/opt/jabberd"):
        assert path in makefile
    assert {wanted[each] for each in ("ConfigurationDirectory", "StateDirectory", "RuntimeDirectory")} == {
        "jabberd"
    }
    assert wanted["Type"] == "notify" and wanted["ExecStart"] == "/opt/jabberd/bin/jabberd"
    assert int(wanted["StartLimitBurst"]) * int(wanted["RestartSec"]) < int(wanted["StartLimitIntervalSec"])
