"""What an operator reads in the log about those who come and go; and what fail2ban makes of it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.client import AuthFailed, Client
from tests.conftest import CONFIG
from tests.server import ROOT, ServerProcess, environment

SM = "urn:xmpp:sm:3"


class Journal:
    """The lines that a server logs as JSON. Its accounts: romeo and juliet, of localhost."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        for name in ("romeo", "juliet"):
            server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Those of an event, once there are some."""
        for _ in range(50):
            if found := [line for line in self.every() if line["event"] == event]:
                return found
            self.server.ctl("stats")  # by then it may have happened
        raise AssertionError(f"no {event!r} in\n{self.server.tail()}")

    def every(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.server.log.read_text().splitlines() if line[:1] == "{"]

    def last(self, event: str) -> dict[str, Any]:
        return self.lines(event)[-1]

    def client(self, name: str = "romeo", password: str = "secret") -> Client:
        client = Client(self.server.address("c2s"), "localhost").connect()
        return client.login(name, password, "desk") if password else client


@pytest.fixture
def journal(start_server: Callable[..., ServerProcess]) -> Journal:
    return Journal(start_server({**CONFIG, "log": {"format": "json"}}))


def test_every_line_is_json(journal: Journal) -> None:
    """Those of the start, too, which else are for a person; and that of a start that fails."""
    journal.server.stop()
    command = [sys.executable, "-m", "jabberd_py", "--config", str(journal.server.file)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as server:
        said = []
        for line in server.stdout or ():
            said.append(json.loads(line))
            if said[-1]["event"] == "ready":
                failing = subprocess.run(
                    command, cwd=ROOT, env=environment(), capture_output=True, timeout=60
                )
                server.terminate()
    assert {"serving", "ready", "stopped"} <= {line["event"] for line in said}
    line = json.loads(failing.stderr)
    assert failing.returncode == 1 and line["event"] == "cannot start" and "in use" in line["reason"]


def test_who_comes_and_goes(journal: Journal) -> None:
    client = journal.client()
    login = journal.last("logged in")
    assert login["jid"] == "romeo@localhost/desk" and login["address"] == "127.0.0.1"
    client.close()
    line = journal.last("logged out")
    assert line["jid"] == "romeo@localhost/desk" and line["reason"] == "the client closed the stream"
    assert line["session"] == login["session"]


def test_a_line_that_breaks_is_no_goodbye(journal: Journal) -> None:
    client = journal.client()
    client.abort()
    assert journal.last("logged out")["reason"].startswith("connection lost")


def test_a_lost_session_waits(journal: Journal) -> None:
    client = journal.client()
    client.send(f"<enable xmlns='{SM}' resume='true'/>")
    client.gets(f"<enabled xmlns='{SM}' resume='true' id='...' max='...'/>")
    client.abort()
    assert journal.last("waits to be resumed")["jid"] == "romeo@localhost/desk"


def test_a_kick_and_a_shutdown_are_no_errors_of_the_stream(journal: Journal) -> None:
    one, other = journal.client(), journal.client("juliet")
    journal.server.ctl("accounts", "kick", "romeo@localhost", "--reason", "enough for today")
    assert one.stream_error() == "policy-violation"
    assert journal.last("logged out")["reason"] == "policy-violation: enough for today"
    journal.server.stop()
    assert "system-shutdown" in [line["reason"] for line in journal.lines("logged out")]
    assert "stream error" not in [line["event"] for line in journal.every()]
    other.close()


def test_an_error_of_the_client_is_one(journal: Journal) -> None:
    client = journal.client()
    client.send("<nonsense/>")
    assert journal.last("stream error")["condition"] == "unsupported-stanza-type"
    assert journal.last("logged out")["reason"].startswith("unsupported-stanza-type")


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        ("romeo", "wrong", "wrong password"),
        ("tybalt", "secret", "no such account"),
        ("a b", "x", "not-authorized"),
    ],
)
def test_why_a_login_failed(journal: Journal, name: str, password: str, reason: str) -> None:
    with pytest.raises(AuthFailed):
        journal.client(name, password)
    line = journal.last("login failed")
    assert (line["address"], line["level"], line["reason"]) == ("127.0.0.1", "warning", reason)
    assert line["mechanism"].startswith("SCRAM-") and "secret" not in str(line)


def test_a_host_that_is_none(journal: Journal) -> None:
    with pytest.raises(AssertionError):
        Client(journal.server.address("c2s"), "nowhere.example").connect()
    line = journal.last("no such host")
    assert (line["host"], line["address"]) == ("nowhere.example", "127.0.0.1")


# -- fail2ban ----------------------------------------------------------------------------------------------


def failregex() -> list[re.Pattern[str]]:
    text = (ROOT / "conf/fail2ban-jabberd.conf").read_text()
    lines = text.partition("failregex = ")[2].partition("ignoreregex")[0].split("\n")
    return [
        re.compile(line.strip().replace("<HOST>", r"(?P<host>[0-9a-f.:]+)")) for line in lines if line.strip()
    ]


def banned(line: str) -> str | None:
    """The address that fail2ban would count this line for; it has taken the date away before."""
    line = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+Z)?", "", line)
    return next((found["host"] for each in failregex() if (found := each.search(line))), None)


@pytest.mark.parametrize("format", ["text", "json"])
def test_fail2ban_finds_wrong_passwords(start_server: Callable[..., ServerProcess], format: str) -> None:
    journal = Journal(start_server({**CONFIG, "log": {"format": format}}))
    for name in ("romeo", "tybalt", "x  address=192.0.2.7"):
        client = Client(journal.server.address("c2s"), "localhost").connect()
        with pytest.raises(AuthFailed):
            client.auth(name, "wrong")
    journal.client().close()
    journal.server.stop()
    found = [banned(line) for line in journal.server.log.read_text().splitlines()]
    assert [each for each in found if each] == ["127.0.0.1"] * 3


def test_fail2ban_is_not_led_astray() -> None:
    forged = '2026-11-29 16:00:00 info jabberd_py.c2s x="a warning y login failed  session=ab  address=192.0.2.1  user=z"'
    assert banned(forged) is None
