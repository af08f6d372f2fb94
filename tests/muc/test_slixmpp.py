"""A client of other people: create, set up, invite, talk, subject, archive, ping, kick, ban, destroy."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.muc.conftest import Room


@pytest.mark.topology("one host")
def test_slixmpp_in_a_room(topology: Any, room: Room, account: Any) -> None:
    server = topology.romeo.server
    people = [account(name, topology.romeo) for name in ("romeo", "juliet")]
    settings = {
        "room": room.address,
        "port": server.address("c2s")[1],
        "ca": str(server.data / f"certificates/{topology.romeo.domain}.pem"),
        "people": [{"jid": each.bare, "password": each.password} for each in people],
    }
    program = [sys.executable, str(Path(__file__).parent / "slix_room.py"), json.dumps(settings)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout, done.stderr
    assert json.loads(done.stdout) == {
        "invited": True,
        "roster": ["juliet", "romeo"],
        "talk": True,
        "subject": True,
        "name": "Orchard",
        "ping": "result",
        "bodies": ["hello"],
        "members": [people[1].bare],
        "banned": "forbidden",
    }
