"""XEP-0045 section 10: owners. Tests are named by the numbers of the examples."""

from typing import Any

import pytest

from tests.client import Client
from tests.conftest import Place
from tests.muc.conftest import DATA, MUC, OWNER, USER, Room, condition

ONE = pytest.mark.topology("one host")


def _form(room: Room, client: Client) -> dict[str, list[str]]:
    answer = client.iq("get", f"<query xmlns='{OWNER}'/>", to=room.address)
    assert answer.get("type") == "result", answer
    return {
        str(each.get("var")): [value.text or "" for value in each.findall(f"{{{DATA}}}value")]
        for each in answer.iter(f"{{{DATA}}}field")
    }


@pytest.mark.topology("two servers")
def test_example_152_strangers_make_no_rooms(room: Room, romeo: Client, juliet: Client) -> None:
    room.refused(juliet, "first", "not-allowed")


def test_example_153_to_155_an_instant_room(room: Room, romeo: Client, juliet: Client) -> None:
    room.ask(romeo, "first")
    room.shows(romeo, "first", "affiliation='owner' role='moderator'", 110, 201)
    room.setup(romeo)
    room.enter(juliet, "second")


def test_example_156_to_160_a_reserved_room(room: Room, romeo: Client, juliet: Client) -> None:
    room.enter(romeo, "first")
    form = _form(room, romeo)
    assert form["FORM_TYPE"] == [f"{MUC}#roomconfig"]
    assert form["muc#roomconfig_roomowners"] == [romeo.bare]
    assert form["muc#roomconfig_whois"] == ["moderators"]
    admins = ["a@example.org", "b@example.org"]
    room.setup(romeo, roomname="A Dark Cave", membersonly=True, roomadmins=admins, lang="en")
    form = _form(room, romeo)
    assert form["muc#roomconfig_roomname"] == ["A Dark Cave"]
    assert form["muc#roomconfig_membersonly"] == ["1"]
    assert sorted(form["muc#roomconfig_roomadmins"]) == admins
    room.refused(juliet, "second", "registration-required")
    room.setup(romeo, roomdesc="where witches meet")  # what a form does not name stays
    form = _form(room, romeo)
    assert form["muc#roomconfig_roomname"] == ["A Dark Cave"]
    assert form["muc#roomconfig_roomdesc"] == ["where witches meet"]


@ONE
@pytest.mark.parametrize(
    ("fields", "error"),
    [({"passwordprotectedroom": True, "roomsecret": ""}, "not-acceptable"), ({"whois": "nobody"}, "not-acceptable"),
     ({"maxusers": "1.5"}, "not-acceptable"), ({"membersonly": "perhaps"}, "not-acceptable"),
     ({"roomname": "x" * 300}, "not-acceptable"), ({"roomadmins": ["@"]}, "not-acceptable"),
     ({"roomowners": []}, "conflict"), ({"roomname": ["a", "b"]}, "not-acceptable"), ({"nonsense": "1"}, "result")],
)  # fmt: skip
def test_example_161_what_is_not_acceptable(
    room: Room, romeo: Client, fields: dict[str, Any], error: str
) -> None:
    room.enter(romeo, "first")
    assert condition(room.submit(romeo, **fields)) == error


def test_example_162_cancelled_at_first(room: Room, romeo: Client, juliet: Client) -> None:
    room.enter(romeo, "first")
    cancel = f"<query xmlns='{OWNER}'><x xmlns='{DATA}' type='cancel'/></query>"
    assert condition(romeo.iq("set", cancel, to=room.address)) == "result"
    room.shows(romeo, "first", "affiliation='none' role='none'", 110, gone=True)
    info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    assert condition(juliet.iq("get", info, to=room.address)) == "item-not-found"


def test_example_163_to_166_later(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    for kind, inner in (("get", ""), ("set", f"<x xmlns='{DATA}' type='submit'/>")):
        assert (
            condition(juliet.iq(kind, f"<query xmlns='{OWNER}'>{inner}</query>", to=room.address))
            == "forbidden"
        )
    cancel = f"<query xmlns='{OWNER}'><x xmlns='{DATA}' type='cancel'/></query>"
    assert condition(romeo.iq("set", cancel, to=room.address)) == "result"
    room.say(juliet, "still here")
    romeo.gets("<message><body>still here</body></message>")


def test_example_167_to_170_affiliations_by_the_form(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.setup(romeo, roomadmins=[juliet.bare])
    room.shows(juliet, "second", "affiliation='admin' role='moderator'", 110)
    room.setup(romeo, roomadmins=[])
    room.shows(juliet, "second", "affiliation='none' role='participant'", 110)
    room.setup(romeo, roomowners=[romeo.bare, juliet.bare])
    room.shows(juliet, "second", "affiliation='owner' role='moderator'", 110)
    room.setup(juliet, roomowners=[juliet.bare])
    room.shows(romeo, "first", "affiliation='admin' role='moderator'", 110)


def test_example_171_what_has_changed(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    for fields, code in (
        ({"whois": "anyone"}, 172),
        ({"whois": "moderators"}, 173),
        ({"roomname": "Cave"}, 104),
    ):
        room.setup(romeo, **fields)
        juliet.gets(
            f"<message from='{room}' type='groupchat'><x xmlns='{USER}'><status code='{code}'/></x></message>"
        )
        if code == 172:
            room.shows(juliet, "first", f"jid='{romeo.jid}'")


def test_section_10_2_members_only_now(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.setup(romeo, membersonly=True)
    room.shows(juliet, "second", "role='none'", 322, 110, gone=True)
    room.shows(romeo, "second", "role='none'", 322, gone=True)


def test_example_172_to_199_owners_and_admins(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    assert condition(room.admin(romeo, f"affiliation='admin' jid='{romeo.bare}'")) == "conflict"
    room.admin(romeo, f"affiliation='owner' jid='{juliet.bare}'|A worthy witch")
    room.shows(juliet, "second", "affiliation='owner' role='moderator'", 110)
    owners = room.admin(romeo, "affiliation='owner'", kind="get")
    assert {each.get("jid") for each in owners[0]} == {romeo.bare, juliet.bare}
    room.admin(juliet, f"affiliation='admin' jid='{romeo.bare}'")
    room.shows(romeo, "first", "affiliation='admin' role='moderator'", 110)
    assert condition(room.admin(romeo, "affiliation='owner' jid='x@example.org'")) == "forbidden"
    assert condition(room.admin(romeo, "affiliation='admin' jid='x@example.org'")) == "forbidden"
    room.admin(juliet, f"affiliation='none' jid='{romeo.bare}'")
    room.shows(romeo, "first", "affiliation='none' role='participant'", 110)
    assert condition(room.admin(romeo, "affiliation='owner'", kind="get")) == "forbidden"


def test_example_201_to_204_the_end(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", persistentroom=True)
    room.enter(juliet, "second")
    destroy = f"<query xmlns='{OWNER}'><destroy jid='other@chat.example'><reason>Macbeth doth come.</reason></destroy></query>"
    assert condition(juliet.iq("set", destroy, to=room.address)) == "forbidden"
    assert condition(romeo.iq("set", destroy, to=room.address)) == "result"
    why = "<destroy jid='other@chat.example'><reason>Macbeth doth come.</reason></destroy>"
    for each, nick in ((juliet, "second"), (romeo, "first")):
        each.gets(
            f"<presence type='unavailable' from='{room}/{nick}'><x xmlns='{USER}'>"
            f"<item affiliation='none' role='none'/>{why}</x></presence>"
        )
    info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    assert condition(juliet.iq("get", info, to=room.address)) == "item-not-found"


@ONE
def test_a_temporary_room_goes_with_its_last_occupant(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    romeo.send(f"<presence to='{room}/first' type='unavailable'/>")
    room.shows(romeo, "first", gone=True)
    room.ask(juliet, "second")
    room.shows(juliet, "second", "affiliation='owner'", 110, 201)


@ONE
def test_a_room_that_was_not_set_up_goes_with_its_owner(room: Room, romeo: Client, juliet: Client) -> None:
    room.enter(romeo, "first")
    romeo.send(f"<presence to='{room}/first' type='unavailable'/>")
    room.shows(romeo, "first", gone=True)
    room.ask(juliet, "second")
    room.shows(juliet, "second", "affiliation='owner'", 110, 201)


@ONE
def test_a_persistent_room_lasts(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", persistentroom=True, roomname="Cave")
    romeo.send(f"<presence to='{room}/first' type='unavailable'/>")
    room.shows(romeo, "first", gone=True)
    info = juliet.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to=room.address)
    assert info[0][0].get("name") == "Cave"
    room.enter(juliet, "second")
    room.enter(romeo, "first")
    room.shows(juliet, "first", "affiliation='owner'")


def test_an_account_that_goes_leaves_nothing(start_server: Any, account: Any, make_client: Any) -> None:
    server = start_server()
    place = Place(server, "localhost")
    romeo, juliet = make_client(account("romeo", place)), make_client(account("juliet", place))
    room = Room("conference.localhost").open(romeo, "first", persistentroom=True)
    room.admin(romeo, f"affiliation='admin' jid='{juliet.bare}'")
    room.enter(juliet, "second")
    server.ctl("accounts", "delete", juliet.bare)
    room.shows(romeo, "second", gone=True)
    assert len(room.admin(romeo, "affiliation='admin'", kind="get")[0]) == 0
