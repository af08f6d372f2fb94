"""What people do to rooms who mean no good: refused, or bounded."""

from typing import Any

import pytest

from tests.client import Client
from tests.conftest import Place
from tests.muc.conftest import ADMIN, MUC, USER, Room, condition

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


def test_a_burst_of_new_rooms(start_server: Any, account: Any, make_client: Any) -> None:
    """They are counted before the store has them, over all sessions of the account."""
    server = _server(start_server, permissions={"rooms_per_user": 3})
    romeo = make_client(account("romeo", Place(server, "localhost")))
    phone = make_client(romeo.account)
    for client in (romeo, phone):
        client.send(
            "".join(
                f"<presence to='{client.resource.lower()}{number}@conference.localhost/x'><x xmlns='{MUC}'/></presence>"
                for number in range(20)
            )
        )
    for client in (romeo, phone):
        client.sync("conference.localhost")
    made = [
        each
        for client in (romeo, phone)
        for each in client.inbox
        if any(status.get("code") == "201" for status in each.iter(f"{{{USER}}}status"))
    ]
    assert len(made) == 3
    for client in (romeo, phone):
        errors = [condition(each) for each in client.inbox if each.get("type") == "error"]
        assert set(errors) <= {"resource-constraint"}


def test_who_has_no_voice_does_not_get_it_by_registration(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first", moderatedroom=True)
    form = (
        "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>"
        f"{MUC}#register</value></field><field var='muc#register_roomnick'><value>me</value></field></x></query>"
    )
    room.enter(juliet, "second")
    for who in (juliet, nurse):
        assert condition(who.iq("set", form, to=room.address)) == "not-allowed"
    room.setup(romeo, moderatedroom=False)
    room.enter(nurse, "third")
    room.admin(romeo, "nick='third' role='visitor'")
    assert condition(nurse.iq("set", form, to=room.address)) == "not-allowed"
    assert condition(juliet.iq("set", form, to=room.address)) == "result"


def test_marks_that_only_the_room_may_make(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    forged = (
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{room}' id='1'/>"
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{str(room).upper()}' id='2'/>"
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{room}/first' id='4'/>"
        f"<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/><x xmlns='{USER}'><item role='moderator'/></x>"
        f"<delay xmlns='urn:xmpp:delay' from='{room}' stamp='2001-01-01T00:00:00Z'/>"
        f"<delay xmlns='urn:xmpp:delay' from='{room.service.upper()}' stamp='2001-01-01T00:00:00Z'/>"
    )
    for to, kind in ((room.address, "groupchat"), (f"{room}/first", "chat")):
        juliet.send(f"<message to='{to}' type='{kind}'><body>{kind}</body>{forged}</message>")
        got = romeo.gets(f"<message type='{kind}'><body>{kind}</body></message>")
        ids = [each.get("by") for each in got.iter("{urn:xmpp:sid:0}stanza-id")]
        assert room.address.upper() not in ids and ids.count(room.address) == (kind == "groupchat")
        assert [each.get("id") for each in got.iter("{urn:xmpp:sid:0}stanza-id")].count("1") == 0
        assert [each.get("id") for each in got.iter("{urn:xmpp:occupant-id:0}occupant-id")] not in (
            [],
            ["forged"],
        )
        assert not list(got.iter("{urn:xmpp:delay}delay")) and not list(got.iter(f"{{{USER}}}item"))
    juliet.send(f"<presence to='{room}/second'>{forged}</presence>")
    got = room.shows(romeo, "second", "role='participant'")
    assert [each.get("id") for each in got.iter("{urn:xmpp:occupant-id:0}occupant-id")] != ["forged"]
    assert len(list(got.iter(f"{{{USER}}}x"))) == 1


@pytest.mark.parametrize(
    "nick",
    [
        "ʀᴏᴍᴇᴏ",
        "RОМEО",
        "ｒｏｍｅｏ",
        "𝐫𝐨𝐦𝐞𝐨",
        "rοmeο",
        "ro meo",
        "rօmeօ",
        "r0meo",
        "rorneo",
        "romeo\u2800",
        "rom\u033deo",
        "ro\u0338meo",
        "ro\u2800meo",
    ],
)
def test_nicks_that_look_like_anothers(room: Room, romeo: Client, juliet: Client, nick: str) -> None:
    room.open(romeo, "romeo")
    room.refused(juliet, nick, "conflict")
    room.enter(juliet, "second")
    juliet.send(f"<presence to='{room}/{nick}'/>")
    assert condition(juliet.gets("<presence type='error'/>")) == "conflict"


def test_a_long_goodbye_is_not_passed_on(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    juliet.send(f"<presence to='{room}/second' type='unavailable'><status>{'x' * 20_000}</status></presence>")
    gone = room.shows(romeo, "second", gone=True)
    assert gone.find("{jabber:client}status") is None


def test_who_asks_for_voice_all_the_time(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", moderatedroom=True)
    room.enter(juliet, "second")
    field = "<field var='muc#role'><value>participant</value></field>"
    form = f"<field var='FORM_TYPE'><value>{MUC}#request</value></field>{field}"
    for _ in range(10):
        juliet.send(f"<message to='{room}'><x xmlns='jabber:x:data' type='submit'>{form}</x></message>")
    assert condition(juliet.gets(f"<message type='error' from='{room}'/>")) == "resource-constraint"
    juliet.sync(room.service)
    romeo.sync()
    asked = [each for each in romeo.inbox if each.find("{jabber:x:data}x") is not None]
    assert 1 <= len(asked) < 10


def test_strangers_learn_nothing(room: Room, romeo: Client, juliet: Client) -> None:
    """Whether somebody has a nick, who is in, who is a member, what was said: not even by the kind of the error."""
    room.open(romeo, "first", publicroom=False)
    room.say(romeo, "a secret")
    romeo.gets("<message><body>a secret</body></message>")
    questions = [
        ("get", "<ping xmlns='urn:xmpp:ping'/>"), ("get", "<vCard xmlns='vcard-temp'/>"),
        ("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>"), ("get", "<query xmlns='jabber:iq:version'/>"),
    ]  # fmt: skip
    for kind, payload in questions:
        known, unknown = (
            condition(juliet.iq(kind, payload, to=f"{room}/{nick}")) for nick in ("first", "nobody")
        )
        assert known == unknown != "result"
    for kind in ("affiliation='owner'", "affiliation='member'", "role='moderator'"):
        assert condition(room.admin(juliet, kind, kind="get")) == "forbidden"
    assert condition(juliet.iq("set", "<query xmlns='urn:xmpp:mam:2'/>", to=room.address)) == "forbidden"
    items = juliet.iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", to=room.address)
    assert not len(items[0])
    for to in (str(room), f"{room}/first"):
        juliet.send(f"<presence to='{to}' type='probe'/>")
        juliet.send(f"<presence to='{to}' type='subscribe'/>")
        for kind in ("chat", "normal", "headline", "groupchat"):
            juliet.send(f"<message to='{to}' type='{kind}' id='{kind}'><body>hello</body></message>")
            juliet.gets(f"<message type='error' id='{kind}' from='{to}'/>")
    romeo.nothing("<message><body>hello</body></message>")
    assert condition(juliet.gets(f"<presence type='error' from='{room}/first'/>")) == "not-acceptable"
    juliet.nothing("<presence/>")
    listed = juliet.iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", to=room.service)
    assert room.address not in [each.get("jid") for each in listed[0]]


def test_errors_and_rooms_in_a_loop(room: Room, romeo: Client, juliet: Client) -> None:
    """An error is never answered; one room invites another, and that is all."""
    other = Room(room.service).open(juliet, "second")
    room.open(romeo, "first")
    room.enter(juliet, "second")
    error = "<error type='cancel'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    for nick in ("", "/second", "/nobody"):
        romeo.send(f"<message to='{room}{nick}' type='error' id='e'>{error}</message>")
        romeo.send(f"<presence to='{other}{nick}' type='error' id='e'>{error}</presence>")
    romeo.send(f"<message to='{room}' type='groupchat'>{error}<body>no error</body></message>")
    romeo.gets("<message type='groupchat'><body>no error</body></message>")
    invite = f"<x xmlns='{USER}'><invite to='{other}'/><invite to='{room}'/><invite to='{other}/second'/></x>"
    romeo.send(f"<message to='{room}'>{invite}</message>")
    romeo.sync(room.service)
    juliet.sync(room.service)
    room.say(romeo, "still here")
    juliet.gets("<message><body>still here</body></message>")
    other.say(juliet, "here, too")
    juliet.gets("<message><body>here, too</body></message>")


def test_questions_to_occupants_go_through_the_room(room: Room, romeo: Client, juliet: Client) -> None:
    """Section 14, "IQ relay": the addresses stay hidden, answers find who asked, and nobody else can answer."""
    room.open(romeo, "first")
    room.enter(juliet, "second")
    juliet.iq("set", "<vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard>")
    answer = romeo.iq("get", "<vCard xmlns='vcard-temp'/>", to=f"{room}/second")
    assert answer.findtext(".//{vcard-temp}FN") == "Juliet" and answer.get("from") == f"{room}/second"
    romeo.send(f"<iq type='get' id='q1' to='{room}/second'><query xmlns='urn:example:verona'/></iq>")
    asked = juliet.gets(f"<iq type='get' from='{room}/first'><query xmlns='urn:example:verona'/></iq>")
    juliet.send(f"<iq type='result' id='forged-q1' to='{room}/first'/>")
    juliet.send(
        f"<iq type='result' id='{asked.get('id')}' to='{room}/first'><query xmlns='urn:example:verona' seconds='3'/></iq>"
    )
    got = romeo.gets("<iq id='q1'/>")
    assert (
        got.get("type") == "result"
        and got.get("from") == f"{room}/second"
        and juliet.bare not in str(got.attrib)
    )
    romeo.nothing("<iq/>")


def test_who_enters_again_and_again_has_the_limits_of_who_changes(
    start_server: Any, account: Any, make_client: Any
) -> None:
    server = _server(start_server, limits={"presences": 0.01, "presence_burst": 5})
    romeo, juliet = _two(server, account, make_client)
    room = Room("conference.localhost").open(romeo, "first")
    room.enter(juliet, "second")
    again = f"<presence to='{room}/second'><x xmlns='{MUC}'/>"
    juliet.send(f"{again}<status>{'x' * 5000}</status></presence>")
    assert condition(juliet.gets("<presence type='error'/>")) == "policy-violation"
    for _ in range(6):
        juliet.send(f"{again}</presence>")
    assert condition(juliet.gets("<presence type='error'/>")) == "resource-constraint"
    juliet.sync()
    romeo.nothing(f"<presence from='{room}/second'><status/></presence>")


def test_one_request_names_nobody_twice(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", membersonly=True)
    items = [f"affiliation='{each}' jid='{juliet.bare}'" for each in ("member", "none", "member")]
    assert condition(room.admin(romeo, *items)) == "bad-request"
    room.admin(romeo, "affiliation='member' nick='first'")  # an owner stays: nothing has changed
    juliet.nothing("<message/>")
    room.submit(romeo, membersonly=False)
    room.enter(juliet, "second")
    voices = [f"role='{each}' nick='second'" for each in ("visitor", "participant")]
    assert condition(room.admin(romeo, *voices)) == "bad-request"


def test_many_new_members_are_not_many_invitations(start_server: Any, account: Any, make_client: Any) -> None:
    server = _server(start_server, invitations={"rate": 0.01, "at_once": 2})
    romeo, juliet = _two(server, account, make_client)
    room = Room("conference.localhost").open(romeo, "first", membersonly=True)
    for number in range(4):
        room.admin(romeo, f"affiliation='member' jid='m{number}@localhost'")
    room.admin(romeo, f"affiliation='member' jid='{juliet.bare}'")
    juliet.nothing(f"<message from='{room}'/>")
    room.enter(juliet, "second")


def test_registration_has_the_limits_of_the_lists(start_server: Any, account: Any, make_client: Any) -> None:
    server = _server(
        start_server, admin={"affiliations": 10}, limits={"presences": 0.01, "presence_burst": 4}
    )
    romeo, juliet = _two(server, account, make_client)
    room = Room("conference.localhost").open(romeo, "first")

    def register(nick: str) -> Any:
        return juliet.iq(
            "set",
            "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>"
            "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#register</value></field>"
            f"<field var='muc#register_roomnick'><value>{nick}</value></field></x></query>",
            to=room.address,
        )

    room.admin(romeo, *(f"affiliation='member' jid='m{number}@example.org'" for number in range(9)))
    assert condition(register("second")) == "resource-constraint"
    room.admin(romeo, "affiliation='none' jid='m1@example.org'")
    assert register("second").get("type") == "result"
    assert register("third").get("type") == "result"
    assert (
        condition(room.admin(romeo, "affiliation='member' jid='m2@example.org' nick='THIRD'")) == "conflict"
    )
    room.admin(romeo, "affiliation='member' jid='m2@example.org' nick='second'")  # it is free again
    assert register("fourth").get("type") == "result"
    assert condition(register("fifth")) == "resource-constraint"


def test_voice_is_for_who_has_asked(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first", moderatedroom=True)
    room.enter(juliet, "good")
    room.enter(nurse, "bad")
    form = (
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#request</value>"
        "</field><field var='muc#role'><value>participant</value></field>{}</x>"
    )
    juliet.send(f"<message to='{room}'>{form.format('')}</message>")
    romeo.gets("<message><x xmlns='jabber:x:data' type='form'/></message>")
    juliet.send(f"<presence to='{room}/gone'/>")
    juliet.gets(f"<presence from='{room}/gone'/>")
    nurse.send(f"<presence to='{room}/good'/>")
    nurse.gets(f"<presence from='{room}/good'/>")
    fields = {"muc#jid": juliet.jid, "muc#roomnick": "good", "muc#request_allow": "true"}
    granted = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    romeo.send(f"<message to='{room}' id='v'>{form.format(granted)}</message>")
    assert condition(romeo.gets("<message type='error' id='v'/>")) == "item-not-found"


@pytest.mark.parametrize("most", ["1", "3", " 12 "])
def test_any_number_of_occupants_may_be_the_most(
    room: Room, romeo: Client, juliet: Client, most: str
) -> None:
    room.open(romeo, "first")
    room.submit(romeo, maxusers=most)
    shown = romeo.iq("get", "<query xmlns='http://jabber.org/protocol/muc#owner'/>", to=room.address)
    field = next(each for each in shown.iter() if each.get("var") == "muc#roomconfig_maxusers")
    values = [each.text for each in field.iter() if each.tag.endswith("}value")]
    assert values.count(most.strip()) == 2  # what it is, and one of the options
    assert condition(room.submit(romeo, maxusers="0")) == "not-acceptable"
    assert condition(room.submit(romeo, maxusers="many")) == "not-acceptable"


@pytest.mark.topology("one host")
def test_two_owners_who_throw_each_other_out_leave_one(room: Room, romeo: Client, juliet: Client) -> None:
    """Each change is allowed when it is looked at, and the list is so long that others have their turns before its end."""
    room.open(romeo, "first")
    room.admin(romeo, f"jid='{juliet.bare}' affiliation='owner'")
    items = [f"<item jid='u{n}@elsewhere.example' affiliation='outcast'/>" for n in range(300)]
    for one, other in ((romeo, juliet), (juliet, romeo)):
        inner = "".join((*items, f"<item jid='{other.bare}' affiliation='none'/>"))
        one.send(f"<iq type='set' id='out' to='{room}'><query xmlns='{ADMIN}'>{inner}</query></iq>")
    answers = [each.gets("<iq id='out'/>") for each in (romeo, juliet)]
    assert [condition(each) for each in answers].count("result") == 1
    winner = romeo if condition(answers[0]) == "result" else juliet
    owners = room.admin(winner, "affiliation='owner'", kind="get")
    assert [each.get("jid") for each in owners[0]] == [winner.bare]


@pytest.mark.topology("one host")
def test_invitations_of_one_user_are_counted_over_all_rooms(service: str, romeo: Client) -> None:
    invites = "".join(f"<invite to='u{n}@elsewhere.example'/>" for n in range(20))
    for number in range(3):  # of twenty at once, and as many more
        room = Room(service).open(romeo, "first")
        romeo.send(f"<message to='{room}' id='i{number}'><x xmlns='{USER}'>{invites}</x></message>")
    assert condition(romeo.gets("<message type='error' id='i2'/>")) == "resource-constraint"


@pytest.mark.parametrize(("nick", "other"), [("Alice", "AIice"), ("modern", "rnodern"), ("bill", "B|11")])
def test_letters_that_look_alike(room: Room, romeo: Client, juliet: Client, nick: str, other: str) -> None:
    room.open(romeo, nick)
    room.refused(juliet, other, "conflict")


def test_a_password_is_not_guessed(start_server: Any, account: Any, make_client: Any) -> None:
    server = _server(start_server, password={"tries": 3, "refill": "1h"}, limits={"nicks": 2})
    romeo, juliet = _two(server, account, make_client)
    room = Room("conference.localhost").open(romeo, "first", passwordprotectedroom=True, roomsecret="secret")
    for number in range(3):
        room.refused(juliet, "second", "not-authorized", f"<password>{number}</password>")
    room.refused(juliet, "second", "resource-constraint", "<password>secret</password>")
    room.setup(romeo, passwordprotectedroom=False)
    other, third = (make_client(juliet.account) for _ in range(2))
    room.enter(juliet, "second")
    room.enter(other, "other")
    room.refused(third, "third", "resource-constraint")
    room.enter(third, "second")  # sessions may share a nick


def test_a_message_has_one_subject_for_each_language(room: Room, romeo: Client) -> None:
    room.open(romeo, "first")
    for number, inner in enumerate(
        ("<subject/><subject/>", "".join(f"<subject xml:lang='l{n}'/>" for n in range(21)))
    ):
        romeo.send(f"<message to='{room}' type='groupchat' id='s{number}'>{inner}</message>")
        assert condition(romeo.gets(f"<message type='error' id='s{number}'/>")) == "bad-request"


def test_a_room_that_was_destroyed_does_not_come_back(room: Room, romeo: Client, juliet: Client) -> None:
    """Its avatar and its end come at the same time."""
    for _ in range(5):
        room.open(romeo, "first", persistentroom=True)
        photo = "<PHOTO><TYPE>image/png</TYPE><BINVAL>AAAA</BINVAL></PHOTO>"
        romeo.send(
            f"<iq type='set' id='v' to='{room}'><vCard xmlns='vcard-temp'>{photo}</vCard></iq>"
            f"<iq type='set' id='d' to='{room}'><query xmlns='{MUC}#owner'><destroy/></query></iq>"
        )
        romeo.gets("<iq id='v'/>")
        romeo.gets("<iq type='result' id='d'/>")
        romeo.inbox.clear()
    answer = juliet.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to=room.address)
    assert condition(answer) == "item-not-found"


def test_a_report_names_few_messages(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.say(romeo, "bad")
    said = juliet.gets("<message><body>bad</body></message>")
    badge = said.find("{urn:xmpp:occupant-id:0}occupant-id").get("id")  # type: ignore[union-attr]
    ids = "".join(f"<stanza-id xmlns='urn:xmpp:sid:0' by='{room}' id='{n}'/>" for n in range(3000))
    report = (
        f"<report-participant xmlns='urn:xmpp:gcreport:0'><occupant-id xmlns='urn:xmpp:occupant-id:0' id='{badge}'/>"
        f"<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>{ids}</report></report-participant>"
    )
    assert condition(juliet.iq("set", report, to=room.address)) == "result"
    romeo.gets(f"<message from='{room}'><body>...</body></message>")
