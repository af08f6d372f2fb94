"""profanity, in a terminal: create, configure, join, talk, subject, invite, kick, ban."""

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.people import Profanity
from tests.client import Client
from tests.muc.conftest import USER, Room, condition


@pytest.mark.timeout(120)
@pytest.mark.topology("one host")
def test_a_room_in_a_terminal(
    topology: Any, room: Room, juliet: Client, account: Any, tmp_path: Path
) -> None:
    place = topology.romeo
    benvolio = account("benvolio", place)
    terminal = Profanity(tmp_path / "home")
    try:
        port = place.server.address("c2s")[1]
        terminal.types(f"/connect {benvolio.bare} server 127.0.0.1 port {port} tls trust")
        terminal.sees("Enter password:")
        terminal.types(benvolio.password)
        terminal.sees("logged in successfully")
        terminal.types(f"/join {room} nick first")
        terminal.sees("Room locked, requires configuration")
        terminal.types("/room config")
        terminal.sees("field1")
        terminal.types("/field1 Orchard")
        terminal.types("/form submit")
        terminal.sees("Room configuration successful")
        info = juliet.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to=room.address)
        assert info[0][0].get("name") == "Orchard"
        terminal.types("/win 2")
        terminal.types(f"/invite send {juliet.bare}")
        juliet.gets(f"<message><x xmlns='jabber:x:conference' jid='{room}'/></message>")
        room.enter(juliet, "second")
        terminal.sees(" second")
        terminal.types("Good morrow, cousin.")
        juliet.gets(
            f"<message type='groupchat' from='{room}/first'><body>Good morrow, cousin.</body></message>"
        )
        room.say(juliet, "Is the day so young?")
        terminal.sees("second: Is the day so young?")
        terminal.types('/subject set "But new struck nine"')
        juliet.gets(f"<message from='{room}/first'><subject>But new struck nine</subject></message>")
        terminal.types("/kick second out")
        room.shows(juliet, "second", f"role='none'|<reason xmlns='{USER}'>out</reason>", 307, gone=True)
        room.enter(juliet, "second")
        terminal.types(f"/ban {juliet.bare} out")
        room.shows(juliet, "second", "affiliation='outcast'", 301, gone=True)
        room.ask(juliet, "second")
        assert condition(juliet.gets("<presence type='error'/>")) == "forbidden"
        terminal.types("/leave")
    finally:
        terminal.kill()
