"""`jabberctl rooms`."""

import json
from typing import Any

import pytest

from tests.client import Client
from tests.muc.conftest import Room
from tests.muc.test_subscriptions import subscribe

pytestmark = pytest.mark.topology("one host")


def test_rooms_by_jabberctl(topology: Any, room: Room, romeo: Client, juliet: Client) -> None:
    ctl = topology.romeo.server.ctl
    ctl("rooms", "create", room.address, romeo.bare)
    assert room.address in ctl("rooms", "list")
    room.enter(juliet, "second")
    room.enter(romeo, "first")
    room.shows(juliet, "first", "affiliation='owner'")
    ctl("rooms", "affiliation", room.address, juliet.bare, "admin", "--reason", "worthy")
    room.shows(juliet, "second", "affiliation='admin' role='moderator'", 110)
    ctl("rooms", "config", room.address, "roomname", "Cave")
    juliet.gets("<message><x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x></message>")
    shown = json.loads(ctl("rooms", "show", room.address, "--json"))
    assert shown["settings"]["roomname"] == "Cave" and shown["subscribers"] == {}
    ctl("rooms", "config", room.address, "allow_subscription", "yes")
    subscribe(room, juliet, "second")
    assert json.loads(ctl("rooms", "show", room.address, "--json"))["subscribers"] == {juliet.bare: "second"}
    with pytest.raises(AssertionError, match="did you mean 'roomname'"):
        ctl("rooms", "config", room.address, "roomnam", "x")
    assert {each["nick"] for each in shown["occupants"]} == {"first", "second"}
    room.say(juliet, "one")
    romeo.gets("<message><body>one</body></message>")
    kept = json.loads(ctl("rooms", "archive", room.address, "--last", "1", "--json"))
    assert [(each["nick"], each["text"]) for each in kept] == [("second", "one")]
    ctl("rooms", "kick", room.address, "second", "--reason", "out")
    room.shows(juliet, "second", "role='none'|<reason>out</reason>", 307, 110, gone=True)
    ctl("rooms", "destroy", room.address)
    romeo.gets(f"<presence type='unavailable' from='{room}/first'/>")
    assert room.address not in ctl("rooms", "list")
    with pytest.raises(AssertionError, match="there is no such room"):
        ctl("rooms", "show", room.address)
