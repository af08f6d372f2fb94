"""Several subscriptions of one address, their options, and who manages them (XEP-0060 sections 6.1 to 6.4, 8.8)."""

import pytest

from tests.pubsub.words import EVENT, NS, OWNER, condition, configure, ids, items, publish, pubsub, tune

SHIM = "http://jabber.org/protocol/shim"
OPTIONS = f"{NS}#subscribe_options"


def options(**fields):
    rows = "".join(
        f"<field var='pubsub#{name.replace('show_', 'show-')}'>"
        + "".join(f"<value>{each}</value>" for each in (value if isinstance(value, list) else [value]))
        + "</field>"
        for name, value in fields.items()
    )
    return (
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
        f"<value>{OPTIONS}</value></field>{rows}</x>"
    )


def subscribe(client, node, to, jid=None, **fields):
    form = f"<options>{options(**fields)}</options>" if fields else ""
    where = (
        f"<subscribe node='{node}' jid='{jid or client.bare}'/>"
        if node
        else f"<subscribe jid='{client.bare}'/>"
    )
    return client.iq("set", pubsub(where + form), to=to)


def subid(answer):
    assert condition(answer) == ("result",)
    return answer.find(f".//{{{NS}}}subscription").get("subid")


def values(answer):
    """What a form in the answer says, without its hidden field."""
    return {
        field.get("var").removeprefix("pubsub#"): [
            each.text for each in field.findall("{jabber:x:data}value")
        ]
        for field in answer.iter("{jabber:x:data}field")
        if field.get("var") != "FORM_TYPE"
    }


def item(node, id="i1"):
    return f"<event xmlns='{EVENT}'><items node='{node}'><item id='{id}'>{tune('La Traviata')}</item></items></event>"


@pytest.mark.topology("one host")
def test_0060_examples_104_and_118_who_subscribes_twice_gets_one_event_that_names_both(
    romeo, juliet, service, node
):
    one = subid(subscribe(juliet, node, service))
    two = subid(subscribe(juliet, node, service, deliver="true"))
    other = subid(subscribe(juliet, node, service, juliet.jid))
    assert len({one, two, other}) == 3
    publish(romeo, node, to=service)
    headers = "".join(f"<header name='SubID'>{each}</header>" for each in (one, two))
    juliet.gets(
        f"<message to='{juliet.bare}'>{item(node)}<headers xmlns='{SHIM}'>{headers}</headers></message>", 10
    )
    juliet.gets(f"<message to='{juliet.jid}'>{item(node)}</message>", 10)
    juliet.nothing("<message/>")
    romeo.iq("set", pubsub(f"<retract node='{node}' notify='1'><item id='i1'/></retract>"), to=service)
    juliet.gets(
        f"<message to='{juliet.bare}'><event xmlns='{EVENT}'/><headers xmlns='{SHIM}'>{headers}</headers></message>",
        10,
    )
    juliet.gets(f"<message to='{juliet.jid}'><event xmlns='{EVENT}'/></message>", 10)
    mine = juliet.iq("get", pubsub(f"<subscriptions node='{node}'/>"), to=service)
    assert [each.get("subid") for each in mine.iter(f"{{{NS}}}subscription")] == [one, two, other]
    where = f"<unsubscribe node='{node}' jid='{juliet.bare}'"
    for inner, says in (
        (f"{where}/>", ("bad-request", "subid-required")),
        (f"{where} subid='{other}'/>", ("not-acceptable", "invalid-subid")),
        (f"{where} subid='{one}'/>", ("result",)),
        (f"{where}/>", ("result",)),
        (f"{where}/>", ("unexpected-request", "not-subscribed")),
    ):
        assert condition(juliet.iq("set", pubsub(inner), to=service)) == says


@pytest.mark.topology("one host")
def test_0060_example_38_subscriptions_of_one_address_are_bounded(romeo, juliet, service, node):
    plain = [subid(subscribe(juliet, node, service)) for _ in range(12)]
    assert len(set(plain)) == 10  # who comes back again and again gets one that he has
    refused = subscribe(juliet, node, service, deliver="false")
    assert condition(refused) == ("policy-violation", "too-many-subscriptions")
    refused = subscribe(juliet, node, service, juliet.jid)
    assert condition(refused) == ("policy-violation", "too-many-subscriptions")
    assert ids(items(juliet, node, service)) == []  # they are all alike


@pytest.mark.topology("one host")
def test_options(romeo, juliet, service, node):
    made = subscribe(juliet, node, service, deliver="0", digest="0", include_body="false")
    assert values(made) == {
        "deliver": ["0"],
        "expire": [],
        "show-values": ["chat", "online", "away", "xa", "dnd"],
    }
    publish(romeo, node, to=service)
    juliet.nothing("<message/>")
    where = f"<options node='{node}' jid='{juliet.bare}'"
    shown = juliet.iq("get", pubsub(f"{where}/>"), to=service)
    assert values(shown)["deliver"] == ["0"]
    assert condition(juliet.iq("set", pubsub(f"{where}>{options(deliver='1')}</options>"), to=service)) == (
        "result",
    )
    publish(romeo, node, to=service)
    juliet.gets(f"<message>{item(node)}</message>", 10)
    for wrong in ({"deliver": "maybe"}, {"no_such": "1"}, {"digest": "1"}, {"include_body": "1"}, {"show_values": "tired"},
                  {"expire": "soon"}, {"expire": "2001-01-01T00:00:00Z"}, {"subscription_type": "items"}):  # fmt: skip
        answer = juliet.iq("set", pubsub(f"{where}>{options(**wrong)}</options>"), to=service)
        assert condition(answer) == ("bad-request", "invalid-options"), wrong
    other = subid(subscribe(juliet, node, service))
    assert condition(juliet.iq("get", pubsub(f"{where}/>"), to=service)) == ("bad-request", "subid-required")
    assert condition(juliet.iq("get", pubsub(f"{where} subid='x'/>"), to=service)) == (
        "not-acceptable",
        "invalid-subid",
    )
    assert condition(juliet.iq("get", pubsub(f"{where} subid='{other}'/>"), to=service)) == ("result",)
    assert condition(romeo.iq("get", pubsub(f"{where}/>"), to=service)) == ("forbidden",)
    mine = f"<options node='{node}' jid='{romeo.bare}'/>"
    assert condition(romeo.iq("get", pubsub(mine), to=service)) == ("unexpected-request", "not-subscribed")
    early = pubsub(
        f"<options node='{node}'>{options()}</options><subscribe node='{node}' jid='{romeo.bare}'/>"
    )
    assert condition(romeo.iq("set", early, to=service)) == ("bad-request",)


@pytest.mark.topology("one host")
def test_show_values_and_presence_based_delivery(romeo, juliet, service, node):
    subscribe(juliet, node, service, show_values=["chat", "away"])
    publish(romeo, node, to=service)
    juliet.nothing("<message/>")
    juliet.send("<presence><show>away</show></presence>")
    juliet.gets("<presence/>")
    publish(romeo, node, to=service)
    juliet.gets(f"<message>{item(node)}</message>", 10)
    subscribe(romeo, node, service)
    configure(romeo, node, service, presence_based_delivery="1")
    juliet.send("<presence type='unavailable'/>")
    juliet.gets("<presence type='unavailable'/>")
    publish(romeo, node, to=service)
    romeo.gets(f"<message>{item(node)}</message>", 10)
    juliet.nothing("<message/>")


@pytest.mark.topology("one host")
def test_0060_examples_194_and_195_owners_manage_subscriptions_and_what_cannot_be_is_in_the_error(
    romeo, juliet, service, node
):
    def change(*rows):
        inner = "".join(f"<subscription jid='{jid}' {more}/>" for jid, more in rows)
        return romeo.iq(
            "set", pubsub(f"<subscriptions node='{node}'>{inner}</subscriptions>", OWNER), to=service
        )

    def listed():
        answer = romeo.iq("get", pubsub(f"<subscriptions node='{node}'/>", OWNER), to=service)
        return [
            (each.get("jid"), each.get("subscription")) for each in answer.iter(f"{{{OWNER}}}subscription")
        ]

    assert condition(change((juliet.bare, "subscription='subscribed'"))) == ("result",)
    juliet.gets(
        f"<message><event xmlns='{EVENT}'><subscription node='{node}' subscription='subscribed'/></event></message>",
        10,
    )
    assert listed() == [(juliet.bare, "subscribed")]
    refused = change((juliet.bare, "subscription='unconfigured'"), (romeo.bare, "subscription='subscribed'"))
    assert condition(refused) == ("not-acceptable",)
    left = [(each.get("jid"), each.get("subscription")) for each in refused.iter(f"{{{OWNER}}}subscription")]
    assert left == [(juliet.bare, "subscribed")]
    assert listed() == [(juliet.bare, "subscribed"), (romeo.bare, "subscribed")]
    assert condition(change((juliet.bare, ""), (romeo.bare, "subscription='none'"))) == ("result",)
    assert listed() == [(juliet.bare, "subscribed")]
    assert condition(change(("", "subscription='none'"))) == ("jid-malformed",)
    configure(romeo, node, service, access_model="whitelist")  # whom it is not for is no subscriber
    refused = change((juliet.bare, "subscription='subscribed'"))
    assert (condition(refused), listed()) == (("not-acceptable",), [])


@pytest.mark.topology("one host")
def test_very_many_subscribers_come_and_go(romeo, juliet, service, node):
    jids = [f"u{number}@a.invalid" for number in range(250)]
    rows = "".join(f"<subscription jid='{jid}' subscription='subscribed'/>" for jid in jids)
    change = pubsub(f"<subscriptions node='{node}'>{rows}</subscriptions>", OWNER)
    assert condition(romeo.iq("set", change, to=service)) == ("result",)

    def subscribers():
        answer = romeo.iq("get", pubsub(f"<subscriptions node='{node}'/>", OWNER), to=service)
        return [each.get("jid") for each in answer.iter(f"{{{OWNER}}}subscription")]

    assert subscribers() == jids
    rsm = "<set xmlns='http://jabber.org/protocol/rsm'><max>10</max></set>"
    page = romeo.iq("get", pubsub(f"<subscriptions node='{node}'/>{rsm}", OWNER), to=service)
    assert len(list(page.iter(f"{{{OWNER}}}subscription"))) == 10
    assert page.findtext(".//{http://jabber.org/protocol/rsm}count") == "250"
    half = "".join(f"<subscription jid='{jid}' subscription='none'/>" for jid in jids[::2])
    change = pubsub(f"<subscriptions node='{node}'>{half}</subscriptions>", OWNER)
    assert condition(romeo.iq("set", change, to=service)) == ("result",)
    assert subscribers() == jids[1::2]
    many = "".join(f"<subscription jid='u@a{n}.invalid' subscription='subscribed'/>" for n in range(60))
    change = pubsub(f"<subscriptions node='{node}'>{many}</subscriptions>", OWNER)
    refused = romeo.iq("set", change, to=service)  # of so many other servers
    assert condition(refused) == ("not-acceptable",)
    assert len(list(refused.iter(f"{{{OWNER}}}subscription"))) == 11
    assert condition(configure(romeo, node, service, access_model="whitelist")) == ("result",)
    assert subscribers() == []


def test_owners_hear_who_comes_and_goes(romeo, juliet, service, node):
    configure(romeo, node, service, notify_sub="1")
    subscribe(juliet, node, service)
    change = f"<subscription jid='{juliet.bare}' subscription='{{}}'/>"
    told = f"<message to='{romeo.bare}'><event xmlns='{EVENT}'>{change}</event></message>"
    romeo.gets(told.format("subscribed"), 10)
    juliet.iq("set", pubsub(f"<unsubscribe node='{node}' jid='{juliet.bare}'/>"), to=service)
    romeo.gets(told.format("none"), 10)


@pytest.mark.topology("one host")
def test_what_an_account_has_ends_with_it(romeo, juliet, service, node, make_client):
    subscribe(juliet, node, service)
    change = f"<affiliations node='{node}'><affiliation jid='{juliet.bare}' affiliation='publisher'/></affiliations>"
    romeo.iq("set", pubsub(change, OWNER), to=service)
    publish(romeo, "own", access_model="open")
    subscribe(juliet, "own", romeo.bare)
    assert condition(juliet.iq("set", "<query xmlns='jabber:iq:register'><remove/></query>")) == ("result",)
    for to, name in ((service, node), (None, "own")):
        answer = romeo.iq("get", pubsub(f"<subscriptions node='{name}'/>", OWNER), to=to)
        assert list(answer.iter(f"{{{OWNER}}}subscription")) == []
        answer = romeo.iq("get", pubsub(f"<affiliations node='{name}'/>", OWNER), to=to)
        assert [each.get("jid") for each in answer.iter(f"{{{OWNER}}}affiliation")] == [romeo.bare]


@pytest.mark.topology("one host")
def test_whoever_was_taken_out_stays_out_whatever_he_sends_at_the_same_time(romeo, juliet, service, node):
    configure(romeo, node, service, access_model="authorize")
    for round in range(8):
        one = subid(subscribe(juliet, node, service))
        member = "<subscription jid='%s' subscription='%s'/>"
        people = f"<subscriptions node='{node}'>{member}</subscriptions>"
        allowed = romeo.iq("set", pubsub(people % (juliet.bare, "subscribed"), OWNER), to=service)
        assert condition(allowed) == ("result",)
        for number in range(20):
            wish = f"<options node='{node}' jid='{juliet.bare}' subid='{one}'>{options(deliver=number % 2)}</options>"
            juliet.send(f"<iq type='set' id='{round}-{number}' to='{service}'>{pubsub(wish)}</iq>")
        out = romeo.iq("set", pubsub(people % (juliet.bare, "none"), OWNER), to=service)
        assert condition(out) == ("result",)
        said = {condition(juliet.answer(f"{round}-{number}")) for number in range(20)}
        assert said <= {("result",), ("unexpected-request", "not-subscribed")}, said
        listed = romeo.iq("get", pubsub(f"<subscriptions node='{node}'/>", OWNER), to=service)
        assert not list(listed.iter(f"{{{OWNER}}}subscription"))


@pytest.mark.topology("one host")
def test_whoever_subscribes_while_the_node_is_closed_is_not_subscribed(romeo, juliet, service, node):
    for round in range(15):
        configure(romeo, node, service, access_model="open")
        wish = pubsub(f"<subscribe node='{node}' jid='{juliet.bare}'/>")
        juliet.send(f"<iq type='set' id='s{round}' to='{service}'>{wish}</iq>")
        configure(romeo, node, service, access_model="whitelist")
        said = condition(juliet.answer(f"s{round}"))
        assert said in (("result",), ("not-allowed", "closed-node")), said
        listed = romeo.iq("get", pubsub(f"<subscriptions node='{node}'/>", OWNER), to=service)
        assert not list(listed.iter(f"{{{OWNER}}}subscription"))
