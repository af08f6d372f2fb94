"""What an administrator gets wrong on the command line: the command, the exit code, and the sentence that he is told."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ctl.test_jabberctl import run
from tests.server import ROOT, ServerProcess, environment

LONG = "x" * 3000
MISTAKES: dict[str, tuple[str, int, str]] = {
    # what commands are called elsewhere, or nearly
    "remove": ("accounts remove a@localhost", 2, "here it is 'jabberctl accounts delete'"),
    "adduser, as prosodyctl has it": ("adduser a@localhost", 2, "here it is 'jabberctl accounts add'"),
    "register, as ejabberdctl has it": ("register a localhost pw", 2, "here it is 'jabberctl accounts add'"),
    "kick_user": ("kick_user a localhost", 2, "here it is 'jabberctl accounts kick'"),
    "a slip in a group": ("acounts list", 2, "No such command 'acounts' (did you mean 'accounts'?)"),
    "a slip in a command": ("accounts lst", 2, "No such command 'lst' (did you mean 'accounts list'?)"),
    "statsu": ("statsu", 2, "did you mean 'stat"),
    "nothing like it": ("make me a sandwich", 2, "No such command 'make' (known: "),
    "an endless command": (LONG, 2, "No such command 'xxx"),
    "an option that is none": ("accounts list --hots localhost", 2, "Did you mean '--host'?"),
    "an argument is missing": ("accounts add", 2, "Missing argument 'JID'"),
    # names that are no address
    "a space": ("accounts show", 2, "Missing argument 'JID'"),
    "no @": ("accounts add joe --password secret", 1, "'joe' is not the address of a user: write NAME@joe"),
    "nothing before the @": ("accounts add @localhost --password secret", 1, "'@localhost' is not an address: node is empty"),
    "nothing behind the @": ("accounts add joe@ --password secret", 1, "'joe@' is not an address: domain is empty"),
    "two @": ("accounts add joe@home@localhost --password secret", 1, "'@' may not be in the domain"),
    "a quote": ("accounts add jo'e@localhost --password secret", 1, "\"'\" may not be in the node"),
    "a heart": ("accounts add jo♥e@localhost --password secret", 1, "'♥' may not be in the node"),
    "an underscore in a domain": ("accounts add joe@my_host --password secret", 1, "'_' may not be in the domain"),
    "a kilobyte": (f"accounts add {LONG}@localhost --password secret", 1, "is not an address: node is longer than 1023 bytes"),
    "too long for the store": (f"accounts add {'x' * 300}@localhost --password secret", 1, "more than 256 characters"),
    "a resource": ("accounts add joe@localhost/desk --password secret", 1, "leave out /'desk'"),
    "a host of somebody else": ("accounts add joe@example.com --password secret", 1,
                                "example.com is not served here (known: localhost, other.localhost)"),
    "a host that is nearly right": ("accounts add joe@localhots --password secret", 1, "did you mean 'localhost'?"),
    "a host's name for an address": ("accounts show localhost", 1, "write NAME@localhost"),
    "a host that is not here": ("accounts list --host nowhere", 1, "nowhere is not served here"),
    # what does not work
    "nobody by that name": ("accounts show nobody@localhost", 1, "there is no such account"),
    "delete nobody": ("accounts delete nobody@localhost", 1, "there is no such account"),
    "a password for nobody": ("accounts passwd nobody@localhost --password secret", 1, "there is no such account"),
    "kick nobody": ("accounts kick nobody@localhost", 1, "'nobody@localhost' is not connected"),
    "kick nobody's session": ("accounts kick nobody@localhost/x", 1, "'nobody@localhost/x' is not connected"),
    "disable nobody": ("accounts disable nobody@localhost", 1, "there is no such account"),
    "no password": ("accounts add joe@localhost --password", 2, "requires an argument"),
    "an empty password": ("accounts add joe@localhost --password=", 1, "password: password is empty"),
    "a long password": (f"accounts add joe@localhost --password {LONG}", 1, "password is longer than 255 bytes"),
    "none": ("accounts add joe@localhost --password secret --count 0", 1, "count: must be from 1 to"),
    "many": ("accounts add joe@localhost --password secret --count many", 2, "'many' is not a valid integer"),
    "a level that is none": ("watch --level loud", 2, "'loud' is not one of"),
    "a backup where nobody may write": ("backup /nowhere/at/all.tar.gz", 1, "/nowhere/at/all.tar.gz"),
    "a backup that is not there": ("restore /nowhere.tar.gz", 2, "'/nowhere.tar.gz' does not exist"),
    "a restore into a server that runs": ("restore FILE", 1, "in use by another jabberd_py"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_sentence(server: ServerProcess, mistake: str) -> None:
    words, code, sentence = MISTAKES[mistake]
    arguments = [str(server.file) if each == "FILE" else each for each in words.split(" ")]
    done = run(server, "--config", str(server.file), *arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stdout + done.stderr
    said = done.stderr.splitlines()
    assert sentence in " ".join(done.stderr.split()), done.stderr
    assert len(done.stderr) < 700 and len(said) == (1 if code == 1 else len(said))
    assert "Traceback" not in done.stderr


def test_a_space_in_a_name(server: ServerProcess) -> None:
    done = run(server, "accounts", "add", "jo e@localhost", "--password", "secret")
    assert (done.returncode, done.stderr) == (
        1,
        "jabberctl: jid: 'jo e@localhost' is not an address: ' ' may not be in the node\n",
    )


@pytest.mark.parametrize(
    "text",
    ["data: DATA\nc2s: {prot: 5}\n", "data: DATA\nhosts: [\n", "hosts: @@@\ndata: 'DATA'  # here\n",
     '{"data": "DATA", "c2s": {"prot": 5}}', '{"data": "DATA", "c2s": [}', "ctl:\n  socket: DATA/jabberctl.sock\nxyz\n"],
)  # fmt: skip
def test_a_typo_in_the_configuration_locks_nobody_out(
    server: ServerProcess, tmp_path: Path, text: str
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(text.replace("DATA", str(server.data)))
    done = ctl("--config", str(broken), "stats", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["process"] == server.process.pid, done.stderr


def ctl(*arguments: str, cwd: Path = ROOT, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jabberd_py.ctl", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment() | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
                          timeout=60, **options)  # fmt: skip


@pytest.mark.parametrize("arguments", [(), ("accounts",), ("motd",)])
def test_a_group_without_a_command_is_its_help(server: ServerProcess, arguments: tuple[str, ...]) -> None:
    done = run(server, *arguments)
    assert done.returncode == 0 and "Commands:" in done.stdout and not done.stderr
    shown = done.stdout.partition("Commands:")[2]
    assert (
        "  " + ("accounts add" if not arguments else {"accounts": "kick", "motd": "reset"}[arguments[0]])
        in shown
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_told_whose_server_it_is(start_server: Any, tmp_path: Path) -> None:
    server = start_server()
    for folder in server.socket.parents:
        if folder.stat().st_uid == os.geteuid() and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o711)
    script = (
        "import os, sys; sys.argv[0] = 'jabberctl'; import jabberd_py.ctl.main as m; os.setgroups([]); os.setgid(65534); "
        f"os.setuid(65534); m.main(['--socket', {str(server.socket)!r}, 'stats'], prog_name='jabberctl')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment(), capture_output=True, text=True,
                          timeout=30)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"jabberctl: {server.socket} belongs to root: run jabberctl as root\n"


# -- without a server -----------------------------------------------------------------------------------


@pytest.fixture
def stopped(start_server: Any) -> ServerProcess:
    server: ServerProcess = start_server()
    assert server.stop() == 0
    return server


def alone(server: ServerProcess, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return ctl("--config", str(server.file), *arguments, **options)


def test_accounts_are_made_while_the_server_is_stopped(stopped: ServerProcess, make_client: Any) -> None:
    from tests.conftest import Account, Place

    done = alone(stopped, "accounts", "add", "early@localhost", "--password", "early bird")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert [row["jid"] for row in json.loads(alone(stopped, "accounts", "list", "--json").stdout)] == [
        "early@localhost"
    ]
    assert (
        alone(
            stopped, "accounts", "passwd", "early@localhost", "--password", "-", input="the worm\n"
        ).returncode
        == 0
    )
    stopped.start()
    make_client(Account("early", "the worm", Place(stopped, "localhost")))


@pytest.mark.parametrize(
    "command", [("sessions", "list"), ("stats",), ("accounts", "kick", "a@localhost"), ("reload",)]
)
def test_what_needs_a_server_says_so(stopped: ServerProcess, command: tuple[str, ...]) -> None:
    done = alone(stopped, *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"jabberctl: no server answers at {stopped.socket}: there is no such socket\n"


def test_a_store_in_use_is_left_alone(server: ServerProcess, tmp_path: Path) -> None:
    done = run(server, "--config", str(server.file), "accounts", "list", socket_path=tmp_path / "none.sock")
    assert (
        done.returncode == 1
        and "in use by another jabberd_py" in done.stderr
        and done.stderr.count("\n") == 1
    )


# -- checks ---------------------------------------------------------------------------------------------


def test_all_checks_of_a_running_server(server: ServerProcess) -> None:
    done = run(server, "check", "--json")
    rows = json.loads(done.stdout)
    assert done.returncode == 1  # our certificate is self-signed
    assert {row["check"] for row in rows} >= {
        "certificates",
        "clock",
        "config",
        "disk",
        "dns",
        "limits",
        "ports",
        "store",
    }
    assert ("certificates", "is self-signed") in [(row["check"], row["trouble"]) for row in rows]
    assert not [
        row
        for row in rows
        if row["trouble"] and row["check"] in ("config", "disk", "ports", "store", "clock")
    ]


def test_all_checks_of_a_stopped_server(stopped: ServerProcess) -> None:
    done = alone(stopped, "check", "--json")
    rows = json.loads(done.stdout)
    assert done.returncode == 1
    assert {row["check"] for row in rows} >= {
        "certificates",
        "clock",
        "config",
        "disk",
        "dns",
        "limits",
        "store",
    }
    assert not [
        row for row in rows if row["trouble"] and row["check"] in ("config", "disk", "store", "clock")
    ]


@pytest.mark.parametrize("check", ["config", "ports", "disk", "limits", "clock", "store"])
def test_a_check_that_finds_nothing_exits_0(stopped: ServerProcess, check: str) -> None:
    done = alone(stopped, "check", check)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.sqlite
def test_checks_that_find_something_exit_1(stopped: ServerProcess) -> None:
    import resource
    import socket

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    done = alone(stopped, "check", "limits", preexec_fn=few)
    assert done.returncode == 1 and "LimitNOFILE" in done.stdout
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = stopped.file.read_text()
        stopped.file.write_text(text.replace('"port": 0', f'"port": {taken.getsockname()[1]}', 1))
        done = alone(stopped, "check", "ports")
        assert done.returncode == 1 and "Address already in use" in done.stdout
    stopped.file.write_text(text.replace('"port": 0', '"prot": 0', 1))
    done = alone(stopped, "check", "config")
    assert done.returncode == 1 and "did you mean 'port'?" in done.stderr
    stopped.file.write_text(text)
    (stopped.data / "jabberd.sqlite").write_bytes(b"rubbish" * 1000)
    done = alone(stopped, "check", "store")
    assert done.returncode == 1 and "Traceback" not in done.stderr + done.stdout


def test_status_is_one_screen(server: ServerProcess, romeo: Any) -> None:
    shown = run(server, "status").stdout
    assert len(shown.splitlines()) < 24
    assert all(
        each in shown
        for each in ("version", "uptime", "localhost", "store", "certificates", "warnings", "federation")
    )
    status = json.loads(run(server, "status", "--json").stdout)
    assert (
        status["process"] == server.process.pid
        and "certificate of localhost: is self-signed" in status["warnings"]
    )


# -- the shell ------------------------------------------------------------------------------------------


def test_the_shell_runs_commands_and_goes_on_after_mistakes(server: ServerProcess, tmp_path: Path) -> None:
    lines = "accounts add shelly@localhost --password seashell\naccounts remove x\nstats extra\n\n"
    lines += "accounts show shelly@localhost\nexit\n"
    history = tmp_path / "history"
    done = run(
        server, "shell", stdin=lines, JABBERCTL_SOCKET=str(server.socket), JABBERCTL_HISTORY=str(history)
    )
    assert done.returncode == 0, done.stderr
    assert "shelly@localhost" in done.stdout and "accounts delete" in done.stderr and "extra" in done.stderr
    assert "seashell" not in history.read_text() and "accounts show shelly" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_jabberctl_starts_at_once() -> None:
    """It loads nothing of the server's: a command is done in a fraction of a second."""
    script = "import sys, jabberd_py.ctl.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"gevent", "peewee", "rich", "yaml", "dns", "cryptography", "OpenSSL"}, done.stderr
    assert "jabberd_py.ctl.main" in loaded and not {
        each for each in loaded if each.startswith("jabberd_py.xmpp")
    }
