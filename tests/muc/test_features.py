"""Smaller features of rooms. Tests are named by the XEP, and by the numbers of its examples as they stand in the text."""

import base64
import hashlib
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from tests.client import Client
from tests.conftest import Place
from tests.match import show
from tests.muc.conftest import DATA, MUC, OWNER, USER, Room, condition
from tests.muc.test_archive import MODERATE, RETRACT, SID, page, said

ONE = pytest.mark.topology("one host")
INFO = "http://jabber.org/protocol/disco#info"
OCCUPANT = "urn:xmpp:occupant-id:0"
VCARD = "vcard-temp"
MAV = "urn:xmpp:muc:affiliations:0"


def info(client: Client, to: str) -> tuple[set[str], dict[str, list[str]]]:
    """Features, and the fields of the form."""
    answer = client.iq("get", f"<query xmlns='{INFO}'/>", to=to)
    features = {str(each.get("var")) for each in answer.iter(f"{{{INFO}}}feature")}
    fields = {
        str(each.get("var")): [value.text or "" for value in each.iter(f"{{{DATA}}}value")]
        for each in answer.iter(f"{{{DATA}}}field")
    }
    return features, fields


# -- XEP-0410, XEP-0421, XEP-0424, XEP-0425 ------------------------------------------------------------------


def test_xep_0410_example_1_to_4_self_ping(
    room: Room, romeo: Client, juliet: Client, make_client: Any
) -> None:
    room.open(romeo, "first")
    ping = "<ping xmlns='urn:xmpp:ping'/>"
    error = juliet.iq("get", ping, to=f"{room}/second")
    assert (
        condition(error) == "not-acceptable" and error.find("{jabber:client}error").get("by") == room.address
    )  # type: ignore[union-attr]
    room.enter(juliet, "second")
    assert condition(juliet.iq("get", ping, to=f"{room}/second")) == "result"
    other = make_client(juliet.account, resource="elsewhere")
    assert condition(other.iq("get", ping, to=f"{room}/second")) == "not-acceptable"  # the session counts
    assert f"{MUC}#self-ping-optimization" in info(juliet, room.address)[0]


def test_xep_0421_example_1_to_6_occupant_ids(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    assert OCCUPANT in info(juliet, room.address)[0]
    own = room.enter(juliet, "second", more=f"<occupant-id xmlns='{OCCUPANT}' id='forged'/>")
    (id,) = [each.get("id") for each in own.iter(f"{{{OCCUPANT}}}occupant-id")]
    mark = f"<occupant-id xmlns='{OCCUPANT}' id='{id}'/>"
    room.shows(romeo, "second", more=mark)
    forged = f"<occupant-id xmlns='{OCCUPANT}' id='forged'/>"
    room.say(juliet, "hi", forged, "id='m'")
    heard = romeo.gets(f"<message from='{room}/second' id='m'><body>hi</body>{mark}</message>")
    assert len(list(heard.iter(f"{{{OCCUPANT}}}occupant-id"))) == 1
    juliet.send(f"<message to='{room}/first' type='chat'><body>psst</body>{forged}</message>")
    heard = romeo.gets(f"<message from='{room}/second' type='chat'><body>psst</body>{mark}</message>")
    assert len(list(heard.iter(f"{{{OCCUPANT}}}occupant-id"))) == 1


def test_xep_0424_example_3_to_7_retraction(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    assert f"{RETRACT}#tombstone" in info(juliet, room.address)[0]
    id = said(room, juliet, "to the wrong room", "id='wrong'")
    retract = (
        f"<retract xmlns='{RETRACT}' id='{id}'/><fallback xmlns='urn:xmpp:fallback:0'/><body>retracted</body>"
    )
    juliet.send(f"<message to='{room}' type='groupchat' id='back'>{retract}</message>")
    romeo.gets(f"<message from='{room}/second' id='back'><retract xmlns='{RETRACT}' id='{id}'/></message>")
    stone = next(each for each in page(room, romeo) if each.get("id") == id)
    message = stone.find(".//{jabber:client}message")
    assert message is not None and message.get("id") == "wrong"
    retracted = message.find(f"{{{RETRACT}}}retracted")
    assert retracted is not None and retracted.get("id") == "back" and retracted.get("stamp")
    assert message.find("{jabber:client}body") is None


def test_xep_0425_example_1_to_8_moderation(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    assert MODERATE in info(juliet, room.address)[0]
    id = said(room, juliet, "DM me for free magic potions!", "id='inappropriate-1'")
    ask = f"<moderate xmlns='{MODERATE}' id='{id}'><retract xmlns='{RETRACT}'/><reason>no</reason></moderate>"
    assert condition(juliet.iq("set", ask, to=room.address)) == "forbidden"
    assert condition(romeo.iq("set", ask, to=room.address)) == "result"
    by = f"<moderated xmlns='{MODERATE}' by='{room}/first'><occupant-id xmlns='{OCCUPANT}'/></moderated>"
    for each in (romeo, juliet):
        each.gets(
            f"<message type='groupchat' from='{room}'><retract xmlns='{RETRACT}' id='{id}'>{by}<reason>no</reason></retract>"
            f"<stanza-id xmlns='{SID}' by='{room}'/></message>"
        )
    message = page(room, juliet)[0].find(".//{jabber:client}message")
    assert message is not None and message.get("from") == f"{room}/second"
    stone = message.find(f"{{{RETRACT}}}retracted")
    assert stone is not None and stone.get("stamp") and stone.findtext(f"{{{RETRACT}}}reason") == "no"
    assert stone.find(f"{{{MODERATE}}}moderated/{{{OCCUPANT}}}occupant-id") is not None
    assert message.find(f"{{{OCCUPANT}}}occupant-id") is not None  # whose message it was


# -- XEP-0500, XEP-0502 --------------------------------------------------------------------------------------


def test_xep_0500_example_1_to_3_slow_mode(
    room: Room, romeo: Client, juliet: Client, make_client: Any
) -> None:
    room.open(romeo, "first")
    assert info(juliet, room.address)[1]["muc#roominfo_slow_mode_duration"] == ["0"]
    room.enter(juliet, "second")
    room.setup(romeo, slow_mode_duration="600")
    juliet.gets(f"<message from='{room}'><x xmlns='{USER}'><status code='104'/></x></message>")
    form = romeo.iq("get", f"<query xmlns='{OWNER}'/>", to=room.address)
    field = form.find(f".//{{{DATA}}}field[@var='muc#roomconfig_slow_mode_duration']")
    assert field is not None and field.get("type") == "text-single"
    bounds = field.find("*/{http://jabber.org/protocol/xdata-validate}range")
    assert bounds is not None and bounds.get("min") == "0"
    assert info(juliet, room.address)[1]["muc#roominfo_slow_mode_duration"] == ["600"]
    room.say(juliet, "one")
    romeo.gets("<message><body>one</body></message>")
    composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
    juliet.send(f"<message to='{room}' type='groupchat'>{composing}</message>")  # no text: does not count
    romeo.gets(f"<message from='{room}/second'>{composing}</message>")
    other = make_client(juliet.account, resource="elsewhere")  # nor does another session or nick help
    room.enter(other, "third")
    for client in (juliet, other):
        room.say(client, "two", attributes="id='two'")
        error = client.gets("<message type='error' id='two'><error type='wait'/></message>")
        assert condition(error) == "policy-violation"
        assert "600 seconds" in str(error.findtext(".//{urn:ietf:params:xml:ns:xmpp-stanzas}text"))
    for text in ("three", "four"):  # admins and owners do not wait
        room.say(romeo, text)
        juliet.gets(f"<message><body>{text}</body></message>")
    romeo.nothing("<message><body>two</body></message>")


def test_xep_0502_example_1_2_activity(room: Room, romeo: Client, juliet: Client) -> None:
    field = "{urn:xmpp:muc-activity}message-activity"
    room.open(romeo, "first")
    for text in ("one", "two", "three"):
        room.say(romeo, text)
        romeo.gets(f"<message><body>{text}</body></message>")
    room.say(romeo, "tree", "<replace xmlns='urn:xmpp:message-correct:0' id='x'/>")
    romeo.send(f"<message to='{room}' type='groupchat'><subject>Spells</subject></message>")
    romeo.gets("<message><subject>Spells</subject></message>")
    assert field not in info(juliet, room.address)[1]  # a temporary room
    room.setup(romeo, persistentroom=True)
    assert info(juliet, room.address)[1][field] == ["3.00"]
    for closed in (
        {"publicroom": False},
        {"membersonly": True},
        {"passwordprotectedroom": True, "roomsecret": "x"},
    ):
        room.setup(romeo, **closed)
        assert field not in info(juliet, room.address)[1]
        room.setup(romeo, publicroom=True, membersonly=False, passwordprotectedroom=False)
    assert field in info(juliet, room.address)[1]


# -- XEP-0486 ------------------------------------------------------------------------------------------------

PICTURES = [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PNG\r\n\x1a\n"]
HASHES = [hashlib.sha1(each).hexdigest() for each in PICTURES]


def _card(*pictures: bytes) -> str:
    photos = "".join(
        f"<PHOTO><TYPE>image/x</TYPE><BINVAL>{base64.b64encode(each).decode()}</BINVAL></PHOTO>" for each in pictures
    )  # fmt: skip
    return f"<vCard xmlns='{VCARD}'>{photos}</vCard>"


def test_xep_0486_example_1_to_15_avatars(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first", persistentroom=True)
    room.enter(juliet, "second")
    assert VCARD in info(juliet, room.address)[0] and VCARD not in info(juliet, room.service)[0]
    none = f"<vCard xmlns='{VCARD}'/>"
    assert show(juliet.iq("get", none, to=room.address)[0]) == none
    refused = juliet.iq("set", _card(*PICTURES[:1]), to=room.address)
    assert condition(refused) == "forbidden"
    assert condition(romeo.iq("set", _card(*PICTURES[:1]), to=room.address)) == "result"
    changed = f"<message type='groupchat' from='{room}'><x xmlns='{USER}'><status code='104'/></x></message>"
    photo = f"<presence from='{room}'><x xmlns='{VCARD}:x:update'><photo>{HASHES[0]}</photo></x></presence>"
    for each in (romeo, juliet):
        each.gets(changed)
        each.gets(photo)
    assert info(nurse, room.address)[1]["muc#roominfo_avatarhash"] == HASHES[:1]
    card = nurse.iq("get", f"<vCard xmlns='{VCARD}'/>", to=room.address)
    assert base64.b64decode(str(card.findtext(f".//{{{VCARD}}}BINVAL"))) == PICTURES[0]
    room.ask(nurse, "third")
    nurse.gets(photo)
    romeo.iq("set", _card(*PICTURES), to=room.address)
    assert info(nurse, room.address)[1]["muc#roominfo_avatarhash"] == HASHES
    romeo.iq("set", f"<vCard xmlns='{VCARD}'/>", to=room.address)
    nurse.gets(f"<presence from='{room}'><x xmlns='{VCARD}:x:update'><photo/></x></presence>")
    assert "muc#roominfo_avatarhash" not in info(nurse, room.address)[1]
    assert show(nurse.iq("get", none, to=room.address)[0]) == none


@ONE
def test_an_avatar_that_is_none(room: Room, romeo: Client) -> None:
    room.open(romeo, "first")
    bad = f"<vCard xmlns='{VCARD}'><PHOTO><BINVAL>***</BINVAL></PHOTO></vCard>"
    assert condition(romeo.iq("set", bad, to=room.address)) == "not-acceptable"
    assert condition(romeo.iq("set", _card(b"x" * 130_000), to=room.address)) == "policy-violation"
    gone = Room(room.service)
    assert condition(romeo.iq("get", f"<vCard xmlns='{VCARD}'/>", to=gone.address)) == "item-not-found"


# -- XEP-0463 ------------------------------------------------------------------------------------------------


def _enter(room: Room, client: Client, nick: str, mav: str) -> tuple[str, list[Element]]:
    """The version in the self-presence, and the messages that came before any presence."""
    client.inbox.clear()
    own = room.enter(client, nick, f"<mav xmlns='{MAV}' {mav}/>")
    mark = own.find(f"{{{USER}}}x/{{{MAV}}}mav")
    assert mark is not None
    found = [each for each in client.inbox if each.find(f"{{{USER}}}x/{{{MAV}}}mav") is not None]
    return str(mark.get("until")), [each for each in found if each.tag.endswith("message")]


def _items(message: Element) -> dict[str, str]:
    return {str(each.get("jid")): str(each.get("affiliation")) for each in message.iter(f"{{{USER}}}item")}


def _goes(room: Room, client: Client, nick: str) -> None:
    client.send(f"<presence to='{room}/{nick}' type='unavailable'/>")
    room.shows(client, nick, gone=True)


def test_xep_0463_example_1_to_8_versions(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first", whois="anyone")
    room.admin(
        romeo, f"affiliation='member' jid='{juliet.bare}'", "affiliation='admin' jid='peter@example.org'"
    )
    room.admin(romeo, "affiliation='outcast' jid='evil@example.org'")
    version, (whole,) = _enter(room, juliet, "second", "")
    assert _items(whole) == {romeo.bare: "owner", juliet.bare: "member", "peter@example.org": "admin"}
    mark = whole.find(f".//{{{MAV}}}mav")
    assert mark is not None and mark.get("since") is None and mark.get("until") == version
    room.admin(romeo, "affiliation='none' jid='peter@example.org'")
    told = juliet.gets(
        f"<message from='{room}'><x xmlns='{USER}'><mav xmlns='{MAV}' since='{version}' until='...'/>"
        "<item jid='peter@example.org' affiliation='none' role='none'/></x></message>"
    )
    (step,) = told.iter(f"{{{MAV}}}mav")
    assert step.get("until") != version
    _goes(room, juliet, "second")
    room.admin(romeo, "affiliation='member' jid='rosa@example.org'")
    room.admin(romeo, "affiliation='owner' jid='rosa@example.org'")
    room.admin(romeo, "affiliation='none' jid='evil@example.org'")
    now, (diff,) = _enter(room, juliet, "second", f"since='{version}'")
    assert _items(diff) == {"peter@example.org": "none", "rosa@example.org": "owner"}
    (step,) = diff.iter(f"{{{MAV}}}mav")
    assert (step.get("since"), step.get("until")) == (version, now)
    _goes(room, juliet, "second")
    assert _enter(room, juliet, "second", f"since='{now}'") == (now, [])
    _goes(room, juliet, "second")
    _, (whole,) = _enter(room, juliet, "second", "since='unknown'")
    assert len(_items(whole)) == 3
    nurse.inbox.clear()  # she is nobody here
    room.ask(nurse, "third", f"<mav xmlns='{MAV}'/>")
    error = nurse.gets(f"<message type='error' from='{room}'><error by='{room}' type='auth'/></message>")
    assert condition(error) == "forbidden"
    room.shows(nurse, "third", "", 110)
    room.admin(romeo, f"affiliation='member' jid='{nurse.bare}'")
    room.shows(juliet, "third", "affiliation='member'", more="")
    room.ask(nurse, "third", f"<mav xmlns='{MAV}' since='{version}'/>")  # she was nobody then
    assert condition(nurse.gets(f"<message type='error' from='{room}'/>")) == "forbidden"


@ONE
def test_xep_0463_a_change_of_who_is_in_bears_the_versions(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.admin(romeo, f"affiliation='member' jid='{juliet.bare}'")
    shown = juliet.gets(
        f"<presence from='{room}/second'><x xmlns='{USER}'><item affiliation='member'/></x></presence>"
    )
    (step,) = shown.iter(f"{{{MAV}}}mav")
    assert step.get("since") and step.get("until") and step.get("since") != step.get("until")


# -- what can be switched off --------------------------------------------------------------------------------


def test_xep_0486_example_5_and_xep_0433_example_8_9_what_a_service_does_not_do(
    start_server: Any, account: Any, make_client: Any
) -> None:
    off = dict.fromkeys(("avatar", "archive", "approval", "nicks", "offline"), False)
    modules = {**off, "search": {"everything": False, "burst": 1, "rate": 0.01}}
    server = start_server({
        "hosts": {"localhost": {}}, "modules": {"register": {"enabled": True, "per_address": 0}},
        "services": {"rooms": {"modules": modules}},
    })  # fmt: skip
    romeo = make_client(account("romeo", Place(server, "localhost")))
    room = Room("conference.localhost").open(romeo, "first")
    assert condition(romeo.iq("set", _card(*PICTURES), to=room.address)) == "service-unavailable"
    assert VCARD not in info(romeo, room.service)[0] | info(romeo, room.address)[0]
    form = f"<x xmlns='{DATA}' type='submit'><field var='FORM_TYPE'><value>{MUC}#register</value></field>"
    form += "<field var='muc#register_roomnick'><value>first</value></field></x>"
    query = f"<query xmlns='jabber:iq:register'>{form}</query>"
    assert condition(romeo.iq("set", query, to=room.address)) == "result"
    answer = search(romeo, room.service, all="true")
    assert condition(answer) == "not-allowed" and application(answer) == "full-set-retrieval-rejected"
    assert condition(search(romeo, room.service, q=room.address[:8])) == "result"
    answer = search(romeo, room.service, q=room.address[:8])
    assert condition(answer) == "resource-constraint" and application(answer) == "rate-limit"
    (late,) = answer.iter("{urn:xmpp:channel-search:0:error}rate-limit")
    assert int(late.get("retry-after", "0")) > 0


# -- XEP-0433 ------------------------------------------------------------------------------------------------

SEARCH = "urn:xmpp:channel-search:0"
BY_ADDRESS = f"{{{SEARCH}:order}}address"


def search(client: Client, service: str, rsm: str = "", **fields: str) -> Element:
    inner = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    form = f"<field var='FORM_TYPE'><value>{SEARCH}:search-params</value></field>{inner}"
    pages = f"<set xmlns='http://jabber.org/protocol/rsm'>{rsm}</set>" if rsm else ""
    x = f"<x xmlns='{DATA}' type='submit'>{form}</x>"
    return client.iq("get", f"<search xmlns='{SEARCH}:search'>{pages}{x}</search>", to=service)


def application(answer: Element) -> str:
    return next(each.tag.rpartition("}")[2] for each in answer.iter() if f"{SEARCH}:error" in each.tag)


def _found(answer: Element) -> list[str]:
    assert condition(answer) == "result", condition(answer)
    return [str(each.get("address")) for each in answer.iter(f"{{{SEARCH}:search}}item")]


def test_xep_0433_example_1_to_5_search(room: Room, romeo: Client, juliet: Client) -> None:
    service, word = room.service, room.address[:8]
    assert f"{SEARCH}:search" in info(juliet, service)[0]
    form = juliet.iq("get", f"<search xmlns='{SEARCH}:search'/>", to=service)
    fields = {each.get("var") for each in form.iter(f"{{{DATA}}}field")}
    assert {"q", "all", "sinname", "sindescription", "sinaddr", "min_users", "types", "key"} <= fields
    rooms = [room, Room(service), Room(service), Room(service)]
    rooms[0].open(romeo, "first", roomname=f"The {word} cave", roomdesc="where witches meet", lang="en")
    rooms[1].open(romeo, "first", roomname="Heath", roomdesc=f"not the {word.upper()}", membersonly=True)
    rooms[2].open(romeo, "first", roomname=word, publicroom=False)
    rooms[3].open(romeo, "first", roomname=f"{word} sleeps", persistentroom=True, whois="anyone")
    _goes(rooms[3], romeo, "first")
    room.enter(juliet, "second")
    first = search(juliet, service, q=word)
    assert _found(first) == [rooms[0].address, rooms[1].address]  # two people, one, and hidden rooms never
    item = {each.tag.rpartition("}")[2]: each.text for each in first[0][0]}
    assert item == {
        "name": f"The {word} cave", "description": "where witches meet", "language": "en", "nusers": "2",
        "service-type": "xep-0045", "is-open": "true", "anonymity-mode": "muc_semianonymous",
    }  # fmt: skip
    everybody = sorted(each.address for each in (rooms[0], rooms[1], rooms[3]))
    assert _found(search(juliet, service, q=word, min_users="0", key=BY_ADDRESS)) == everybody
    assert _found(search(juliet, service, q=word, min_users="0"))[2:] == [rooms[3].address]
    assert _found(search(juliet, service, q=f"{word} WITCHES")) == [room.address]
    assert _found(search(juliet, service, q=word, sindescription="0", sinaddr="0")) == [room.address]
    assert _found(search(juliet, service, q=word, types="xep-0369")) == []
    assert _found(search(juliet, service, q="nothing has this")) == []
    assert set(everybody) <= set(
        _found(search(juliet, service, all="true", min_users="0", rsm="<max>500</max>"))
    )
    for key in (BY_ADDRESS, f"{{{SEARCH}:order}}nusers"):  # page by page
        found, after = list[str](), ""
        for _ in range(4):
            answer = search(juliet, service, f"<max>1</max>{after}", q=word, min_users="0", key=key)
            found += _found(answer)
            after = f"<after>{answer.findtext('.//{http://jabber.org/protocol/rsm}last')}</after>"
            if not _found(answer):
                break
        assert sorted(found) == everybody


@ONE
@pytest.mark.parametrize(
    ("fields", "error", "detail", "type"),
    [({"q": "witches", "key": "size"}, "feature-not-implemented", "invalid-sort-key", "modify"),  # 6
     ({"q": "a b"}, "bad-request", "invalid-search-terms", "modify"),  # 7
     ({"q": "witches", "all": "1"}, "bad-request", "conflicting-fields", "modify"),  # 10
     ({}, "bad-request", "no-search-conditions", "cancel")],  # 11
)  # fmt: skip
def test_xep_0433_example_6_7_10_11_what_cannot_be_searched(
    service: str, romeo: Client, fields: dict[str, str], error: str, detail: str, type: str
) -> None:
    answer = search(romeo, service, **fields)
    found = answer.find("{jabber:client}error")
    assert found is not None
    assert (condition(answer), application(answer), found.get("type")) == (error, detail, type)
