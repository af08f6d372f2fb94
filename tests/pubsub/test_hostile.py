"""Strangers, forged events, and too much of everything."""

import pytest

from tests.pubsub.test_collections import make  # noqa: F401
from tests.pubsub.test_subscriptions import subscribe, values
from tests.pubsub.words import (
    EVENT,
    INFO,
    ITEMS,
    NS,
    OWNER,
    condition,
    configure,
    form,
    ids,
    items,
    publish,
    pubsub,
    tune,
)

pytestmark = pytest.mark.topology("one host")


@pytest.fixture
def node(romeo, service):
    return romeo.iq("set", pubsub("<create/>"), to=service).find(f".//{{{NS}}}create").get("node")


def test_forged_events_and_answers_change_nothing(romeo, juliet, service, node):
    subscribe(juliet, node, service)
    event = f"<event xmlns='{EVENT}'><items node='{node}'><item id='x'/></items></event>"
    romeo.send(f"<message to='{service}'>{event}</message>")
    romeo.gets("<message type='error'/>", 10)
    romeo.send(f"<message to='{juliet.bare}' type='headline'>{event}</message>")
    error = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    romeo.send(
        f"<message to='{service}' type='error'>{event}{error}</message>"
    )  # it is romeo who is gone, not juliet
    publish(romeo, node, to=service)
    juliet.gets(f"<message from='{service}'><event xmlns='{EVENT}'/></message>", 10)
    assert ids(items(juliet, node, service)) == ["i1"]


def test_who_answers_that_nobody_is_there_is_subscribed_no_longer(romeo, juliet, service, node):
    subscribe(juliet, node, service)
    subscribe(juliet, node, service, juliet.jid)
    error = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    juliet.send(f"<message to='{service}' type='error'>{error}</message>")
    left = juliet.iq("get", pubsub(f"<subscriptions node='{node}'/>"), to=service)
    assert [each.get("jid") for each in left.iter(f"{{{NS}}}subscription")] == [juliet.bare]


def test_names_and_values_of_a_hundred_kilobytes(romeo, juliet, service, node):
    long = "n" * 100_000
    for client in (romeo, juliet):
        for kind, ns, inner in (
            ("set", NS, f"<create node='{long}'/>"),
            ("set", NS, f"<publish node='{node}'><item id='{long}'>{tune('a')}</item></publish>"),
            ("set", NS, f"<publish node='{long}'><item>{tune('a')}</item></publish>"),
            ("get", NS, f"<items node='{long}'/>"),
            ("get", NS, f"<items node='{node}'><item id='{long}'/></items>"),
            ("set", NS, f"<retract node='{node}'><item id='{long}'/></retract>"),
            ("set", NS, f"<subscribe node='{node}' jid='{long}@a'/>"),
            ("set", NS, f"<unsubscribe node='{node}' jid='{client.bare}' subid='{long}'/>"),
            ("get", NS, f"<options node='{long}' jid='{client.bare}'/>"),
            ("get", NS, f"<default node='{long}'/>"),
            ("set", OWNER, f"<configure node='{node}'>{form('node_config', title=long)}</configure>"),
            ("set", OWNER, f"<configure node='{node}'>{form('node_config', collection=long)}</configure>"),
            ("set", OWNER, f"<collection node='{node}'><associate node='{long}'/></collection>"),
            (
                "set",
                OWNER,
                f"<affiliations node='{node}'><affiliation jid='{long}' affiliation='{long}'/></affiliations>",
            ),
        ):
            answer = client.iq(kind, pubsub(inner, ns), to=service)
            assert answer.get("type") == "error" or inner.startswith("<items"), inner[:60]
            assert len(answer.find("{jabber:client}error") or ()) < 4
    answer = romeo.iq("get", f"<query xmlns='{ITEMS}' node='{long}'/>", to=service)
    assert condition(answer) == ("item-not-found",)


def test_many_of_everything_is_refused(romeo, juliet, service, node):
    rows = "".join(f"<affiliation jid='u{number}@a.example' affiliation='member'/>" for number in range(1001))
    many = romeo.iq("set", pubsub(f"<affiliations node='{node}'>{rows}</affiliations>", OWNER), to=service)
    assert condition(many) == ("policy-violation",)
    for verb, ns in (("items", "get"), ("retract", "set")):
        inner = f"<{verb} node='{node}'>" + "".join(f"<item id='{n}'/>" for n in range(101)) + f"</{verb}>"
        assert condition(romeo.iq(ns, pubsub(inner), to=service)) == ("policy-violation",)
    batch = f"<publish node='{node}'>" + f"<item>{tune('a')}</item>" * 101 + "</publish>"
    assert condition(romeo.iq("set", pubsub(batch), to=service)) == ("not-allowed", "max-items-exceeded")
    lines = "".join(f"<field var='f{n}'/>" for n in range(201))
    x = f"<x xmlns='jabber:x:data' type='submit'>{lines}</x>"
    answer = romeo.iq("set", pubsub(f"<configure node='{node}'>{x}</configure>", OWNER), to=service)
    assert condition(answer) == ("bad-request",)
    twice = "<field var='pubsub#title'><value>a</value></field>" * 2
    x = f"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{NS}#node_config</value></field>{twice}</x>"
    answer = romeo.iq("set", pubsub(f"<configure node='{node}'>{x}</configure>", OWNER), to=service)
    assert condition(answer) == ("bad-request",)


def test_a_deleted_node_leaves_nothing_to_the_next_of_its_name(romeo, juliet, service, node):
    change = (
        f"<affiliations node='{node}'><affiliation jid='{juliet.bare}' affiliation='owner'/></affiliations>"
    )
    romeo.iq("set", pubsub(change, OWNER), to=service)
    subscribe(juliet, node, service)
    publish(romeo, node, to=service)
    juliet.gets("<message/>", 10)
    romeo.iq("set", pubsub(f"<delete node='{node}'/>", OWNER), to=service)
    juliet.gets("<message/>", 10)
    romeo.iq("set", pubsub(f"<create node='{node}'/>"), to=service)
    assert ids(items(romeo, node, service)) == []
    assert condition(publish(juliet, node, to=service)) == ("forbidden",)
    publish(romeo, node, to=service)
    juliet.nothing("<message/>")


def test_quotas_of_nodes(start_server, account, make_client):
    from tests.conftest import CONFIG, Place

    limits = {"max_nodes": 5, "max_nodes_each": 3, "max_subscriptions": 1, "max_bytes_each": "1 KiB"}
    limits["max_people_each"] = 4  # romeo owns three nodes

    server = start_server(
        {**CONFIG, "services": {"pubsub": limits}, "modules": {**CONFIG["modules"], "pep": {"max_nodes": 2}}}
    )
    romeo, juliet = (make_client(account(name, Place(server, "localhost"))) for name in ("romeo", "juliet"))
    full = ("not-allowed", "max-nodes-exceeded")

    def create(client):
        return condition(client.iq("set", pubsub("<create/>"), to="pubsub.localhost"))

    assert [create(romeo) for _ in range(4)] == [("result",)] * 3 + [full]
    assert [create(juliet) for _ in range(3)] == [("result",)] * 2 + [full]
    assert [condition(publish(romeo, f"n{number}")) for number in range(3)] == [("result",)] * 2 + [full]
    nodes = [
        each.get("node") for each in romeo.iq("get", f"<query xmlns='{ITEMS}'/>", to="pubsub.localhost")[0]
    ]
    node = nodes[0]  # the first three are romeo's
    said = [
        condition(publish(romeo, each, item, tune("a" * 300), to="pubsub.localhost"))
        for each in nodes[:3]
        for item in "ab"
    ]
    assert said[:2] == [("result",)] * 2  # one may come in addition while the others are counted
    assert said[3:] == [("resource-constraint",)] * 3  # what he fills is his own share
    assert condition(publish(juliet, nodes[3], payload=tune("a" * 300), to="pubsub.localhost")) == ("result",)
    assert condition(subscribe(romeo, node, "pubsub.localhost")) == ("result",)
    crowded = ("policy-violation", "too-many-subscriptions")
    assert condition(subscribe(juliet, node, "pubsub.localhost")) == crowded
    assert condition(subscribe(juliet, nodes[1], "pubsub.localhost")) == crowded
    assert condition(subscribe(juliet, nodes[3], "pubsub.localhost")) == ("result",)
    rows = f"<affiliations node='{node}'><affiliation jid='a@b.example' affiliation='member'/></affiliations>"
    member = romeo.iq("set", pubsub(rows, OWNER), to="pubsub.localhost")
    assert condition(member) == ("policy-violation",)


def test_the_room_of_all_items_is_bounded(start_server, account, make_client):
    from tests.conftest import CONFIG, Place

    modules = {**CONFIG["modules"], "pep": {"max_bytes": "1 KiB"}}
    server = start_server({**CONFIG, "modules": modules})
    romeo = make_client(account("romeo", Place(server, "localhost")))
    said = [condition(publish(romeo, f"n{number}", payload=tune("a" * 300))) for number in range(5)]
    assert (
        said[:2] == [("result",)] * 2
    )  # one that is on its way when the others are counted may come in addition
    assert said[3:] == [("resource-constraint",)] * 2
    assert condition(publish(romeo, "n0", payload=tune("a"))) == ("result",)


def test_a_ring_of_services_does_not_send_for_ever(romeo, juliet, service, node):
    """A service that is subscribed to another one's node, or to its own, gets events and answers nothing."""
    services = (service, "pubsub.other.localhost")
    rows = "".join(f"<subscription jid='{jid}' subscription='subscribed'/>" for jid in services)
    answer = romeo.iq(
        "set", pubsub(f"<subscriptions node='{node}'>{rows}</subscriptions>", OWNER), to=service
    )
    assert condition(answer) == ("result",)
    publish(romeo, node, to=service)
    subscribe(juliet, node, service)
    juliet.gets("<message/>", 10)
    publish(romeo, node, "i2", to=service)
    juliet.gets(
        f"<message><event xmlns='{EVENT}'><items node='{node}'><item id='i2'>...</item></items></event></message>",
        10,
    )
    juliet.nothing("<message/>")


def test_0060_example_216_temporary_subscriptions_end_with_presence(romeo, juliet, service, node):
    subscribe(juliet, node, service, expire="presence")
    publish(romeo, node, to=service)
    juliet.gets(f"<message><event xmlns='{EVENT}'/></message>", 10)
    juliet.send("<presence type='unavailable'/>")
    juliet.gets("<presence type='unavailable'/>")
    juliet.send("<presence/>")
    juliet.gets("<presence/>")
    publish(romeo, node, to=service)
    juliet.nothing("<message/>")
    left = juliet.iq("get", pubsub("<subscriptions/>"), to=service)
    assert list(left.iter(f"{{{NS}}}subscription")) == []


def test_the_last_item_comes_with_presence(romeo, juliet, service, node):
    subscribe(juliet, node, service)
    publish(romeo, node, to=service)
    juliet.gets(f"<message><event xmlns='{EVENT}'/></message>", 10)
    juliet.send("<presence type='unavailable'/>")
    juliet.send("<presence/>")
    juliet.gets(
        f"<message to='{juliet.jid}'><event xmlns='{EVENT}'/><delay xmlns='urn:xmpp:delay'/></message>", 10
    )
    juliet.send("<presence><show>away</show></presence>")
    juliet.nothing("<message/>")


def test_a_configuration_has_a_bound(romeo):
    publish(romeo, "urn:test:large")
    groups = [f"{number:04}" * 20 for number in range(300)]
    assert condition(configure(romeo, "urn:test:large", roster_groups_allowed=groups)) == ("not-acceptable",)
    assert condition(configure(romeo, "urn:test:large", roster_groups_allowed=groups[:100])) == ("result",)
    refused = publish(romeo, "urn:test:new", roster_groups_allowed=groups)
    assert condition(refused) == ("not-acceptable",)


def test_two_owners_cannot_take_each_other_out(romeo, juliet, service, node):
    def row(who, affiliation):
        row = f"<affiliation jid='{who.bare}' affiliation='{affiliation}'/>"
        return pubsub(f"<affiliations node='{node}'>{row}</affiliations>", OWNER)

    assert condition(romeo.iq("set", row(juliet, "owner"), to=service)) == ("result",)
    for one, other in ((romeo, juliet), (juliet, romeo)):
        one.send(f"<iq type='set' id='out' to='{service}'>{row(other, 'none')}</iq>")
    answers = [client.gets("<iq id='out'/>") for client in (romeo, juliet)]
    assert any(answer.get("type") == "error" for answer in answers)
    forms = [
        each.iq("get", pubsub(f"<configure node='{node}'/>", OWNER), to=service) for each in (romeo, juliet)
    ]
    assert [each.get("type") for each in forms].count("result") == 1


def at_once(requests):
    """The answers to requests that different clients send at the same time: (client, to, type, payload)."""
    for number, (client, to, kind, payload) in enumerate(requests):
        client.send(f"<iq type='{kind}' id='once{number}' to='{to}'>{payload}</iq>")
    return [
        condition(client.gets(f"<iq id='once{number}'/>", 30)) for number, (client, *_) in enumerate(requests)
    ]


def test_limits_hold_for_those_who_come_at_the_same_time(romeo, juliet, make_client, service, node):
    other = make_client(romeo.account, resource="other")
    change = "<affiliations node='%s'>%s</affiliations>"
    many = [
        "".join(f"<affiliation jid='{half}{n}@a.example' affiliation='member'/>" for n in range(600))
        for half in "ab"
    ]
    said = at_once([
        (client, service, "set", pubsub(change % (node, rows), OWNER))
        for client, rows in zip((romeo, other), many, strict=True)
    ])  # fmt: skip
    assert sorted(said) == [("policy-violation",), ("result",)]
    hers = [juliet, *(make_client(juliet.account, resource=f"r{n}") for n in range(3))]
    requests = [
        (client, service, "set", pubsub(f"<subscribe node='{node}' jid='{juliet.bare}'/>"))
        for client in hers
        for _ in range(4)
    ]
    at_once(requests)
    mine = juliet.iq("get", pubsub(f"<subscriptions node='{node}'/>"), to=service)
    assert len(list(mine.iter(f"{{{NS}}}subscription"))) == 10


def test_two_who_put_collections_into_each_other_make_no_circle(romeo, make_client, service, make):  # noqa: F811
    one, two = make("one", node_type="collection"), make("two", node_type="collection")
    other = make_client(romeo.account, resource="other")
    link = "<collection node='%s'><associate node='%s'/></collection>"
    said = at_once([
        (romeo, service, "set", pubsub(link % (one, two), OWNER)),
        (other, service, "set", pubsub(link % (two, one), OWNER)),
    ])  # fmt: skip
    assert sorted(said) == [("not-allowed", "invalid-options"), ("result",)]


def test_two_who_configure_a_node_at_once_both_have_their_way(romeo, make_client, service, node):
    other = make_client(romeo.account, resource="other")
    wishes = ({"title": "Musings"}, {"access_model": "whitelist"})
    said = at_once([
        (client, service, "set", pubsub(f"<configure node='{node}'>{form('node_config', **wish)}</configure>", OWNER))
        for client, wish in zip((romeo, other), wishes, strict=True)
    ])  # fmt: skip
    assert said == [("result",)] * 2
    shown = values(romeo.iq("get", pubsub(f"<configure node='{node}'/>", OWNER), to=service))
    assert (shown["title"], shown["access_model"]) == (["Musings"], ["whitelist"])


def test_who_is_second_to_make_a_node_gets_what_he_asks_for_or_an_error(romeo, make_client):
    other = make_client(romeo.account, resource="other")
    for number in range(5):
        item = f"<publish node='urn:test:{number}'><item id='a'>{tune('a')}</item></publish>"
        said = at_once([
            (client, romeo.bare, "set", pubsub(
                f"{item}<publish-options>{form('publish-options', access_model=model)}</publish-options>"
            ))
            for client, model in ((romeo, "open"), (other, "whitelist"))
        ])  # fmt: skip
        assert sorted(said) == [("conflict", "precondition-not-met"), ("result",)]


def test_a_node_has_few_owners(romeo, service, node):
    rows = "".join(f"<affiliation jid='o{n}@localhost' affiliation='owner'/>" for n in range(20))
    change = f"<affiliations node='{node}'>{rows}</affiliations>"
    assert condition(romeo.iq("set", pubsub(change, OWNER), to=service)) == ("policy-violation",)


def test_events_are_not_stored_for_who_is_away(romeo, juliet, service, node):
    """They may be of any size, and of a node to which somebody else has subscribed him: the node has the items."""
    configure(romeo, node, service, notification_type="normal")
    subscribe(juliet, node, service)
    publish(romeo, node, to=service)
    juliet.gets(f"<message><event xmlns='{EVENT}'/></message>", 10)
    juliet.send("<presence type='unavailable'/>")
    juliet.sync()
    publish(romeo, node, "i2", to=service)
    juliet.send("<presence><priority>1</priority></presence>")
    juliet.nothing("<message><event><items><item id='i2'/></items></event></message>")
    assert ids(items(juliet, node, service)) == ["i1", "i2"]


def test_an_owner_is_asked_once_a_day(romeo, juliet, service, node):
    configure(romeo, node, service, access_model="authorize")
    for _ in range(3):
        subscribe(juliet, node, service)
        juliet.iq("set", pubsub(f"<unsubscribe node='{node}' jid='{juliet.bare}'/>"), to=service)
    romeo.gets(f"<message from='{service}'><x xmlns='jabber:x:data'/></message>", 10)
    romeo.nothing("<message/>")


def test_very_many_items_go(romeo, service, node):
    configure(romeo, node, service, max_items="max")
    for _ in range(3):
        batch = f"<publish node='{node}'>" + f"<item>{tune('a')}</item>" * 100 + "</publish>"
        assert condition(romeo.iq("set", pubsub(batch), to=service)) == ("result",)
    assert condition(romeo.iq("set", pubsub(f"<purge node='{node}'/>", OWNER), to=service)) == ("result",)
    assert ids(items(romeo, node, service)) == []
    assert condition(romeo.iq("set", pubsub(f"<delete node='{node}'/>", OWNER), to=service)) == ("result",)


def test_items_by_id_that_are_too_large_together_are_refused(romeo, service, node):
    for number in range(7):
        publish(romeo, node, f"i{number}", tune("a" * 180_000), to=service)
    named = [f"<item id='i{number}'/>" for number in range(7)]
    assert condition(items(romeo, node, service, "".join(named))) == ("policy-violation",)
    assert len(ids(items(romeo, node, service, "".join(named[:3])))) == 3


def test_a_vcard_of_very_many_elements_is_not_converted(romeo, juliet):
    many = (
        f"<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Romeo</text></fn>{'<a/>' * 5000}</vcard>"
    )
    asked = "<vCard xmlns='vcard-temp'/>"
    assert condition(publish(romeo, "urn:xmpp:vcard4", "current", many, access_model="open")) == ("result",)
    [card] = juliet.iq("get", asked, to=romeo.bare)
    assert not len(card) or card.tag.endswith("error")
    refused = romeo.iq("set", f"<vCard xmlns='vcard-temp'>{'<a/>' * 5000}</vCard>")
    assert condition(refused) == ("not-acceptable",)


def test_the_metadata_of_a_node_are_bounded(romeo, juliet, service, node):
    rows = "".join(f"<affiliation jid='u{n}@x.example' affiliation='publisher'/>" for n in range(60))
    change = pubsub(f"<affiliations node='{node}'>{rows}</affiliations>", OWNER)
    assert condition(romeo.iq("set", change, to=service)) == ("result",)
    info = juliet.iq("get", f"<query xmlns='{INFO}' node='{node}'/>", to=service)
    assert len(values(info)["publisher"]) == 50


def test_one_thing_at_a_time(romeo, service, node):
    """A second one is not dropped in silence."""
    both = "".join(f"<publish node='{name}'><item>{tune('a')}</item></publish>" for name in (node, "other"))
    assert condition(romeo.iq("set", pubsub(both), to=service)) == ("bad-request",)
    mixed = f"<retract node='{node}'><item id='i1'/></retract><publish node='{node}'/>"
    assert condition(romeo.iq("set", pubsub(mixed), to=service)) == ("bad-request",)
