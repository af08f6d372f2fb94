"""What users of other servers have reported as faults: each situation, played here. The numbers are of their trackers."""

import base64
import hashlib
import uuid

import pytest

from tests.client import subscribe_both
from tests.pubsub.test_subscriptions import subscribe, values
from tests.pubsub.words import (
    CAPS,
    EVENT,
    INFO,
    NS,
    OWNER,
    condition,
    configure,
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
OK = ("result",)


@pytest.fixture
def name():
    return f"urn:test:{uuid.uuid4().hex[:8]}"


def delete(client, node, to=None):
    return condition(client.iq("set", pubsub(f"<delete node='{node}'/>", OWNER), to=to))


def test_a_node_that_is_made_again_takes_another_access_model(romeo, name):
    """ejabberd 3664."""
    assert condition(publish(romeo, name, access_model="open")) == OK
    assert delete(romeo, name) == OK
    assert condition(publish(romeo, name, access_model="whitelist")) == OK
    assert values(romeo.iq("get", pubsub(f"<configure node='{name}'/>", OWNER)))["access_model"] == [
        "whitelist"
    ]


@pytest.mark.parametrize("face", ["account", "service"])
def test_items_of_a_deleted_node_do_not_come_back(romeo, service, name, face):
    """ejabberd 1320."""
    to = service if face == "service" else None
    for wanted in (["a"], []):
        assert condition(romeo.iq("set", pubsub(f"<create node='{name}'/>"), to=to)) == OK
        if wanted:
            publish(romeo, name, "a", to=to)
        assert ids(items(romeo, name, to)) == wanted
        assert delete(romeo, name, to) == OK


def test_the_configuration_as_it_was_shown_is_no_conflict(romeo, name):
    """ejabberd 4106."""
    wish = {
        "access_model": "open",
        "max_items": "max",
        "persist_items": "1",
        "send_last_published_item": "never",
    }
    assert condition(publish(romeo, name, "a", **wish)) == OK
    shown = values(romeo.iq("get", pubsub(f"<configure node='{name}'/>", OWNER)))
    assert condition(publish(romeo, name, "b", **{key: value for key, value in shown.items() if value})) == OK
    assert condition(publish(romeo, name, "c", **{**wish, "persist_items": "true"})) == OK
    assert ids(items(romeo, name)) == ["a", "b", "c"]


def test_a_node_that_publishing_makes_is_as_the_options_say(romeo, name):
    """ejabberd 3044."""
    wish = {
        "type": "urn:xmpp:microblog:0", "notify_retract": "0", "deliver_payloads": "0", "title": "Blog", "max_items": "50",
        "publish_model": "open", "notify_delete": "0", "access_model": "open", "itemreply": "publisher",
    }  # fmt: skip
    assert condition(publish(romeo, name, "a", **wish)) == OK
    shown = values(romeo.iq("get", pubsub(f"<configure node='{name}'/>", OWNER)))
    assert {key: shown[key] for key in wish} == {key: [value] for key, value in wish.items()}


def test_a_photo_with_line_breaks_in_it_has_its_hash(romeo, juliet):
    """ejabberd 4182."""
    subscribe_both(romeo, juliet)
    image = bytes(range(256))
    lines = base64.encodebytes(image).decode()
    card = (
        f"<vCard xmlns='vcard-temp'><PHOTO><BINVAL>\n{lines}\n</BINVAL><TYPE>image/png</TYPE></PHOTO></vCard>"
    )
    assert condition(romeo.iq("set", card)) == OK
    hash = hashlib.sha1(image).hexdigest()
    update = "<presence from='{}'><x xmlns='vcard-temp:x:update'><photo>{}</photo></x></presence>"
    juliet.gets(update.format(romeo.jid, hash), 10)


def test_who_takes_the_avatar_away_says_so_to_older_clients(romeo, juliet):
    """Conversations 2664, ejabberd 873: no photo is something else than no word of one."""
    subscribe_both(romeo, juliet)
    none = f"<presence from='{romeo.jid}'><x xmlns='vcard-temp:x:update'><photo/></x></presence>"
    romeo.available()
    plain = juliet.gets(f"<presence from='{romeo.jid}'/>")
    assert plain.find("{vcard-temp:x:update}x") is None  # he never had one
    data = "<data xmlns='urn:xmpp:avatar:data'>AAAA</data>"
    info = "<info bytes='3' id='29e2dcfbb16f63bb0254df7585a15bb6fb5e927d' type='image/png'/>"
    publish(romeo, "urn:xmpp:avatar:data", "29e2dcfbb16f63bb0254df7585a15bb6fb5e927d", data)
    publish(romeo, "urn:xmpp:avatar:metadata", "29e2dcfbb16f63bb0254df7585a15bb6fb5e927d",
            f"<metadata xmlns='urn:xmpp:avatar:metadata'>{info}</metadata>")  # fmt: skip
    juliet.gets(
        f"<presence from='{romeo.jid}'><x xmlns='vcard-temp:x:update'><photo>29e2...</photo></x></presence>",
        10,
    )
    publish(romeo, "urn:xmpp:avatar:metadata", "none", "<metadata xmlns='urn:xmpp:avatar:metadata'/>")
    photo = juliet.gets(none, 10).find("{vcard-temp:x:update}x/{vcard-temp:x:update}photo")
    assert photo is not None and not photo.text
    assert ids(items(juliet, "urn:xmpp:avatar:metadata", romeo.bare)) == [
        "none"
    ]  # xows 28: one item, the last


def test_who_subscribes_again_gets_the_last_item_again(romeo, juliet, service, node):
    """ejabberd 4479."""
    publish(romeo, node, to=service)
    for _ in range(2):
        assert condition(subscribe(juliet, node, service)) == OK
        juliet.gets(
            f"<message from='{service}'><event xmlns='{EVENT}'><items node='{node}'/></event></message>", 10
        )


def test_who_subscribes_and_shows_a_filter_hears_once(romeo, make_client, name):
    """ejabberd 3064."""
    other = make_client(romeo.account, resource="chamber")
    listen(other, name)
    publish(romeo, name, "a")
    other.gets(event(name, "<item id='a'/>", romeo.bare))
    assert condition(subscribe(other, name, None, other.jid)) == OK
    other.sync()
    other.inbox.clear()
    publish(romeo, name, "b")
    other.gets(event(name, "<item id='b'/>", romeo.bare))
    other.nothing(event(name, "<item id='b'/>", romeo.bare))


def test_a_retraction_is_told_as_the_node_says(romeo, juliet, name):
    """ejabberd 4326 and 1963: the publisher says nothing of it."""
    subscribe_both(romeo, juliet)
    listen(juliet, name)
    for told in ("1", "0"):
        publish(romeo, name, "a")
        configure(romeo, name, notify_retract=told)
        juliet.gets(event(name, "<item id='a'/>", romeo.bare), 10)
        assert condition(romeo.iq("set", pubsub(f"<retract node='{name}'><item id='a'/></retract>"))) == OK
        if told == "1":
            juliet.gets(event(name, "<retract id='a'/>", romeo.bare), 10)
        else:
            juliet.nothing(f"<message><event xmlns='{EVENT}'/></message>")


def test_a_filter_that_a_client_drops_holds_no_longer(romeo, make_client, name):
    """ejabberd 4158."""
    other = make_client(romeo.account, resource="chamber")
    listen(other, name)
    publish(romeo, name, "a")
    other.gets(event(name, "<item id='a'/>", romeo.bare))
    listen(other, f"{name}:other")
    publish(romeo, name, "b")
    other.nothing(f"<message><event xmlns='{EVENT}'/></message>")


def test_the_account_says_that_one_can_subscribe(romeo):
    """Metronome 549."""
    info = romeo.iq("get", f"<query xmlns='{INFO}'/>", to=romeo.bare)
    assert f"{NS}#subscribe" in {each.get("var") for each in info.iter(f"{{{INFO}}}feature")}


def test_white_space_between_elements_says_nothing(romeo, name):
    """ejabberd 2493."""
    spaced = (
        f"\n <publish node='{name}'>\n  <item id='a'>\n   {tune('La Traviata')}\n  </item>\n </publish>\n"
    )
    assert condition(romeo.iq("set", f"<pubsub xmlns='{NS}'>{spaced}</pubsub>")) == OK
    assert ids(items(romeo, name)) == ["a"]


def test_who_waits_for_approval_and_asks_again_is_told_so(romeo, juliet, service, name):
    """Openfire 1899."""
    made = pubsub(
        f"<create node='{name}'/><configure>{form('node_config', access_model='authorize')}</configure>"
    )
    assert condition(romeo.iq("set", made, to=service)) == OK
    first = subscribe(juliet, name, service)
    assert first.find(f".//{{{NS}}}subscription").get("subscription") == "pending"
    again = subscribe(juliet, name, service)
    assert condition(again) == ("not-authorized", "pending-subscription")


def test_the_owner_deletes_what_others_subscribed_to_and_they_hear_once(romeo, juliet, service, node):
    """Openfire 1977."""
    assert condition(subscribe(juliet, node, service)) == OK
    assert delete(romeo, node, service) == OK
    juliet.gets(f"<message><event xmlns='{EVENT}'><delete node='{node}'/></event></message>", 10)
    juliet.nothing(f"<message><event xmlns='{EVENT}'/></message>")


def test_a_node_of_no_items_only_tells(romeo, make_client, name):
    """esl/MongooseIM#4741: max_items 0 is another way to say that nothing is kept."""
    other = make_client(romeo.account, resource="other")
    listen(other, name)
    for _ in range(2):  # gkdr/lurch#52: an event each time, though it is the same item
        assert condition(publish(romeo, name, "a", max_items="0")) == ("result",)
        other.gets(event(name, "<item id='a'/>", romeo.bare))
    assert condition(items(romeo, name)) == ("feature-not-implemented", "unsupported")


def test_an_own_client_that_comes_gets_the_last_item(romeo, make_client, name):
    """processone/ejabberd#2112."""
    publish(romeo, name, "a")
    listen(romeo, name)
    other = make_client(romeo.account, resource="other", available=False)
    c = f"<c xmlns='{CAPS}' hash='sha-1' node='https://test.example' ver='{romeo.caps[0]}'/>"
    other.send(f"<presence>{c}</presence>")
    other.gets(event(name, "<item id='a'/>", romeo.bare))


def test_who_subscribes_hears_whatever_his_client_shows(romeo, juliet, name):
    """processone/ejabberd#16."""
    subscribe_both(romeo, juliet)
    listen(juliet, "urn:test:other")
    assert condition(subscribe(juliet, name, romeo.bare)) == ("item-not-found",)
    publish(romeo, name, "a")
    assert condition(subscribe(juliet, name, romeo.bare)) == ("result",)
    juliet.gets(event(name, "<item id='a'/>", romeo.bare), 10)
    publish(romeo, name, "b")
    juliet.gets(event(name, "<item id='b'/>", romeo.bare), 10)


@pytest.mark.topology("two servers")
def test_a_client_of_another_server_subscribes_for_itself(romeo, juliet, service, node):
    """igniterealtime/Openfire#2371."""
    assert condition(subscribe(juliet, node, service, juliet.jid)) == ("result",)
    publish(romeo, node, to=service)
    got = juliet.gets(f"<message from='{service}'><event xmlns='{EVENT}'/></message>", 10)
    assert got.get("to") == juliet.jid
