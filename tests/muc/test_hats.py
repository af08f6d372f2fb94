"""Hats (XEP-0317) and the ad-hoc commands of rooms (XEP-0050). Tests are named by the numbers of the examples."""

from typing import Any
from xml.etree.ElementTree import Element

import pytest

from tests.client import Client
from tests.conftest import Place
from tests.muc.conftest import DATA, USER, Room, condition
from tests.muc.test_features import info

HATS, COMMANDS, ADHOC = "urn:xmpp:hats:0", "urn:xmpp:hats:commands", "http://jabber.org/protocol/commands"
ONE = pytest.mark.topology("one host")
URI = "http://schemas.example.com/hats#host"


def run(
    room: Room, client: Client, name: str, fields: dict[str, str] | None = None, attributes: str = ""
) -> Element:
    inner = ""
    if fields is not None:
        inner = f"<field var='FORM_TYPE'><value>{COMMANDS}</value></field>"
        inner += "".join(
            f"<field var='hats#{var}'><value>{value}</value></field>" for var, value in fields.items()
        )
        inner = f"<x xmlns='{DATA}' type='submit'>{inner}</x>"
    command = f"<command xmlns='{ADHOC}' node='{COMMANDS}:{name}' {attributes}>{inner}</command>"
    return client.iq("set", command, to=room.address)


def status(answer: Element) -> str:
    return str(answer[0].get("status")) if answer.get("type") == "result" else condition(answer)


def table(answer: Element) -> list[dict[str, str]]:
    return [
        {str(each.get("var")): each[0].text or "" for each in item.iter(f"{{{DATA}}}field")}
        for item in answer.iter(f"{{{DATA}}}item")
    ]


def test_example_1_to_22_hats(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first", persistentroom=True)
    room.enter(juliet, "second")
    features, fields = info(juliet, room.address)
    assert {HATS, ADHOC} <= features and "hats#hash" not in fields
    form = run(room, romeo, "create", attributes="action='execute'")
    assert status(form) == "executing" and form[0].get("sessionid")
    assert {each.get("var") for each in form.iter(f"{{{DATA}}}field")} >= {
        "hats#title",
        "hats#uri",
        "hats#hue",
    }
    session = f"sessionid='{form[0].get('sessionid')}'"
    made = run(room, romeo, "create", {"title": "Host", "uri": URI, "hue": "327.255249"}, session)
    assert status(made) == "completed" and made[0].get("sessionid") == form[0].get("sessionid")
    juliet.gets(
        f"<message from='{room}' type='groupchat'><x xmlns='{USER}'><status code='104'/></x></message>"
    )
    first = info(juliet, room.address)[1]["hats#hash"]
    listed = run(room, juliet, "list")
    assert status(listed) == "completed"
    assert table(listed) == [{"hats#title": "Host", "hats#uri": URI, "hats#hue": "327.255249"}]
    assert condition(run(room, nurse, "list")) == "forbidden"
    options = run(room, romeo, "assign").find(f".//{{{DATA}}}option/{{{DATA}}}value")
    assert options is not None and options.text == URI
    assert status(run(room, romeo, "assign", {"jid": juliet.bare, "uri": URI})) == "completed"
    hat = f"<hats xmlns='{HATS}'><hat title='Host' uri='{URI}' hue='327.255249'/></hats>"
    room.shows(juliet, "second", "", 110, more=hat)
    room.shows(romeo, "second", more=hat)
    assert table(run(room, romeo, "list-assigned"))[0]["hats#jid"] == juliet.bare
    assert condition(run(room, juliet, "list-assigned")) == "forbidden"
    room.ask(nurse, "third")
    room.shows(nurse, "second", more=hat)
    run(room, romeo, "create", {"title": "Presenter", "uri": URI})  # changed: all see it
    room.shows(
        nurse,
        "second",
        more=f"<hats xmlns='{HATS}'><hat title='Presenter' uri='{URI}' hue='!absent'/></hats>",
    )
    assert info(juliet, room.address)[1]["hats#hash"] != first
    assert status(run(room, romeo, "unassign", {"jid": juliet.bare, "uri": URI})) == "completed"
    room.shows(nurse, "second", more=f"<hats xmlns='{HATS}'>!absent</hats>")
    run(room, romeo, "assign", {"jid": juliet.bare, "uri": URI})
    room.shows(nurse, "second", more=f"<hats xmlns='{HATS}'/>")
    assert status(run(room, romeo, "destroy")) == "executing"
    assert status(run(room, romeo, "destroy", {"uri": URI})) == "completed"
    room.shows(nurse, "second", more=f"<hats xmlns='{HATS}'>!absent</hats>")
    assert table(run(room, romeo, "list")) == table(run(room, romeo, "list-assigned")) == []


@ONE
@pytest.mark.parametrize(
    ("name", "fields", "error"),
    [("create", {"uri": URI}, "bad-request"), ("create", {"title": "x" * 200, "uri": URI}, "not-acceptable"),
     ("create", {"title": "x", "uri": "x", "hue": "red"}, "not-acceptable"),
     ("destroy", {"uri": "nothing"}, "item-not-found"),
     ("assign", {"jid": "a@example.org", "uri": "nothing"}, "item-not-found"),
     ("assign", {"jid": "@", "uri": URI}, "jid-malformed"),
     ("assign", {"jid": "example.org", "uri": URI}, "jid-malformed"),
     ("unassign", {"jid": "a@example.org", "uri": URI}, "item-not-found"),
     ("nonsense", None, "item-not-found")],
)  # fmt: skip
def test_what_is_wrong(room: Room, romeo: Client, name: str, fields: Any, error: str) -> None:
    room.open(romeo, "first")
    run(room, romeo, "create", {"title": "Host", "uri": URI})
    assert condition(run(room, romeo, name, fields)) == error


@ONE
def test_a_person_wears_few_hats_and_a_room_remembers_not_too_much(room: Room, romeo: Client) -> None:
    room.open(romeo, "first")
    uris = [f"urn:hat:{number}:{'x' * 480}" for number in range(6)]
    for uri in uris:
        run(room, romeo, "create", {"title": "Hat", "uri": uri})
    states = [status(run(room, romeo, "assign", {"jid": "a@example.org", "uri": uri})) for uri in uris]
    assert states == ["completed"] * 5 + ["resource-constraint"]
    left = (64 << 10) // len(uris[0])
    for number in range(left):
        state = status(run(room, romeo, "assign", {"jid": f"b{number}@example.org", "uri": uris[0]}))
        if state != "completed":
            break
    assert (state, number > 100) == ("resource-constraint", True)


@ONE
def test_nobody_puts_on_a_hat_or_gives_one_without_right(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second", more=f"<hats xmlns='{HATS}'><hat title='Host' uri='{URI}'/></hats>")
    room.shows(romeo, "second", more=f"<hats xmlns='{HATS}'>!absent</hats>")
    for name in ("create", "destroy", "assign", "unassign", "list-assigned"):
        assert (
            condition(run(room, juliet, name, {"title": "Host", "uri": URI, "jid": juliet.bare}))
            == "forbidden"
        )
    assert status(run(room, juliet, "list")) == "completed"


@ONE
def test_the_commands_are_listed_for_who_may_run_them(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    items = f"<query xmlns='http://jabber.org/protocol/disco#items' node='{ADHOC}'/>"
    found = {each.get("node") for each in romeo.iq("get", items, to=room.address)[0]}
    assert found == {
        f"{COMMANDS}:{each}" for each in ("create", "destroy", "list", "assign", "unassign", "list-assigned")
    }
    assert len(juliet.iq("get", items, to=room.address)[0]) == 0
    node = f"<query xmlns='http://jabber.org/protocol/disco#info' node='{COMMANDS}:create'/>"
    assert romeo.iq("get", node, to=room.address)[0][0].get("type") == "command-node"
    assert status(run(room, romeo, "create", attributes="action='cancel'")) == "canceled"
    assert condition(run(room, romeo, "create", attributes="action='dance'")) == "bad-request"


def test_hats_outlive_a_restart(start_server: Any, account: Any, make_client: Any) -> None:
    server = start_server()
    who = account("romeo", Place(server, "localhost"))
    romeo = make_client(who)
    room = Room("conference.localhost").open(romeo, "first", persistentroom=True)
    run(room, romeo, "create", {"title": "Host", "uri": URI})
    run(room, romeo, "assign", {"jid": romeo.bare, "uri": URI})
    server.kill9()
    server.start()
    romeo = make_client(who)
    room.ask(romeo, "first")
    room.shows(romeo, "first", "", 110, more=f"<hats xmlns='{HATS}'><hat title='Host' uri='{URI}'/></hats>")


def test_who_takes_the_name_of_a_deleted_account_wears_none_of_its_hats(
    start_server: Any, account: Any, make_client: Any
) -> None:
    server = start_server({
        "hosts": {"localhost": {}}, "modules": {"register": {"enabled": True, "per_address": 0}},
        "services": {"rooms": {"asleep": 1}},
    })  # fmt: skip
    place = Place(server, "localhost")
    romeo, who = make_client(account("romeo", place)), account("juliet", place)
    room = Room("conference.localhost").open(romeo, "first", persistentroom=True)
    run(room, romeo, "create", {"title": "Host", "uri": URI})
    assert status(run(room, romeo, "assign", {"jid": who.bare, "uri": URI})) == "completed"
    romeo.send(f"<presence to='{room}/first' type='unavailable'/>")
    room.shows(romeo, "first", gone=True)
    other = Room("conference.localhost").open(romeo, "first", persistentroom=True)
    romeo.send(f"<presence to='{other}/first' type='unavailable'/>")  # the first room is put to sleep
    other.shows(romeo, "first", gone=True)
    server.ctl("accounts", "delete", who.bare)
    server.ctl("accounts", "add", who.bare, "--password", "secret")
    room.enter(romeo, "first")
    room.enter(make_client(who), "second")
    room.shows(romeo, "second", more=f"<hats xmlns='{HATS}'>!absent</hats>")
    assert table(run(room, romeo, "list-assigned")) == []
