"""Examples of XEP-0163 and XEP-0402 that a server answers, by their number; keys of XEP-0384; what disco says of an account."""

import uuid

import pytest

from tests.client import subscribe_both
from tests.pubsub.words import (
    INFO,
    NS,
    OWNER,
    TUNE,
    condition,
    configure,
    event,
    ids,
    items,
    listen,
    publish,
    pubsub,
    tune,
)  # fmt: skip

BOOKMARKS = "urn:xmpp:bookmarks:1"
OPTIONS = {
    "persist_items": "true",
    "max_items": "max",
    "send_last_published_item": "never",
    "access_model": "whitelist",
}


def fresh():
    return f"{TUNE}#{uuid.uuid4().hex[:8]}"


@pytest.mark.topology("one host")
def test_0163_examples_1_to_5_publisher_and_contacts_hear(romeo, juliet, make_client):
    node = fresh()
    subscribe_both(romeo, juliet)
    garden = make_client(romeo.account, resource="garden")
    listen(garden, node)
    listen(juliet, node)
    deaf = make_client(juliet.account, resource="chamber")
    assert ids(publish(romeo, node, "bffe6584-0f9c-11dc-84ba-001143d5d5db")) != []
    item = f"<item id='bffe6584-0f9c-11dc-84ba-001143d5d5db'>{tune('La Traviata')}</item>"
    for each in (garden, juliet):
        got = each.gets(event(node, item, romeo.bare))
        assert (got.get("to"), got.get("type")) == (each.jid, "headline")
    deaf.nothing("<message/>")


def test_0163_example_6_a_publisher_may_set_the_access_model(romeo, juliet):
    node = fresh()
    assert condition(publish(romeo, node, "a", access_model="open")) == ("result",)
    assert ids(items(juliet, node, romeo.bare)) == ["a"]


@pytest.mark.topology("one host")
def test_0163_examples_7_to_9_a_new_resource_gets_the_last_item(romeo, juliet, make_client):
    node = fresh()
    subscribe_both(romeo, juliet)
    publish(romeo, node, "a")
    listen(juliet, node)
    chamber = make_client(juliet.account, resource="chamber", available=False)
    ver = juliet.caps[0]
    chamber.send(
        "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://test.example' "
        f"ver='{ver}'/></presence>"
    )
    got = chamber.gets(event(node, "<item id='a'/>", romeo.bare).replace(
        "</message>", "<delay xmlns='urn:xmpp:delay' stamp='...'/></message>"
    ))  # fmt: skip
    assert got.get("to") == chamber.jid


def test_0163_examples_10_and_11_the_account_says_exactly_what_it_can(romeo, juliet):
    subscribe_both(romeo, juliet)
    wanted = {
        f"{NS}#persistent-items", f"{NS}#publish-options", f"{NS}#item-ids", f"{NS}#multi-items", f"{NS}#auto-create",
        f"{NS}#auto-subscribe", f"{NS}#filtered-notifications", f"{NS}#presence-notifications", f"{NS}#access-presence",
        f"{NS}#access-open", f"{NS}#access-roster", f"{NS}#access-whitelist", f"{NS}#last-published", f"{NS}#config-node-max",
        NS, OWNER, "urn:xmpp:pep-vcard-conversion:0", "urn:xmpp:bookmarks-conversion:0", "urn:xmpp:bookmarks:1#compat",
        "urn:xmpp:bookmarks:1#compat-pep", "urn:xmpp:mds:server-assist:0",
    }  # fmt: skip
    for who, to in ((romeo, romeo.bare), (romeo, None), (juliet, romeo.bare)):
        info = who.iq("get", f"<query xmlns='{INFO}'/>", to=to)[0]
        found = [each.get("var") for each in info.iter(f"{{{INFO}}}feature")]
        identities = [(each.get("category"), each.get("type")) for each in info.iter(f"{{{INFO}}}identity")]
        if to is None and ("server", "im") in identities:
            continue  # who asks nobody asks the server
        assert ("pubsub", "pep") in identities and ("account", "registered") in identities
        assert wanted - {OWNER} <= set(found), wanted - set(found)
        assert len(found) == len(set(found))


def conference(name):
    return f"<conference xmlns='{BOOKMARKS}' name='{name}' autojoin='true'><nick>JC</nick></conference>"


def test_0402_examples_1_to_14_bookmarks_come_are_corrected_and_go(romeo, make_client):
    other = make_client(romeo.account, resource="other")
    listen(other, BOOKMARKS)
    room, again = "theplay@conference.shakespeare.example", "orchard@conference.shakespeare.example"
    answer = publish(romeo, BOOKMARKS, room, conference("The Play is the Thing"), **OPTIONS)
    assert ids(answer) == [room]
    other.gets(event(BOOKMARKS, f"<item id='{room}'/>", romeo.bare))
    publish(romeo, BOOKMARKS, again, f"<conference xmlns='{BOOKMARKS}' name='Ochard'/>", **OPTIONS)
    other.gets(event(BOOKMARKS, f"<item id='{again}'/>", romeo.bare))
    publish(romeo, BOOKMARKS, again, f"<conference xmlns='{BOOKMARKS}' name='The Orchard'/>", **OPTIONS)
    got = other.gets(event(BOOKMARKS, f"<item id='{again}'/>", romeo.bare))
    assert got.find(f".//{{{BOOKMARKS}}}conference").attrib == {
        "name": "The Orchard"
    }  # no autojoin: its default
    assert ids(items(other, BOOKMARKS)) == [room, again]
    retract = f"<retract node='{BOOKMARKS}' notify='1'><item id='{room}'/></retract>"
    assert condition(romeo.iq("set", pubsub(retract))) == ("result",)
    other.gets(event(BOOKMARKS, f"<retract id='{room}'/>", romeo.bare))
    assert ids(items(other, BOOKMARKS)) == [again]


def test_a_node_made_with_other_options_is_brought_to_them(romeo):
    """The flow of clients (XEP-0384 section 5.4, XEP-0402 section 7): publish with options; where these are not met, configure
    and publish once more."""
    publish(romeo, BOOKMARKS, "a@rooms.example", conference("A"), access_model="presence")
    refused = publish(romeo, BOOKMARKS, "b@rooms.example", conference("B"), **OPTIONS)
    assert condition(refused) == ("conflict", "precondition-not-met")
    assert condition(configure(romeo, BOOKMARKS, **OPTIONS)) == ("result",)
    assert condition(publish(romeo, BOOKMARKS, "b@rooms.example", conference("B"), **OPTIONS)) == ("result",)
    assert ids(items(romeo, BOOKMARKS)) == ["a@rooms.example", "b@rooms.example"]


OLD = "eu.siacs.conversations.axolotl"


@pytest.mark.parametrize(("ns", "list", "lists", "bundles"), [
    (OLD, "list", f"{OLD}.devicelist", f"{OLD}.bundles:%d"),
    ("urn:xmpp:omemo:2", "devices", "urn:xmpp:omemo:2:devices", "urn:xmpp:omemo:2:bundles"),
])  # fmt: skip
def test_keys_of_omemo_are_for_everybody(romeo, juliet, ns, list, lists, bundles):
    """Both versions: a node for each bundle, or one node with an item for each."""
    devices = f"<{list} xmlns='{ns}'><device id='1'/><device id='2'/></{list}>"
    assert condition(publish(romeo, lists, "current", devices, access_model="open")) == ("result",)
    nodes = []
    for id in (1, 2):
        node, item = (bundles % id, "current") if "%" in bundles else (bundles, str(id))
        bundle = f"<bundle xmlns='{ns}'><spk id='{id}'>b64</spk></bundle>"
        answer = publish(romeo, node, item, bundle, access_model="open", max_items="max")
        assert condition(answer) == ("result",)
        nodes.append(node)
    assert len(items(juliet, lists, romeo.bare).findall(f".//{{{ns}}}device")) == 2
    found = [items(juliet, node, romeo.bare) for node in dict.fromkeys(nodes)]
    assert sum(len(each.findall(f".//{{{ns}}}spk")) for each in found) == 2


@pytest.mark.topology("one host")
def test_one_presence_does_not_call_forth_many_answers(romeo, juliet):
    """Who changes his presence over and over gets each last item once, not once for each presence."""
    subscribe_both(romeo, juliet)
    nodes = [fresh() for _ in range(20)]
    for node in nodes:
        publish(romeo, node, "a")
    listen(juliet, *nodes)  # gets all of them
    juliet.sync()
    juliet.inbox.clear()
    ver = juliet.caps[0]
    for number in range(100):
        juliet.send(
            f"<presence><status>{number}</status><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' "
            f"node='https://test.example' ver='{ver}'/></presence>"
        )
    romeo.gets(f"<presence from='{juliet.jid}'><status>99</status></presence>", 10)
    juliet.sync()
    juliet.nothing("<message/>")
