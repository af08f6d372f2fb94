"""A room with clients of other people: create, configure, join, talk, subject, invite, self-ping, archive, kick, ban.
slixmpp's own turn is in tests/muc/test_slixmpp.py."""

import pytest

from tests.muc.conftest import USER, Room, condition


@pytest.mark.timeout(120)
@pytest.mark.parametrize("enter", ["aioxmpp", "xmpp.js"], indirect=True)
def test_a_room_of_theirs(enter, account, make_client):
    romeo = account("romeo")
    juliet, nurse = make_client(account("juliet")), make_client(account("nurse"))
    room = Room("conference.localhost")
    address = room.address
    guest = enter(romeo)
    guest.does("join", address, "first")
    guest.does("configure", address, "Orchard")
    info = juliet.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", address)
    assert info[0][0].get("name") == "Orchard"
    guest.does("invite", address, juliet.bare)
    juliet.gets(f"<message from='{address}'><x xmlns='{USER}'><invite from='{romeo.bare}...'/></x></message>")
    room.enter(juliet, "second")
    guest.until("joined", "second")
    guest.does("say", address, "what light through yonder window breaks")
    juliet.gets(f"<message type='groupchat' from='{address}/first'><body>what light...</body></message>")
    room.say(juliet, "ay me")
    guest.until("said", "second", "ay me")
    guest.does("subject", address, "Names")
    juliet.gets(f"<message type='groupchat' from='{address}/first'><subject>Names</subject></message>")
    guest.does("self-ping", address)
    pages = [heard[1:] for heard in guest.does("room pages", address, "1") if heard[0] == "page"]
    bodies = [body for page in pages for body in page]
    assert bodies[:2] == ["what light through yonder window breaks", "ay me"] and len(pages) >= 2
    guest.does("kick", address, "second")
    room.shows(juliet, "second", "role='none'", 307, 110, gone=True)
    room.enter(juliet, "second")
    guest.does("ban", address, juliet.bare)
    room.shows(juliet, "second", "affiliation='outcast'", 301, 110, gone=True)
    room.ask(juliet, "second")
    assert condition(juliet.gets("<presence type='error'/>")) == "forbidden"
    room.enter(nurse, "third")
    guest.until("joined", "third")
    guest.leave()
    room.shows(nurse, "first", gone=True)
