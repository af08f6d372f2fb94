"""A room's archive (XEP-0313), its history, and what is taken out of both (XEP-0424, XEP-0425)."""

import json
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from tests.client import Client
from tests.conftest import Place
from tests.muc.conftest import Room, condition

MAM, SID = "urn:xmpp:mam:2", "urn:xmpp:sid:0"
RETRACT, MODERATE = "urn:xmpp:message-retract:1", "urn:xmpp:message-moderate:1"
ONE = pytest.mark.topology("one host")


def said(room: Room, client: Client, text: str, attributes: str = "") -> str:
    """The room's stanza-id of what the client says."""
    room.say(client, text, attributes=attributes)
    message = client.gets(
        f"<message type='groupchat'><body>{text}</body><stanza-id xmlns='{SID}' by='{room}'/></message>"
    )
    return str(message.find(f"{{{SID}}}stanza-id").get("id"))  # type: ignore[union-attr]


def page(room: Room, client: Client, query: str = "") -> list[Element]:
    """The results, each a <result/>."""
    client.inbox.clear()
    answer = client.iq("set", f"<query xmlns='{MAM}'>{query}</query>", to=room.address)
    assert answer.get("type") == "result", condition(answer)
    return [each[0] for each in client.inbox if each.find(f"{{{MAM}}}result") is not None]


def texts(results: list[Element]) -> list[str | None]:
    return [each.findtext(".//{jabber:client}body") for each in results]


def test_the_archive_has_what_was_said(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    ids = [said(room, romeo, "one"), said(room, juliet, "two")]
    room.say(juliet, "", "<composing xmlns='http://jabber.org/protocol/chatstates'/>".replace("<body/>", ""))
    found = page(room, juliet)
    assert [each.get("id") for each in found][:2] == ids
    assert texts(found)[:2] == ["one", "two"]
    assert found[1].find(".//{jabber:client}message").get("from") == f"{room}/second"  # type: ignore[union-attr]
    answer = nurse.iq("set", f"<query xmlns='{MAM}'/>", to=room.address)
    assert condition(answer) == "forbidden"
    room.setup(romeo, enablelogging=True)
    juliet.gets("<message><x xmlns='http://jabber.org/protocol/muc#user'><status code='170'/></x></message>")
    assert texts(page(room, nurse))[:2] == ["one", "two"]
    room.ask(nurse, "third")
    room.shows(nurse, "third", "", 110, 170)


@ONE
def test_a_room_without_an_archive(room: Room, romeo: Client) -> None:
    room.open(romeo, "first", enablearchiving=False)
    room.say(romeo, "one")
    message = romeo.gets("<message><body>one</body></message>")
    assert message.find(f"{{{SID}}}stanza-id") is None
    assert condition(romeo.iq("set", f"<query xmlns='{MAM}'/>", to=room.address)) == "service-unavailable"


def test_xep_0425_a_moderator_takes_back_what_another_said(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    id = said(room, juliet, "free magic potions")
    moderate = f"<moderate xmlns='{MODERATE}' id='{id}'><retract xmlns='{RETRACT}'/><reason>no ads</reason></moderate>"
    assert condition(juliet.iq("set", moderate, to=room.address)) == "forbidden"
    assert condition(romeo.iq("set", moderate.replace(id, "17"), to=room.address)) == "item-not-found"
    assert condition(romeo.iq("set", moderate, to=room.address)) == "result"
    moderated = f"<moderated xmlns='{MODERATE}' by='{room}/first'/>"
    juliet.gets(
        f"<message type='groupchat' from='{room}'><retract xmlns='{RETRACT}' id='{id}'>{moderated}"
        "<reason>no ads</reason></retract></message>"
    )
    found = page(room, juliet)
    assert found[0].find(f".//{{{RETRACT}}}retracted/{{{MODERATE}}}moderated") is not None
    assert "free magic potions" not in texts(found)
    room.ask(nurse, "third")
    nurse.gets("<message><subject/></message>")
    assert not [each for each in nurse.inbox if each.findtext("{jabber:client}body") == "free magic potions"]


def test_xep_0424_one_takes_back_what_one_said(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    own, other = said(room, juliet, "mine"), said(room, romeo, "yours")
    for id in (other, own):
        retract = f"<retract xmlns='{RETRACT}' id='{id}'/>"
        juliet.send(
            f"<message to='{room}' type='groupchat' id='r{id}'>{retract}<body>I take it back</body></message>"
        )
        romeo.gets(f"<message from='{room}/second'><retract xmlns='{RETRACT}' id='{id}'/></message>")
    juliet.sync(room.service)
    found = {each.get("id"): each for each in page(room, juliet)}
    assert found[own].find(f".//{{{RETRACT}}}retracted") is not None
    assert found[other].find(f".//{{{RETRACT}}}retracted") is None


def test_history_lasts_while_nobody_is_in_and_after_a_restart(
    start_server: Any, account: Any, make_client: Any
) -> None:
    server = start_server()
    place = Place(server, "localhost")
    who = account("romeo", place)
    romeo = make_client(who)
    room = Room("conference.localhost").open(romeo, "first", persistentroom=True)
    id = said(room, romeo, "before")
    server.restart()
    assert json.loads(server.ctl("rooms", "show", room.address, "--json"))["founder"] == romeo.bare
    romeo = make_client(who)
    room.ask(romeo, "first")
    late = romeo.gets(
        f"<message from='{room}/first'><body>before</body><delay xmlns='urn:xmpp:delay' from='{room}'/></message>"
    )
    assert late.find(f"{{{SID}}}stanza-id").get("id") == id  # type: ignore[union-attr]


TRIM = "urn:xmpp:mamtrim:0"


def test_an_owner_trims_the_archive(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    ids = [said(room, romeo, text) for text in ("one", "two", "three", "four")]
    trim = f"<trim xmlns='{TRIM}'><id>{ids[1]}</id></trim>"
    assert condition(juliet.iq("set", trim, to=room.address)) == "forbidden"
    assert condition(romeo.iq("set", trim.replace(ids[1], "17"), to=room.address)) == "item-not-found"
    assert condition(romeo.iq("set", trim, to=room.address)) == "result"
    assert texts(page(room, juliet)) == ["three", "four"]
    room.ask(nurse, "third")
    nurse.gets(f"<message from='{room}/first'><body>three</body></message>")
    nurse.nothing("<message><body>two</body></message>")
    assert condition(romeo.iq("set", f"<trim xmlns='{TRIM}'/>", to=room.address)) == "result"
    assert page(room, juliet) == []


@ONE
def test_a_user_trims_the_own_archive(romeo: Client, juliet: Client) -> None:
    for text in ("one", "two"):
        romeo.send(f"<message to='{juliet.bare}' type='chat'><body>{text}</body></message>")
    ids = []
    for text in ("one", "two"):
        message = juliet.gets(f"<message><body>{text}</body></message>")
        ids.append(message.find(f"{{{SID}}}stanza-id").get("id"))  # type: ignore[union-attr]
    assert condition(juliet.iq("set", f"<trim xmlns='{TRIM}'><id>{ids[0]}</id></trim>")) == "result"
    juliet.inbox.clear()
    juliet.iq("set", f"<query xmlns='{MAM}'/>")
    assert [each.findtext(".//{jabber:client}body") for each in juliet.inbox] == ["two"]
    assert condition(romeo.iq("set", f"<trim xmlns='{TRIM}'/>", to=juliet.bare)) != "result"


def _speakers(results: list[Element]) -> list[tuple[str | None, ...] | None]:
    """(address, affiliation, role) of who has said each, where the archive tells."""
    x = "{http://jabber.org/protocol/muc#user}"
    assert not [each for result in results for each in result.iter() if "speaker" in each.tag]
    items = [result.find(f".//{x}x/{x}item") for result in results]
    return [
        None if item is None else (item.get("jid"), item.get("affiliation"), item.get("role"))
        for item in items
    ]


def test_mam_section_muc_archives_who_may_know_it_learns_who_spoke(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first", enablelogging=True)
    room.enter(juliet, "second")
    said(room, romeo, "one")
    said(room, juliet, "two")
    one, two = (romeo.jid, "owner", "moderator"), (juliet.jid, "none", "participant")
    assert _speakers(page(room, romeo)) == [one, two]
    assert _speakers(page(room, juliet)) == [None, two]  # what she said herself
    assert _speakers(page(room, nurse)) == [None, None]
    room.setup(romeo, whois="anyone")
    said(room, juliet, "three")
    assert _speakers(page(room, nurse)) == [None, None, two]  # what was said in secret stays so
    room.setup(romeo, whois="moderators")
    assert _speakers(page(room, nurse)) == [None, None, None]


@ONE
def test_nobody_says_who_spoke_but_the_room(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", whois="anyone")
    room.enter(juliet, "second")
    for ns in ("http://jabber.org/protocol/muc#user", "http://jabber.org/protocol/muc#speaker"):
        room.say(
            juliet,
            "mine",
            f"<x xmlns='{ns}'><item jid='{romeo.jid}' affiliation='owner' role='moderator'/></x>",
        )
    romeo.gets("<message><body>mine</body><x>!absent</x></message>")
    romeo.gets("<message><body>mine</body><x>!absent</x></message>")
    assert _speakers(page(room, romeo)) == [(juliet.jid, "none", "participant")] * 2
