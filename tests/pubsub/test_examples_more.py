"""More examples of XEP-0060 and XEP-0248 that a service or an account answers, by their numbers (test_numbers.py)."""

import pytest

from tests.client import subscribe_both
from tests.pubsub.test_examples import GET, OWNER_SET, SET, Play, entry, unsupported
from tests.pubsub.test_subscriptions import subscribe, values
from tests.pubsub.words import (
    INFO,
    NS,
    condition,
    event,
    form,
    ids,
    items,
    listen,
    publish,
    pubsub,
    tune,
)

pytestmark = pytest.mark.topology("one host")


@pytest.fixture
def play(romeo, juliet):
    play = Play(romeo, juliet)
    play.run((125, "romeo", SET, "<create node='{node}'/>", "<create node='{node}'/>"))
    return play


def test_examples_32_and_90_a_contact_in_none_of_the_groups(play):
    subscribe_both(play.romeo, play.juliet)
    play.configure(access_model="roster", roster_groups_allowed="Friends")
    elsewhere = ("auth", "not-authorized", "not-in-roster-group")
    play.run(
        (32, "juliet", SET, "<subscribe node='{node}' jid='{juliet}'/>", elsewhere),
        (90, "juliet", GET, "<items node='{node}'/>", elsewhere),
    )


def test_example_106_nothing_is_published_to_a_collection(play):
    fields = form("node_config", node_type="collection")
    play.run(("-", "romeo", SET, f"<create node='{{node}}-c'/><configure>{fields}</configure>", ""))
    inner = f"<publish node='{play.node}-c'><item>{entry()}</item></publish>"
    assert unsupported(play.romeo.iq("set", pubsub(inner), to=play.service), "publish")


def test_example_153_the_defaults_of_collections(play):
    answer = play.romeo.iq("get", pubsub("<default type='collection'/>", NS + "#owner"), to=play.service)
    assert values(answer)["node_type"] == ["collection"]


def test_example_196_who_is_taken_out_hears_of_it(play):
    subscribe(play.juliet, play.node, play.service)
    row = "<subscription jid='{juliet}' subscription='none'/>"
    play.run(("-", "romeo", OWNER_SET, f"<subscriptions node='{{node}}'>{row}</subscriptions>", ""))
    play.hears("juliet", "<subscription node='{node}' jid='{juliet}' subscription='none'/>")


def test_examples_211_to_215_the_account_and_what_contacts_want_to_hear(romeo, juliet):
    info = romeo.iq("get", f"<query xmlns='{INFO}'/>", to=romeo.bare)[0]
    assert ("pubsub", "pep") in [(each.get("category"), each.get("type")) for each in info]
    assert f"{NS}#filtered-notifications" in [each.get("var") for each in info]
    subscribe_both(romeo, juliet)
    listen(juliet, "urn:test:wanted")  # shows capabilities and is asked about them
    publish(romeo, "urn:test:other", "a")
    publish(romeo, "urn:test:wanted", "a")
    juliet.gets(event("urn:test:wanted", "<item id='a'/>", romeo.bare), 10)
    juliet.nothing("<message/>")


def test_example_223_a_lease_is_renewed(play):
    subscribe(play.juliet, play.node, play.service, expire="2998-01-01T00:00:00Z")
    where = f"<options node='{play.node}' jid='{play.juliet.bare}'"
    wish = form("subscribe_options", expire="2999-01-01T00:00:00Z")
    renewed = play.juliet.iq("set", pubsub(f"{where}>{wish}</options>"), to=play.service)
    assert condition(renewed) == ("result",)
    shown = values(play.juliet.iq("get", pubsub(f"{where}/>"), to=play.service))
    assert shown["expire"] == ["2999-01-01T00:00:00Z"]


def test_example_220_items_name_their_publisher(play):
    subscribe(play.juliet, play.node, play.service)
    play.configure(itemreply="publisher")
    publish(play.romeo, play.node, "a", to=play.service)
    play.hears("juliet", "<items node='{node}'><item id='a' publisher='{romeo}'>...</item></items>")


def test_example_226_a_singleton_node(play):
    for text in ("ring", "ring again"):
        publish(play.romeo, play.node, "current", tune(text), to=play.service)
    found = items(play.juliet, play.node, play.service)
    assert ids(found) == ["current"]
    assert "".join(found.itertext()) == "ring again"


def test_0248_examples_20_to_22_collections_are_made_at_a_service(play):
    fields = form("node_config", node_type="collection")
    create = f"<create node='{{node}}-c'/><configure>{fields}</configure>"
    play.run(("-", "romeo", SET, create, ""))
    at_home = play.romeo.iq("set", pubsub(f"<create node='blogs'/><configure>{fields}</configure>"))
    assert unsupported(at_home, "collections")
