"""Rooms of many, rooms of nobody, and occupants who have vanished."""

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from tests.client import Client
from tests.component.component import Component
from tests.conftest import CONFIG, Place
from tests.http.test_metrics import scrape
from tests.muc.conftest import MUC, USER, Room, condition
from tests.server import ServerProcess

pytestmark = pytest.mark.topology("one host")
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
GATEWAY = "gateway.localhost"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, databases: Any) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("crowds")
    features = {"crowd": {"crowd": 2, "interval": "1h"}, "alive": {"silence": "1s"}}
    config = {
        **databases(folder),
        **CONFIG,
        "component": {"port": 0},
        "components": {GATEWAY: {"secret": "secret"}},
        "metrics": {"port": 0},
        "services": {"rooms": {"asleep": 1, "modules": features}},
    }
    process = ServerProcess(config, folder)
    yield process
    assert process.stop() == 0, process.tail()


@pytest.fixture
def gateway(server: ServerProcess) -> Iterator[Component]:
    component = Component(server.address("component"), GATEWAY).join()
    yield component
    component.close()


def show(room: Room, client: Client, nick: str, status: str) -> None:
    client.send(f"<presence to='{room}/{nick}'><status>{status}</status></presence>")


# -- crowds ------------------------------------------------------------------------------------------------


def test_in_a_crowd_who_has_no_voice_is_not_shown(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first", moderatedroom=True)
    room.enter(juliet, "second")  # a visitor, and no crowd yet
    room.shows(romeo, "second", "role='visitor'")
    room.enter(nurse, "third")
    room.say(romeo, "one")
    nurse.gets("<message><body>one</body></message>")
    romeo.nothing(f"<presence from='{room}/third'/>")
    room.admin(romeo, "nick='third' role='participant'")
    room.shows(romeo, "third", "role='participant'")
    room.shows(juliet, "third", "role='participant'")
    juliet.send(f"<presence to='{room}/second' type='unavailable'/>")
    room.shows(romeo, "second", gone=True)  # who was seen to come is seen to go


def test_the_last_of_several_presences_is_shown_and_before_what_is_said_then(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.enter(nurse, "third")
    for each in ("a", "b", "c"):
        show(room, juliet, "second", each)
    juliet.sync()
    nurse.inbox.clear()
    room.say(juliet, "after")
    nurse.gets("<message><body>after</body></message>")
    came = [each for each in nurse.inbox if each.get("from") == f"{room}/second"]
    assert [each.findtext("{jabber:client}status") for each in came] == ["c"]
    room.shows(juliet, "second", "", 110, more="<status>c</status>")


def test_who_goes_is_seen_to_go_whatever_waits(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.enter(nurse, "third")
    show(room, juliet, "second", "away")
    show(room, nurse, "third", "busy")
    juliet.send(f"<presence to='{room}/second' type='unavailable'/>")
    room.shows(romeo, "second", gone=True)
    room.say(romeo, "now")
    romeo.gets("<message><body>now</body></message>")
    room.shows(romeo, "third", more="<status>busy</status>")


def test_who_speaks_and_leaves_at_once_gets_what_was_said(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    juliet.send(
        f"<message to='{room}' type='groupchat'><body>bye</body></message>"
        f"<presence to='{room}/second' type='unavailable'/>"
    )
    juliet.gets("<message><body>bye</body></message>")
    room.shows(juliet, "second", "", 110, gone=True)


# -- nobody is in --------------------------------------------------------------------------------------------


def rooms_in_memory(server: ServerProcess) -> float:
    return scrape(server)["jabberd_rooms", "conference.localhost"]


def test_discovery_does_not_wake_a_room_that_sleeps(server: ServerProcess, room: Room, romeo: Client) -> None:
    other = Room(room.service)
    for each in (room, other):
        each.open(romeo, "first", persistentroom=True, roomname="Cave")
    before = rooms_in_memory(server)
    for each in (room, other):
        romeo.send(f"<presence to='{each}/first' type='unavailable'/>")
        each.shows(romeo, "first", "", 110, gone=True)
    with gevent.Timeout(10):
        while rooms_in_memory(server) != before - 1:  # the other one went last, and is kept in memory
            gevent.sleep(0.05)
    query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    info = romeo.iq("get", query, to=str(room))
    assert info[0].find("{http://jabber.org/protocol/disco#info}identity").get("name") == "Cave"  # type: ignore[union-attr]
    assert romeo.iq("get", query.replace("info", "items"), to=str(room)).get("type") == "result"
    assert rooms_in_memory(server) == before - 1
    assert condition(romeo.iq("get", query, to=f"no{room}")) == "item-not-found"
    assert condition(romeo.iq("get", "<query xmlns='urn:no'/>", to=f"no{room}")) == "item-not-found"
    room.enter(romeo, "first")


def test_metrics_of_rooms(server: ServerProcess, room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    before = scrape(server)
    room.enter(juliet, "second")
    room.say(juliet, "counted")
    romeo.gets("<message><body>counted</body></message>")
    juliet.gets("<message><body>counted</body></message>")
    juliet.sync(room.service)
    after = scrape(server)
    at = "conference.localhost"
    assert after["jabberd_rooms_sessions", at] == before["jabberd_rooms_sessions", at] + 1
    assert after["jabberd_rooms_delivered_total", at] > before["jabberd_rooms_delivered_total", at]
    assert after["jabberd_rooms_waiting", at] == 0


# -- who has vanished ------------------------------------------------------------------------------------------


def come(room: Room, gateway: Component, name: str) -> str:
    full = f"{name}@{GATEWAY}/x"
    gateway.send(f"<presence from='{full}' to='{room}/{name}'><x xmlns='{MUC}'/></presence>")
    gateway.gets(f"<message to='{full}'><subject/></message>")
    return full


def ping(room: Room, gateway: Component, full: str) -> str:
    asked = gateway.gets(f"<iq type='get' from='{room}' to='{full}'><ping xmlns='urn:xmpp:ping'/></iq>")
    return str(asked.get("id"))


def error(name: str) -> str:
    return f"<error type='cancel'><{name} xmlns='{STANZAS}'/></error>"


def test_a_silent_occupant_is_asked_and_is_out_if_nobody_is_there(
    room: Room, romeo: Client, gateway: Component
) -> None:
    room.open(romeo, "first")
    full = come(room, gateway, "ghost")
    id = ping(room, gateway, full)
    gateway.send(
        f"<iq type='error' id='{id}' from='{full}' to='{room}'>{error('recipient-unavailable')}</iq>"
    )
    room.shows(romeo, "ghost", "", 333, gone=True)


def test_who_answers_stays_also_one_that_knows_no_pings(
    room: Room, romeo: Client, gateway: Component
) -> None:
    room.open(romeo, "first")
    full = come(room, gateway, "old")
    id = ping(room, gateway, full)
    gateway.send(f"<iq type='error' id='{id}' from='{full}' to='{room}'>{error('service-unavailable')}</iq>")
    silent = gateway.gets(
        f"<message type='groupchat' from='{room}' to='{full}'><body>!absent</body></message>"
    )
    id = ping(room, gateway, full)  # it has said nothing: a client
    gateway.send(f"<iq type='result' id='{id}' from='{full}' to='{room}'/>")
    room.say(romeo, "still here")
    gateway.gets(f"<message to='{full}'><body>still here</body></message>")
    gateway.send(
        f"<message type='error' from='{full}' to='{room}'>{error('service-unavailable')}</message>"
    )  # a server's answer
    assert silent.find(f"{{{USER}}}x") is None
    room.shows(romeo, "old", "", 333, gone=True)


def test_when_a_server_takes_everything_and_answers_nothing_its_occupants_are_out(
    start_server: Any, account: Any, make_client: Any
) -> None:
    """One that answers, if only for itself, keeps its silent occupants: they may be slow."""
    alive = {"silence": "1s", "patience": 0.1, "given_up": "4s"}
    components = {"component": {"port": 0}, "components": {GATEWAY: {"secret": "secret"}}}
    server = start_server({**CONFIG, **components, "services": {"rooms": {"modules": {"alive": alive}}}})
    gateway = Component(server.address("component"), GATEWAY).join()
    romeo = make_client(account("romeo", Place(server, "localhost")))
    room = Room("conference.localhost").open(romeo, "first")
    full = come(room, gateway, "hole")
    room.shows(romeo, "hole")
    asks = f"<iq type='get' from='{room.service}' to='{GATEWAY}'><ping xmlns='urn:xmpp:ping'/></iq>"
    ping(room, gateway, full)
    number = gateway.gets(asks).get("id")
    gateway.gets(asks)  # the first answer is late, and counts all the same
    answer = error("service-unavailable")
    gateway.send(f"<iq type='error' id='{number}' from='{GATEWAY}' to='{room.service}'>{answer}</iq>")
    gateway.gets(asks)
    romeo.nothing(f"<presence from='{room}/hole' type='unavailable'/>")
    room.shows(romeo, "hole", "", 333, gone=True)
    gateway.close()
