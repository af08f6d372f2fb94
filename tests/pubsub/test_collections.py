"""XEP-0248: collections at pubsub.HOST; examples by their numbers."""

import uuid

import pytest

from tests.pubsub.test_subscriptions import SHIM, subscribe, values
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
)

pytestmark = pytest.mark.topology("one host")
INVALID = ("not-allowed", "invalid-options")


@pytest.fixture
def make(romeo, service):
    """`make(name, **fields)`: a node of romeo's with a name of its own."""
    tail = uuid.uuid4().hex[:6]

    def make(name, client=romeo, **fields):
        node = f"{name}-{tail}"
        inner = f"<create node='{node}'/><configure>{form('node_config', **fields)}</configure>"
        assert condition(client.iq("set", pubsub(inner), to=service)) == ("result",)
        return node

    return make


def link(client, verb, parent, child, to):
    inner = f"<collection node='{parent}'><{verb} node='{child}'/></collection>"
    return condition(client.iq("set", pubsub(inner, OWNER), to=to))


def event(inner, *collections):
    headers = "".join(f"<header name='Collection'>{each}</header>" for each in collections)
    return f"<message><event xmlns='{EVENT}'>{inner}</event><headers xmlns='{SHIM}'>{headers}</headers></message>"


def shown(client, node, to):
    return values(client.iq("get", pubsub(f"<configure node='{node}'/>", OWNER), to=to))


def nodes(client, to, node=None):
    where = f" node='{node}'" if node else ""
    return [each.get("node") for each in client.iq("get", f"<query xmlns='{ITEMS}'{where}/>", to=to)[0]]


def test_examples_1_to_6_discovery(romeo, service, make):
    info = romeo.iq("get", f"<query xmlns='{INFO}'/>", to=service)[0]
    assert {f"{NS}#collections", f"{NS}#multi-collections"} <= {each.get("var") for each in info}
    blogs = make("blogs", node_type="collection")
    inside = [make(name, collection=blogs) for name in ("princely_musings", "kingly_ravings")]
    assert blogs in nodes(romeo, service) and not set(inside) & set(nodes(romeo, service))
    assert nodes(romeo, service, blogs) == inside
    about = romeo.iq("get", f"<query xmlns='{INFO}' node='{blogs}'/>", to=service)[0]
    assert (about[0].get("category"), about[0].get("type")) == ("pubsub", "collection")
    assert shown(romeo, inside[0], service)["collection"] == [blogs]
    assert shown(romeo, blogs, service)["children"] == inside
    assert shown(romeo, blogs, service)["collection"] == [None]


def test_examples_7_and_8_events_of_items_and_nodes(romeo, juliet, service, make):
    blogs = make("blogs", node_type="collection")
    assert condition(subscribe(juliet, blogs, service, subscription_type="all")) == ("result",)
    leaf = make("princely_musings", collection=blogs)
    juliet.gets(event(f"<create node='{leaf}'/>", blogs), 10)
    publish(romeo, leaf, to=service)
    juliet.gets(event(f"<items node='{leaf}'><item id='i1'>...</item></items>", blogs), 10)
    configure(romeo, leaf, service, notify_config="1", deliver_payloads="0")
    juliet.gets(event(f"<configuration node='{leaf}'/>", blogs), 10)
    romeo.iq("set", pubsub(f"<purge node='{leaf}'/>", OWNER), to=service)
    juliet.gets(event(f"<purge node='{leaf}'/>", blogs), 10)
    romeo.iq("set", pubsub(f"<delete node='{leaf}'/>", OWNER), to=service)
    juliet.gets(event(f"<delete node='{leaf}'/>", blogs), 10)


def test_examples_9_to_11_and_37_to_45_association(romeo, juliet, service, make):
    some = make("some-collection", node_type="collection", children_max="1")
    other, leaf = make("other", node_type="collection"), make("new-node-id")
    subscribe(juliet, some, service)
    assert link(juliet, "associate", some, leaf, service) == ("forbidden",)
    assert link(romeo, "associate", some, leaf, service) == ("result",)
    told = f"<message><event xmlns='{EVENT}'><collection node='{some}'><{{}} node='{leaf}'/></collection></event></message>"
    juliet.gets(told.format("associate"), 10)
    assert link(romeo, "associate", other, leaf, service) == ("result",)
    assert shown(romeo, leaf, service)["collection"] == [some, other]
    assert link(romeo, "associate", some, other, service) == ("not-allowed", "max-nodes-exceeded")
    assert link(romeo, "associate", other, other, service) == INVALID
    assert link(romeo, "associate", leaf, other, service) == INVALID
    assert link(romeo, "associate", "none", other, service) == ("item-not-found",)
    assert link(juliet, "dissociate", some, leaf, service) == ("forbidden",)
    assert link(romeo, "dissociate", some, leaf, service) == ("result",)
    juliet.gets(told.format("dissociate"), 10)
    assert link(romeo, "dissociate", some, leaf, service) == ("bad-request",)
    assert link(romeo, "nonsense", some, leaf, service) == ("bad-request",)


def test_examples_12_to_16_subscribing(romeo, juliet, service, make):
    blogs = make("blogs", node_type="collection")
    first = subscribe(juliet, blogs, service).find(f".//{{{NS}}}subscription")
    assert first.get("subscription") == "subscribed"
    again = subscribe(juliet, blogs, service).find(f".//{{{NS}}}subscription")
    assert again.get("subid") == first.get("subid")
    assert condition(subscribe(juliet, blogs, service, subscription_depth="all")) == ("conflict",)
    answer = subscribe(juliet, blogs, service, subscription_type="items", subscription_depth="all")
    assert values(answer)["subscription_depth"] == ["all"]
    assert condition(subscribe(juliet, blogs, service, subscription_type="all")) == ("conflict",)


def test_examples_17_and_19_items_of_a_collection(romeo, service, make):
    blogs = make("blogs", node_type="collection")
    for answer in (
        items(romeo, blogs, service),
        publish(romeo, blogs, to=service),
        romeo.iq("set", pubsub(f"<retract node='{blogs}'><item id='a'/></retract>"), to=service),
        romeo.iq("set", pubsub(f"<purge node='{blogs}'/>", OWNER), to=service),
    ):
        assert condition(answer) == ("feature-not-implemented", "unsupported")


def test_examples_25_to_31_configuration(romeo, juliet, service, make):
    one, two, leaf = make("one", node_type="collection"), make("two", node_type="collection"), make("leaf")
    foreign = make("foreign")
    romeo.iq("set", pubsub(f"<affiliations node='{foreign}'><affiliation jid='{juliet.bare}' affiliation='owner'/>"
             f"<affiliation jid='{romeo.bare}' affiliation='none'/></affiliations>", OWNER), to=service)  # fmt: skip
    for node, fields, says in (
        (one, {"node_type": "collection", "children": [two, leaf], "collection": ""}, ("result",)),
        (leaf, {"children": two}, INVALID),
        (two, {"collection": leaf}, INVALID),
        (one, {"children": [two, leaf, foreign]}, ("forbidden",)),
        (one, {"children_max": "1"}, ("not-allowed", "max-nodes-exceeded")),
        (one, {"children": [two, leaf, "none"]}, ("item-not-found",)),
        (two, {"children": [one]}, INVALID),
        (one, {"collection": [two]}, INVALID),
        (one, {"collection": [one]}, INVALID),
        (one, {"node_type": "leaf"}, INVALID),
        (one, {"children": [leaf], "children_max": "1"}, ("result",)),
        (one, {"children": [leaf, two]}, ("not-allowed", "max-nodes-exceeded")),
        (two, {"collection": one}, ("not-allowed", "max-nodes-exceeded")),
    ):
        assert condition(configure(romeo, node, service, **fields)) == says, fields
    assert nodes(romeo, service, one) == [leaf]
    publish(romeo, leaf, to=service)
    assert condition(configure(romeo, leaf, service, node_type="collection")) == ("result",)
    assert nodes(romeo, service, leaf) == []


def test_examples_32_to_36_defaults_and_deletion(romeo, service, make):
    answer = romeo.iq("get", pubsub("<default type='collection'/>", OWNER), to=service)
    said = values(answer)
    assert said["node_type"] == ["collection"] and "children_max" in said and "max_items" not in said
    said = values(romeo.iq("get", pubsub("<default/>", OWNER), to=service))
    assert said["node_type"] == ["leaf"] and "children_max" not in said
    blogs = make("blogs", node_type="collection")
    leaf = make("leaf", collection=blogs)
    assert condition(romeo.iq("set", pubsub("<delete/>", OWNER), to=service)) == ("not-allowed",)
    assert condition(romeo.iq("set", pubsub(f"<delete node='{blogs}'/>", OWNER), to=service)) == ("result",)
    assert leaf in nodes(romeo, service)
    assert shown(romeo, leaf, service)["collection"] == [None]
    wrong = f"<create/><configure>{form('node_config', collection=blogs)}</configure>"
    assert condition(romeo.iq("set", pubsub(wrong), to=service)) == ("item-not-found",)


def test_example_46_the_root(romeo, juliet, service, make):
    answer = subscribe(juliet, None, service, subscription_type="all", subscription_depth="all")
    assert condition(answer) == ("result",)
    blogs = make("blogs", node_type="collection")
    juliet.gets(event(f"<create node='{blogs}'/>", ""), 10)
    leaf = make("leaf", collection=blogs)
    juliet.gets(event(f"<create node='{leaf}'/>", ""), 10)
    publish(romeo, leaf, to=service)
    juliet.gets(event(f"<items node='{leaf}'><item id='i1'>...</item></items>", ""), 10)
    gone = juliet.iq("set", pubsub(f"<unsubscribe jid='{juliet.bare}'/>"), to=service)
    assert condition(gone) == ("result",)


def test_a_collection_gives_away_nothing_that_the_node_keeps(romeo, juliet, service, make):
    blogs = make("blogs", node_type="collection")
    subscribe(juliet, blogs, service, subscription_type="all", subscription_depth="all")
    secret = make("diary", collection=blogs, access_model="whitelist")
    publish(romeo, secret, to=service)
    assert nodes(juliet, service, blogs) == []
    assert link(romeo, "dissociate", blogs, secret, service) == ("result",)
    assert link(romeo, "associate", blogs, secret, service) == ("result",)
    juliet.nothing("<message/>")


def test_links_and_configurations_that_change_at_the_same_time_both_hold(romeo, make_client, service, make):
    other = make_client(romeo.account, resource="elsewhere")
    top, child = make("top", node_type="collection"), make("child")
    for round in range(6):
        verb = "dissociate" if round % 2 else "associate"
        inner = f"<collection node='{top}'><{verb} node='{child}'/></collection>"
        other.send(f"<iq type='set' id='l{round}' to='{service}'>{pubsub(inner, OWNER)}</iq>")
        title = form("node_config", title=f"t{round}")
        inner = f"<configure node='{child}'>{title}</configure>"
        romeo.send(f"<iq type='set' id='c{round}' to='{service}'>{pubsub(inner, OWNER)}</iq>")
        assert condition(other.answer(f"l{round}")) == condition(romeo.answer(f"c{round}")) == ("result",)
        found = shown(romeo, child, service)
        assert found["title"] == [f"t{round}"] and (top in found["collection"]) == (verb == "associate")


def test_who_hears_of_a_new_configuration_learns_no_names(romeo, juliet, service, make):
    secret = make("diary", access_model="whitelist", node_type="collection")
    plain = make("essays")
    blogs = make("blogs", node_type="collection", collection=secret, notify_config="1")
    subscribe(juliet, blogs, service, subscription_type="all", subscription_depth="all")
    fields = {
        "children": plain, "children_association_policy": "whitelist", "children_association_whitelist": romeo.bare,
        "roster_groups_allowed": "Secret Lovers", "title": "Blogs",
    }  # fmt: skip
    assert condition(configure(romeo, blogs, service, **fields)) == ("result",)
    told = juliet.gets(f"<message><event xmlns='{EVENT}'><configuration node='{blogs}'/></event></message>")
    for said in (told, juliet.iq("get", f"<query xmlns='{INFO}' node='{blogs}'/>", to=service)):
        found = values(said)
        assert found["title"] == ["Blogs"] and secret not in found["collection"]
        assert not found.keys() & {"children", "children_association_whitelist", "roster_groups_allowed"}


def test_one_event_comes_once_and_no_deeper_than_wanted(romeo, juliet, service, make):
    top = make("top", node_type="collection")
    left, right = (make(name, node_type="collection", collection=top) for name in ("left", "right"))
    leaf = make("leaf", collection=[left, right])
    subscribe(juliet, top, service, subscription_type="items", subscription_depth="1")
    publish(romeo, leaf, to=service)
    juliet.nothing("<message/>")
    for node in (left, right):
        subscribe(juliet, node, service, subscription_type="items")
    publish(romeo, leaf, to=service)
    juliet.gets(event(f"<items node='{leaf}'>...</items>", left, right), 10)
    subscribe(juliet, leaf, service)
    juliet.gets("<message><delay xmlns='urn:xmpp:delay'/></message>", 10)
    publish(romeo, leaf, to=service)
    juliet.gets(f"<message><event xmlns='{EVENT}'><items node='{leaf}'>...</items></event></message>", 10)
    juliet.nothing("<message/>")
    assert ids(items(juliet, leaf, service)) == ["i1"]


def test_a_node_is_in_few_collections_and_the_look_for_circles_is_short(romeo, service, make):
    """Layer upon layer, each node in all collections above it."""
    above = []
    for layer in range(3):
        above = [make(f"c{layer}-{number}", node_type="collection", collection=above) for number in range(20)]
    assert condition(configure(romeo, above[0], service, collection=above[1:20])) == ("result",)
    wish = form("node_config", collection=[*above, make("one", node_type="collection")])
    create = pubsub(f"<create/><configure>{wish}</configure>")
    assert condition(romeo.iq("set", create, to=service)) == INVALID
    assert condition(configure(romeo, above[1], service, collection=above[0])) == INVALID
