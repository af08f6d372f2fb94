"""A client of other people administers the server."""

import json
import subprocess
import sys
from pathlib import Path

from tests.admin.conftest import BOSS
from tests.conftest import Place


def test_slixmpp_runs_commands_as_administrator(place: Place) -> None:
    server = place.server
    setting = {
        "jid": BOSS, "password": "secret", "port": server.address("c2s")[1],
        "ca": str(server.data / "certificates/localhost.pem"),
    }  # fmt: skip
    program = [sys.executable, str(Path(__file__).parent / "slix_admin.py"), json.dumps(setting)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout, done.stderr
    assert json.loads(done.stdout) == {
        "listed": ["http://jabber.org/protocol/admin#add-user"],
        "added": "completed",
        "again": "conflict",
        "online": True,
        "shown": "slix@localhost",
        "here": True,
        "deleted": "completed",
    }
