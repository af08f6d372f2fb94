"""XEP-0163: what one's other clients and contacts hear, in every topology."""

import uuid

import pytest

from tests.client import subscribe_both
from tests.pubsub.words import (
    EVENT,
    INFO,
    ITEMS,
    NS,
    OWNER,
    TUNE,
    answer_caps,
    condition,
    configure,
    event,
    ids,
    items,
    publish,
    pubsub,
    show_caps,
    tune,
)


def fresh(node=TUNE):
    """A node that no other test's clients want, so that nobody knows the capabilities yet."""
    return f"{node}#{uuid.uuid4().hex[:8]}"


def test_example_1_what_is_published_is_there_and_is_told_to_own_clients(romeo, make_client):
    node = fresh()
    other = make_client(romeo.account, resource="chamber")
    show_caps(other, node)
    answer_caps(other)
    other.sync()
    answer = publish(romeo, node)
    assert ids(answer) == ["i1"]
    other.gets(
        f"<message from='{romeo.bare}' to='{other.jid}' type='headline'><event xmlns='{EVENT}'>"
        f"<items node='{node}'><item id='i1'>{tune('La Traviata')}</item></items></event></message>"
    )
    romeo.nothing("<message/>")  # it never said that it wants to know
    for to in (None, romeo.bare):
        found = items(romeo, node, to)
        assert ids(found) == ["i1"]
        assert found.find(f".//{{{TUNE}}}title").text == "La Traviata"


def test_a_contact_who_wants_to_know_hears_and_may_ask(romeo, juliet):
    node = fresh()
    subscribe_both(romeo, juliet)
    show_caps(juliet, node)
    answer_caps(juliet)
    juliet.sync()
    if romeo.domain != juliet.domain:
        answer_caps(juliet)  # romeo's host asks for itself
    publish(romeo, node, item="a")
    juliet.gets(event(node, f"<item id='a'>{tune('La Traviata')}</item>", romeo.bare), 10)
    assert ids(items(juliet, node, romeo.bare)) == ["a"]
    answer = romeo.iq("set", pubsub(f"<retract node='{node}' notify='1'><item id='a'/></retract>"))
    assert condition(answer) == ("result",)
    juliet.gets(event(node, "<retract id='a'/>", romeo.bare), 10)
    romeo.iq("set", pubsub(f"<delete node='{node}'/>", OWNER))
    juliet.gets(
        f"<message from='{romeo.bare}'><event xmlns='{EVENT}'><delete node='{node}'/></event></message>", 10
    )


def test_a_client_that_comes_gets_the_last_item_once(romeo, juliet):
    node = fresh()
    publish(romeo, node, item="old")
    publish(romeo, node, item="new")
    subscribe_both(romeo, juliet)
    show_caps(juliet, node)
    answer_caps(juliet)
    if romeo.domain != juliet.domain:
        answer_caps(juliet)
    last = event(node, f"<item id='new'>{tune('La Traviata')}</item>", romeo.bare)
    last = last.replace("</message>", "<delay xmlns='urn:xmpp:delay' stamp='...'/></message>")
    juliet.gets(last, 10)
    show_caps(juliet, node)
    romeo.gets(f"<presence from='{juliet.jid}'/>", 10)
    juliet.nothing("<message/>")
    juliet.send("<presence type='unavailable'/>")
    romeo.gets(f"<presence from='{juliet.jid}' type='unavailable'/>", 10)
    show_caps(juliet, node)  # which are known by now
    juliet.gets(last, 10)


def test_one_becomes_a_contact_and_hears_at_once(romeo, juliet):
    node = fresh()
    publish(romeo, node, item="a")
    show_caps(juliet, node)
    answer_caps(juliet)
    juliet.sync()
    assert condition(items(juliet, node, romeo.bare)) == ("not-authorized", "presence-subscription-required")
    subscribe_both(romeo, juliet)
    if romeo.domain != juliet.domain:
        answer_caps(juliet)
    juliet.gets(event(node, "<item id='a'/>", romeo.bare), 10)
    romeo.send(f"<presence to='{juliet.bare}' type='unsubscribed'/>")
    juliet.gets(f"<presence from='{romeo.bare}' type='unsubscribed'/>", 10)
    publish(romeo, node, item="b")
    assert condition(items(juliet, node, romeo.bare)) == ("not-authorized", "presence-subscription-required")
    juliet.nothing("<message/>")


def test_who_is_blocked_hears_nothing(romeo, juliet):
    node = fresh()
    subscribe_both(romeo, juliet)
    show_caps(juliet, node)
    answer_caps(juliet)
    if romeo.domain != juliet.domain:
        answer_caps(juliet)
    juliet.sync()
    publish(romeo, node, item="a")
    juliet.gets(event(node, "<item id='a'/>", romeo.bare), 10)
    romeo.iq("set", f"<block xmlns='urn:xmpp:blocking'><item jid='{juliet.bare}'/></block>")
    publish(romeo, node, item="b")
    assert condition(items(juliet, node, romeo.bare)) == ("service-unavailable",)
    juliet.nothing("<message/>")


def test_a_stranger_learns_nothing(romeo, juliet):
    nobody = f"nobody@{juliet.domain}"
    for to in (juliet.bare, nobody):
        assert condition(items(romeo, "no-such-node", to)) == ("service-unavailable",)
        assert condition(publish(romeo, "no-such-node", to=to)) == ("service-unavailable",)
        assert condition(configure(romeo, "no-such-node", to=to, access_model="open")) == (
            "service-unavailable",
        )
        create = romeo.iq("set", pubsub("<create node='mine'/>"), to=to)
        assert condition(create) == ("service-unavailable",)


def test_open_nodes_are_for_everybody(romeo, juliet):
    """The device lists and bundles of OMEMO."""
    node = "eu.siacs.conversations.axolotl.devicelist"
    devices = "<list xmlns='eu.siacs.conversations.axolotl'><device id='1'/></list>"
    answer = publish(romeo, node, "current", devices, access_model="open", persist_items="true")
    assert ids(answer) == ["current"]
    found = items(juliet, node, romeo.bare)
    assert found.find(".//{eu.siacs.conversations.axolotl}device").get("id") == "1"
    number = [each.get("node") for each in juliet.iq("get", f"<query xmlns='{ITEMS}'/>", to=romeo.bare)[0]]
    assert number == [node]
    assert condition(publish(juliet, node, to=romeo.bare)) == ("forbidden",)


def test_publish_options_are_preconditions(romeo):
    node = fresh("urn:xmpp:bookmarks:1")
    wanted = {
        "persist_items": "true",
        "max_items": "max",
        "send_last_published_item": "never",
        "access_model": "whitelist",
    }
    assert ids(publish(romeo, node, "a", **wanted)) == ["a"]
    assert ids(publish(romeo, node, "b", **wanted)) == ["b"]
    assert ids(items(romeo, node)) == ["a", "b"]
    refused = publish(romeo, node, "c", **{**wanted, "access_model": "open"})
    assert condition(refused) == ("conflict", "precondition-not-met")
    assert condition(publish(romeo, node, "c", no_such="1")) == ("conflict", "precondition-not-met")
    assert ids(items(romeo, node)) == ["a", "b"]
    assert condition(configure(romeo, node, access_model="open")) == ("result",)
    assert ids(publish(romeo, node, "c", **{**wanted, "access_model": "open"})) == ["c"]


def test_the_account_says_what_it_can(romeo):
    info = romeo.iq("get", f"<query xmlns='{INFO}'/>", to=romeo.bare)[0]
    identities = {(each.get("category"), each.get("type")) for each in info.iter(f"{{{INFO}}}identity")}
    assert identities == {("account", "registered"), ("pubsub", "pep")}
    found = {each.get("var") for each in info.iter(f"{{{INFO}}}feature")}
    for each in ("publish", "publish-options", "persistent-items", "item-ids", "multi-items", "auto-create",
                 "access-presence", "access-open", "filtered-notifications", "config-node-max"):  # fmt: skip
        assert f"{NS}#{each}" in found
    assert {NS, OWNER} <= found


def test_nodes_are_items_of_the_account_with_metadata(romeo, juliet):
    node = fresh()
    publish(romeo, node)
    subscribe_both(romeo, juliet)
    for who in (romeo, juliet):
        found = who.iq("get", f"<query xmlns='{ITEMS}'/>", to=romeo.bare)[0]
        assert node in [each.get("node") for each in found]
        info = who.iq("get", f"<query xmlns='{INFO}' node='{node}'/>", to=romeo.bare)
        assert info.find(f".//{{{INFO}}}identity").get("type") == "leaf"
        inside = who.iq("get", f"<query xmlns='{ITEMS}' node='{node}'/>", to=romeo.bare)[0]
        assert [each.get("name") for each in inside] == ["i1"]
    configure(romeo, node, access_model="whitelist")
    found = juliet.iq("get", f"<query xmlns='{ITEMS}'/>", to=romeo.bare)[0]
    assert node not in [each.get("node") for each in found]
    hidden = juliet.iq("get", f"<query xmlns='{INFO}' node='{node}'/>", to=romeo.bare)
    assert condition(hidden) == ("item-not-found",)


def test_an_accounts_items_in_pages(romeo, juliet):
    """XEP-0030 with XEP-0059: who has very many nodes is not read in one go."""
    subscribe_both(romeo, juliet)
    names = [f"urn:test:{number}" for number in range(5)]
    for name in names:
        publish(romeo, name, access_model="open" if name != names[2] else "whitelist")

    def page(client, inner):
        rsm = f"<set xmlns='http://jabber.org/protocol/rsm'>{inner}</set>"
        answer = client.iq("get", f"<query xmlns='{ITEMS}'>{rsm}</query>", to=romeo.bare)
        if answer.get("type") == "error":
            return condition(answer)
        found = [each.get("node") or each.get("jid") for each in answer.iter(f"{{{ITEMS}}}item")]
        return found, answer.findtext(".//{http://jabber.org/protocol/rsm}count")

    assert page(romeo, "<max>2</max>") == ([romeo.jid, names[0]], "6")
    assert page(romeo, f"<max>2</max><after>{names[0]}</after>") == (names[1:3], "6")
    assert page(romeo, "<max>2</max><before/>") == (names[3:], "6")
    assert page(juliet, f"<max>2</max><after>{names[0]}</after>") == ([names[1], names[3]], "5")
    assert page(juliet, f"<max>2</max><after>{names[2]}</after>") == ("item-not-found",)
    assert page(romeo, "<max>0</max>") == ([], "6")


def test_large_last_items_come_one_after_the_other_and_none_is_lost(romeo, juliet):
    """A client that comes is not cut off because it cannot take them all at once."""
    subscribe_both(romeo, juliet)
    nodes = [fresh() for _ in range(4)]
    for node in nodes:
        assert ids(publish(romeo, node, payload=f"<a xmlns='urn:x'>{'y' * 150_000}</a>")) == ["i1"]
    juliet.send("<presence type='unavailable'/>")
    show_caps(juliet, *nodes)
    answer_caps(juliet)
    if romeo.domain != juliet.domain:
        answer_caps(juliet)
    for node in nodes:
        juliet.gets(event(node, "<item id='i1'/>", romeo.bare), 30)


def test_a_client_that_is_subscribed_and_wants_to_know_hears_once(romeo, juliet):
    subscribe_both(romeo, juliet)
    node = fresh()
    publish(romeo, node)
    wish = pubsub(f"<subscribe node='{node}' jid='{juliet.bare}'/>")
    assert condition(juliet.iq("set", wish, to=romeo.bare)) == ("result",)
    show_caps(juliet, node)
    answer_caps(juliet)
    if romeo.domain != juliet.domain:
        answer_caps(juliet)
    juliet.gets(event(node, "<item id='i1'/>", romeo.bare), 10)
    publish(romeo, node, "i2")
    juliet.gets(event(node, "<item id='i2'/>", romeo.bare), 10)
    publish(romeo, node, "i3")
    juliet.gets(event(node, "<item id='i3'/>", romeo.bare), 10)
    juliet.nothing(event(node, "<item id='i2'/>", romeo.bare))


@pytest.mark.topology("one host")
def test_a_subscriber_hears_although_another_client_of_his_wants_to_know(romeo, juliet, make_client):
    subscribe_both(romeo, juliet)
    node = fresh()
    publish(romeo, node)
    other = make_client(juliet.account, resource="plain")
    wish = pubsub(f"<subscribe node='{node}' jid='{juliet.bare}'/>")
    assert condition(other.iq("set", wish, to=romeo.bare)) == ("result",)
    show_caps(juliet, node)
    answer_caps(juliet)
    juliet.gets(event(node, "<item id='i1'/>", romeo.bare), 10)
    publish(romeo, node, "i2")
    juliet.gets(event(node, "<item id='i2'/>", romeo.bare), 10)
    other.gets(event(node, "<item id='i2'/>", romeo.bare), 10)
