"""Nodes whose owners approve of subscriptions (XEP-0060 sections 8.6 and 8.7), and those for an owner's contacts."""

import pytest

from tests.client import subscribe_both
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
)

AUTHORIZATION = f"{NS}#subscribe_authorization"
COMMANDS = "http://jabber.org/protocol/commands"
PENDING = f"{NS}#get-pending"
pytestmark = pytest.mark.topology("one host", "two servers")


@pytest.fixture
def node(romeo, service):
    inner = f"<create/><configure>{form('node_config', access_model='authorize')}</configure>"
    return romeo.iq("set", pubsub(inner), to=service).find(f".//{{{NS}}}create").get("node")


def question(owner, node, jid):
    """The form that an owner gets."""
    asked = owner.gets(
        f"<message to='{owner.bare}'><x xmlns='jabber:x:data' type='form'>...</x></message>", 10
    )
    said = values(asked)
    assert (said["node"], said["subscriber_jid"], said["allow"]) == ([node], [jid], ["0"])
    return said


def answer(owner, service, said, allow=None, type="submit"):
    fields = {"FORM_TYPE": AUTHORIZATION}
    if allow is not None:
        fields |= {f"pubsub#{name}": said[name][0] for name in ("subid", "node", "subscriber_jid")}
        fields["pubsub#allow"] = allow
    rows = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    owner.send(f"<message to='{service}' id='a1'><x xmlns='jabber:x:data' type='{type}'>{rows}</x></message>")


def state(node, state):
    return f"<message><event xmlns='{EVENT}'><subscription node='{node}' subscription='{state}'/></event></message>"


def test_0060_examples_170_to_172_and_175_an_owner_approves(romeo, juliet, service, node):
    made = subscribe(juliet, node, service)
    assert made.find(f".//{{{NS}}}subscription").get("subscription") == "pending"
    said = question(romeo, node, juliet.bare)
    assert condition(subscribe(juliet, node, service)) == ("not-authorized", "pending-subscription")
    assert condition(items(juliet, node, service)) == ("not-authorized", "not-subscribed")
    publish(romeo, node, to=service)
    answer(romeo, service, said, type="cancel")
    juliet.nothing("<message/>")
    listed = romeo.iq("get", pubsub(f"<subscriptions node='{node}'/>", OWNER), to=service)
    assert list(listed.iter(f"{{{OWNER}}}subscription")) == []
    answer(romeo, service, said, "true")
    juliet.gets(state(node, "subscribed"), 10)
    juliet.gets(f"<message><event xmlns='{EVENT}'><items node='{node}'><item id='i1'>...</item></items></event><delay xmlns='urn:xmpp:delay'/></message>", 10)  # fmt: skip  # noqa: E501
    assert ids(items(juliet, node, service)) == ["i1"]
    publish(romeo, node, "i2", to=service)
    juliet.gets(
        f"<message><event xmlns='{EVENT}'><items node='{node}'><item id='i2'>...</item></items></event></message>",
        10,
    )
    answer(romeo, service, said, "true")
    romeo.gets("<message type='error' id='a1'><error><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>...</error>...</message>", 10)  # fmt: skip  # noqa: E501


def test_0060_examples_173_and_174_an_owner_denies_and_nobody_else_answers(romeo, juliet, service, node):
    subscribe(juliet, node, service)
    said = question(romeo, node, juliet.bare)
    answer(juliet, service, said, "1")
    juliet.gets("<message type='error' id='a1'><error><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>...</message>", 10)  # fmt: skip  # noqa: E501
    answer(romeo, service, said, "perhaps")
    romeo.gets("<message type='error' id='a1'/>", 10)
    answer(romeo, service, said, "0")
    juliet.gets(state(node, "none"), 10)
    assert condition(items(juliet, node, service)) == ("not-authorized", "not-subscribed")


def test_pending_ones_follow_affiliation_and_access_model(romeo, juliet, nurse, service, node):
    change = "<affiliations node='{}'><affiliation jid='{}' affiliation='{}'/></affiliations>"
    for reader, affiliation, outcome in ((juliet, "publisher", "subscribed"), (nurse, "outcast", "none")):
        subscribe(reader, node, service)
        question(romeo, node, reader.bare)
        romeo.iq("set", pubsub(change.format(node, reader.bare, affiliation), OWNER), to=service)
        reader.gets(state(node, outcome), 10)
    romeo.iq("set", pubsub(change.format(node, nurse.bare, "none"), OWNER), to=service)
    subscribe(nurse, node, service)
    configure(romeo, node, service, access_model="open")
    nurse.gets(state(node, "subscribed"), 10)


def test_0060_examples_176_to_183_an_owner_asks_who_waits(romeo, juliet, service, node):
    def command(client, inner="", **attrs):
        more = "".join(f" {key}='{value}'" for key, value in attrs.items())
        xml = f"<command xmlns='{COMMANDS}' node='{PENDING}' action='execute'{more}>{inner}</command>"
        return client.iq("set", xml, to=service)

    subscribe(juliet, node, service)
    question(romeo, node, juliet.bare)
    shown = romeo.iq("get", f"<query xmlns='{ITEMS}' node='{COMMANDS}'/>", to=service)[0]
    assert [each.get("node") for each in shown] == [PENDING]
    info = romeo.iq("get", f"<query xmlns='{INFO}' node='{PENDING}'/>", to=service)[0]
    assert (info[0].get("category"), info[0].get("type")) == ("automation", "command-node")
    first = command(romeo)[0]
    assert first.get("status") == "executing"
    offered = [each.findtext("{jabber:x:data}value") for each in first.iter("{jabber:x:data}option")]
    assert offered == [node]
    pick = (
        f"<x xmlns='jabber:x:data' type='submit'><field var='pubsub#node'><value>{node}</value></field></x>"
    )
    assert command(romeo, pick, sessionid=first.get("sessionid"))[0].get("status") == "completed"
    asked = romeo.gets(
        f"<message to='{romeo.jid}'><x xmlns='jabber:x:data' type='form'>...</x></message>", 10
    )
    answer(romeo, service, values(asked), "1")
    juliet.gets(state(node, "subscribed"), 10)
    assert condition(command(juliet)) == ("forbidden",)
    assert condition(command(juliet, pick)) == ("forbidden",)
    assert condition(command(romeo, pick.replace(node, "none"))) == ("item-not-found",)


@pytest.mark.topology("one host", "two hosts")
def test_nodes_at_the_service_for_the_owners_contacts(romeo, juliet, service):
    for model, groups in (("presence", []), ("roster", ["Friends"])):
        fields = form("node_config", access_model=model, roster_groups_allowed=groups)
        made = romeo.iq("set", pubsub(f"<create/><configure>{fields}</configure>"), to=service)
        node = made.find(f".//{{{NS}}}create").get("node")
        stranger = ("not-authorized", "presence-subscription-required")
        if model == "presence":
            assert condition(subscribe(juliet, node, service)) == stranger
            subscribe_both(romeo, juliet)
        else:
            assert condition(items(juliet, node, service)) == ("not-authorized", "not-in-roster-group")
            romeo.iq(
                "set",
                f"<query xmlns='jabber:iq:roster'><item jid='{juliet.bare}'><group>Friends</group></item></query>",
            )
        assert condition(subscribe(juliet, node, service)) == ("result",)
        publish(romeo, node, to=service)
        juliet.gets(f"<message><event xmlns='{EVENT}'><items node='{node}'>...</items></event></message>", 10)
    romeo.iq("set", f"<query xmlns='jabber:iq:roster'><item jid='{juliet.bare}'/></query>")
    juliet.gets(state(node, "none"), 10)
    romeo.send(f"<presence to='{juliet.bare}' type='unsubscribed'/>")
    juliet.gets(state("...", "none"), 10)
    publish(romeo, node, to=service)
    juliet.nothing("<message/>")
    assert condition(items(juliet, node, service)) == stranger


@pytest.mark.topology("two servers")
def test_those_on_other_servers_are_asked_for_their_presence(romeo, juliet, service):
    node = romeo.iq("set", pubsub("<create/>"), to=service).find(f".//{{{NS}}}create").get("node")
    subscribe(juliet, node, service, show_values=["online"])
    juliet.iq("get", "<query xmlns='jabber:iq:roster'/>")
    asked = juliet.gets(f"<presence type='subscribe' from='{service}'/>", 10)
    juliet.send(f"<presence type='subscribed' to='{asked.get('from')}'/>")
    juliet.send("<presence><show>away</show></presence>")
    ping = f"<iq type='get' id='{{}}' to='{service}'><ping xmlns='urn:xmpp:ping'/></iq>"

    def settle(number):  # behind what was sent before
        juliet.send(ping.format(number))
        juliet.gets(f"<iq id='{number}'/>", 10)

    settle("p1")
    publish(romeo, node, "while-away", to=service)
    juliet.send("<presence/>")
    settle("p2")
    publish(romeo, node, "while-online", to=service)
    told = juliet.gets(f"<message from='{service}'><event xmlns='{EVENT}'/></message>", 10)
    assert told.find(f".//{{{EVENT}}}item").get("id") == "while-online"
    juliet.nothing("<message/>")


def test_an_account_approves_and_is_asked_again_when_it_comes(romeo, juliet):
    node = f"diary-{romeo.user}"
    assert condition(publish(romeo, node, "a", access_model="authorize")) == ("result",)
    assert condition(items(juliet, node, romeo.bare)) == ("not-authorized", "not-subscribed")
    made = subscribe(juliet, node, romeo.bare)
    assert made.find(f".//{{{NS}}}subscription").get("subscription") == "pending"
    question(romeo, node, juliet.bare)
    romeo.send("<presence type='unavailable'/>")
    romeo.available()
    said = question(romeo, node, juliet.bare)
    answer(juliet, romeo.bare, said, "true")  # a forged answer is a message like any other
    assert condition(items(juliet, node, romeo.bare)) == ("not-authorized", "not-subscribed")
    answer(romeo, romeo.bare, said, "perhaps")
    romeo.gets("<message type='error' id='a1'><error><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>", 10)  # fmt: skip  # noqa: E501
    answer(romeo, romeo.bare, said, "true")
    juliet.gets(state(node, "subscribed"), 10)
    juliet.gets(
        f"<message><event xmlns='{EVENT}'><items node='{node}'><item id='a'/></items></event></message>", 10
    )
    assert ids(items(juliet, node, romeo.bare)) == ["a"]
    publish(romeo, node, "b")
    juliet.gets(
        f"<message><event xmlns='{EVENT}'><items node='{node}'><item id='b'/></items></event></message>", 10
    )


def test_an_account_denies(romeo, juliet):
    node = f"diary-{romeo.user}"
    publish(romeo, node, "a", access_model="authorize")
    subscribe(juliet, node, romeo.bare)
    answer(romeo, romeo.bare, question(romeo, node, juliet.bare), "0")
    juliet.gets(state(node, "none"), 10)
    assert condition(items(juliet, node, romeo.bare)) == ("not-authorized", "not-subscribed")
    romeo.send(
        f"<message to='{romeo.bare}' id='n'><x xmlns='jabber:x:data' type='submit'/><body>a note</body></message>"
    )
    romeo.gets("<message id='n'><body>a note</body></message>")  # other forms pass


def test_who_is_blocked_no_longer_reads_what_is_for_contacts(romeo, juliet, service):
    inner = f"<create/><configure>{form('node_config', access_model='presence')}</configure>"
    node = romeo.iq("set", pubsub(inner), to=service).find(f".//{{{NS}}}create").get("node")
    subscribe_both(romeo, juliet)
    assert condition(subscribe(juliet, node, service)) == ("result",)
    assert ids(items(juliet, node, service)) == []
    romeo.iq("set", f"<block xmlns='urn:xmpp:blocking'><item jid='{juliet.bare}'/></block>")
    juliet.gets(state(node, "none"), 10)
    refused = ("not-authorized", "presence-subscription-required")
    assert condition(items(juliet, node, service)) == refused
    romeo.iq("set", f"<unblock xmlns='urn:xmpp:blocking'><item jid='{juliet.bare}'/></unblock>")
    assert ids(items(juliet, node, service)) == []
