"""The care of accounts: suspended, deleted later, inactive, welcomed; the last administrator; passwords."""

import json
import sqlite3
import time
from typing import Any
from xml.etree.ElementTree import tostring

import pytest

from tests.admin.dialogue import admin
from tests.client import AuthFailed, Client
from tests.server import ServerProcess

CONFIG = {
    "hosts": {"localhost": {"admins": ["boss@localhost", "deputy@localhost"]}},
    "modules": {"register": {"enabled": True, "per_address": 0},
                "newcomers": {"welcome": "Hello {user}, be nice.", "notify": ["boss@localhost"]}},
}  # fmt: skip
DAY = 86400


@pytest.fixture
def server(start_server: Any) -> ServerProcess:
    found: ServerProcess = start_server(CONFIG)
    for name in ("boss", "deputy", "romeo"):
        found.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")
    return found


def login(server: ServerProcess, user: str, password: str = "secret") -> Client:
    return Client(server.address("c2s"), "localhost").login(user, password)


def shown(server: ServerProcess, user: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.ctl("accounts", "show", f"{user}@localhost", "--json"))
    return found


def refused(server: ServerProcess, user: str) -> str:
    """Why a login is refused: the condition, and the text that the user sees."""
    client = Client(server.address("c2s"), "localhost").connect()
    with pytest.raises(AuthFailed) as raised:
        client.auth(user, "secret")
    client.close()
    return f"{raised.value.condition}: {raised.value.element.findtext('{*}text')}"


def test_a_suspended_user_reads_why(server: ServerProcess) -> None:
    romeo = login(server, "romeo")
    server.ctl("accounts", "suspend", "romeo@localhost", "--reason", "too many letters", "--duration", "1h")
    assert romeo.stream_error() == "not-authorized"
    assert refused(server, "romeo") == "account-disabled: too many letters"
    row = shown(server, "romeo")
    assert row["disabled"] and row["reason"] == "too many letters" and row["until"]
    server.ctl("accounts", "enable", "romeo@localhost")
    assert not shown(server, "romeo")["disabled"] and "reason" not in shown(server, "romeo")
    login(server, "romeo")


def due(server: ServerProcess, column: str) -> None:
    """The row of a suspended account as it is when its time has come."""
    assert server.stop() == 0
    with sqlite3.connect(server.data / "jabberd.sqlite") as db:
        assert db.execute(f"UPDATE standing SET {column} = ?", (time.time() - 1,)).rowcount == 1
    server.start()


@pytest.mark.sqlite
def test_a_suspension_ends_by_itself(server: ServerProcess) -> None:
    server.ctl("accounts", "suspend", "romeo@localhost", "--duration", "1h")
    due(server, "until")
    assert not shown(server, "romeo")["disabled"]
    login(server, "romeo")


@pytest.mark.sqlite
def test_an_account_is_deleted_after_a_grace_period_unless_it_is_brought_back(server: ServerProcess) -> None:
    server.ctl("accounts", "delete", "romeo@localhost", "--after", "30d")
    assert shown(server, "romeo")["deletion"] and "will be deleted" in refused(server, "romeo")
    server.ctl("accounts", "enable", "romeo@localhost")
    login(server, "romeo")
    server.ctl("accounts", "delete", "romeo@localhost", "--after", "30d")
    due(server, "deletion")
    assert "no such account" in server.ctl("accounts", "show", "romeo@localhost", code=1)


def test_the_last_administrator_cannot_be_removed(server: ServerProcess) -> None:
    server.ctl("accounts", "suspend", "deputy@localhost")
    for command in (("delete", "boss@localhost"), ("delete", "boss@localhost", "--after", "1d"), ("disable", "boss@localhost"),
                    ("suspend", "boss@localhost")):  # fmt: skip
        assert "boss@localhost is the last administrator of localhost" in server.ctl(
            "accounts", *command, code=1
        )
    boss = login(server, "boss")
    answer = boss.iq("set", "<query xmlns='jabber:iq:register'><remove/></query>", "localhost")
    assert answer.get("type") == "error" and answer.find(".//{*}not-allowed") is not None
    server.ctl("accounts", "enable", "deputy@localhost")
    server.ctl("accounts", "delete", "boss@localhost")


@pytest.mark.parametrize(
    ("password", "sentence"),
    [("pass\x07word", "password has a character that passwords may not have"), ("", "password is empty")],
)
def test_a_password_is_as_users_may_have_them(server: ServerProcess, password: str, sentence: str) -> None:
    assert sentence in server.ctl("accounts", "add", "new@localhost", "--password", password, code=1)
    assert sentence in server.ctl("accounts", "passwd", "romeo@localhost", "--password", password, code=1)


def test_the_length_of_a_password_is_for_all_but_the_operator(server: ServerProcess) -> None:
    server.ctl("accounts", "add", "new@localhost", "--password", "x")
    client = login(server, "new", "x")
    inside = "<username>new</username><password>short</password>"
    answer = client.iq("set", f"<query xmlns='jabber:iq:register'>{inside}</query>")
    assert answer.findtext(".//{*}text") == "a password needs 6 characters"
    boss = login(server, "boss")
    wanted = {"accountjid": "romeo@localhost", "password": "short"}
    assert "a password needs 6 characters" in tostring(admin(boss, "change-user-password", wanted), "unicode")
    wanted = {"accountjid": "made@localhost", "password": "short", "password-verify": "short"}
    assert "a password needs 6 characters" in tostring(admin(boss, "add-user", wanted), "unicode")


def test_newcomers_are_welcomed_and_administrators_told_of_registrations(server: ServerProcess) -> None:
    boss = login(server, "boss").available()
    boss.gets("<message from='localhost'><body>Hello boss@localhost, be nice.</body></message>")
    boss.nothing("<message/>")  # accounts that he made are no registrations
    stranger = Client(server.address("c2s"), "localhost").connect()
    stranger.register("juliet", "secret")
    boss.gets(
        "<message from='localhost'><body>...juliet@localhost has registered, from 127.0.0.1...</body></message>"
    )
    juliet = login(server, "juliet").available()
    juliet.gets("<message from='localhost'><body>Hello juliet@localhost, be nice.</body></message>")


@pytest.mark.sqlite
def test_who_was_not_here_for_long(server: ServerProcess) -> None:
    login(server, "romeo").close()
    assert server.stop() == 0
    with sqlite3.connect(server.data / "jabberd.sqlite") as db:
        db.execute("UPDATE account SET created = created - ?", (100 * DAY,))
    server.start()
    rows = json.loads(server.ctl("accounts", "inactive", "--days", "90", "--json"))
    assert [(row["jid"], row["last login"]) for row in rows] == [
        ("boss@localhost", None),
        ("deputy@localhost", None),
    ]
    assert json.loads(server.ctl("accounts", "inactive", "--days", "200", "--json")) == []
    listed = {row["jid"]: row["last_login"] for row in json.loads(server.ctl("accounts", "list", "--json"))}
    assert (
        listed["romeo@localhost"].startswith(time.strftime("%Y-%m-%d")) and listed["boss@localhost"] is None
    )
