"""MUC/Sub: accounts subscribe to rooms, get what happens there as events, and speak without being in."""

from typing import Any
from xml.etree.ElementTree import Element

import pytest

from tests.client import Client
from tests.muc.conftest import DATA, MUC, OWNER, USER, Room, condition
from tests.muc.test_archive import MODERATE, RETRACT
from tests.muc.test_features import info
from tests.muc.test_offline import MAM, archived, register

NS = "urn:xmpp:mucsub:0"
NODES = "urn:xmpp:mucsub:nodes:"
EVENT = "http://jabber.org/protocol/pubsub#event"
ONE = pytest.mark.topology("one host")
ALL = ("messages", "presence", "affiliations", "subscribers", "config", "subject", "system")


def events(kinds: tuple[str, ...]) -> str:
    return "".join(f"<event node='{NODES}{each}'/>" for each in kinds)


def subscribe(room: Room, client: Client, nick: str, *kinds: str, more: str = "") -> Element:
    inner = events(kinds or ("messages",))
    return client.iq(
        "set", f"<subscribe xmlns='{NS}' nick='{nick}' {more}>{inner}</subscribe>", to=room.address
    )


def event(room: Room, client: Client, kind: str, item: str) -> Element:
    """Takes an event of that node with that in it."""
    return client.gets(
        f"<message from='{room}' to='{client.bare}'><event xmlns='{EVENT}'><items node='{NODES}{kind}'><item id='...'>"
        f"{item}</item></items></event></message>"
    )


def said(room: Room, nick: str, text: str) -> str:
    return (
        f"<message xmlns='jabber:client' from='{room}/{nick}' type='groupchat'><body>{text}</body></message>"
    )


def subscribers(room: Room, client: Client) -> dict[str | None, str | None]:
    answer = client.iq("get", f"<subscriptions xmlns='{NS}'/>", to=room.address)
    assert condition(answer) == "result"
    return {each.get("nick"): each.get("jid") for each in answer[0]}


def test_a_subscriber_gets_messages_and_speaks_without_being_in(
    room: Room, romeo: Client, juliet: Client, make_client: Any
) -> None:
    room.open(romeo, "first", allow_subscription=True)
    assert NS in info(juliet, room.address)[0] and NS in info(juliet, room.service)[0]
    answer = subscribe(room, juliet, "second", "messages", "subject", "unheard-of")
    assert condition(answer) == "result"
    assert [each.get("node") for each in answer[0]] == [f"{NODES}messages", f"{NODES}subject"]
    room.say(romeo, "one")
    heard = event(room, juliet, "messages", said(room, "first", "one"))
    item = heard.find(f".//{{{EVENT}}}item")
    assert item is not None and item[0][-1].get("id") == item.get("id")  # the stanza-id of the room
    room.say(juliet, "two", attributes="id='m'")
    romeo.gets(f"<message from='{room}/second' id='m' type='groupchat'><body>two</body></message>")
    event(room, juliet, "messages", said(room, "second", "two"))
    romeo.send(f"<message to='{room}' type='groupchat'><subject>news</subject></message>")
    event(room, juliet, "subject", "<message xmlns='jabber:client'><subject>news</subject></message>")
    juliet.send("<presence type='unavailable'/>")
    juliet.sync()
    juliet.close()
    room.say(romeo, "three")
    room.say(romeo, "", "<composing xmlns='http://jabber.org/protocol/chatstates'/>")
    romeo.sync(room.service)
    romeo.sync(juliet.domain)
    juliet = make_client(juliet.account)
    event(room, juliet, "messages", said(room, "first", "three"))
    assert archived(juliet, "false") == ["one", "two", "three"]
    answer = juliet.iq(
        "set", f"<query xmlns='{MAM}'/>", to=room.address
    )  # the archive of the room is for subscribers
    assert condition(answer) == "result"
    assert condition(juliet.iq("set", f"<unsubscribe xmlns='{NS}'/>", to=room.address)) == "result"
    room.say(romeo, "four")
    room.say(juliet, "five", attributes="id='five'")
    assert condition(juliet.gets("<message type='error' id='five'/>")) == "not-acceptable"
    juliet.nothing(f"<message><event xmlns='{EVENT}'/></message>")


def test_while_a_session_is_in_the_room_sends_to_sessions_only(
    room: Room, romeo: Client, juliet: Client
) -> None:
    room.open(romeo, "first", allow_subscription=True)
    subscribe(room, juliet, "second", "messages", "presence")
    room.say(romeo, "one")
    event(room, juliet, "messages", said(room, "first", "one"))
    room.enter(juliet, "second")
    juliet.nothing("<message type='groupchat'><body>one</body></message>")  # no history: it has got it
    room.say(romeo, "two")
    juliet.gets(f"<message from='{room}/first' to='{juliet.jid}' type='groupchat'><body>two</body></message>")
    juliet.send(f"<presence to='{room}/second' type='unavailable'/>")
    room.shows(juliet, "second", "", 110, gone=True)
    juliet.nothing(f"<message><event xmlns='{EVENT}'/></message>")
    room.say(romeo, "three")
    event(room, juliet, "messages", said(room, "first", "three"))


def test_who_is_subscribed_where(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first", allow_subscription=True)
    subscribe(room, juliet, "second", "messages", "subscribers")
    subscribe(room, nurse, "third", "messages")
    event(room, juliet, "subscribers", f"<subscribe xmlns='{NS}' nick='third' jid='!absent'/>")
    assert subscribers(room, romeo) == {"second": juliet.bare, "third": nurse.bare}
    assert subscribers(room, juliet) == {"second": None, "third": None}  # addresses are for moderators
    listed = juliet.iq("get", f"<subscriptions xmlns='{NS}'/>", to=room.service)[0]
    assert [(each.get("nick"), each.get("jid"), len(each)) for each in listed] == [
        ("second", room.address, 2)
    ]
    nurse.iq("set", f"<unsubscribe xmlns='{NS}'/>", to=room.address)
    event(room, juliet, "subscribers", f"<unsubscribe xmlns='{NS}' nick='third'/>")
    answer = nurse.iq("get", f"<subscriptions xmlns='{NS}'/>", to=room.address)
    assert condition(answer) == "forbidden"


@ONE
def test_a_subscriber_hears_of_everything(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first", allow_subscription=True, whois="anyone", persistentroom=True)
    room.admin(romeo, f"jid='{juliet.bare}' affiliation='member'")
    subscribe(room, juliet, "second", *ALL)
    room.enter(nurse, "third")
    shown = f"<presence xmlns='jabber:client' from='{room}/third'><x xmlns='{USER}'><item jid='{nurse.jid}'/></x></presence>"
    event(room, juliet, "presence", shown)
    room.admin(romeo, f"jid='{nurse.bare}' affiliation='member'")
    told = f"<x xmlns='{USER}'><item affiliation='member' jid='{nurse.bare}'/></x>"
    event(room, juliet, "affiliations", f"<message xmlns='jabber:client' from='{room}'>{told}</message>")
    nurse.send(f"<presence to='{room}/third' type='unavailable'/>")
    event(
        room, juliet, "presence", f"<presence xmlns='jabber:client' from='{room}/third' type='unavailable'/>"
    )
    room.setup(romeo, roomname="A cave")
    told = f"<x xmlns='{USER}'><status code='104'/></x>"
    event(room, juliet, "config", f"<message xmlns='jabber:client' from='{room}'>{told}</message>")
    subscribe(room, nurse, "third", "system")
    event(room, juliet, "subscribers", f"<subscribe xmlns='{NS}' nick='third' jid='{nurse.bare}'/>")
    destroy = f"<query xmlns='{OWNER}'><destroy jid='elsewhere@{room.service}'/></query>"
    romeo.iq("set", destroy, to=room.address)
    gone = f"<x xmlns='{USER}'><destroy jid='elsewhere@{room.service}'/></x>"
    gone = f"<presence xmlns='jabber:client' from='{room}' type='unavailable'>{gone}</presence>"
    event(room, juliet, "config", gone)
    event(room, nurse, "system", gone)
    juliet.nothing(f"<message><event xmlns='{EVENT}'><items node='{NODES}system'/></event></message>")
    assert len(juliet.iq("get", f"<subscriptions xmlns='{NS}'/>", to=room.service)[0]) == 0


@ONE
def test_who_might_not_come_in_cannot_subscribe(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first")
    assert condition(subscribe(room, juliet, "second")) == "not-allowed"
    assert NS not in info(juliet, room.address)[0]
    room.setup(romeo, allow_subscription=True, passwordprotectedroom=True, roomsecret="s")
    assert condition(subscribe(room, juliet, "second")) == "not-authorized"
    assert condition(subscribe(room, juliet, "second", more="password='x'")) == "not-authorized"
    assert condition(subscribe(room, juliet, "second", more="password='s'")) == "result"
    assert condition(subscribe(room, juliet, "second", "subject")) == "result"  # who is in may choose anew
    room.setup(romeo, passwordprotectedroom=False, roomsecret="")
    for item in (f"jid='{juliet.bare}' affiliation='outcast'", "jid='capulet.example' affiliation='outcast'"):
        assert condition(room.admin(romeo, item)) == "result"
    assert subscribers(room, romeo) == {}
    assert condition(subscribe(room, juliet, "second")) == "forbidden"
    subscribe(room, nurse, "third")
    room.setup(romeo, membersonly=True)
    assert subscribers(room, romeo) == {}
    assert condition(subscribe(room, nurse, "third")) == "registration-required"
    room.admin(romeo, f"jid='{nurse.bare}' affiliation='member'")
    assert condition(subscribe(room, nurse, "third")) == "result"
    room.admin(romeo, f"jid='{nurse.bare}' affiliation='none'")
    assert subscribers(room, romeo) == {}
    room.setup(romeo, membersonly=False)
    subscribe(room, nurse, "third")
    room.setup(romeo, allow_subscription=False)
    assert subscribers(room, romeo) == {}


@ONE
def test_a_subscription_holds_its_nick(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first", allow_subscription=True)
    for nick, error in (("first", "conflict"), ("", "bad-request"), ("x" * 101, "not-acceptable")):
        assert condition(subscribe(room, juliet, nick)) == error
    assert condition(subscribe(room, juliet, "second")) == "result"
    room.refused(nurse, "Second", "conflict")
    assert condition(subscribe(room, nurse, "SECOND")) == "conflict"
    assert condition(register(room, nurse, "second", "0")) == "conflict"
    assert condition(subscribe(room, juliet, "other")) == "result"
    room.enter(nurse, "second")
    room.admin(romeo, f"jid='{juliet.bare}' affiliation='member' nick='mine'")
    assert condition(subscribe(room, juliet, "third")) == "conflict"  # the nick is the registered one
    assert condition(subscribe(room, juliet, "mine")) == "result"


@ONE
def test_moderators_subscribe_others(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first", allow_subscription=True)
    assert condition(subscribe(room, juliet, "third", more=f"jid='{nurse.bare}'")) == "forbidden"
    assert condition(subscribe(room, romeo, "third", more="jid='@'")) == "jid-malformed"
    answer = subscribe(room, romeo, "third", more="jid='stranger@elsewhere.example'")
    assert condition(answer) == "not-allowed"  # nobody is signed up on another server
    answer = subscribe(room, romeo, "third", more=f"jid='{nurse.bare}'")
    assert condition(answer) == "not-allowed"  # nobody gets what they have never heard of
    room.enter(nurse, "third")
    assert condition(subscribe(room, romeo, "third", more=f"jid='{nurse.bare}'")) == "result"
    nurse.send(f"<presence to='{room}/third' type='unavailable'/>")
    room.shows(nurse, "third", "", 110, gone=True)
    room.say(romeo, "hello")
    event(room, nurse, "messages", said(room, "first", "hello"))
    end = f"<unsubscribe xmlns='{NS}' jid='{nurse.bare}'/>"
    assert condition(juliet.iq("set", end, to=room.address)) == "forbidden"
    assert condition(romeo.iq("set", end, to=room.address)) == "result"
    assert subscribers(room, romeo) == {}


@ONE
def test_a_subscriber_without_voice_cannot_speak(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", allow_subscription=True, moderatedroom=True)
    subscribe(room, juliet, "second")
    room.say(juliet, "may I?", attributes="id='m'")
    assert condition(juliet.gets("<message type='error' id='m'/>")) == "forbidden"
    room.admin(romeo, f"jid='{juliet.bare}' affiliation='member'")
    room.say(juliet, "thanks")
    romeo.gets(f"<message from='{room}/second'><body>thanks</body></message>")
    juliet.send(f"<message to='{room}/first' type='chat' id='p'><body>psst</body></message>")
    assert condition(juliet.gets("<message type='error' id='p'/>")) == "not-acceptable"


@ONE
def test_a_temporary_room_lasts_as_long_as_its_subscribers(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", allow_subscription=True)
    subscribe(room, juliet, "second")
    romeo.send(f"<presence to='{room}/first' type='unavailable'/>")
    room.shows(romeo, "first", "", 110, gone=True)
    room.say(juliet, "is nobody in?")
    event(room, juliet, "messages", said(room, "second", "is nobody in?"))
    room.ask(romeo, "first")
    romeo.gets(
        f"<message from='{room}/second'><body>is nobody in?</body><delay xmlns='urn:xmpp:delay'/></message>"
    )
    romeo.send(f"<presence to='{room}/first' type='unavailable'/>")
    room.shows(romeo, "first", "", 110, gone=True)
    juliet.iq("set", f"<unsubscribe xmlns='{NS}'/>", to=room.address)
    found = juliet.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to=room.address)
    assert condition(found) == "item-not-found"


@ONE
def test_who_is_away_learns_what_moderators_do(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    """processone/ejabberd#4507: a message was moderated meanwhile; #1345: an owner who is only subscribed sets the subject."""
    room.open(romeo, "first", allow_subscription=True, persistentroom=True)
    subscribe(room, juliet, "second", "messages", "subject")
    register(room, nurse, "third", "1")
    room.say(romeo, "nonsense")
    id = romeo.gets(f"<message from='{room}/first'><body>nonsense</body></message>")[-1].get("id")
    ask = f"<moderate xmlns='{MODERATE}' id='{id}'><retract xmlns='{RETRACT}'/></moderate>"
    assert condition(romeo.iq("set", ask, to=room.address)) == "result"
    retract = f"<retract xmlns='{RETRACT}' id='{id}'><moderated xmlns='{MODERATE}'/></retract>"
    event(room, juliet, "messages", f"<message xmlns='jabber:client' from='{room}'>{retract}</message>")
    nurse.gets(f"<message from='{room}' to='{nurse.bare}' type='groupchat'>{retract}</message>")
    subscribe(room, romeo, "first", "subject")
    romeo.send(f"<presence to='{room}/first' type='unavailable'/>")
    room.shows(romeo, "first", "", 110, gone=True)
    romeo.send(f"<message to='{room}' type='groupchat'><subject>quiet</subject></message>")
    for each in (romeo, juliet):
        event(room, each, "subject", "<message xmlns='jabber:client'><subject>quiet</subject></message>")


def test_a_subscriber_takes_another_nick_as_an_occupant_does(
    room: Room, romeo: Client, juliet: Client
) -> None:
    room.open(romeo, "first", allow_subscription=True)
    subscribe(room, juliet, "second", "messages")
    fields = "".join(
        f"<field var='{var}'><value>{value}</value></field>"
        for var, value in (("FORM_TYPE", f"{MUC}#roomconfig"), ("x-muc#roomconfig_canchangenick", "0"))
    )
    romeo.iq(
        "set", f"<query xmlns='{OWNER}'><x xmlns='{DATA}' type='submit'>{fields}</x></query>", to=room.address
    )
    request = f"<subscribe xmlns='{NS}' nick='another'>{events(('messages',))}</subscribe>"
    assert condition(juliet.iq("set", request, to=room.address)) == "not-acceptable"
    assert subscribers(room, romeo) == {"second": juliet.bare}


@ONE
def test_all_subscriptions_end_at_a_time(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    """Where many end each hears of its own end only: else the work would grow with the square."""
    room.open(romeo, "first", allow_subscription=True, persistentroom=True)
    room.admin(romeo, f"jid='{juliet.bare}' affiliation='admin'")
    subscribe(room, juliet, "second", "subscribers")
    event(room, juliet, "subscribers", f"<subscribe xmlns='{NS}' nick='second'/>")
    for who, nick in ((romeo, "first"), (nurse, "third")):
        subscribe(room, who, nick, "messages")
        event(room, juliet, "subscribers", f"<subscribe xmlns='{NS}' nick='{nick}'/>")
    room.setup(romeo, allow_subscription=False)
    event(room, juliet, "subscribers", f"<unsubscribe xmlns='{NS}' nick='second'/>")
    juliet.nothing(f"<message><event xmlns='{EVENT}'/></message>")
    assert subscribers(room, romeo) == {}
