"""Long lists, and administrators of the server in other people's rooms."""

import time
from typing import Any

import pytest

from tests.client import Client
from tests.conftest import Place
from tests.muc.conftest import MUC, OWNER, Room, condition

pytestmark = pytest.mark.topology("one host")


def test_a_ban_list_of_thousands(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    """Others' pings are answered meanwhile, and who is banned stays out."""
    room.open(romeo, "first")
    room.enter(nurse, "third")
    for part in range(4):
        items = "".join(
            f"<item affiliation='outcast' jid='spammer{number}@bad{part}.example'/>" for number in range(1000)
        )
        romeo.send(
            f"<iq type='set' id='ban{part}' to='{room}'><query xmlns='{MUC}#admin'>{items}</query></iq>"
        )
    slowest = 0.0
    for _ in range(40):
        begun = time.monotonic()
        nurse.sync()
        slowest = max(slowest, time.monotonic() - begun)
    for part in range(4):
        assert condition(romeo.gets(f"<iq id='ban{part}'/>", 30)) == "result"
    assert slowest < 1.0, slowest
    banned = room.admin(romeo, "affiliation='outcast'", kind="get")
    assert len(banned[0]) == 4000
    room.admin(romeo, f"affiliation='outcast' jid='{juliet.bare}'")
    room.refused(juliet, "second", "forbidden")


def test_administrators_of_the_server_enter_and_repair_but_own_nothing(
    start_server: Any, account: Any, make_client: Any
) -> None:
    config: dict[str, Any] = {
        "hosts": {"localhost": {"admins": ["boss@localhost"]}},
        "modules": {"register": {"enabled": True, "per_address": 0}},
    }
    server = start_server(config)
    server.ctl("accounts", "add", "boss@localhost", "--password", "secret")
    place = Place(server, "localhost")
    romeo, juliet = make_client(account("romeo", place)), make_client(account("juliet", place))
    boss = Client(server.address("c2s"), "localhost").login("boss", "secret").available()
    room = Room("conference.localhost").open(
        romeo, "first", membersonly=True, passwordprotectedroom=True, roomsecret="x"
    )
    room.admin(romeo, f"affiliation='outcast' jid='{boss.bare}'")
    room.enter(boss, "boss")
    room.shows(romeo, "boss", "affiliation='outcast'")
    form = boss.iq("get", f"<query xmlns='{OWNER}'/>", to=room.address)
    assert form.get("type") == "result"
    room.setup(boss, membersonly=False)
    assert condition(room.admin(boss, f"affiliation='owner' jid='{juliet.bare}'")) == "result"
    owners = room.admin(romeo, "affiliation='owner'", kind="get")
    assert {each.get("jid") for each in owners[0]} == {romeo.bare, juliet.bare}
    boss.close()
