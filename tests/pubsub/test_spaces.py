"""XEP-0503: a space is a node, and rooms say to which they belong."""

import uuid

import pytest

from tests.pubsub.words import EVENT, INFO, ITEMS, OWNER, condition, form, ids, items, publish, pubsub

SPACES, FILTER = "urn:xmpp:spaces:0", "urn:xmpp:pubsub-filter:0"
PUBLIC = {
    "type": SPACES, "notify_retract": "true", "persist_items": "true", "purge_offline": "false", "notify_sub": "true",
    "notify_config": "true", "notify_delete": "true", "publish_model": "publishers", "access_model": "open",
}  # fmt: skip


def create(client, node, to, **fields):
    answer = client.iq(
        "set", pubsub(f"<create node='{node}'/><configure>{form('node_config', **fields)}</configure>"), to=to
    )
    assert condition(answer) == ("result",)


def spaces(client, to):
    wanted = (
        f"<filter xmlns='{FILTER}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
        f"<value>{FILTER}</value></field><field type='list-multi' var='included-types'><value>{SPACES}</value></field>"
        "</x></filter>"
    )
    answer = client.iq("get", f"<query xmlns='{ITEMS}'>{wanted}</query>", to=to)
    return {each.get("node"): each.get("name") for each in answer.iter(f"{{{ITEMS}}}item")}


def test_a_user_makes_a_space_and_others_find_what_is_in_it(romeo, juliet):
    """Examples 1 to 4 and 6 to 8."""
    service, node, other = (
        f"pubsub.{romeo.domain}",
        f"dev-{uuid.uuid4().hex[:8]}",
        f"other-{uuid.uuid4().hex[:8]}",
    )
    create(romeo, node, service, title="The developers corner", **PUBLIC)
    create(romeo, other, service)
    found = spaces(juliet, service)
    assert found[node] == "The developers corner" and other not in found
    info = juliet.iq("get", f"<query xmlns='{INFO}' node='{node}'/>", to=service)
    said = {each.get("var"): [value.text for value in each] for each in info.iter("{jabber:x:data}field")}
    assert said["pubsub#type"] == [SPACES] and said["pubsub#owner"] == [romeo.bare]
    room = f"editors@conference.{romeo.domain}"
    conference = "<conference xmlns='urn:xmpp:bookmarks:1' name='Settling the text editor wars'/>"
    assert condition(publish(romeo, node, room, conference, to=service)) == ("result",)
    avatar = "<metadata xmlns='urn:xmpp:avatar:metadata'/>"
    assert condition(publish(romeo, node, "urn:xmpp:spaces:avatar:metadata:0", avatar, to=service)) == (
        "result",
    )
    subscribe = pubsub(f"<subscribe node='{node}' jid='{juliet.bare}'/>")
    assert condition(juliet.iq("set", subscribe, to=service)) == ("result",)
    romeo.gets(
        f"<message><event xmlns='{EVENT}'><subscription jid='{juliet.bare}' subscription='subscribed'/></event></message>",
        10,
    )
    assert room in ids(items(juliet, node, service))
    romeo.iq("set", pubsub(f"<retract node='{node}'><item id='{room}'/></retract>"), to=service)
    juliet.gets(
        f"<message><event xmlns='{EVENT}'><items node='{node}'><retract id='{room}'/></items></event></message>",
        10,
    )


def test_a_private_space_is_seen_by_its_members_only(romeo, juliet):
    service, node = f"pubsub.{romeo.domain}", f"bosses-{uuid.uuid4().hex[:8]}"
    create(romeo, node, service, **{**PUBLIC, "access_model": "whitelist"})
    assert node not in spaces(juliet, service)
    member = (
        f"<affiliations node='{node}'><affiliation jid='{juliet.bare}' affiliation='member'/></affiliations>"
    )
    assert condition(romeo.iq("set", pubsub(member, OWNER), to=service)) == ("result",)
    assert node in spaces(juliet, service)


@pytest.mark.topology("one host")
def test_a_room_says_to_which_space_it_belongs(romeo, juliet):
    """Example 9."""
    room, owner = f"space-{romeo.user}@conference.{romeo.domain}", "http://jabber.org/protocol/muc#owner"
    uri = f"xmpp:pubsub.{romeo.domain}?;node=dev"
    romeo.send(f"<presence to='{room}/romeo'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    romeo.gets(
        f"<presence from='{room}/romeo'><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>"
    )

    def space(value):
        field = f"<field var='muc#roomconfig_pubsub'><value>{value}</value></field>"
        submit = (
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
            f"<value>http://jabber.org/protocol/muc#roomconfig</value></field>{field}</x>"
        )
        assert condition(romeo.iq("set", f"<query xmlns='{owner}'>{submit}</query>", to=room)) == ("result",)
        info = juliet.iq("get", f"<query xmlns='{INFO}'/>", to=room)
        said = {each.get("var"): [value.text for value in each] for each in info.iter("{jabber:x:data}field")}
        return SPACES in {each.get("var") for each in info.iter(f"{{{INFO}}}feature")}, said.get("parent")

    assert space(uri) == (True, [uri])
    assert space(f"xmpp:pubsub.{romeo.domain}?pubsub;action=subscribe;node=dev")[0]
    for other in ("", f"xmpp:pubsub.{romeo.domain}"):
        assert space(other) == (False, None)
