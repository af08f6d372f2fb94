"""XEP-0045 section 6: what strangers and occupants find. Tests are named by the numbers of the examples."""

import pytest

from tests.client import Client
from tests.muc.conftest import DATA, MUC, Room, condition

INFO, ITEMS = "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items"
RSM = "http://jabber.org/protocol/rsm"
ONE = pytest.mark.topology("one host")


def _info(client: Client, to: str, node: str = "") -> tuple[dict[str, str], set[str], dict[str, list[str]]]:
    answer = client.iq("get", f"<query xmlns='{INFO}'{node and f' node={node!r}'}/>", to=to)
    assert answer.get("type") == "result", condition(answer)
    features = {str(each.get("var")) for each in answer.iter(f"{{{INFO}}}feature")}
    fields = {
        str(each.get("var")): [value.text or "" for value in each.iter(f"{{{DATA}}}value")]
        for each in answer.iter(f"{{{DATA}}}field")
    }
    return dict(answer[0][0].attrib), features, fields


def _rooms(client: Client, service: str, page: str = "") -> list[str]:
    answer = client.iq("get", f"<query xmlns='{ITEMS}'>{page}</query>", to=service)
    return [str(each.get("jid")) for each in answer.iter(f"{{{ITEMS}}}item")]


@ONE
def test_example_1_to_4_the_service(service: str, romeo: Client) -> None:
    assert service in _rooms(romeo, romeo.domain)
    identity, features, _ = _info(romeo, service)
    assert (identity["category"], identity["type"]) == ("conference", "text")
    assert {MUC, f"{MUC}#stable_id", "urn:xmpp:occupant-id:0", INFO, ITEMS, "urn:xmpp:ping"} <= features


def test_example_5_6_public_rooms(room: Room, romeo: Client, juliet: Client) -> None:
    room.enter(romeo, "first")
    assert room.address not in _rooms(juliet, room.service)  # it is not set up yet
    room.setup(romeo, roomname="Cave")
    assert room.address in _rooms(juliet, room.service)
    room.setup(romeo, publicroom=False)
    assert room.address not in _rooms(juliet, room.service)


@ONE
def test_example_7_a_page_of_rooms(room: Room, romeo: Client) -> None:
    rooms = sorted(Room(room.service).open(romeo, "first").address for _ in range(3))
    page = f"<set xmlns='{RSM}'><max>2</max><after>{rooms[0]}</after></set>"
    found = _rooms(romeo, room.service, page)
    assert found[0] > rooms[0] and len(found) == 2
    everything = _rooms(romeo, room.service, f"<set xmlns='{RSM}'><max>1000</max></set>")
    assert set(rooms) <= set(everything) and everything == sorted(everything)
    last = _rooms(romeo, room.service, f"<set xmlns='{RSM}'><max>1</max><before/></set>")
    assert last == everything[-1:]


def test_example_8_to_10_a_room(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", roomname="A Dark Cave", roomdesc="The place", lang="en", membersonly=True)
    romeo.send(f"<message to='{room}' type='groupchat'><subject>Spells</subject></message>")
    romeo.gets("<message><subject>Spells</subject></message>")
    identity, features, fields = _info(juliet, room.address)
    assert identity == {"category": "conference", "type": "text", "name": "A Dark Cave"}
    kinds = {
        "muc_membersonly",
        "muc_public",
        "muc_semianonymous",
        "muc_temporary",
        "muc_unmoderated",
        "muc_unsecured",
    }
    assert {MUC, f"{MUC}#stable_id", f"{MUC}#self-ping-optimization", *kinds} <= features
    assert fields["FORM_TYPE"] == [f"{MUC}#roominfo"]
    assert fields["muc#roominfo_description"] == ["The place"]
    assert fields["muc#roominfo_occupants"] == ["1"]
    assert fields["muc#roominfo_subject"] == ["Spells"]
    assert fields["muc#roominfo_lang"] == ["en"]


@ONE
def test_example_11_to_13_only_occupants_see_who_is_in(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", publicroom=False)
    assert _rooms(juliet, room.address) == []
    assert _rooms(romeo, room.address) == [f"{room}/first"]


@ONE
def test_section_6_6_a_stranger_asks_an_occupant(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    assert condition(juliet.iq("get", f"<query xmlns='{INFO}'/>", to=f"{room}/first")) == "bad-request"


@ONE
def test_example_223_to_225_what_passes(room: Room, romeo: Client) -> None:
    room.open(romeo, "first")
    answer = romeo.iq("get", f"<query xmlns='{INFO}' node='{MUC}#traffic'/>", to=room.address)
    assert condition(answer) == "service-unavailable"
    answer = romeo.iq("get", f"<query xmlns='{INFO}' node='nonsense'/>", to=room.address)
    assert condition(answer) == "item-not-found"


@ONE
def test_a_name_that_nobody_has(service: str, romeo: Client) -> None:
    answer = romeo.iq("get", f"<unique xmlns='{MUC}#unique'/>", to=service)
    assert len(answer[0].text or "") > 10


@pytest.mark.topology("one host")
def test_those_who_are_in_come_in_pages(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.enter(nurse, "third")

    def page(more: str) -> tuple[list[str | None], str | None]:
        asked = f"<query xmlns='{ITEMS}'><set xmlns='http://jabber.org/protocol/rsm'>{more}</set></query>"
        answer = romeo.iq("get", asked, to=room.address)
        if answer.get("type") == "error":
            return [], condition(answer)
        return [each.get("name") for each in answer.iter(f"{{{ITEMS}}}item")], answer.findtext(
            ".//{http://jabber.org/protocol/rsm}count"
        )

    assert page("<max>2</max>") == (["first", "second"], "3")
    assert page("<max>2</max><after>second</after>") == (["third"], "3")
    assert page("<max>2</max><before/>") == (["second", "third"], "3")
    assert page("<max>2</max><before>second</before>") == (["first"], "3")
    assert page("<max>1</max><index>1</index>") == (["second"], "3")
    assert page("<max>0</max>") == ([], "3")
    assert page("<after>nobody</after>") == ([], "item-not-found")
    assert page("<max>many</max>") == ([], "bad-request")
