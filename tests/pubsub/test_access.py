"""Access model x affiliation x action, every cell with its exact error: at an account and at a service."""

import itertools

import pytest

from tests.client import subscribe_both
from tests.pubsub.words import INFO, NS, OWNER, condition, configure, form, items, publish, pubsub

OK = ("result",)
FORBIDDEN = ("forbidden",)
CLOSED = ("not-allowed", "closed-node")
STRANGER = ("not-authorized", "presence-subscription-required")
ELSEWHERE = ("not-authorized", "not-in-roster-group")

WAITING = ("not-authorized", "not-subscribed")
NOT_HERE = ("feature-not-implemented", "unsupported")

AFFILIATIONS = ("none", "member", "publisher", "publish-only", "outcast")
MODELS = ("open", "presence", "roster", "whitelist", "authorize")
READ = {"member": OK, "publisher": OK, "publish-only": FORBIDDEN, "outcast": FORBIDDEN}
WRITE = {"publisher": OK, "publish-only": OK}
ALL = {"open": OK, "whitelist": CLOSED, "authorize": WAITING}
NOBODY = {"stranger": {**ALL, "presence": STRANGER, "roster": STRANGER},
          "contact": {**ALL, "presence": OK, "roster": ELSEWHERE},
          "friend": {**ALL, "presence": OK, "roster": OK}}  # fmt: skip
"""What one without an affiliation may read; a friend is in the node's group."""


def affiliate(owner, node, jid, affiliation, to=None):
    inner = (
        f"<affiliations node='{node}'><affiliation jid='{jid}' affiliation='{affiliation}'/></affiliations>"
    )
    assert condition(owner.iq("set", pubsub(inner, OWNER), to=to)) == OK


def know(owner, reader, who):
    if who != "stranger":
        subscribe_both(owner, reader)
        group = "Friends" if who == "friend" else "Servants"
        item = f"<item jid='{reader.bare}'><group>{group}</group></item>"
        owner.iq("set", f"<query xmlns='jabber:iq:roster'>{item}</query>")


def try_all(node, to, reader, model, affiliation, nobody, hidden=OK):
    """Each action once; what may be done is undone."""
    read = READ.get(affiliation, nobody)
    write = WRITE.get(affiliation, FORBIDDEN)
    me = f"jid='{reader.bare}'"

    def own(kind, inner):
        return condition(reader.iq(kind, pubsub(inner), to=to))

    def owners(kind, inner):
        return condition(reader.iq(kind, pubsub(inner, OWNER), to=to))

    found = {
        "items": condition(items(reader, node, to)),
        "information": condition(reader.iq("get", f"<query xmlns='{INFO}' node='{node}'/>", to=to)),
        "subscribe": own("set", f"<subscribe node='{node}' {me}/>"),
        "options": own("get", f"<options node='{node}' {me}/>"),
        "own subscriptions": own("get", f"<subscriptions node='{node}'/>"),
        "own affiliations": own("get", f"<affiliations node='{node}'/>"),
        "unsubscribe": own("set", f"<unsubscribe node='{node}' {me}/>"),
        "publish": condition(publish(reader, node, "theirs", to=to)),
        "retract": own("set", f"<retract node='{node}'><item id='mine'/></retract>"),
        "form": owners("get", f"<configure node='{node}'/>"),
        "configure": condition(configure(reader, node, to, title="mine")),
        "purge": owners("set", f"<purge node='{node}'/>"),
        "delete": owners("set", f"<delete node='{node}'/>"),
        "affiliations": owners("get", f"<affiliations node='{node}'/>"),
        "affiliate": owners(
            "set", f"<affiliations node='{node}'><affiliation {me} affiliation='owner'/></affiliations>"
        ),
        "subscriptions": owners("get", f"<subscriptions node='{node}'/>"),
        "subscribe others": owners(
            "set",
            f"<subscriptions node='{node}'><subscription {me} subscription='subscribed'/></subscriptions>",
        ),
        "associate": owners("set", f"<collection node='{node}'><associate node='{node}'/></collection>"),
    }
    asked = OK if read == WAITING else read  # they wait for an owner's word
    gone = ("unexpected-request", "not-subscribed")
    wanted = dict.fromkeys(found, FORBIDDEN) | {
        "items": read,
        "information": OK if read == OK else hidden,
        "subscribe": asked,
        "options": OK if asked == OK else gone,
        "own subscriptions": OK,
        "own affiliations": OK,
        "unsubscribe": OK if asked == OK else gone,
        "publish": write,
        "associate": FORBIDDEN if to.startswith("pubsub.") else NOT_HERE,
    }
    assert found == wanted, (model, affiliation)


@pytest.mark.parametrize("who", NOBODY)
@pytest.mark.topology("one host", "two hosts")
def test_at_an_account(romeo, juliet, who):
    know(romeo, juliet, who)
    for model, affiliation in itertools.product(MODELS, AFFILIATIONS):
        node = f"{model}-{affiliation}"
        publish(romeo, node, "mine", access_model=model, roster_groups_allowed="Friends", max_items="9")
        affiliate(romeo, node, juliet.bare, affiliation)
        hidden = ("service-unavailable",) if who == "stranger" else ("item-not-found",)
        try_all(node, romeo.bare, juliet, model, affiliation, NOBODY[who][model], hidden)


@pytest.mark.parametrize("who", NOBODY)
@pytest.mark.topology("one host", "two hosts")
def test_at_a_service(romeo, juliet, who):
    to = f"pubsub.{romeo.domain}"
    know(romeo, juliet, who)
    for model, affiliation in itertools.product(MODELS, AFFILIATIONS):
        node = f"{model}-{affiliation}-{romeo.user}"
        fields = form("node_config", access_model=model, roster_groups_allowed="Friends")
        create = f"<create node='{node}'/><configure>{fields}</configure>"
        assert condition(romeo.iq("set", pubsub(create, NS), to=to)) == OK
        publish(romeo, node, "mine", to=to)
        affiliate(romeo, node, juliet.bare, affiliation, to)
        try_all(node, to, juliet, model, affiliation, NOBODY[who][model])


def test_a_node_that_is_closed_to_somebody_says_what_it_is_and_no_more(romeo, juliet):
    """XEP-0060 section 5.3. Smack asks before it subscribes; the answer to that says what is missing (6.1.3)."""
    to = f"pubsub.{romeo.domain}"
    fields = form("node_config", access_model="whitelist", title="A Secret")
    created = romeo.iq("set", pubsub(f"<create/><configure>{fields}</configure>"), to=to)
    node = created.find(f".//{{{NS}}}create").get("node")
    ask = f"<query xmlns='{INFO}' node='{node}'/>"
    about = juliet.iq("get", ask, to=to)[0]
    assert [dict(each.attrib) for each in about] == [{"category": "pubsub", "type": "leaf"}, {"var": NS}]
    assert "A Secret" in "".join(romeo.iq("get", ask, to=to).itertext())
    assert (
        condition(juliet.iq("set", pubsub(f"<subscribe node='{node}' jid='{juliet.bare}'/>"), to=to))
        == CLOSED
    )


def test_accounts_have_no_collections(romeo):
    refused = ("not-acceptable", "unsupported-access-model")
    assert condition(publish(romeo, "n", access_model="nobody")) == refused
    publish(romeo, "n")
    assert condition(configure(romeo, "n", access_model="nobody")) == refused
    assert condition(configure(romeo, "n", node_type="collection")) == NOT_HERE


def test_publish_models(romeo, juliet):
    to = f"pubsub.{romeo.domain}"
    node = romeo.iq("set", pubsub("<create/>"), to=to).find(f".//{{{NS}}}create").get("node")
    assert condition(publish(juliet, node, to=to)) == FORBIDDEN
    configure(romeo, node, to, publish_model="subscribers")
    assert condition(publish(juliet, node, to=to)) == FORBIDDEN
    juliet.iq("set", pubsub(f"<subscribe node='{node}' jid='{juliet.bare}'/>"), to=to)
    assert condition(publish(juliet, node, "hers", to=to)) == OK
    configure(romeo, node, to, publish_model="open")
    juliet.iq("set", pubsub(f"<unsubscribe node='{node}' jid='{juliet.bare}'/>"), to=to)
    assert condition(publish(juliet, node, "hers", to=to)) == OK
    assert (
        condition(juliet.iq("set", pubsub(f"<retract node='{node}'><item id='hers'/></retract>"), to=to))
        == OK
    )
    affiliate(romeo, node, juliet.bare, "outcast", to)
    assert condition(publish(juliet, node, to=to)) == FORBIDDEN
