"""Access model x affiliation x action, every cell with its exact error: at an account and at a service."""

import itertools

import pytest

from tests.client import subscribe_both
from tests.pubsub.words import NS, OWNER, condition, configure, form, items, publish, pubsub

OK = ("result",)
FORBIDDEN = ("forbidden",)
CLOSED = ("not-allowed", "closed-node")
STRANGER = ("not-authorized", "presence-subscription-required")
ELSEWHERE = ("not-authorized", "not-in-roster-group")

AFFILIATIONS = ("none", "member", "publisher", "publish-only", "outcast")
MODELS = ("open", "presence", "roster", "whitelist")
READ = {"member": OK, "publisher": OK, "publish-only": FORBIDDEN, "outcast": FORBIDDEN}
WRITE = {"publisher": OK, "publish-only": OK}
NOBODY = {"stranger": {"open": OK, "presence": STRANGER, "roster": STRANGER, "whitelist": CLOSED},
          "contact": {"open": OK, "presence": OK, "roster": ELSEWHERE, "whitelist": CLOSED},
          "friend": {"open": OK, "presence": OK, "roster": OK, "whitelist": CLOSED}}  # fmt: skip
"""What one without an affiliation may read; a friend is in the node's group."""


def affiliate(owner, node, jid, affiliation, to=None):
    inner = (
        f"<affiliations node='{node}'><affiliation jid='{jid}' affiliation='{affiliation}'/></affiliations>"
    )
    assert condition(owner.iq("set", pubsub(inner, OWNER), to=to)) == OK


def try_all(node, to, reader, model, affiliation, nobody):
    """Each action once; what may be done is undone."""
    read = READ.get(affiliation, nobody)
    write = WRITE.get(affiliation, FORBIDDEN)
    subscribe = pubsub(f"<subscribe node='{node}' jid='{reader.bare}'/>")
    unsubscribe = pubsub(f"<unsubscribe node='{node}' jid='{reader.bare}'/>")
    found = {
        "items": condition(items(reader, node, to)),
        "subscribe": condition(reader.iq("set", subscribe, to=to)),
        "unsubscribe": condition(reader.iq("set", unsubscribe, to=to)),
        "publish": condition(publish(reader, node, "theirs", to=to)),
        "retract": condition(
            reader.iq("set", pubsub(f"<retract node='{node}'><item id='mine'/></retract>"), to=to)
        ),
        "form": condition(reader.iq("get", pubsub(f"<configure node='{node}'/>", OWNER), to=to)),
        "configure": condition(configure(reader, node, to, title="mine")),
        "purge": condition(reader.iq("set", pubsub(f"<purge node='{node}'/>", OWNER), to=to)),
        "delete": condition(reader.iq("set", pubsub(f"<delete node='{node}'/>", OWNER), to=to)),
        "affiliations": condition(reader.iq("get", pubsub(f"<affiliations node='{node}'/>", OWNER), to=to)),
        "subscriptions": condition(reader.iq("get", pubsub(f"<subscriptions node='{node}'/>", OWNER), to=to)),
    }
    wanted = dict.fromkeys(found, FORBIDDEN) | {
        "items": read,
        "subscribe": read,
        "unsubscribe": OK if read == OK else ("unexpected-request", "not-subscribed"),
        "publish": write,
    }
    assert found == wanted, (model, affiliation)


@pytest.mark.parametrize("who", NOBODY)
@pytest.mark.topology("one host", "two hosts")
def test_at_an_account(romeo, juliet, who):
    if who != "stranger":
        subscribe_both(romeo, juliet)
        group = "Friends" if who == "friend" else "Servants"
        item = f"<item jid='{juliet.bare}'><group>{group}</group></item>"
        romeo.iq("set", f"<query xmlns='jabber:iq:roster'>{item}</query>")
    for model, affiliation in itertools.product(MODELS, AFFILIATIONS):
        node = f"{model}-{affiliation}"
        publish(romeo, node, "mine", access_model=model, roster_groups_allowed="Friends", max_items="9")
        affiliate(romeo, node, juliet.bare, affiliation)
        try_all(node, romeo.bare, juliet, model, affiliation, NOBODY[who][model])


def test_at_a_service(romeo, juliet):
    to = f"pubsub.{romeo.domain}"
    for model, affiliation in itertools.product(("open", "whitelist"), AFFILIATIONS):
        node = f"{model}-{affiliation}-{romeo.user}"
        create = f"<create node='{node}'/><configure>{form('node_config', access_model=model)}</configure>"
        assert condition(romeo.iq("set", pubsub(create, NS), to=to)) == OK
        publish(romeo, node, "mine", to=to)
        affiliate(romeo, node, juliet.bare, affiliation, to)
        try_all(node, to, juliet, model, affiliation, NOBODY["stranger"][model])


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
