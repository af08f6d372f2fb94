"""What the start says that an operator should know."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.conftest import CONFIG
from tests.server import ROOT, ServerProcess, environment

Start = Callable[..., ServerProcess]


def said(server: ServerProcess) -> str:
    return server.log.read_text()


def test_open_registration_is_said(start_server: Start) -> None:
    hosts = {"a.example": {}, "b.example": {"modules": {"register": False}}, "c.example": {"anonymous": True}}
    server = start_server({**CONFIG, "hosts": hosts})
    assert "registration is open: anybody may make an account on a.example (modules.register)\n" in said(
        server
    )


def test_options_alone_do_not_open_it_but_are_noticed(start_server: Start) -> None:
    server = start_server({"modules": {"register": {"per_address": 3}, "mam": {"page": 20}}})
    assert "registration is open" not in said(server)
    assert "modules.register has options but is off: 'enabled: true' among them switches it on\n" in said(
        server
    )
    assert "modules.mam has options" not in said(server)


def test_what_is_set_for_this_run_only_is_said(start_server: Start) -> None:
    server = start_server({}, "server", "--set", "log.level=debug", "--set", "c2s.max_depth=100")
    assert (
        f"--set is for this run only (log.level, c2s.max_depth): what is to stay goes into {server.file}\n"
        in said(server)
    )


def test_accounts_of_a_domain_that_is_no_host_now(start_server: Start) -> None:
    server = start_server({"hosts": {"localhost": {}, "old.example": {}}})
    for address in ("you@localhost", "you@old.example", "me@old.example"):
        server.ctl("accounts", "add", address, "--password", "secret")
    config = json.loads(server.file.read_text())
    server.file.write_text(json.dumps({**config, "hosts": {"localhost": {}}}))
    before = len(said(server))
    server.restart()
    now = said(server)[before:]
    assert (
        "there are 2 accounts of old.example, which is no host now (localhost): nobody can log in to them\n"
        in now
    )
    assert "there is no account yet" not in now


def test_a_variable_names_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("hots: [example.org]\n")
    command = [sys.executable, "-m", "jabberd_py", "--set", f"data={tmp_path / 'data'}"]
    done = subprocess.run(command, cwd=ROOT, env=environment() | {"JABBERD_CONFIG": str(file)}, capture_output=True,
                          text=True, timeout=60)  # fmt: skip
    assert done.returncode == 1 and done.stderr.startswith(
        f"jabberd: {file}:1: hots: no such option (did you mean 'hosts'?)"
    )
