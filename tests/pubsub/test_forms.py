"""The forms of nodes, as programs with a class for each form read them: every field of the type that the XEPs give it."""

import pytest

from tests.pubsub.words import INFO, OWNER, condition, configure, pubsub

pytestmark = pytest.mark.topology("one host")
DATA = "{jabber:x:data}"
TYPES = {
    "boolean": "deliver_notifications deliver_payloads notify_config notify_delete notify_retract notify_sub "
    "persist_items presence_based_delivery subscribe",
    "text-single": "title description type item_expire max_items max_payload_size children_max",
    "text-multi": "collection children",
    "jid-multi": "contact children_association_whitelist",
    "list-single": "access_model publish_model send_last_published_item notification_type itemreply language "
    "publish_node_full node_type children_association_policy",
    "list-multi": "roster_groups_allowed",
}  # XEP-0060 section 16.4.4, XEP-0248 section 10


def fields(answer):
    return {each.get("var").removeprefix("pubsub#"): each for each in answer.iter(f"{DATA}field")}


def options(field):
    return [each.findtext(f"{DATA}value") for each in field.findall(f"{DATA}option")]


def chosen(field):
    return [each.text for each in field.findall(f"{DATA}value")]


def test_fields_are_of_the_types_that_are_registered(romeo, service, node):
    known = {name: type for type, names in TYPES.items() for name in names.split()}
    seen = set()
    for inner in (f"<configure node='{node}'/>", "<default/>", "<default type='collection'/>"):
        shown = fields(romeo.iq("get", pubsub(inner, OWNER), to=service))
        assert shown.pop("FORM_TYPE").get("type") == "hidden"
        assert {name: field.get("type") for name, field in shown.items()} == {
            name: known[name] for name in shown
        }
        seen |= shown.keys()
    assert seen == known.keys()
    about = fields(romeo.iq("get", f"<query xmlns='{INFO}' node='{node}'/>", to=service))
    assert about["language"].get("type") == "list-single"


def test_what_is_chosen_in_a_list_is_one_of_its_options(romeo, juliet, service, node):
    romeo.iq(
        "set",
        f"<query xmlns='jabber:iq:roster'><item jid='{juliet.bare}'><group>Friends</group><group>Town</group></item></query>",
    )
    ask = pubsub(f"<configure node='{node}'/>", OWNER)
    shown = fields(romeo.iq("get", ask, to=service))
    assert options(shown["roster_groups_allowed"]) == ["Friends", "Town"]
    assert {"en", "it"} <= set(options(shown["language"])) and chosen(shown["language"]) == []
    wish = {"roster_groups_allowed": ["Town", "Gone"], "language": "nap"}
    assert condition(configure(romeo, node, service, **wish)) == ("result",)
    shown = fields(romeo.iq("get", ask, to=service))
    assert options(shown["roster_groups_allowed"]) == ["Friends", "Town", "Gone"]
    assert chosen(shown["roster_groups_allowed"]) == ["Town", "Gone"]
    assert chosen(shown["language"]) == ["nap"] and "nap" in options(shown["language"])
    for field in shown.values():
        if field.get("type").startswith("list-"):
            assert set(chosen(field)) <= set(options(field)), field.get("var")
