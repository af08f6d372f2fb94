"""What people do to rooms who mean no good: refused, or bounded."""

from typing import Any

import pytest

from tests.client import Client
from tests.conftest import Place
from tests.muc.conftest import MUC, USER, Room, condition

pytestmark = pytest.mark.topology("one host")


def _server(start_server: Any, **options: Any) -> Any:
    modules = {"register": {"enabled": True, "per_address": 0}}
    return start_server(
        {"hosts": {"localhost": {}}, "modules": modules, "services": {"rooms": {"modules": options}}}
    )


def _two(server: Any, account: Any, make_client: Any) -> tuple[Client, Client]:
    place = Place(server, "localhost")
    first, second = (make_client(account(name, place)) for name in ("romeo", "juliet"))
    return first, second


def test_rooms_of_one_user(start_server: Any, account: Any, make_client: Any) -> None:
    romeo, juliet = _two(_server(start_server, permissions={"rooms_per_user": 3}), account, make_client)
    for _ in range(3):
        Room("conference.localhost").open(romeo, "first")
    Room("conference.localhost").refused(romeo, "first", "resource-constraint")
    Room("conference.localhost").open(juliet, "first")


def test_floods_of_messages_and_nicks(start_server: Any, account: Any, make_client: Any) -> None:
    server = _server(
        start_server, limits={"messages": 0.01, "burst": 5, "presences": 0.01, "presence_burst": 5}
    )
    romeo, juliet = _two(server, account, make_client)
    room = Room("conference.localhost").open(romeo, "first")
    room.enter(juliet, "second")
    for number in range(6):
        room.say(juliet, f"line {number}", attributes=f"id='m{number}'")
    assert condition(juliet.gets("<message type='error'/>")) == "resource-constraint"
    romeo.gets("<message><body>line 4</body></message>")
    romeo.nothing("<message><body>line 5</body></message>")
    for number in range(6):
        juliet.send(f"<presence to='{room}/nick{number}'/>")
    assert condition(juliet.gets("<presence type='error'/>")) == "resource-constraint"


@pytest.mark.parametrize("nick", ["x" * 200, "\u200d\u200d", "a" * 101])
def test_nicks_that_nobody_can_read(room: Room, romeo: Client, juliet: Client, nick: str) -> None:
    room.open(romeo, "first")
    room.ask(juliet, nick)
    error = condition(juliet.gets("<presence type='error'/>"))
    assert error in ("not-acceptable", "jid-malformed")


def test_a_visitor_has_no_subject_and_no_way_around(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", moderatedroom=True, changesubject=True)
    room.enter(juliet, "second")
    for number, inner in enumerate(("<subject>mine</subject>", "<body/>", "", "<x xmlns='urn:x'/>")):
        juliet.send(f"<message to='{room}' type='groupchat' id='v{number}'>{inner}</message>")
        assert condition(juliet.gets(f"<message type='error' id='v{number}'/>")) == "forbidden"
    assert condition(room.admin(juliet, "nick='second' role='participant'")) == "forbidden"
    assert condition(room.admin(juliet, f"affiliation='owner' jid='{juliet.bare}'")) == "forbidden"


def test_a_password_or_membership_is_not_got_around_by_another_session(
    room: Room, romeo: Client, juliet: Client, make_client: Any
) -> None:
    room.open(romeo, "first", passwordprotectedroom=True, roomsecret="secret")
    room.enter(juliet, "second", "<password>secret</password>")
    room.refused(make_client(juliet.account, resource="garden"), "second", "not-authorized")
    juliet.send(
        f"<presence to='{room}/first' type='unavailable'/>"
    )  # whatever nick it names, it is juliet who goes
    room.shows(romeo, "second", gone=True)
    juliet.send(f"<presence to='{room}/second'/>")
    assert condition(juliet.gets("<presence type='error'/>")) == "not-authorized"


def test_who_is_out_cannot_speak_for_another(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    nurse.send(f"<presence to='{room}/second' type='unavailable'/>")
    nurse.send(f"<message to='{room}/second' type='error'><error type='cancel'/></message>")
    nurse.send(f"<iq type='result' id='x' to='{room}/second'/>")
    romeo.nothing(f"<presence from='{room}/second' type='unavailable'/>")
    invite = f"<x xmlns='{USER}'><invite to='{romeo.bare}'/></x>"
    nurse.send(f"<message to='{room}' id='i'>{invite}</message>")
    assert condition(nurse.gets("<message type='error' id='i'/>")) == "not-acceptable"


def test_too_many_in_one_form_or_list(room: Room, romeo: Client) -> None:
    room.open(romeo, "first")
    items = [f"affiliation='member' jid='m{number}@example.org'" for number in range(1001)]
    assert condition(room.admin(romeo, *items)) == "policy-violation"
    assert (
        condition(room.submit(romeo, roomadmins=[f"a{number}@example.org" for number in range(1001)]))
        == "not-acceptable"
    )


def test_a_hidden_room_is_not_listed_and_not_told(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", publicroom=False)
    romeo.send(f"<message to='{room}' type='groupchat'><subject>a secret</subject></message>")
    romeo.gets("<message><subject>a secret</subject></message>")
    info = juliet.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to=room.address)
    assert not [each for each in info.iter() if each.text == "a secret"]
    assert f"{MUC}" in {each.get("var") for each in info.iter()}
