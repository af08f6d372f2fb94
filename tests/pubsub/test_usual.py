"""A publish means the same, however it is read."""

import pytest

from jabberd_py.pubsub.usual import fields, read
from jabberd_py.xmpp.element import Element, build, from_text
from tests.pubsub.test_verbatim import OPAQUE, OTHERS, TWO
from tests.pubsub.words import NS, condition, configure, form, publish

OPTIONS = (
    f"<publish-options>{form('publish-options', access_model='open', max_items='max')}</publish-options>"
)
ATTRIBUTES = (
    "<conference xmlns='urn:xmpp:bookmarks:1' name=\"it's &lt;\" autojoin='true'><nick>r</nick></conference>"
)
USUAL = [
    "<a xmlns='urn:x'></a>",
    '<a xmlns="urn:x"><b>text</b></a>',
    "<a xmlns='urn:x'><b/><c xmlns='urn:y'>&lt;&amp;&#65;</c></a>",
    f"<a xmlns='urn:x'><b><![CDATA[</a></item></publish>{OPTIONS}]]></b></a>",
    "<a xmlns='urn:x' xmlns:p='urn:p' p:b='1'><p:c/></a>",
    ATTRIBUTES,
    "<list xmlns='eu.siacs.conversations.axolotl'><device id='1'/><device id='2'/></list>",
]


def publishing(payload, options="", attrs="", item="id='1'"):
    return f"<pubsub xmlns='{NS}'{attrs}><publish node='n'><item {item}>{payload}</item></publish>{options}</pubsub>"


def request(inner, type="set"):
    return Element.raw("iq", "jabber:client", {"type": type}, inner.encode(), [f"{NS} pubsub"])


def as_tree(inner):
    """(node, item, payload, options) of a publish of one item with one payload."""
    [tree] = build(inner.encode())
    [item] = tree.child("publish").elements()
    [payload] = item.elements()
    options = tree.child("publish-options")
    values = {} if options is None else fields(options.payload, f"{NS}#publish-options")
    return tree.child("publish").attrs["node"], item.attrs["id"], str(payload), values


@pytest.mark.parametrize("payload", [*USUAL, *OPAQUE, *OTHERS])
@pytest.mark.parametrize("options", ["", OPTIONS])
def test_a_usual_publish_means_the_same_as_its_tree(payload, options):
    inner = publishing(payload, options)
    usual = read(request(inner))
    assert usual is not None or payload not in USUAL
    if usual is not None:
        node, item, data, values = usual
        assert (node, item, str(from_text(data)), values) == as_tree(inner)
        assert read(request(inner)).options is values


CDATA = "<a xmlns='urn:x'></a ><![CDATA[</a></item></publish><publish-options>]]>"
UNUSUAL = [
    *(publishing(payload, options) for payload in TWO for options in ("", OPTIONS)),
    publishing("<a xmlns='urn:x'/>", item=""),
    publishing("<a xmlns='urn:x'></a>", item="id='a&amp;b'"),
    publishing("<a xmlns='urn:x'></a>", item="id='1' publisher='romeo@localhost'"),
    publishing("<a xmlns='urn:x'></a>", attrs=" xmlns:p='urn:p'"),
    publishing("<a xmlns='urn:x'></a>", OPTIONS + OPTIONS),
    publishing("<a xmlns='urn:x'></a>", "<publish-options></publish-options>"),
    publishing("<a xmlns='urn:x'></a>", OPTIONS.replace("FORM_TYPE", "FORM")),
    publishing("<a xmlns='urn:x'></a>", OPTIONS.replace("'submit'", "'answer'")),
    publishing("<a xmlns='urn:x'></a>", OPTIONS.replace("open", "<![CDATA[open]]>")),
    publishing("<a xmlns='urn:x'></a>", OPTIONS.replace("open", "<p:open/>"), " xmlns:p='urn:p'"),
    publishing("<a xmlns='urn:x'></a>", OPTIONS.replace("open", "o" * 3000)),
    f"<pubsub xmlns='{NS}'><publish node='n'><item id='1'>{CDATA}<publish-options/></item></publish></pubsub>",
    f"<pubsub xmlns='{NS}'><publish node='n'><item id='1'>{CDATA}</item></publish><publish-options></publish-options></pubsub>",
    f"<pubsub xmlns='{NS}'><retract node='n'><item id='1'></item></retract></pubsub>",
    f"<pubsub xmlns='{NS}'></pubsub>",
    "<pubsub xmlns='urn:x'></pubsub>",
]


@pytest.mark.parametrize("inner", UNUSUAL)
def test_any_other_request_is_read_as_a_tree(inner):
    build(inner.encode())  # it is well-formed, as all is that streams bring
    assert read(request(inner)) is None


def test_only_a_request_to_change_publishes(romeo):
    assert read(request(publishing(USUAL[0]), "get")) is None
    assert condition(romeo.iq("get", publishing(USUAL[0]))) == ("bad-request",)


def test_the_same_publish_options_are_looked_at_again_when_the_node_has_changed(romeo):
    node, refused = "urn:test:agreed", ("conflict", "precondition-not-met")

    def said(access_model="open"):
        return condition(publish(romeo, node, access_model=access_model, max_items="3"))

    assert [said(), said(), said("presence"), said()] == [("result",), ("result",), refused, ("result",)]
    configure(romeo, node, access_model="presence")
    assert [said(), said(), said("presence")] == [refused, refused, ("result",)]
    configure(romeo, node, access_model="open")
    assert said() == ("result",)
    assert condition(romeo.iq("set", publishing(USUAL[0], OPTIONS).replace("'n'", f"'{node}'"))) == refused


def test_a_usual_publish_is_refused_as_any_other(romeo, juliet, service):
    node = "urn:test:refused"
    assert condition(publish(romeo, node, max_payload_size="40")) == ("not-acceptable", "payload-too-big")
    assert condition(publish(romeo, node, payload="<a xmlns='urn:x'></a>", max_payload_size="40")) == (
        "result",
    )
    assert condition(publish(romeo, node)) == ("not-acceptable", "payload-too-big")
    assert condition(publish(romeo, node, "i" * 501, "<a xmlns='urn:x'></a>")) == ("not-acceptable",)
    assert condition(publish(juliet, node, to=romeo.jid.partition("/")[0])) == ("forbidden",)
    assert condition(publish(romeo, node, to=service)) == ("item-not-found",)
    configure(romeo, node, persist_items="0", deliver_payloads="0")
    assert condition(publish(romeo, node)) == ("bad-request", "item-forbidden")
