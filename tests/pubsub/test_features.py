"""What service discovery announces, works; and nothing else is announced."""

import uuid
from datetime import UTC, datetime, timedelta

import gevent
import pytest

from tests.pubsub.test_subscriptions import subid, subscribe, values
from tests.pubsub.words import (
    EVENT,
    INFO,
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
OK = ("result",)
UNSUPPORTED = ("feature-not-implemented", "unsupported")
PUBSUB = NS + "#"


class Site:
    """`to`: the service, or None: one's own account."""

    def __init__(self, client, to):
        self.client, self.to = client, to

    def create(self, node=None, **fields):
        node = node or f"n-{uuid.uuid4().hex[:8]}"
        more = f"<configure>{form('node_config', **fields)}</configure>" if fields else ""
        assert self.set(f"<create node='{node}'/>{more}") == OK
        return node

    def ask(self, kind, inner, ns=NS):
        return self.client.iq(kind, pubsub(inner, ns), to=self.to)

    def set(self, inner, ns=NS):
        return condition(self.ask("set", inner, ns))

    def get(self, inner, ns=NS):
        return condition(self.ask("get", inner, ns))

    def config(self, node):
        return values(self.ask("get", f"<configure node='{node}'/>", OWNER))

    def publish(self, node, item="a", **wish):
        return publish(self.client, node, item, to=self.to, **wish)

    def affiliate(self, affiliation):
        node = self.create()
        row = f"<affiliation jid='somebody@else.example' affiliation='{affiliation}'/>"
        assert self.set(f"<affiliations node='{node}'>{row}</affiliations>", OWNER) == OK
        listed = self.ask("get", f"<affiliations node='{node}'/>", OWNER)
        return affiliation in [each.get("affiliation") for each in listed.iter(f"{{{OWNER}}}affiliation")]

    def listed(self, node, **attrs):
        return ids(items(self.client, node, self.to, **attrs))

    def subscribe(self, node, **fields):
        return subscribe(self.client, node, self.to, **fields)


def keeps(site, **fields):
    """A node with these fields shows them."""
    shown = site.config(site.create(**fields))
    return all(shown[name] == [value] for name, value in fields.items())


def several(site):
    node = site.create(max_items="5")
    site.publish(node, "a"), site.publish(node, "b")
    return site.listed(node) == ["a", "b"]


def paged(site):
    node = site.create(max_items="5")
    site.publish(node, "a"), site.publish(node, "b")
    rsm = "<set xmlns='http://jabber.org/protocol/rsm'><max>1</max></set>"
    return ids(site.ask("get", f"<items node='{node}'/>{rsm}")) == ["a"]


def retracted(site):
    node = site.create()
    site.publish(node)
    return site.set(f"<retract node='{node}'><item id='a'/></retract>") == OK and site.listed(node) == []


def purged(site):
    node = site.create()
    site.publish(node)
    return site.set(f"<purge node='{node}'/>", OWNER) == OK and site.listed(node) == []


def full(site):
    node = site.create(max_items="1", publish_node_full="reject")
    site.publish(node)
    return condition(site.publish(node, "b")) == ("conflict", "node-full")


def subscribed_twice(site):
    node = site.create()
    return subid(site.subscribe(node)) != subid(site.subscribe(node))


def last_item(site):
    node = site.create()
    site.publish(node)
    shown = site.config(node)["send_last_published_item"] == ["on_sub_and_presence"]
    site.subscribe(node)
    site.client.gets(f"<message><event xmlns='{EVENT}'><items node='{node}'/></event></message>", 10)
    return shown


def told_of_subscription(site):
    node, who = site.create(), site.client
    row = f"<subscription jid='{who.bare}' subscription='subscribed'/>"
    site.set(f"<subscriptions node='{node}'>{row}</subscriptions>", OWNER)
    who.gets(
        f"<message><event xmlns='{EVENT}'><subscription node='{node}' subscription='subscribed'/></event></message>",
        10,
    )
    return True


def refuses(site, **fields):
    """Publishing with preconditions that the node does not meet."""
    node = site.create()
    return condition(site.publish(node, **fields)) == ("conflict", "precondition-not-met")


def ordered(site):
    node = site.create(max_items="5")
    for id in "aba":
        site.publish(node, id)
    order = "<order xmlns='urn:xmpp:order-by:1' by='creation'/>"
    return ids(site.ask("get", f"<items node='{node}'/>{order}")) == ["a", "b"]


def pending(site):
    command = f"<command xmlns='http://jabber.org/protocol/commands' node='{NS}#get-pending'/>"
    site.create()
    return site.client.iq("set", command, to=site.to)[0].get("status") == "executing"


PROBES = {
    "config-node": lambda site: condition(configure(site.client, site.create(), site.to, title="a")) == OK,
    "config-node-max": lambda site: keeps(site, max_items="max", item_expire="max"),
    "create-and-configure": lambda site: keeps(site, title="Verona"),
    "create-nodes": lambda site: bool(site.create()),
    "delete-items": retracted,
    "retract-items": retracted,
    "delete-nodes": lambda site: site.set(f"<delete node='{site.create()}'/>", OWNER) == OK,
    "instant-nodes": lambda site: bool(site.ask("set", "<create/>").find(f".//{{{NS}}}create").get("node")),
    "item-ids": lambda site: ids(site.publish(site.create(), "mine")) == ["mine"],
    "leased-subscription": lambda site: (
        values(site.subscribe(site.create(), expire="2999-01-01T00:00:00Z"))["expire"]
        == ["2999-01-01T00:00:00Z"]
    ),
    "manage-subscriptions": lambda site: site.get(f"<subscriptions node='{site.create()}'/>", OWNER) == OK,
    "member-affiliation": lambda site: site.affiliate("member"),
    "outcast-affiliation": lambda site: site.affiliate("outcast"),
    "publisher-affiliation": lambda site: site.affiliate("publisher"),
    "publish-only-affiliation": lambda site: site.affiliate("publish-only"),
    "modify-affiliations": lambda site: site.affiliate("member"),
    "meta-data": lambda site: (
        site.client.iq("get", f"<query xmlns='{INFO}' node='{site.create()}'/>", to=site.to).find(
            ".//{jabber:x:data}x"
        )
        is not None
    ),
    "multi-items": several,
    "persistent-items": several,
    "multi-subscribe": subscribed_twice,
    "presence-notifications": lambda site: keeps(site, presence_based_delivery="1"),
    "publish": lambda site: ids(site.publish(site.create())) == ["a"],
    "publish-node-full": full,
    "publish-options": lambda site: refuses(site, title="other"),
    "purge-nodes": purged,
    "retrieve-affiliations": lambda site: site.get("<affiliations/>") == OK,
    "retrieve-default": lambda site: site.get("<default/>", OWNER) == OK,
    "retrieve-default-sub": lambda site: site.get("<default/>") == OK,
    "retrieve-items": several,
    "retrieve-subscriptions": lambda site: site.get("<subscriptions/>") == OK,
    "rsm": paged,
    "subscribe": lambda site: condition(site.subscribe(site.create())) == OK,
    "subscription-notifications": told_of_subscription,
    "subscription-options": lambda site: (
        values(site.subscribe(site.create(), deliver="0"))["deliver"] == ["0"]
    ),
    "last-published": last_item,
    "access-open": lambda site: keeps(site, access_model="open"),
    "access-presence": lambda site: keeps(site, access_model="presence"),
    "access-roster": lambda site: keeps(site, access_model="roster"),
    "access-whitelist": lambda site: keeps(site, access_model="whitelist"),
    "access-authorize": lambda site: keeps(site, access_model="authorize"),
    "collections": lambda site: keeps(site, node_type="collection"),
    "multi-collection": lambda site: len(site.config(in_two(site))["collection"]) == 2,
    "multi-collections": lambda site: len(site.config(in_two(site))["collection"]) == 2,
    "get-pending": pending,
    "auto-create": lambda site: condition(publish(site.client, f"x-{uuid.uuid4().hex}", to=site.to)) == OK,
}
ORDER = {"urn:xmpp:order-by:1": ordered, f"urn:xmpp:order-by:1@{NS}": ordered}
BY_PRESENCE = {"auto-subscribe", "filtered-notifications"}
"""Those of accounts: test_pep.py."""
NOT_FOR_ACCOUNTS = {"collections", "multi-collection", "multi-collections", "get-pending"}


def in_two(site):
    return site.create(collection=[site.create(node_type="collection") for _ in range(2)])


def announced(client, to):
    found = client.iq("get", f"<query xmlns='{INFO}'/>", to=to or client.bare)[0]
    return {each.get("var") for each in found.iter(f"{{{INFO}}}feature")}


def works(site, names):
    return [name for name in sorted(names) if not PROBES[name](site)]


def test_the_service(romeo, service):
    site, found = Site(romeo, service), announced(romeo, service)
    names = {each.removeprefix(PUBSUB) for each in found if each.startswith(PUBSUB)} - {"owner"}
    assert names == PROBES.keys() - {"auto-create"}
    assert works(site, names) == []
    assert all(probe(site) for name, probe in ORDER.items() if name in found)
    assert ORDER.keys() | {"urn:xmpp:pubsub-filter:0"} <= found
    assert not PROBES["auto-create"](site)


def test_an_account(romeo):
    site, found = Site(romeo, None), announced(romeo, None)
    names = {each.removeprefix(PUBSUB) for each in found if each.startswith(PUBSUB)} - {"owner"}
    assert names - BY_PRESENCE == PROBES.keys() - NOT_FOR_ACCOUNTS
    assert works(site, names - BY_PRESENCE) == []
    assert all(probe(site) for name, probe in ORDER.items() if name in found)


def until(found, wanted):
    """Asks again until that is the answer: what ends with time sends nothing."""
    for _ in range(100):
        if found() == wanted:
            return
        gevent.sleep(0.1)
    raise AssertionError((found(), wanted))


def test_items_and_subscriptions_end_by_themselves(romeo, service):
    site = Site(romeo, service)
    node = site.create(item_expire="1")
    site.publish(node)
    until(lambda: site.listed(node), [])
    soon = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert condition(site.subscribe(node, expire=soon)) == OK
    until(lambda: list(site.ask("get", f"<subscriptions node='{node}'/>").iter(f"{{{NS}}}subscription")), [])
    publish(romeo, node, payload=tune("a"), to=service)
    romeo.nothing("<message/>")
