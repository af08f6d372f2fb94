"""Every example of XEP-0045 that a service answers has a test that is named by its number, counted from the top of the text.

Those of the big dialogues are in the other files of this folder; here is what is left, and the account of all."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client
from tests.conftest import Place
from tests.muc.conftest import DATA, MUC, OWNER, USER, Room, condition
from tests.muc.test_occupants import REGISTER, register
from tests.test_reload import rewrite

ONE = pytest.mark.topology("one host")
ALL = range(1, 226)
NO_ANSWER = {
    **dict.fromkeys(range(14, 18), "a contact's client is asked"),
    60: "two people talk without a room",
    158: "there always is something to configure",
    **dict.fromkeys(range(208, 213), "entries of a registry"),
    **dict.fromkeys(range(213, 223), "links, and what a client makes of them: examples 18, 26, 56 and 63"),
}


def _numbers(name: str) -> set[int]:
    """`test_example_25_26_a_password`, `test_example_79_and_108_109_voice`, `test_example_84_to_88_the_subject`"""
    words, found = name.removeprefix("test_example_").split("_"), list[int]()
    for at, word in enumerate(words):
        if word.isdigit():
            found += range(found[-1], int(word)) if at and words[at - 1] == "to" else []
            found.append(int(word))
        elif word not in ("to", "and"):
            break
    return set(found)


def test_every_example_has_its_test() -> None:
    tested = set[int]()
    for file in Path(__file__).parent.glob("test_*.py"):
        for name in re.findall(r"^def (test_example_\w+)", file.read_text(), re.MULTILINE):
            tested |= _numbers(name)
    assert set(ALL) - tested - set(NO_ANSWER) == set()


def _goes(room: Room, client: Client, nick: str) -> None:
    client.send(f"<presence to='{room}/{nick}' type='unavailable'/>")


# -- section 7 -----------------------------------------------------------------------------------------------


def test_example_32_the_room_is_logged(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", enablelogging=True, whois="anyone")
    room.ask(juliet, "second")
    room.shows(juliet, "second", "affiliation='none' role='participant'", 100, 110, 170)


def test_example_34_history_of_a_non_anonymous_room_has_addresses(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first", whois="anyone")
    room.say(romeo, "mew")
    romeo.gets("<message><body>mew</body></message>")
    room.ask(juliet, "second")
    of = "<addresses xmlns='http://jabber.org/protocol/address'>"
    of += f"<address type='ofrom' jid='{romeo.jid}'/></addresses>"
    juliet.gets(
        f"<message from='{room}/first' type='groupchat'><body>mew</body><delay xmlns='urn:xmpp:delay'/>{of}</message>"
    )
    room.setup(romeo, whois="moderators")
    room.ask(nurse, "third")
    late = nurse.gets(f"<message from='{room}/first' type='groupchat'><body>mew</body></message>")
    assert romeo.bare not in str([each.attrib for each in late.iter()])


def test_example_43_and_207_a_stranger_sends_presence_and_the_service_goes(
    start_server: Any, account: Any, make_client: Any
) -> None:
    config: dict[str, Any] = {
        "hosts": {"localhost": {}},
        "modules": {"register": {"enabled": True, "per_address": 0}},
        "services": {"rooms": {"groupchat_1": False}},
    }
    server = start_server(config)
    romeo, juliet = (make_client(account(name, Place(server, "localhost"))) for name in ("romeo", "juliet"))
    room = Room("conference.localhost").open(romeo, "first")
    juliet.send(f"<presence to='{room}/second'/>")
    why = "<reason>You are not in the room.</reason>"
    room.shows(juliet, "second", f"affiliation='none' role='none'|{why}", 110, 307, 333, gone=True)
    room.enter(juliet, "second")
    rewrite(server, services={"rooms": False})
    server.ctl("reload")
    room.shows(juliet, "second", "affiliation='none' role='none'", 110, 332, gone=True)
    room.shows(romeo, "first", "role='none'", 110, 332, gone=True)


def test_example_51_and_53_nicks_that_are_locked(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    assert condition(register(room, juliet, "oldhag")) == "result"
    config = {"x-muc#roomconfig_reservednick": "1"}
    _configure(room, romeo, config)
    room.ask(juliet, "thirdwitch")
    room.shows(juliet, "oldhag", "affiliation='member' role='participant'", 110, 210)
    room.shows(romeo, "oldhag")
    juliet.send(f"<presence to='{room}/OldHag'/>")
    room.shows(juliet, "oldhag", "", 110, 210)
    _configure(room, romeo, {"x-muc#roomconfig_canchangenick": "0"})
    juliet.send(f"<presence to='{room}/other' id='n'/>")
    error = juliet.gets(f"<presence type='error' id='n' from='{room}/other'><error by='{room}'/></presence>")
    assert condition(error) == "not-acceptable"
    romeo.send(f"<presence to='{room}/second'/>")  # moderators may
    room.shows(romeo, "second", "", 110)


def test_a_registered_nick_that_another_has_taken_locks_nobody_out(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first")
    room.enter(nurse, "hag")
    room.admin(romeo, f"affiliation='member' jid='{juliet.bare}' nick='hag'")
    room.ask(juliet, "hag")
    room.shows(juliet, "hag 2", "affiliation='member'", 110, 210)
    juliet.send(f"<presence to='{room}/hag'/>")  # still taken: the one that she has stays
    room.shows(juliet, "hag 2", "", 110, 210)
    _goes(room, nurse, "hag")
    room.shows(juliet, "hag", gone=True)
    juliet.send(f"<presence to='{room}/hag'/>")
    room.shows(juliet, "hag", "", 110)


def test_example_61_to_64_a_chat_of_two_goes_on_in_a_room(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first")
    thread, stamp = (
        "<thread>e0ff</thread>",
        f"<delay xmlns='urn:xmpp:delay' from='{romeo.jid}' stamp='2004-09-29T01:54:37Z'/>",
    )
    room.say(romeo, "Thrice the brinded cat hath mew'd.", thread + stamp)
    invites = "".join(
        f"<invite to='{to}'><reason>both</reason><continue thread='e0ff'/></invite>"
        for to in (juliet.jid, nurse.bare)
    )
    romeo.send(f"<message to='{room}'><x xmlns='{USER}'>{invites}</x></message>")
    for each in (juliet, nurse):
        each.gets(
            f"<message from='{room}'><x xmlns='{USER}'><invite from='{romeo.jid}'><reason>both</reason>"
            "<continue thread='e0ff'/></invite></x></message>"
        )
    room.ask(juliet, "second")
    juliet.gets(
        f"<message from='{room}/first' type='groupchat'>{thread}<body>Thrice...</body>{stamp}</message>"
    )


def test_example_77_78_a_reserved_nick(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    node = "<query xmlns='http://jabber.org/protocol/disco#info' node='x-roomuser-item'/>"
    assert len(juliet.iq("get", node, to=room.address)[0]) == 0
    register(room, juliet, "thirdwitch")
    found = juliet.iq("get", node, to=room.address)[0][0].attrib
    assert found == {"category": "conference", "type": "text", "name": "thirdwitch"}


def test_a_nick_that_is_taken_is_answered_with_one_that_is_free(
    room: Room, romeo: Client, juliet: Client
) -> None:
    room.open(romeo, "first")
    answer = register(room, juliet, "First")
    assert condition(answer) == "conflict"
    offer = answer.find(f".//{{{DATA}}}field[@var='muc#register_roomnick']/{{{DATA}}}value")
    assert offer is not None and condition(register(room, juliet, offer.text or "")) == "result"
    form = juliet.iq("get", f"<query xmlns='{REGISTER}'/>", to=room.address)[0]
    assert form.find(f"{{{REGISTER}}}registered") is not None
    assert form.findtext(f"{{{REGISTER}}}username") == offer.text == "First 2"


# -- sections 8 and 9 ----------------------------------------------------------------------------------------


def test_example_102_to_107_the_list_of_voice(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first", moderatedroom=True)
    room.admin(romeo, f"affiliation='admin' jid='{juliet.bare}'")
    room.enter(juliet, "second")
    room.enter(nurse, "third")
    room.admin(romeo, "nick='third' role='participant'")
    found = room.admin(juliet, "role='participant'", kind="get")
    assert [each.attrib for each in found[0]] == [
        {"affiliation": "none", "jid": nurse.jid, "nick": "third", "role": "participant"}
    ]
    both = ("nick='third' role='visitor'|none", "nick='first' role='visitor'")
    assert condition(room.admin(juliet, *both)) == "not-allowed"  # 107; and 102: nothing of it is done
    assert condition(room.admin(romeo, "nick='second' role='visitor'")) == "not-allowed"
    assert len(room.admin(juliet, "role='participant'", kind="get")[0]) == 1
    assert condition(room.admin(juliet, both[0])) == "result"
    room.shows(nurse, "third", "role='visitor'|<reason>none</reason>", 110)


def test_example_129_to_134_and_136_the_list_of_members(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first", passwordprotectedroom=True, roomsecret="cauldronburn")
    room.enter(juliet, "second", "<password>cauldronburn</password>")
    room.admin(romeo, f"affiliation='member' jid='{juliet.bare}' nick='hag'")
    room.shows(romeo, "second", f"affiliation='member' role='participant' jid='{juliet.jid}'")
    listed = room.admin(romeo, "affiliation='member'", kind="get")
    assert [each.attrib for each in listed[0]] == [
        {"affiliation": "member", "jid": juliet.bare, "nick": "hag"}
    ]
    room.setup(romeo, membersonly=True)
    answer = room.admin(
        romeo, f"affiliation='none' jid='{juliet.bare}'", f"affiliation='member' jid='{nurse.bare}'"
    )
    assert condition(answer) == "result"
    room.shows(juliet, "second", "affiliation='none' role='none'", 321, 110, gone=True)
    room.shows(romeo, "second", "affiliation='none'", 321, gone=True)
    nurse.gets(
        f"<message from='{room}'><x xmlns='{USER}'><invite from='{room}'/><password>cauldronburn</password></x></message>"
    )


def test_example_146_to_150_the_list_of_moderators(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.admin(romeo, f"affiliation='admin' jid='{nurse.bare}'")
    room.enter(nurse, "third")
    room.admin(romeo, "nick='second' role='moderator'")
    found = room.admin(nurse, "role='moderator'", kind="get")
    assert {each.get("nick") for each in found[0]} == {"first", "second", "third"}
    answer = room.admin(nurse, "nick='second' role='participant'", "nick='first' role='participant'")
    assert condition(answer) == "not-allowed"
    assert condition(room.admin(nurse, "nick='second' role='participant'")) == "result"
    room.shows(juliet, "second", "role='participant'", 110)


def test_example_151_an_admin_lets_somebody_in(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first", membersonly=True)
    _configure(room, romeo, {"x-muc#roomconfig_membershiprequests": "1"})
    for who, nick in ((juliet, "second"), (nurse, "third")):
        assert condition(register(room, who, nick)) == "result"
        room.refused(who, nick, "registration-required")
        asked = romeo.gets(f"<message from='{room}'><x xmlns='{DATA}' type='form'/></message>")
        fields = {
            each.get("var"): each.findtext(f"{{{DATA}}}value") for each in asked.iter(f"{{{DATA}}}field")
        }
        assert (fields["muc#register_roomnick"], fields["muc#jid"]) == (nick, who.bare)
        fields["muc#register_allow"] = "1" if who is juliet else "0"
        values = "".join(
            f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items()
        )
        decision = f"<message to='{room}' id='d'><x xmlns='{DATA}' type='submit'>{values}</x></message>"
        who.send(decision)
        assert condition(who.gets("<message type='error' id='d'/>")) == "forbidden"
        romeo.send(decision)
    romeo.sync(room.service)
    room.enter(juliet, "second")
    room.refused(nurse, "third", "registration-required")
    romeo.send(decision)
    assert condition(romeo.gets("<message type='error' id='d'/>")) == "item-not-found"


# -- sections 10 and 11 --------------------------------------------------------------------------------------


def test_example_200_the_list_of_admins(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.admin(romeo, f"affiliation='admin' jid='{juliet.bare}'")
    answer = room.admin(
        romeo, f"affiliation='none' jid='{juliet.bare}'", "affiliation='admin' jid='hecate@example.org'"
    )
    assert condition(answer) == "result"
    room.shows(juliet, "second", "affiliation='none' role='participant'", 110)
    listed = room.admin(romeo, "affiliation='admin'", kind="get")
    assert [each.get("jid") for each in listed[0]] == ["hecate@example.org"]


@pytest.mark.topology("two servers")
def test_example_205_206_somebody_cannot_be_reached(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.enter(nurse, "third")
    error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    juliet.send(f"<message to='{room}/first' type='error'>{error}</message>")
    for client, codes in ((juliet, (110, 333)), (romeo, (333,)), (nurse, (333,))):
        gone = room.shows(client, "second", "affiliation='none' role='none'", *codes, gone=True)
        assert not [each for each in gone.iter(f"{{{USER}}}status") if each.get("code") == "307"]


def _configure(room: Room, owner: Client, fields: dict[str, str]) -> None:
    inner = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    form_type = f"<field var='FORM_TYPE'><value>{MUC}#roomconfig</value></field>"
    form = f"<query xmlns='{OWNER}'><x xmlns='{DATA}' type='submit'>{form_type}{inner}</x></query>"
    assert condition(owner.iq("set", form, to=room.address)) == "result"
