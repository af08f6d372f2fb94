"""Rooms survive: settings, affiliations, subject, who is in (kill -9 included)."""

from typing import Any

import pytest

from tests.c2s.test_sm import SM, back, enable
from tests.conftest import HERE, Place
from tests.muc.conftest import USER, Room
from tests.muc.test_subscriptions import event, said, subscribe


@pytest.mark.parametrize("how", ["restart", "kill9"])
def test_who_resumes_is_in_the_room_as_before(
    how: str, start_server: Any, account: Any, make_client: Any
) -> None:
    server = start_server()
    place = Place(server, "localhost")
    people = [account(name, place) for name in ("romeo", "juliet", "nurse")]
    romeo, juliet, nurse = [make_client(each, resource="r") for each in people]
    tokens = [enable(each)["id"] for each in (romeo, juliet)]
    room = Room("conference.localhost").open(romeo, "first", roomname="Cave", moderatedroom=True)
    room.enter(juliet, "second")
    room.enter(nurse, "third")
    room.admin(romeo, "nick='second' role='participant'")
    room.shows(juliet, "second", "role='participant'", 110)
    romeo.send(f"<message to='{room}' type='groupchat'><subject>Spells</subject></message>")
    romeo.gets("<message><subject>Spells</subject></message>")
    room.say(juliet, "before")
    romeo.gets(f"<message from='{room}/second' type='groupchat'><body>before</body></message>")
    room.admin(
        romeo, "affiliation='outcast' jid='evil@example.org'"
    )  # answered when it is kept, and all before
    juliet.sync()
    if how == "restart":
        server.restart()
    else:
        server.kill9()
        server.start()
    again = [back(make_client, who, token, 0) for who, token in zip(people[:2], tokens, strict=True)]
    for each in again:
        each.gets(f"<resumed xmlns='{SM}'/>")
    romeo, juliet = again
    romeo.jid = f"{people[0].bare}/r"
    room.say(juliet, "still here")
    romeo.gets(f"<message from='{room}/second' type='groupchat'><body>still here</body></message>")
    banned = room.admin(romeo, "affiliation='outcast'", kind="get")
    assert [each.get("jid") for each in banned[0]] == ["evil@example.org"]
    nurse = make_client(people[2], resource="r")
    room.ask(nurse, "third")
    found = room.shows(nurse, "second", "role='participant'")
    assert found is not None
    nurse.gets(f"<message from='{room}/first'><subject>Spells</subject></message>")
    bodies = [
        each.findtext("{jabber:client}body") for each in nurse.inbox if each.get("from") == f"{room}/second"
    ]
    assert [each for each in bodies if each] == ["before", "still here"]
    assert not [each for each in nurse.inbox if each.get("from") == f"{room}/third" and each.get("type")]


def test_who_did_not_resume_is_no_ghost(start_server: Any, account: Any, make_client: Any) -> None:
    server = start_server()
    place = Place(server, "localhost")
    people = [account(name, place) for name in ("romeo", "juliet", "nurse")]
    romeo, juliet, nurse = [make_client(each) for each in people]
    room = Room("conference.localhost").open(romeo, "first", allow_subscription=True)
    room.enter(juliet, "second")
    assert subscribe(room, nurse, "third").get("type") == "result"
    juliet.sync()
    server.kill9()
    server.start()
    romeo = make_client(people[0])
    room.ask(romeo, "first")
    romeo.gets("<message><subject/></message>")
    seen = {each.get("from") for each in romeo.inbox if each.find(f"{{{USER}}}x") is not None}
    assert f"{room}/second" not in seen
    nurse = make_client(people[2])  # a subscriber has no session to lose
    room.say(romeo, "hello")
    event(room, nurse, "messages", said(room, "first", "hello"))
    room.say(nurse, "still subscribed")
    romeo.gets(f"<message from='{room}/third'><body>still subscribed</body></message>")


@pytest.mark.topology("two servers")
def test_an_error_says_that_a_session_is_gone(room: Room, romeo: Any, juliet: Any) -> None:
    """Not every error does: only those that say that nobody is there."""
    assert room.service.endswith(HERE)
    room.open(romeo, "first")
    room.enter(juliet, "second")
    gone = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    fine = "<error type='cancel'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    juliet.send(f"<message to='{room}/first' type='error'>{fine}</message>")
    juliet.sync(room.service)
    room.say(juliet, "still here")
    romeo.gets("<message><body>still here</body></message>")
    juliet.send(f"<message to='{room}/first' type='error'>{gone}</message>")
    room.shows(romeo, "second", "role='none'", 333, gone=True)
