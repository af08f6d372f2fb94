"""jabberctl against a real server process."""

import json
import os
import pty
import select
import socket
import stat
import subprocess
import sys

import pytest

from jabberd_py.ctl import control
from tests.server import ROOT, environment


def run(server, *arguments, stdin="", socket_path=None, **variables):
    path = ["--socket", str(socket_path or server.socket)] if not variables else []
    return subprocess.run(
        [sys.executable, "-m", "jabberd_py.ctl.main", *path, *arguments],
        cwd=ROOT, env=environment() | variables, input=stdin, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def data(server, *arguments, code=0, **options):
    done = run(server, *arguments, "--json", **options)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def fails(done, code, *words):
    assert done.returncode == code
    assert all(word in done.stderr for word in words), done.stderr
    if code == 1:
        assert done.stderr.count("\n") == 1


def test_the_socket_is_private(server):
    status = server.socket.lstat()
    assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600
    assert stat.S_IMODE(server.socket.parent.stat().st_mode) & 0o077 == 0 or os.geteuid() == status.st_uid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_refused_even_past_the_permissions(start_server):
    server = start_server()
    for folder in (server.socket.parent, *server.socket.parent.parents):
        if folder.stat().st_uid == os.geteuid() and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o755)
    server.socket.chmod(0o666)
    script = (
        "import os, socket; os.setuid(65534); s = socket.socket(socket.AF_UNIX); "
        f"s.connect({str(server.socket)!r}); print(s.makefile().readline())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    answer = json.loads(done.stdout)
    assert answer["error"] == "only root may do that" and answer["kind"] == "not allowed", done.stderr


def test_the_life_of_an_account(server, make_client):
    jid = "mercutio@localhost"
    assert data(server, "accounts", "add", jid, "--password", "secret one") == {"jid": jid}
    fails(run(server, "accounts", "add", jid, "--password", "x"), 1, "that account exists")
    assert jid in [row["jid"] for row in data(server, "accounts", "list")]
    assert run(server, "accounts", "passwd", jid, "--password", "-", stdin="secret two\n").returncode == 0
    client = login(server, make_client, "mercutio", "secret two")
    client.iq("set", "<vCard xmlns='vcard-temp'><FN>Mercutio</FN><N><GIVEN>M</GIVEN></N></vCard>")
    shown = data(server, "accounts", "show", jid)
    assert shown["vcard"]["FN"] == "Mercutio" and shown["vcard"]["N"] == {"GIVEN": "M"}
    assert [session["jid"] for session in shown["sessions"]] == [client.jid]
    assert client.jid in [row["jid"] for row in data(server, "sessions", "list", "--host", "localhost")]
    assert "Mercutio" in run(server, "accounts", "show", jid).stdout
    assert data(server, "accounts", "kick", jid, "--reason", "go") == {"sessions": 1}
    assert client.stream_error() == "policy-violation"
    assert data(server, "accounts", "disable", jid) is None
    assert data(server, "accounts", "show", jid)["disabled"] is True
    assert data(server, "accounts", "enable", jid) is None
    assert data(server, "accounts", "delete", jid) is None
    fails(run(server, "accounts", "kick", jid), 1, "'mercutio@localhost' is not connected")
    fails(run(server, "accounts", "show", jid), 1, "there is no such account")


def test_one_of_two_sessions_is_kicked(server, make_client):
    assert run(server, "accounts", "add", "two@localhost", "--password", "secret").returncode == 0
    first, second = (login(server, make_client, "two", "secret") for _ in range(2))
    assert data(server, "accounts", "kick", first.jid) == {"sessions": 1}
    assert first.stream_error() == "policy-violation"
    assert [each["jid"] for each in data(server, "accounts", "show", "two@localhost")["sessions"]] == [
        second.jid
    ]
    fails(
        run(server, "accounts", "kick", "two@localhost/nobody"), 1, "'two@localhost/nobody' is not connected"
    )


def test_the_log_keeps_who_changed_what_and_no_password(server):
    start = server.log.stat().st_size
    data(server, "accounts", "add", "kept@localhost", "--password", "open sesame")
    said = next(line for line in server.tail(start).splitlines() if "audit" in line)
    assert 'command="accounts add"' in said and "via=jabberctl" in said and "kept@localhost" in said
    assert "result=done" in said and 'where="process ' in said and "***" in said
    assert "sesame" not in server.tail(start)


def login(server, make_client, user, password):
    from tests.conftest import Account, Place

    return make_client(Account(user, password, Place(server, "localhost")))


def test_many_accounts_at_once(start_server):
    server = start_server()
    done = run(server, "accounts", "add", "u@localhost", "--password", "secret", "--count", "3")
    assert done.returncode == 0 and "created" in done.stdout
    assert [row["jid"] for row in data(server, "accounts", "list")] == [f"u{n}@localhost" for n in (1, 2, 3)]
    assert data(server, "accounts", "list", "--host", "other.localhost") == []


def test_a_password_is_asked_for_twice_and_not_shown(server):
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "jabberd_py.ctl.main", "--socket", str(server.socket), "accounts", "add",
               "asked@localhost", "--json"]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=slave, stdout=subprocess.PIPE, stderr=slave,
        start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    seen = expect(master, b"Password")
    os.write(master, b"sesame\n")
    seen += expect(master, b"epeat")
    os.write(master, b"sesame\n")
    output, _ = process.communicate(timeout=30)
    os.close(master)
    assert process.returncode == 0 and json.loads(output) == {"jid": "asked@localhost"}
    assert b"sesame" not in seen


def expect(fd, words):
    seen = b""
    while words not in seen:
        assert select.select([fd], [], [], 30)[0], seen
        seen += os.read(fd, 1000)
    return seen


def test_wrong_commands(server):
    fails(run(server, "nonsense"), 2, "No such command 'nonsense'")
    fails(run(server, "accounts", "add"), 2, "Missing argument 'JID'")
    fails(run(server, "accounts", "add", "a@localhost", "--password", "x", "--count", "many"), 2, "count")
    fails(run(server, "accounts", "add", "a@elsewhere", "--password", "x"), 1, "elsewhere is not served here")
    fails(run(server, "accounts", "add", "localhost", "--password", "x"), 1, "is not the address of a user")
    fails(run(server, "accounts", "add", "@", "--password", "x"), 1, "not an address")
    fails(run(server, "accounts", "add", "e@localhost", "--password", ""), 1)
    fails(run(server, "watch", "--level", "loud"), 2, "'loud' is not one of 'debug', 'info'")


def test_without_a_server(server, tmp_path):
    nowhere = tmp_path / "nobody.sock"
    fails(run(server, "stats", socket_path=nowhere), 1, "no server answers at", str(nowhere))
    done = run(server, "--help", socket_path=nowhere)
    assert done.returncode == 0 and "no server answers at" in " ".join(done.stdout.split())


def test_help_lists_what_the_server_can(server):
    help = run(server, "--help").stdout
    assert "as can be told?\n" in help  # a question ends with its mark alone
    assert all(word in help for word in ("accounts", "check", "sessions", "stats", "watch", "stop", "reload"))
    assert "--password" in run(server, "accounts", "add", "--help").stdout
    assert "accounts" in run(server, "--help", JABBERCTL_SOCKET=str(server.socket)).stdout


def test_the_configuration_says_where_the_socket_is(server):
    done = run(server, "--config", str(server.file), "stats", "--json", COLUMNS="80")
    assert json.loads(done.stdout)["process"] == server.process.pid, done.stderr


def test_shell_completion_knows_the_commands(server):
    done = run(server, JABBERCTL_SOCKET=str(server.socket), _JABBERCTL_COMPLETE="bash_complete",
               COMP_WORDS="jabberctl acc", COMP_CWORD="1")  # fmt: skip
    assert done.stdout.strip() == "plain,accounts"


def test_stats(server, romeo):
    stats = data(server, "stats")
    assert stats["process"] == server.process.pid and stats["sessions"] >= 1
    assert stats["memory_bytes"] > 1 << 20 and stats["cpu_seconds"] > 0 and stats["store_trouble"] is None
    assert "MiB" in run(server, "stats").stdout


def test_checks(server):
    rows = data(server, "check", "certificates", code=1)
    assert [(row["domain"], row["trouble"]) for row in rows] == [
        ("localhost", ["is self-signed"]), ("other.localhost", ["is self-signed"])]  # fmt: skip
    assert [row["domain"] for row in data(server, "check", "config")] == ["localhost", "other.localhost"]
    dns = data(server, "check", "dns", code=1)
    assert {(row["domain"], row["service"]) for row in dns} >= {("localhost", "_xmpp-client._tcp")}
    assert all(row["records"] or row["trouble"] for row in dns)


def test_a_certificate_that_fits_nothing(start_server):
    server = start_server()
    folder = server.data / "certificates"
    (folder / "localhost.pem").write_bytes((folder / "other.localhost.pem").read_bytes())
    row = data(server, "check", "certificates", code=1)[0]
    assert row["trouble"] == [
        f"{folder / 'localhost.key'}: is the key of another certificate than localhost.pem"
    ]


def test_reload_keeps_all_on_a_mistake(start_server):
    server = start_server()
    good = server.file.read_text()
    server.file.write_text(good.replace('"port": 0', '"prot": 0', 1))
    fails(run(server, "reload"), 1, "c2s.prot", "did you mean 'port'?")
    fails(run(server, "check", "config"), 1, "c2s.prot")
    server.file.write_text(good)
    assert run(server, "reload").stdout == "done\n"


def test_watch_shows_the_log_live(server, make_client):
    command = [sys.executable, "-m", "jabberd_py.ctl.main", "--socket", str(server.socket), "watch"]
    watcher = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    lines = []
    with raw(server) as link:
        while True:  # until the watcher is there, so that our login comes after it
            link.sendall(b'{"command": "accounts kick", "args": {"jid": "nobody@localhost"}}\n')
            link.recv(1000)
            make_client()
            if select.select([watcher.stdout], [], [], 0.2)[0]:
                break
    lines.append(watcher.stdout.readline())
    watcher.terminate()
    watcher.wait(10)
    assert " info " in lines[0]


def test_stop(start_server):
    server = start_server()
    assert run(server, "stop").stdout == "done\n"
    assert server.process.wait(20) == 0
    assert not server.socket.exists()


# -- the protocol ------------------------------------------------------------------------------


def raw(server):
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(20)
    link.connect(str(server.socket))
    return link


@pytest.mark.parametrize(
    "request_line",
    [b"\n", b"{}\n", b"[]\n", b"nonsense\n", b'{"command": 1}\n', b'{"command": "stats", "args": 3}\n',
     b'{"command": "stats", "args": {"x": 1}}\n', b'{"command": "accounts add", "args": {"jid": 5}}\n',
     b"[" * 100_000 + b"\n", b"\xff\n"],
)  # fmt: skip
def test_hostile_requests_get_one_error_and_do_no_harm(server, request_line):
    with raw(server) as link, link.makefile("rb") as lines:
        link.sendall(request_line)
        answer = json.loads(lines.readline())
        assert answer["kind"] in ("wrong argument", "no such thing") and len(answer["error"]) < 200
        link.sendall(b'{"command": "stats"}\n')
        assert "result" in json.loads(lines.readline())


def test_an_endless_request_is_cut_off(server):
    with raw(server) as link, link.makefile("rb") as lines:
        link.sendall(b"x" * ((1 << 20) + 1))
        assert "more than 1048576 bytes" in json.loads(lines.readline())["error"]
        assert lines.readline() == b""


def test_progress_is_told(start_server):
    server = start_server()
    with raw(server) as link, link.makefile("rb") as lines:
        args = {"jid": "p@localhost", "password": "secret", "count": 2}
        link.sendall(json.dumps({"command": "accounts add", "args": args}).encode() + b"\n")
        assert [json.loads(lines.readline()) for _ in range(3)] == [
            {"progress": [1, 2, "p1@localhost"]},
            {"progress": [2, 2, "p2@localhost"]},
            {"result": {"created": 2}},
        ]


def test_a_stale_socket_is_replaced(start_server):
    server = start_server()
    server.kill9()
    assert server.socket.exists()
    server.start()
    assert data(server, "stats")["process"] == server.process.pid


def test_a_socket_in_use_is_left_alone(start_server):
    first = start_server()
    config = {"ctl": {"socket": str(first.socket)}}
    with pytest.raises(AssertionError, match="another server listens there"):
        start_server(config, "second")
    assert data(first, "stats")["process"] == first.process.pid


def test_something_else_in_its_place_is_left_alone(start_server, tmp_path):
    (tmp_path / "precious").write_text("keep me")
    with pytest.raises(AssertionError, match="something else is there"):
        start_server({"ctl": {"socket": str(tmp_path / "precious")}})
    assert (tmp_path / "precious").read_text() == "keep me"


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_a_long_list_is_one_line_of_json(count):
    rows = [{"jid": f"user{number}@example.org", "created": "é"} for number in range(count)]
    pieces = list(control._pieces({"result": rows}))
    assert len(pieces) == (1 if count < 3000 else 3)
    line = b"".join(pieces)
    assert line.endswith(b"\n") and line.count(b"\n") == 1 and json.loads(line) == {"result": rows}
