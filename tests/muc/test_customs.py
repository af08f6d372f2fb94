"""What other servers' rooms do where XEP-0045 leaves it open, and what their clients and tests therefore expect."""

from typing import Any

import pytest

from tests.client import Client
from tests.muc.conftest import DATA, MUC, OWNER, USER, Room, condition

pytestmark = pytest.mark.topology("one host")


def test_an_owner_speaks_before_the_room_is_set_up(room: Room, romeo: Client, juliet: Client) -> None:
    room.enter(romeo, "first")
    room.say(romeo, "is anybody here?")
    romeo.gets(f"<message type='groupchat' from='{room}/first'><body>is anybody here?</body></message>")
    room.refused(juliet, "second", "item-not-found")


def test_only_a_password_in_the_form_protects_the_room(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", roomsecret="sesame")
    room.refused(juliet, "second", "not-authorized")
    room.setup(romeo, roomname="Cave")
    room.refused(juliet, "second", "not-authorized")
    room.setup(romeo, roomsecret=[])
    room.enter(juliet, "second")
    juliet.send(f"<presence to='{room}/second' type='unavailable'/>")
    room.setup(romeo, passwordprotectedroom=False, roomsecret="for later")
    room.enter(juliet, "second")


def test_a_ban_of_somebody_outside_is_told_with_its_reason(room: Room, romeo: Client) -> None:
    room.open(romeo, "first")
    assert (
        condition(room.admin(romeo, "jid='tybalt@example.org' affiliation='outcast'|calm down")) == "result"
    )
    item = "<item jid='tybalt@example.org' affiliation='outcast'><reason>calm down</reason></item>"
    romeo.gets(f"<message from='{room}'><x xmlns='{USER}'>{item}<status code='301'/></x></message>")
    assert condition(room.admin(romeo, "jid='nurse@example.org' affiliation='member'")) == "result"
    romeo.gets(
        f"<message from='{room}'><x xmlns='{USER}'><item jid='nurse@example.org' affiliation='member'>"
        "<reason>!absent</reason></item><status code='301'>!absent</status></x></message>"
    )


def test_probes(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    for nick in ("first", "nobody"):
        juliet.send(f"<presence to='{room}/{nick}' type='probe'/>")
        error = juliet.gets(f"<presence type='error' from='{room}/{nick}'/>")
        assert condition(error) == "not-acceptable"
    room.enter(juliet, "second")
    juliet.send(f"<presence to='{room}/first' type='probe'/>")
    room.shows(juliet, "first", "affiliation='owner' role='moderator'")
    juliet.send(f"<presence to='{room}/nobody' type='probe'/>")
    room.shows(juliet, "nobody", "role='none'", gone=True)


def test_the_first_form_that_opens_addresses_is_announced(room: Room, romeo: Client) -> None:
    room.enter(romeo, "first")
    room.setup(romeo, whois="anyone")
    romeo.gets(
        f"<message from='{room}' type='groupchat'><x xmlns='{USER}'><status code='172'/></x></message>"
    )


def test_an_invitation_keeps_the_id_of_the_message(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    romeo.send(f"<message to='{room}' id='come'><x xmlns='{USER}'><invite to='{juliet.bare}'/></x></message>")
    juliet.gets(f"<message from='{room}' id='come'><x xmlns='{USER}'><invite from='...'/></x></message>")


def test_an_occupant_shows_presence_to_the_room_without_a_nick(
    room: Room, romeo: Client, juliet: Client
) -> None:
    room.open(romeo, "first")
    juliet.send(f"<presence to='{room}'><show>away</show></presence>")
    assert condition(juliet.gets(f"<presence type='error' from='{room}'/>")) == "jid-malformed"
    room.enter(juliet, "second")
    juliet.send(f"<presence to='{room}'><show>away</show></presence>")
    for one in (romeo, juliet):
        room.shows(one, "second", more="<show>away</show>")
    juliet.send(f"<presence to='{room}'><x xmlns='{MUC}'/></presence>")
    assert condition(juliet.gets(f"<presence type='error' from='{room}'/>")) == "jid-malformed"


def test_any_number_of_occupants_is_a_limit(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first", maxusers="2")
    form = romeo.iq("get", f"<query xmlns='{OWNER}'/>", to=room.address)
    (field,) = (
        each for each in form.iter(f"{{{DATA}}}field") if each.get("var") == "muc#roomconfig_maxusers"
    )
    values = [each.findtext(f"{{{DATA}}}value") for each in field.iter(f"{{{DATA}}}option")]
    assert field.findtext(f"{{{DATA}}}value") == "2" and "2" in values and "10" in values
    room.enter(juliet, "second")
    room.refused(nurse, "third", "service-unavailable")
    room.admin(romeo, f"jid='{nurse.bare}' affiliation='admin'")
    room.enter(nurse, "third")


@pytest.mark.parametrize(
    "closed", [{}, {"publicroom": False}, {"membersonly": True}, {"roomsecret": "sesame"}], ids=str
)
def test_all_learn_who_is_in_a_room_that_all_may_enter(
    room: Room, romeo: Client, juliet: Client, closed: dict[str, Any]
) -> None:
    room.open(romeo, "first", **closed)
    items = juliet.iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", to=room.address)
    assert [each.get("jid") for each in items[0]] == ([] if closed else [f"{room}/first"])


@pytest.mark.parametrize("nick", ["", "/second"])
def test_a_client_that_sends_an_error_as_presence_is_out(
    room: Room, romeo: Client, juliet: Client, nick: str
) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    juliet.send(f"<presence to='{room}{nick}' type='error'/>")
    for each in (juliet, romeo):
        each.gets(
            f"<presence type='unavailable' from='{room}/second'><x xmlns='{USER}'><status code='333'/></x></presence>"
        )
