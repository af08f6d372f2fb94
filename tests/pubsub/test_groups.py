"""Groups of the roster that the server keeps."""

import json
import uuid

import gevent
import pytest

from tests.client import subscribe_both
from tests.conftest import CONFIG, Account, Place
from tests.pubsub.words import condition, listen, publish, pubsub

ROSTER = "jabber:iq:roster"
pytestmark = pytest.mark.topology("one host")


@pytest.fixture
def group():
    return f"The {uuid.uuid4().hex[:8]} Team"


@pytest.fixture
def ctl(topology):
    return topology.romeo.server.ctl


def roster(client):
    """Address -> (subscription, groups) of all contacts; from now on the client is told of changes."""
    answer = client.iq("get", f"<query xmlns='{ROSTER}'/>")
    return {
        item.get("jid"): (item.get("subscription"), sorted(each.text for each in item))
        for item in answer.iter(f"{{{ROSTER}}}item")
    }


def push(client, inner):
    client.gets(f"<iq type='set'><query xmlns='{ROSTER}'>{inner}</query></iq>", 10)


def test_members_are_in_each_others_rosters_and_see_each_other(romeo, juliet, ctl, group):
    for client in (romeo, juliet):
        assert roster(client) == {}
        ctl("groups", "add", group, client.bare)
    for one, other in ((romeo, juliet), (juliet, romeo)):
        push(one, f"<item jid='{other.bare}' subscription='both'><group>{group}</group></item>")
        one.gets(f"<presence from='{other.jid}' type='!absent'/>", 10)
        assert roster(one) == {other.bare: ("both", [group])}
        one.inbox.clear()
    assert f"{group}" in ctl("groups", "list")
    ctl("groups", "remove", group, juliet.bare)
    for one, other in ((romeo, juliet), (juliet, romeo)):
        push(one, f"<item jid='{other.bare}' subscription='remove'/>")
        one.gets(f"<presence from='{other.jid}' type='unavailable'/>", 10)
        assert roster(one) == {}


def test_a_third_member_meets_all_others(romeo, juliet, nurse, ctl, group):
    people = (romeo, juliet, nurse)
    for client in people:
        ctl("groups", "add", group, client.bare)
    for client in people:
        assert roster(client) == {each.bare: ("both", [group]) for each in people if each is not client}


def test_the_user_cannot_end_what_the_server_keeps_but_may_name_it(romeo, juliet, ctl, group):
    for client in (romeo, juliet):
        ctl("groups", "add", group, client.bare)
    roster(romeo)
    item = f"<query xmlns='{ROSTER}'><item jid='{juliet.bare}'{{}}</query>"
    assert condition(romeo.iq("set", item.format(" subscription='remove'/>"))) == ("not-allowed",)
    for type in ("unsubscribe", "unsubscribed"):
        romeo.send(f"<presence to='{juliet.bare}' type='{type}'/>")
        romeo.gets("<presence type='error'><error/></presence>")
    assert condition(romeo.iq("set", item.format(" name='Love'><group>Friends</group></item>"))) == (
        "result",
    )
    push(
        romeo,
        f"<item jid='{juliet.bare}' name='Love' subscription='both'><group>Friends</group><group>{group}</group></item>",
    )
    assert roster(juliet) == {romeo.bare: ("both", [group])}


def test_who_knew_each_other_before_stay_contacts_afterwards(romeo, juliet, nurse, ctl, group):
    subscribe_both(romeo, juliet)
    romeo.send(f"<presence to='{nurse.bare}' type='subscribe'/>")  # she has not answered
    romeo.sync()
    for client in (romeo, juliet, nurse):
        ctl("groups", "add", group, client.bare)
    romeo.inbox.clear()
    ctl("groups", "remove", group, romeo.bare)
    assert roster(romeo)[juliet.bare] == ("both", [])
    assert roster(juliet) == {romeo.bare: ("both", []), nurse.bare: ("both", [group])}
    assert roster(romeo)[nurse.bare] == ("none", [])
    juliet.nothing(f"<presence from='{romeo.jid}' type='unavailable'/>")


def test_two_groups_and_one_of_them_goes(romeo, juliet, ctl, group):
    for client in (romeo, juliet):
        for name in (group, f"{group} 2"):
            ctl("groups", "add", name, client.bare)
    assert roster(romeo) == {juliet.bare: ("both", [group, f"{group} 2"])}
    ctl("groups", "remove", group, romeo.bare)
    assert roster(romeo) == roster_of(juliet, [f"{group} 2"])
    ctl("groups", "remove", f"{group} 2", juliet.bare)
    assert roster(romeo) == roster(juliet) == {}


def roster_of(client, groups):
    return {client.bare: ("both", groups)}


def test_members_read_what_only_contacts_may(romeo, juliet, ctl, group):
    listen(juliet, "http://jabber.org/protocol/tune")
    for client in (romeo, juliet):
        ctl("groups", "add", group, client.bare)
    publish(romeo)
    juliet.gets(
        f"<message from='{romeo.bare}'><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>", 10
    )


def test_an_account_that_goes_leaves_nothing_behind(romeo, juliet, ctl, group):
    for client in (romeo, juliet):
        ctl("groups", "add", group, client.bare)
    roster(romeo)
    ctl("accounts", "delete", juliet.bare)
    romeo.gets(f"<presence from='{juliet.jid}' type='unavailable'/>", 10)
    assert roster(romeo) == {}
    assert [row["jid"] for row in json.loads(ctl("groups", "show", group, "--json"))] == [romeo.bare]


def test_mistakes_are_told(romeo, ctl, group):
    assert "no such account" in ctl("groups", "add", group, f"nobody@{romeo.domain}", code=None)
    assert "not in that group" in ctl("groups", "remove", group, romeo.bare, code=None)
    assert "1 to 200 characters" in ctl("groups", "add", "x" * 201, romeo.bare, code=None)


def test_groups_of_the_configuration_and_of_a_node_outlive_kill_9(start_server, make_client):
    names = ("romeo", "juliet", "nurse")
    groups = {
        "groups": {
            "House": ["romeo@localhost", "juliet@localhost", "ghost@localhost", "a@other.example"],
            "All": "*",
        },
        "nodes": ["pubsub.localhost staff The Staff"],
    }
    config = {**CONFIG, "modules": {**CONFIG["modules"], "groups": groups}}
    server = start_server(config)
    for name in names:
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")

    def login():
        return [make_client(Account(name, "secret", Place(server, "localhost"))) for name in names]

    def until(client, wanted):
        with gevent.Timeout(20, AssertionError(f"{roster(client)} is not {wanted}")):
            while roster(client) != wanted:
                gevent.sleep(0.05)

    romeo, juliet, nurse = login()
    until(romeo, {juliet.bare: ("both", ["All", "House"]), nurse.bare: ("both", ["All"])})
    assert condition(nurse.iq("set", pubsub("<create node='staff'/>"), to="pubsub.localhost")) == ("result",)
    for each in (nurse, juliet):
        publish(nurse, "staff", each.bare, to="pubsub.localhost")
    server.ctl("reload")
    wanted = {romeo.bare: ("both", ["All"]), juliet.bare: ("both", ["All", "The Staff"])}
    until(nurse, wanted)
    assert "owned by somebody who does not administer the host" in server.log.read_text()
    assert "says that it is in that group" in server.ctl("groups", "remove", "House", romeo.bare, code=None)
    server.kill9()
    server.start()
    romeo, juliet, nurse = login()
    until(nurse, wanted)  # what the crash has left half done is done again
    retract = pubsub(f"<retract node='staff' notify='1'><item id='{juliet.bare}'/></retract>")
    assert condition(nurse.iq("set", retract, to="pubsub.localhost")) == ("result",)
    until(nurse, {romeo.bare: ("both", ["All"]), juliet.bare: ("both", ["All"])})
    groups["groups"] = {}
    server.file.write_text(json.dumps(json.loads(server.file.read_text()) | {"modules": config["modules"]}))
    server.ctl("reload")
    until(romeo, {})


def test_a_node_of_a_group_is_written_as_address_node_and_group():
    from jabberd_py.pubsub.groups import group_node, member

    assert group_node("pubsub.example.org staff The Staff") == (("pubsub.example.org", "staff"), "The Staff")
    for odd in ("pubsub.example.org staff", "@ staff Staff", f"pubsub.example.org staff {'x' * 201}"):
        with pytest.raises(ValueError):
            group_node(odd)
    for odd in ("romeo", "romeo@example.org/garden", "**"):
        with pytest.raises(ValueError):
            member(odd)
