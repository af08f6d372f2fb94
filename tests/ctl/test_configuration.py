"""The configuration by command: written with its comments kept, in use at once, undone."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client
from tests.peers import free_port
from tests.server import ServerProcess

FILE = """\
# mine
data: {data}   # where all is
c2s: {{address: 127.0.0.1, port: 0, direct_port: 0}}
s2s:
  enabled: no
  secret: not for you
hosts:
  localhost:   # the only one
    admins: []  # nobody yet
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("configuration")
    server = ServerProcess({}, folder)
    server.stop()
    server.file.write_text(FILE.format(data=folder))
    server.file.chmod(0o604)
    server.start()
    yield server
    server.stop()


def whole(server: ServerProcess) -> str:
    return server.file.read_text()


def asks(
    server: ServerProcess, command: str, option: str = "", value: str | None = None, error: bool = False
) -> Any:
    """What the control socket answers: the result, or, with ``error``, what is wrong."""
    key = "place" if command == "config show" else "option"
    args = ({key: option} if option else {}) | ({"value": value} if value is not None else {})
    return server.ask(command, error=error, **args)


def test_an_option_is_set_at_once_and_comments_stay(server: ServerProcess) -> None:
    before, port = whole(server), free_port()
    answer = asks(server, "config set", "c2s.port", str(port))
    assert answer["changed"] and answer["restart"] == []
    assert whole(server) == before.replace("port: 0,", f"port: {port},", 1)
    assert server.file.stat().st_mode & 0o777 == 0o604
    Client(("127.0.0.1", port), "localhost").connect().close()
    asks(server, "config undo")
    assert whole(server) == before
    with pytest.raises(OSError, match="refused"):
        Client(("127.0.0.1", port), "localhost").connect()


def test_a_list_a_host_with_dots_and_what_needs_a_restart(server: ServerProcess) -> None:
    before = whole(server)
    asks(server, "config set", "hosts.localhost.admins", "[romeo@localhost]")
    assert "    admins: [romeo@localhost]  # nobody yet" in whole(server)
    asks(server, "config set", "hosts.a.example.modules.motd.message", "no: 'way'")
    assert "modules:" in whole(server)
    rows = {row["option"]: row for row in asks(server, "config show", "hosts.a.example.modules.motd")}
    assert rows["hosts.a.example.modules.motd.message"]["value"] == "no: 'way'"
    assert rows["hosts.a.example.modules.motd.message"]["from"].startswith(f"{server.file}:")
    assert asks(server, "config set", "s2s.enabled", "yes")["restart"] == ["s2s.enabled"]
    assert [each["what"] for each in asks(server, "config history")][:3] == [
        "set s2s.enabled", "set hosts.a.example.modules.motd.message", "set hosts.localhost.admins",
    ]  # fmt: skip
    for _ in range(3):
        asks(server, "config undo")
    assert whole(server) == before
    assert "nothing to undo" in asks(server, "config undo", error=True)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("c2s.prot", "1", "c2s.prot: no such option (did you mean 'c2s.port'?)"),
        ("c2s.port", "99999", ":3: c2s.port: must be at most 65535, not 99999"),
        ("c2s.port", "x", ":3: c2s.port: must be a whole number, not 'x'"),
        ("modules.mam.enabled", "perhaps", "modules.mam.enabled: must be yes or no, not 'perhaps'"),
        ("hosts.localhost.admins", "[romeo", "hosts.localhost.admins: cannot read this"),
        (
            "hosts.localhost.admins",
            "[&a [x, x], &b [*a, *a], [*b, *b]]",
            "hosts.localhost.admins: aliases and anchors",
        ),
        (
            "hosts.localhost.admins",
            f"[{'x,' * 1000}]",
            "hosts.localhost.admins: must have at most 1000 values",
        ),
        ("hosts.localhost.admins", "[" * 30 + "]" * 30, "in at most 20 levels"),
        (
            "hosts.localhost.admins",
            f"['{'x' * 70_000}']",
            "hosts.localhost.admins: must have at most 65536 characters",
        ),
        ("tls.ciphers", "NONE", "tls.ciphers: OpenSSL knows no cipher of these"),
        ("c2s.address", "[203.0.113.9]", "cannot listen on 203.0.113.9"),
    ],
)
def test_a_mistake_is_told_as_the_file_would_and_changes_nothing(
    server: ServerProcess, option: str, value: str, said: str
) -> None:
    before = whole(server)
    assert said in asks(server, "config set", option, value, error=True)
    assert whole(server) == before
    assert asks(server, "config history") == []


def test_several_changes_have_bounds_as_well(server: ServerProcess) -> None:
    before = whole(server)
    for changes, said in (
        ("{c2s.port: &a 1, s2s.port: *a}", "changes: aliases and anchors"), ("[" * 30, "changes: must have at most"),
        ("{a: b", "changes: cannot read this"), ("a", "changes: must be a mapping"),
        ("".join(f"a{n}: b\n" for n in range(400)), "changes: at most 300 options"),
    ):  # fmt: skip
        assert said in server.ask("config apply", error=True, changes=changes)
    assert whole(server) == before


def test_secrets_are_masked(server: ServerProcess) -> None:
    asks(server, "config set", "database", "mysql://u:hunter2@db.example/x")
    said = json.dumps([asks(server, "config show"), asks(server, "config show", "s2s")])
    said += json.dumps(asks(server, "config history")) + server.tail()
    assert "hunter2" not in said and "not for you" not in said
    assert "mysql://u:***@db.example/x" in said
    asks(server, "config undo")


def test_who_writes_by_hand_loses_nothing(server: ServerProcess) -> None:
    before = whole(server)
    asks(server, "config set", "log.level", "debug")
    now = whole(server)
    server.file.write_text(now + "# by hand\n")
    assert "was written by hand since the last change (set log.level)" in asks(
        server, "config undo", error=True
    )
    assert whole(server) == now + "# by hand\n"
    server.file.write_text(now)
    asks(server, "config undo")
    assert whole(server) == before


def test_a_variable_that_wins_is_named(server: ServerProcess, tmp_path: Path) -> None:
    assert "JABBERD_HTTP__PORT says otherwise of http.port, and wins" in asks(
        server, "config set", "http.port", "1"
    ).get("note", "")
    asks(server, "config undo")


def test_a_file_that_cannot_be_written_changes_nothing(server: ServerProcess) -> None:
    """A broken link stands for every way in which writing fails."""
    before, kept = whole(server), server.file.with_suffix(".kept")
    server.file.rename(kept)
    server.file.symlink_to(server.data / "nowhere" / "x")
    try:
        assert "cannot" in asks(server, "config set", "log.level", "debug", error=True)
    finally:
        server.file.unlink()
        kept.rename(server.file)
    assert whole(server) == before
    assert asks(server, "config history") == []


def test_a_stopped_server_has_its_configuration_written_as_well(server: ServerProcess) -> None:
    before = whole(server)
    server.stop()
    words = ["--config", str(server.file)]
    server.ctl(*words, "config", "set", "log.level", "warning")
    assert before != whole(server)
    assert ":3: c2s.port" in server.ctl(*words, "config", "set", "c2s.port", "x", code=1)
    server.ctl(*words, "config", "undo")
    assert whole(server) == before
    server.start()
