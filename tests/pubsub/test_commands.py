"""`jabberctl nodes` and `jabberctl pep`."""

import json

import pytest

from tests.pubsub.words import EVENT, NS, OWNER, form, ids, items, publish, pubsub, tune

pytestmark = pytest.mark.topology("one host")


def test_nodes_by_jabberctl(topology, romeo):
    ctl, service = topology.romeo.server.ctl, f"pubsub.{romeo.domain}"
    inner = f"<create/><configure>{form('node_config', title='Verona')}</configure>"
    node = romeo.iq("set", pubsub(inner), to=service).find(f".//{{{NS}}}create").get("node")
    publish(romeo, node, to=service)
    romeo.iq("set", pubsub(f"<subscribe node='{node}' jid='{romeo.bare}'/>"), to=service)
    romeo.gets("<message/>", 10)
    row = next(each for each in json.loads(ctl("nodes", "list", "--json")) if each["node"] == node)
    assert (row["title"], row["items"], row["subscribers"], row["access"]) == ("Verona", 1, 1, "open")
    shown = json.loads(ctl("nodes", "show", node, "--host", service, "--json"))
    assert shown["affiliations"] == {romeo.bare: "owner"} and shown["creator"] == romeo.bare
    assert shown["subscriptions"][0]["jid"] == romeo.bare
    ctl("nodes", "purge", node, "--host", service)
    romeo.gets(f"<message><event xmlns='{EVENT}'><purge node='{node}'/></event></message>", 10)
    assert ids(items(romeo, node, service)) == []
    ctl("nodes", "delete", node, "--host", service)
    romeo.gets(f"<message><event xmlns='{EVENT}'><delete node='{node}'/></event></message>", 10)
    with pytest.raises(AssertionError, match="there is no such node"):
        ctl("nodes", "show", node, "--host", service)


def test_pep_by_jabberctl(topology, romeo):
    ctl = topology.romeo.server.ctl
    publish(romeo, "mood", payload=tune("a"))
    assert [each["node"] for each in json.loads(ctl("pep", "list", romeo.bare, "--json"))] == ["mood"]
    assert (
        json.loads(ctl("pep", "show", romeo.bare, "mood", "--json"))["settings"]["access_model"] == "presence"
    )
    ctl("pep", "purge", romeo.bare, "mood")
    assert ids(items(romeo, "mood")) == []
    ctl("pep", "delete", romeo.bare, "mood")
    answer = romeo.iq("get", pubsub("<configure node='mood'/>", OWNER))
    assert answer.get("type") == "error"
    with pytest.raises(AssertionError, match="there is no such account"):
        ctl("pep", "list", "nobody@localhost")
