"""Reports about occupants and rooms (ProtoXEP "Group Chat Reporting")."""

import pytest

from tests.client import Client
from tests.conftest import Topology
from tests.muc.conftest import Room, condition
from tests.muc.test_archive import SID, said
from tests.muc.test_features import OCCUPANT, info

NS, REPORT = "urn:xmpp:gcreport:0", "urn:xmpp:reporting:1"
ONE = pytest.mark.topology("one host")


def report(more: str = "", reason: str = "spam") -> str:
    return f"<report xmlns='{REPORT}' reason='urn:xmpp:reporting:{reason}'>{more}</report>"


def participant(room: Room, client: Client, id: str, inner: str) -> str:
    who = f"<occupant-id xmlns='{OCCUPANT}' id='{id}'/>"
    return condition(
        client.iq(
            "set", f"<report-participant xmlns='{NS}'>{who}{inner}</report-participant>", to=room.address
        )
    )


def test_an_occupant_is_reported_to_the_admins(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first", persistentroom=True)
    own = room.enter(juliet, "second")
    room.enter(nurse, "third")
    assert NS in info(nurse, room.address)[0] and NS in info(nurse, room.service)[0]
    (occupant,) = own.iter(f"{{{OCCUPANT}}}occupant-id")
    id = str(occupant.get("id"))
    bad, other = said(room, juliet, "Click here to win $$$$"), said(room, romeo, "innocent")
    stanza = f"<stanza-id xmlns='{SID}' by='{room}' id='{bad}'/><text>Malware</text>"
    assert participant(room, nurse, id, report(stanza)) == "result"
    told = romeo.gets(
        f"<message from='{room}'><body>second was reported (spam): Malware</body><report-participant xmlns='{NS}'>"
        f"<occupant-id xmlns='{OCCUPANT}' id='{id}'/><report xmlns='{REPORT}' reason='urn:xmpp:reporting:spam'>"
        f"<stanza-id xmlns='{SID}' id='{bad}'/></report></report-participant></message>"
    )
    assert nurse.bare not in str([each.attrib for each in told.iter()])
    assert (
        participant(room, nurse, id, report(stanza.replace(bad, other))) == "result"
    )  # it is not hers: left out
    told = romeo.gets(f"<message><report-participant xmlns='{NS}'/></message>")
    assert told.find(f".//{{{REPORT}}}report/{{{SID}}}stanza-id") is None
    juliet.send(f"<presence to='{room}/second' type='unavailable'/>")
    room.shows(romeo, "second", gone=True)
    romeo.send(f"<presence to='{room}/first' type='unavailable'/>")
    room.shows(romeo, "first", gone=True)
    assert participant(room, nurse, id, report(stanza)) == "result"  # both are out
    room.ask(romeo, "first")
    romeo.gets(f"<message from='{room}'><report-participant xmlns='{NS}'/></message>")


@ONE
def test_what_is_no_report(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    assert participant(room, nurse, "x", report()) == "not-acceptable"
    assert participant(room, juliet, "x", report()) == "item-not-found"
    assert participant(room, juliet, "", report()) == "bad-request"
    assert participant(room, juliet, "x", report(reason="dislike")) == "bad-request"
    assert participant(room, juliet, "x", "") == "bad-request"


@ONE
def test_a_room_is_reported_to_the_administrators(
    topology: Topology, room: Room, romeo: Client, juliet: Client
) -> None:
    room.open(romeo, "first")
    chat = f"<report-chat xmlns='{NS}'><jid>{room}</jid>{report('<text>bad</text>', 'abuse')}</report-chat>"
    assert condition(juliet.iq("set", chat, to=room.service)) == "result"
    assert room.address in topology.juliet.server.ctl("reports", "list")
    nowhere = chat.replace(room.address, Room(room.service).address)
    assert condition(juliet.iq("set", nowhere, to=room.service)) == "item-not-found"
