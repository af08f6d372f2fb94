"""XEP-0045 section 7: what occupants do. Tests are named by the numbers of the examples, in the order of the text."""

import time
from typing import Any

import pytest

from tests.client import Client
from tests.muc.conftest import DATA, MUC, USER, Room, condition

ONE = pytest.mark.topology("one host")
REGISTER = "jabber:iq:register"


def test_example_18_to_22_who_enters_sees_the_others_and_then_itself(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.shows(romeo, "second", f"affiliation='none' role='participant' jid='{juliet.jid}'")
    room.ask(nurse, "third", more="<show>away</show>")
    room.shows(nurse, "first", "affiliation='owner' role='moderator' jid='!absent'")
    room.shows(nurse, "second", "affiliation='none' role='participant' jid='!absent'")
    room.shows(nurse, "third", "", 110)
    room.shows(juliet, "third", "jid='!absent'", more=f"<show>away</show><x xmlns='{MUC}'>!absent</x>")
    nurse.gets(f"<message from='{room}' type='groupchat'><subject/><body>!absent</body></message>")


@ONE
def test_section_7_1_the_order_of_what_comes(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.say(romeo, "before")
    romeo.gets("<message><body>before</body></message>")
    juliet.inbox.clear()
    room.ask(juliet, "second")
    juliet.gets("<message><subject/></message>")
    came = [each for each in juliet.inbox if each.get("from", "").startswith(str(room))]
    assert [each.get("from") for each in came] == [f"{room}/first", f"{room}/second", f"{room}/first"]


@ONE
def test_example_19_without_a_nick(room: Room, romeo: Client) -> None:
    romeo.send(f"<presence to='{room}'><x xmlns='{MUC}'/></presence>")
    assert condition(romeo.gets(f"<presence type='error' from='{room}'/>")) == "jid-malformed"


def test_example_23_24_all_see_addresses_in_a_non_anonymous_room(
    room: Room, romeo: Client, juliet: Client
) -> None:
    room.open(romeo, "first", whois="anyone")
    room.ask(juliet, "second")
    room.shows(juliet, "first", f"jid='{romeo.jid}'")
    room.shows(juliet, "second", "", 110, 100)


def test_example_25_26_a_password(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", passwordprotectedroom=True, roomsecret="cauldronburn")
    room.refused(juliet, "second", "not-authorized")
    room.refused(juliet, "second", "not-authorized", "<password>cauldron</password>")
    room.enter(juliet, "second", "<password>cauldronburn</password>")


def test_example_27_members_only(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", membersonly=True)
    room.refused(juliet, "second", "registration-required")
    room.admin(romeo, f"affiliation='member' jid='{juliet.bare}'")
    juliet.gets(
        f"<message from='{room}'><x xmlns='{USER}'><invite from='{room}'/></x></message>"
    )  # example 134
    room.enter(juliet, "second")


def test_example_28_who_is_banned(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.admin(romeo, f"affiliation='outcast' jid='{juliet.bare}'")
    room.refused(juliet, "second", "forbidden")


def test_example_29_a_nick_that_is_taken(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    for nick in ("first", "FIRST", "fir st", "fіrst", "ｆirst"):
        room.refused(juliet, nick, "conflict")


@ONE
def test_example_30_a_full_room(room: Room, romeo: Client, account: Any, make_client: Any) -> None:
    room.open(romeo, "first", maxusers="10")
    for number in range(9):
        room.enter(make_client(), f"someone {number}")
    late = make_client()
    room.refused(late, "late", "service-unavailable")
    room.admin(romeo, f"affiliation='admin' jid='{late.bare}'")
    room.enter(late, "late")


def test_example_31_a_room_that_is_not_set_up(room: Room, romeo: Client, juliet: Client) -> None:
    room.ask(romeo, "first")
    room.shows(romeo, "first", "affiliation='owner' role='moderator'", 110, 201)
    room.refused(juliet, "second", "item-not-found")
    room.setup(romeo)
    room.enter(juliet, "second")


def test_example_33_36_history(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    for number in range(3):
        room.say(romeo, f"line {number}")
        romeo.gets(f"<message><body>line {number}</body></message>")
    room.ask(juliet, "second")
    delay = f"<delay xmlns='urn:xmpp:delay' from='{room}' stamp='...'/>"
    for number in range(3):
        juliet.gets(
            f"<message from='{room}/first' type='groupchat'><body>line {number}</body>{delay}</message>"
        )
    room.shows(juliet, "second", "", 110)


@ONE
@pytest.mark.parametrize(
    ("wish", "number"),
    [("maxchars='0'", 0), ("maxstanzas='2'", 2), ("seconds='180'", 3), ("since='1970-01-01T00:00:00Z'", 3),
     ("since='2999-01-01T00:00:00Z'", 0), ("maxchars='500'", 1), ("maxstanzas='1' seconds='180'", 1), ("maxstanzas='x'", 3)],
)  # fmt: skip
def test_example_35_to_39_less_history(
    room: Room, romeo: Client, juliet: Client, wish: str, number: int
) -> None:
    room.open(romeo, "first")
    for line in range(3):
        room.say(romeo, f"line {line}")
        romeo.gets(f"<message><body>line {line}</body></message>")
    room.ask(juliet, "second", f"<history {wish}/>")
    juliet.gets("<message><subject/></message>")
    assert len([each for each in juliet.inbox if each.find("{jabber:client}body") is not None]) == number


def test_example_40_41_the_subject_comes_last(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    romeo.send(f"<message to='{room}' type='groupchat'><subject>Fire Burn</subject></message>")
    romeo.gets(f"<message from='{room}/first' type='groupchat'><subject>Fire Burn</subject></message>")
    room.ask(juliet, "second")
    delay = f"<delay xmlns='urn:xmpp:delay' from='{room}' stamp='...'/>"
    juliet.gets(
        f"<message from='{room}/first' type='groupchat'><subject>Fire Burn</subject>{delay}</message>"
    )


def test_example_42_groupchat_1_enters(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    juliet.send(f"<presence to='{room}/second'/>")
    room.shows(juliet, "first")
    room.shows(juliet, "second", "", 110)
    room.shows(romeo, "second")


@ONE
def test_groupchat_1_makes_rooms_that_are_open_at_once(room: Room, romeo: Client, juliet: Client) -> None:
    romeo.send(f"<presence to='{room}/first'/>")
    room.shows(romeo, "first", "affiliation='owner'", 110, 201)
    room.enter(juliet, "second")


def test_example_44_45_a_message_to_all(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.say(juliet, "hello &amp; all", "<extra xmlns='urn:x'/>", "id='m1'")
    text = "<body>hello &amp; all</body><extra xmlns='urn:x'/>"
    for each in (romeo, juliet):
        each.gets(f"<message from='{room}/second' type='groupchat' id='m1'>{text}</message>")
    room.say(nurse, "from outside", attributes="id='m2'")
    assert condition(nurse.gets("<message type='error' id='m2'/>")) == "not-acceptable"


def test_example_46_47_a_private_message(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    juliet.send(f"<message to='{room}/first' type='chat' id='p1'><body>psst</body></message>")
    romeo.gets(
        f"<message from='{room}/second' type='chat' id='p1'><body>psst</body><x xmlns='{USER}'/></message>"
    )
    juliet.send(f"<message to='{room}/nobody' type='chat' id='p2'><body>psst</body></message>")
    assert condition(juliet.gets("<message type='error' id='p2'/>")) == "item-not-found"
    nurse.send(f"<message to='{room}/first' type='chat' id='p3'><body>psst</body></message>")
    assert condition(nurse.gets("<message type='error' id='p3'/>")) == "not-acceptable"


@ONE
def test_example_48_groupchat_to_one(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    juliet.send(f"<message to='{room}/first' type='groupchat' id='p1'><body>psst</body></message>")
    assert condition(juliet.gets("<message type='error' id='p1'/>")) == "bad-request"


def test_example_49_50_another_nick(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.shows(romeo, "second")
    juliet.send(f"<presence to='{room}/oldhag'/>")
    room.shows(romeo, "second", "nick='oldhag' role='participant'", 303, gone=True)
    room.shows(romeo, "oldhag", f"role='participant' jid='{juliet.jid}'")
    room.shows(juliet, "second", "nick='oldhag'", 303, 110, gone=True)
    room.shows(juliet, "oldhag", "", 110)
    room.say(juliet, "who am I?")
    romeo.gets(f"<message from='{room}/oldhag'><body>who am I?</body></message>")


@ONE
def test_example_52_another_nick_that_is_taken(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    juliet.send(f"<presence to='{room}/first'/>")
    assert condition(juliet.gets(f"<presence type='error' from='{room}/first'/>")) == "conflict"
    juliet.send(f"<presence to='{room}/Second'/>")  # one's own nick, otherwise written
    room.shows(juliet, "Second", "", 110)


def test_example_54_55_availability(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    juliet.send(f"<presence to='{room}/second'><show>xa</show><status>gone</status></presence>")
    room.shows(romeo, "second", more="<show>xa</show><status>gone</status>")
    room.shows(juliet, "second", "", 110, more="<show>xa</show>")


def test_example_56_to_59_an_invitation(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first", passwordprotectedroom=True, roomsecret="cauldronburn")
    invite = f"<invite to='{juliet.bare}'><reason>Hey</reason><continue thread='e0ff'/></invite>"
    romeo.send(f"<message to='{room}'><x xmlns='{USER}'>{invite}</x></message>")
    juliet.gets(
        f"<message from='{room}'><x xmlns='{USER}'><invite from='{romeo.jid}'><reason>Hey</reason><continue thread='e0ff'/>"
        f"</invite><password>cauldronburn</password></x><x xmlns='jabber:x:conference' jid='{room}'>Hey</x></message>"
    )
    juliet.send(
        f"<message to='{room}'><x xmlns='{USER}'><decline to='{romeo.bare}'><reason>busy</reason></decline></x></message>"
    )
    decline = f"<decline from='{juliet.bare}'><reason>busy</reason></decline>"
    romeo.gets(f"<message from='{room}'><x xmlns='{USER}'>{decline}</x></message>")
    nurse.send(f"<message to='{room}' id='d'><x xmlns='{USER}'><decline to='{romeo.bare}'/></x></message>")
    assert condition(nurse.gets("<message type='error' id='d'/>")) == "item-not-found"


def test_who_invites_nobody_learns_so(room: Room, romeo: Client) -> None:
    """Section 7.8.2: an address that does not exist."""
    room.open(romeo, "first")
    nobody = f"nobody@{romeo.domain}"
    romeo.send(f"<message to='{room}' id='i'><x xmlns='{USER}'><invite to='{nobody}'/></x></message>")
    error = romeo.gets(
        f"<message from='{room}' type='error' id='i'><x xmlns='{USER}'><invite to='{nobody}'/></x></message>"
    )
    assert condition(error) == "item-not-found"


@ONE
def test_who_leaves_before_the_room_is_set_up_learns_that_it_goes(
    room: Room, romeo: Client, juliet: Client
) -> None:
    """Section 10.1.3. The answer has the id of the presence that left: Smack waits for that one (muc#stable_id)."""
    room.enter(romeo, "first")
    romeo.send(f"<presence to='{room}/first' type='unavailable' id='leave1'/>")
    gone = (
        f"<x xmlns='{USER}'><item affiliation='none' role='none'/><destroy><reason>...</reason></destroy>"
        "<status code='110'/></x>"
    )
    romeo.gets(f"<presence from='{room}/first' type='unavailable' id='leave1'>{gone}</presence>")
    room.enter(juliet, "second")  # whoever comes next makes it anew


def test_example_65_to_76_registration(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    form = juliet.iq("get", f"<query xmlns='{REGISTER}'/>", to=room.address)
    assert form.find(f".//{{{DATA}}}field[@var='muc#register_roomnick']") is not None
    assert condition(register(room, juliet, "first")) == "conflict"
    assert condition(juliet.iq("set", f"<query xmlns='{REGISTER}'/>", to=room.address)) == "bad-request"
    assert condition(register(room, juliet, "second")) == "result"
    room.shows(romeo, "second", "affiliation='member' role='participant'")
    known = juliet.iq("get", f"<query xmlns='{REGISTER}'/>", to=room.address)
    assert known.find(f".//{{{REGISTER}}}registered") is not None
    assert known.findtext(f".//{{{REGISTER}}}username") == "second"
    juliet.send(f"<presence to='{room}/second' type='unavailable'/>")
    room.shows(romeo, "second", gone=True)
    room.refused(nurse, "second", "conflict")
    node = "<query xmlns='http://jabber.org/protocol/disco#info' node='x-roomuser-item'/>"
    assert juliet.iq("get", node, to=room.address)[0][0].get("name") == "second"  # examples 77 and 78
    assert len(nurse.iq("get", node, to=room.address)[0]) == 0
    juliet.iq("set", f"<query xmlns='{REGISTER}'><remove/></query>", to=room.address)
    room.enter(nurse, "second")


@ONE
def test_example_67_68_where_one_cannot_register(room: Room, romeo: Client, juliet: Client) -> None:
    assert condition(juliet.iq("get", f"<query xmlns='{REGISTER}'/>", to=room.address)) == "item-not-found"
    room.open(romeo, "first", membersonly=True)
    assert condition(juliet.iq("get", f"<query xmlns='{REGISTER}'/>", to=room.address)) == "not-allowed"


def register(room: Room, client: Client, nick: str) -> Any:
    fields = f"<field var='FORM_TYPE'><value>{MUC}#register</value></field>"
    fields += f"<field var='muc#register_roomnick'><value>{nick}</value></field>"
    x = f"<x xmlns='{DATA}' type='submit'>{fields}</x>"
    return client.iq("set", f"<query xmlns='{REGISTER}'>{x}</query>", to=room.address)


def test_example_79_and_108_109_voice_is_asked_for(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", moderatedroom=True)
    room.enter(juliet, "second")
    room.shows(romeo, "second", "role='visitor'")
    room.say(juliet, "may I?", attributes="id='v'")
    assert condition(juliet.gets("<message type='error' id='v'/>")) == "forbidden"
    form_type = f"<field var='FORM_TYPE'><value>{MUC}#request</value></field>"
    ask = f"<x xmlns='{DATA}' type='submit'>{form_type}<field var='muc#role'><value>participant</value></field></x>"
    juliet.send(f"<message to='{room}'>{ask}</message>")
    asked = romeo.gets(f"<message from='{room}'><x xmlns='{DATA}' type='form'/></message>")
    fields = {each.get("var"): each.findtext(f"{{{DATA}}}value") for each in asked.iter(f"{{{DATA}}}field")}
    assert (fields["muc#roomnick"], fields["muc#jid"]) == ("second", juliet.jid)
    fields["muc#request_allow"] = "1"
    answer = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    romeo.send(f"<message to='{room}'><x xmlns='{DATA}' type='submit'>{answer}</x></message>")
    room.shows(juliet, "second", "role='participant'", 110)
    room.say(juliet, "thank you")
    romeo.gets("<message><body>thank you</body></message>")


def test_example_80_to_83_leaving(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    juliet.send(f"<presence to='{room}/second' type='unavailable'><status>bye</status></presence>")
    room.shows(juliet, "second", "affiliation='none' role='none'", 110, gone=True)
    room.shows(romeo, "second", "role='none'", gone=True, more="<status>bye</status>")


def test_a_client_that_goes_offline_leaves(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    juliet.close()
    room.shows(romeo, "second", "role='none'", gone=True)


def test_section_7_2_1_who_is_in_and_enters_gets_all_again(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.shows(romeo, "second")
    room.ask(juliet, "second")
    room.shows(juliet, "first")
    room.shows(juliet, "second", "", 110)
    juliet.gets("<message><subject/></message>")
    romeo.nothing(f"<presence from='{room}/second'/>")


def test_two_sessions_under_one_nick(room: Room, romeo: Client, juliet: Client, make_client: Any) -> None:
    other = make_client(juliet.account, resource="garden")
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.enter(other, "second")
    room.say(romeo, "to both")
    for each in (juliet, other):
        each.gets("<message><body>to both</body></message>")
    romeo.send(f"<message to='{room}/second' type='chat'><body>psst</body></message>")
    for each in (juliet, other):
        each.gets("<message type='chat'><body>psst</body></message>")
    other.send(f"<presence to='{room}/second' type='unavailable'/>")
    room.shows(other, "second", "", 110, gone=True)
    romeo.nothing(f"<presence from='{room}/second' type='unavailable'/>")
    juliet.send(f"<presence to='{room}/second' type='unavailable'/>")
    room.shows(romeo, "second", gone=True)


def test_xep_0410_a_ping_to_oneself(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    ping = "<ping xmlns='urn:xmpp:ping'/>"
    assert condition(romeo.iq("get", ping, to=f"{room}/first")) == "result"
    assert condition(juliet.iq("get", ping, to=f"{room}/first")) == "not-acceptable"
    assert condition(juliet.iq("get", ping, to=f"{Room(room.service)}/first")) == "not-acceptable"


def test_an_iq_between_occupants_shows_no_address(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    juliet.send(f"<iq type='get' id='v1' to='{room}/first'><query xmlns='jabber:iq:version'/></iq>")
    asked = romeo.gets(f"<iq type='get' from='{room}/second'><query xmlns='jabber:iq:version'/></iq>")
    answer = (
        f"<iq type='result' id='{asked.get('id')}' to='{room}/second'><query xmlns='jabber:iq:version'/></iq>"
    )
    romeo.send(answer)
    juliet.gets(f"<iq type='result' id='v1' from='{room}/first'><query xmlns='jabber:iq:version'/></iq>")
    card = juliet.iq("get", "<vCard xmlns='vcard-temp'/>", to=f"{room}/first")
    assert card.get("from") == f"{room}/first" and condition(card) == "service-unavailable"


def test_who_asks_an_occupant_for_keys_gets_those_of_the_account(
    room: Room, romeo: Client, juliet: Client
) -> None:
    """processone/ejabberd#4093: OMEMO, vCard4 and avatars are nodes of the account (XEP-0163), whatever client is in."""
    room.open(romeo, "first")
    room.enter(juliet, "second")
    node, ns = "urn:xmpp:omemo:2:devices", "http://jabber.org/protocol/pubsub"
    options = f"<field var='FORM_TYPE'><value>{ns}#publish-options</value></field>"
    options += "<field var='pubsub#access_model'><value>open</value></field>"
    for access, wanted in (("open", "result"), ("presence", "presence-subscription-required")):
        item = "<item id='current'><devices xmlns='urn:xmpp:omemo:2'><device id='7'/></devices></item>"
        form = f"<x xmlns='jabber:x:data' type='submit'>{options.replace('>open<', f'>{access}<')}</x>"
        publish = f"<publish node='{node}:{access}'>{item}</publish><publish-options>{form}</publish-options>"
        assert condition(romeo.iq("set", f"<pubsub xmlns='{ns}'>{publish}</pubsub>")) == "result"
        answer = juliet.iq(
            "get", f"<pubsub xmlns='{ns}'><items node='{node}:{access}'/></pubsub>", to=f"{room}/first"
        )
        assert answer.get("from") == f"{room}/first"
        if wanted == "result":
            assert answer.find(".//{urn:xmpp:omemo:2}device").get("id") == "7"  # type: ignore[union-attr]
        else:
            assert answer.find(f".//{{{ns}#errors}}{wanted}") is not None


def test_xep_0421_the_same_id_under_any_nick(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    own = room.enter(juliet, "second", more="<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>")
    ids = [each.get("id") for each in own.iter("{urn:xmpp:occupant-id:0}occupant-id")]
    assert len(ids) == 1 and ids[0] != "forged"
    juliet.send(f"<presence to='{room}/third'/>")
    room.say(juliet, "me", "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>")
    said = romeo.gets(f"<message from='{room}/third'><body>me</body></message>")
    assert [each.get("id") for each in said.iter("{urn:xmpp:occupant-id:0}occupant-id")] == ids


def test_what_only_the_room_says_is_taken_out(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    forged = f"<x xmlns='{USER}'><item affiliation='owner' role='moderator'/><status code='110'/></x>"
    stamp = (
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{room}' id='1'/><origin-id xmlns='urn:xmpp:sid:0' id='o'/>"
    )
    room.enter(juliet, "second", more=forged)
    shown = room.shows(romeo, "second")
    assert len(list(shown.iter(f"{{{USER}}}item"))) == 1
    room.say(juliet, "me", forged + stamp)
    said = romeo.gets("<message><body>me</body><origin-id xmlns='urn:xmpp:sid:0' id='o'/></message>")
    assert said.find(f"{{{USER}}}x") is None
    assert [each.get("id") == "1" for each in said.iter("{urn:xmpp:sid:0}stanza-id")] == [
        False
    ]  # the room's own


@ONE
def test_times_are_not_ahead(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.say(romeo, "line")
    romeo.gets("<message><body>line</body></message>")
    room.ask(juliet, "second")
    late = juliet.gets("<message><body>line</body></message>")
    stamp = late.find("{urn:xmpp:delay}delay").get("stamp")  # type: ignore[union-attr]
    assert str(stamp)[:13] in {
        time.strftime("%Y-%m-%dT%H", time.gmtime(time.time() - ago)) for ago in (0, 60)
    }


@ONE
def test_the_nick_of_ones_own_other_client(
    room: Room, romeo: Client, juliet: Client, make_client: Any
) -> None:
    other = make_client(juliet.account, resource="garden")
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.enter(other, "third")
    other.send(f"<presence to='{room}/second'/>")
    room.shows(romeo, "third", "nick='second'", 303, gone=True)
    room.shows(other, "third", "nick='second'", 303, 110, gone=True)
    room.shows(other, "second", "", 110)
    room.say(romeo, "to both")
    for each in (juliet, other):
        each.gets("<message><body>to both</body></message>")


def test_who_blocks_another_occupant_stays(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    juliet.iq("set", f"<block xmlns='urn:xmpp:blocking'><item jid='{room}/first'/></block>")
    room.say(romeo, "you will not see this")
    romeo.gets("<message><body>you will not see this</body></message>")
    room.say(juliet, "still here")
    romeo.gets("<message><body>still here</body></message>")


@ONE
@pytest.mark.parametrize("nick", ["/help", "a@b/c", "a &amp; b", "\U0001f9d9"])
def test_odd_nicks_are_nicks(room: Room, romeo: Client, juliet: Client, nick: str) -> None:
    room.open(romeo, "first")
    room.enter(juliet, nick)
    room.shows(romeo, nick)
    room.say(juliet, "here")
    romeo.gets(f"<message from='{room}/{nick}'><body>here</body></message>")
