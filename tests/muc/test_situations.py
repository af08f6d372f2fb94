"""What users of other servers and clients have reported about rooms: each situation once, and what happens here.
The source stands in the docstring."""

from typing import Any

import pytest

from tests.client import Client
from tests.muc.conftest import DATA, MUC, USER, Room, condition

ONE = pytest.mark.topology("one host")


@ONE
def test_an_owner_who_is_not_in_takes_membership_back(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    """processone/ejabberd#1135, #1435, #1577, MongooseIM MucSub #4410: who is out hears so, and cannot speak any more."""
    room.open(romeo, "first", membersonly=True, persistentroom=True)
    room.admin(romeo, f"jid='{juliet.bare}' affiliation='member'", f"jid='{nurse.bare}' affiliation='member'")
    room.enter(juliet, "second")
    romeo.send(f"<presence to='{room}/first' type='unavailable'/>")
    room.shows(romeo, "first", "", 110, gone=True)
    juliet.inbox.clear()
    assert condition(room.admin(romeo, "nick='second' affiliation='none'")) == "result"
    room.shows(juliet, "second", "affiliation='none' role='none'", 321, 110, gone=True)
    room.say(juliet, "am I still in?", attributes="id='m'")
    assert condition(juliet.gets("<message type='error' id='m'/>")) == "not-acceptable"
    nurse.inbox.clear()
    assert condition(room.admin(romeo, f"jid='{nurse.bare}' affiliation='none'")) == "result"
    nurse.nothing(f"<message from='{room}'/>")


@ONE
def test_a_ban_ends(room: Room, romeo: Client, juliet: Client) -> None:
    """processone/ejabberd#2467: who is banned is not in, so that the nick cannot name them."""
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.admin(romeo, "nick='second' affiliation='outcast'")
    room.shows(juliet, "second", "", 301, 110, gone=True)
    assert condition(room.admin(romeo, f"jid='{juliet.bare}' affiliation='none'")) == "result"
    room.enter(juliet, "second")


@ONE
def test_nobody_bans_himself(room: Room, romeo: Client) -> None:
    """processone/ejabberd#574."""
    room.open(romeo, "first")
    for item in (f"jid='{romeo.bare}' affiliation='outcast'", "nick='first' affiliation='outcast'"):
        assert condition(room.admin(romeo, item)) == "conflict"


@ONE
def test_that_a_room_is_logged_is_told_to_who_enters_only(room: Room, romeo: Client, juliet: Client) -> None:
    """processone/ejabberd#936: not with every change of presence."""
    room.open(romeo, "first", enablelogging=True, whois="anyone")
    room.ask(juliet, "second")
    room.shows(juliet, "second", "", 110, 170, 100)
    juliet.send(f"<presence to='{room}/second'><show>away</show></presence>")
    for one in (romeo, juliet):
        shown = room.shows(one, "second", more="<show>away</show>")
        assert not {"100", "170", "201"} & {each.get("code") for each in shown.iter(f"{{{USER}}}status")}


@ONE
def test_who_is_shown_to_nobody_sees_the_change_of_nick(room: Room, romeo: Client, juliet: Client) -> None:
    """processone/ejabberd#4590."""
    room.open(romeo, "first", presencebroadcast=["moderator"])
    room.enter(juliet, "second")
    juliet.send(f"<presence to='{room}/other'/>")
    room.shows(juliet, "second", "nick='other'", 303, 110, gone=True)
    room.shows(juliet, "other", "", 110)
    romeo.nothing(f"<presence from='{room}/other'/>")
    romeo.nothing(f"<presence from='{room}/second'/>")


@ONE
@pytest.mark.parametrize("nick", ["/help", "a/b", "x@y/z", "\U0001f339", "ünïcode", "'quoted' & <so>"])
def test_nicks_with_other_signs(room: Room, romeo: Client, juliet: Client, nick: str) -> None:
    """profanity-im/profanity#1647 (Prosody): a nick may begin with a slash; others still come in."""
    written = nick.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&apos;")
    room.open(romeo, "first")
    romeo.send(f"<presence to='{room}/{written}'/>")
    room.shows(romeo, written, "", 110)
    room.ask(juliet, "second")
    room.shows(juliet, written)
    room.say(romeo, "hello")
    juliet.gets(f"<message from='{room}/{written}' type='groupchat'><body>hello</body></message>")
    assert condition(room.admin(romeo, f"nick='{written}' affiliation='owner'")) == "result"


@pytest.mark.topology("two servers")
def test_one_client_that_is_gone_takes_no_other_with_it(
    room: Room, romeo: Client, juliet: Client, make_client: Any
) -> None:
    """igniterealtime/Openfire#2867 (OF-3098), #1811 (OF-2209)."""
    phone = make_client(juliet.account, resource="phone")
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.enter(phone, "second")
    gone = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    phone.send(f"<message to='{room}/first' type='error'>{gone}</message>")
    room.shows(phone, "second", "", 110, 333, gone=True)
    room.say(romeo, "still here?")
    juliet.gets("<message type='groupchat'><body>still here?</body></message>")
    romeo.nothing(f"<presence type='unavailable' from='{room}/second'/>")


@ONE
def test_one_user_twice_in_a_room(room: Room, romeo: Client, juliet: Client, make_client: Any) -> None:
    """matrix-org/matrix-bifrost#254, profanity#1172, Openfire#1179, #1186: the second client comes in under the same nick, and
    whichever leaves, the other stays."""
    phone = make_client(juliet.account, resource="phone")
    room.open(romeo, "first")
    for client in (juliet, phone):
        room.enter(client, "second")
    for leaves, stays in ((juliet, phone), (phone, juliet)):
        leaves.send(f"<presence to='{room}/second' type='unavailable'/>")
        room.shows(leaves, "second", "", 110, gone=True)
        room.say(romeo, f"{stays.resource}?")
        stays.gets(f"<message type='groupchat'><body>{stays.resource}?</body></message>")
        room.say(stays, "yes")
        romeo.gets("<message type='groupchat'><body>yes</body></message>")
        room.enter(leaves, "second")
    romeo.nothing(f"<presence type='unavailable' from='{room}/second'/>")


@ONE
def test_a_nick_that_is_taken_hurts_nobody(room: Room, romeo: Client, juliet: Client) -> None:
    """profanity-im/profanity#242, igniterealtime/Openfire#912: after the error all goes on under the old one."""
    room.open(romeo, "first")
    room.enter(juliet, "second")
    juliet.send(f"<presence to='{room}/first' id='n'/>")
    assert condition(juliet.gets(f"<presence type='error' id='n' from='{room}/first'/>")) == "conflict"
    room.say(romeo, "hello")
    juliet.gets("<message type='groupchat'><body>hello</body></message>")
    room.say(juliet, "hello")
    romeo.gets(f"<message type='groupchat' from='{room}/second'><body>hello</body></message>")


@ONE
def test_a_stranger_changes_no_nick(room: Room, romeo: Client, juliet: Client) -> None:
    """igniterealtime/Openfire#1895 (OF-2304)."""
    room.open(romeo, "first", membersonly=True)
    juliet.send(f"<presence to='{room}/first'/>")
    assert condition(juliet.gets("<presence type='error'/>")) in ("registration-required", "conflict")
    romeo.nothing("<presence/>")


@ONE
def test_bad_values_change_nothing(room: Room, romeo: Client) -> None:
    """processone/ejabberd#4337, #1328: an error at once, and no room that nobody can enter afterwards."""
    room.open(romeo, "first", roomname="Cave")
    for field, value in (
        ("maxusers", "few"),
        ("maxusers", "-1"),
        ("whois", "nobody"),
        ("persistentroom", "maybe"),
    ):
        assert condition(room.submit(romeo, roomname="Hall", **{field: value})) == "not-acceptable"
    form = room.submit(romeo)
    assert condition(form) == "result"
    info = romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to=room.address)
    assert info[0][0].get("name") == "Cave"


@ONE
def test_questions_are_always_answered(room: Room, romeo: Client, juliet: Client) -> None:
    """igniterealtime/Openfire#634 (OF-1174), #3444, #2038, horazont/aioxmpp#90: with the right error, by the room."""
    room.open(romeo, "first")
    for to in (room.address, f"{room}/first", f"{room}/nobody", room.service, f"nosuchroom@{room.service}"):
        for kind in ("get", "set"):
            assert condition(romeo.iq(kind, "<query xmlns='urn:example:unknown'/>", to=to) if to != f"{room}/first"
                             else juliet.iq(kind, "<query xmlns='urn:example:unknown'/>", to=to)) != "result"  # fmt: skip
    answer = juliet.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to=f"{room}/second")
    error = answer.find("{jabber:client}error")
    assert (condition(answer), error.get("type"), error.get("by")) == (
        "not-acceptable",
        "cancel",
        room.address,
    )
    assert condition(romeo.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to=f"{room}/first")) == "result"


@ONE
def test_an_account_that_goes_leaves_no_membership(
    room: Room, romeo: Client, juliet: Client, make_client: Any
) -> None:
    """esl/MongooseIM#4688 (MIM-2670): whoever takes the name next is not a member."""
    room.open(romeo, "first", membersonly=True, persistentroom=True)
    room.admin(romeo, f"jid='{juliet.bare}' affiliation='member'")
    room.enter(juliet, "second")
    juliet.send("<iq type='set' id='r'><query xmlns='jabber:iq:register'><remove/></query></iq>")
    room.shows(romeo, "second", gone=True)
    members = room.admin(romeo, "affiliation='member'", kind="get")
    assert not len(members[0])
    again = make_client(login=False)
    again.register(juliet.user, "secret").auth(juliet.user, "secret").bind("new").available()
    room.refused(again, "second", "registration-required")


@ONE
def test_a_password_is_told_to_who_is_invited(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    """fritzy/SleekXMPP#409, processone/ejabberd#2634: the invitation has the password; who declines changes no affiliation."""
    room.open(romeo, "first", passwordprotectedroom=True, roomsecret="cauldronburn", membersonly=True)
    invite = f"<x xmlns='{USER}'><invite to='{juliet.bare}'/></x>"
    romeo.send(f"<message to='{room}'>{invite}</message>")
    got = juliet.gets(
        f"<message from='{room}'><x xmlns='{USER}'><invite/><password>cauldronburn</password></x></message>"
    )
    assert nurse.bare not in str(got)
    juliet.send(f"<message to='{room}'><x xmlns='{USER}'><decline to='{romeo.bare}'/></x></message>")
    romeo.gets(f"<message from='{room}'><x xmlns='{USER}'><decline from='{juliet.bare}...'/></x></message>")
    nurse.send(f"<message to='{room}'><x xmlns='{USER}'><decline to='{romeo.bare}'/></x></message>")
    romeo.nothing(f"<message><x xmlns='{USER}'><decline/></x></message>")


@ONE
def test_a_room_that_was_destroyed(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    """igniterealtime/Smack#624, coyim/coyim#657: all hear of it, with venue and reason, and nobody is in any more."""
    room.open(romeo, "first", persistentroom=True)
    room.enter(juliet, "second")
    destroy = f"<destroy jid='other@{room.service}'><reason>over</reason></destroy>"
    assert (
        romeo.iq("set", f"<query xmlns='{MUC}#owner'>{destroy}</query>", to=room.address).get("type")
        == "result"
    )
    for client, nick in ((romeo, "first"), (juliet, "second")):
        client.gets(
            f"<presence type='unavailable' from='{room}/{nick}'><x xmlns='{USER}'>"
            f"<item affiliation='none' role='none'/><destroy jid='other@{room.service}'><reason>over</reason></destroy>"
            "</x></presence>"
        )
    room.say(juliet, "hello?", attributes="id='m'")
    assert condition(juliet.gets("<message type='error' id='m'/>")) == "item-not-found"
    room.enter(nurse, "third")
    nurse.nothing("<message><body/></message>")


@ONE
def test_history_and_archive_name_the_same_message(room: Room, romeo: Client, juliet: Client) -> None:
    """conversejs/converse.js#951, esl/MongooseIM#2240, openfire-monitoring-plugin#168, monal-im/Monal#707: one id of the room's
    everywhere, so that clients can drop what they have; two messages with one id of their sender are two."""
    room.open(romeo, "first")
    for body in ("one", "two"):
        room.say(romeo, body, attributes="id='same'")
    live = [
        romeo.gets(f"<message type='groupchat' id='same'><body>{body}</body></message>")
        for body in ("one", "two")
    ]
    room.ask(juliet, "second")
    late = [
        juliet.gets(f"<message type='groupchat' id='same'><body>{body}</body></message>")
        for body in ("one", "two")
    ]
    juliet.iq("set", "<query xmlns='urn:xmpp:mam:2'/>", to=room.address)
    results = [each.find("{urn:xmpp:mam:2}result") for each in juliet.inbox]
    kept = [each.get("id") for each in results if each is not None]
    ids = [[each.find("{urn:xmpp:sid:0}stanza-id").get("id") for each in some] for some in (live, late)]
    assert ids[0] == ids[1] == kept and len(set(kept)) == 2


@ONE
def test_a_dark_room_is_opened_by_an_empty_form(room: Room, romeo: Client, juliet: Client) -> None:
    """dino/dino#1852: clients that only accept the defaults, and those that cancel."""
    room.enter(romeo, "first")
    room.refused(juliet, "second", "item-not-found")
    cancel = f"<query xmlns='{MUC}#owner'><x xmlns='{DATA}' type='cancel'/></query>"
    assert romeo.iq("set", cancel, to=room.address).get("type") == "result"
    room.enter(romeo, "first")
    room.setup(romeo)
    room.enter(juliet, "second")


@ONE
def test_the_end_of_a_nick_that_is_no_address(romeo: Client, room: Room) -> None:
    """dino/dino#3, #540, errbotio/errbot#117: an empty nick, no room at all."""
    for to in (f"{room}/", room.service, f"{room.service}/nick"):
        romeo.send(f"<presence to='{to}' id='e'><x xmlns='{MUC}'/></presence>")
        assert condition(romeo.gets("<presence type='error'/>", 5)) in (
            "jid-malformed",
            "service-unavailable",
        )
