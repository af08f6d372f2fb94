"""Payloads come to readers as they were published, however they are written."""

import pytest

from jabberd_py.pubsub.verbatim import Verbatim, unfold
from jabberd_py.xmpp.element import Element, build, from_text
from tests.pubsub.words import NS, condition, items, pubsub

OPAQUE = [
    "<a xmlns='urn:x'/>",
    '<a xmlns="urn:x" b="&gt;\'"/>',
    "<a xmlns='urn:x' b='>/>'>text</a>",
    "<a xmlns='urn:x'><b/><c xmlns='urn:y'>&lt;&amp;&#65;</c></a>",
    "<a xmlns='urn:x'><![CDATA[</item><item id='2'>]]></a>",
    "<a xmlns='urn:x' xmlns:p='urn:p' p:b='1'><p:c/></a >",
    "<a xmlns='urn:x' xml:lang='de'>\n <b>ü</b>\n</a>",
    "<a xmlns=''/>",
    f"<a xmlns='{NS}'/>",
    "<message xmlns='jabber:client'><body>hi</body></message>",
    "<a xmlns='urn:x'></a>",
    "<a xmlns='urn:x'><b><ab/></b></a>",
    "<a xmlns='urn:x'>ü<a><a/></a></a>",
    "<a xmlns='urn:x'><![CDATA[</a>]]></a>",
    "<a xmlns='urn:x'><b xmlns:p='urn:p'><p:c xmlns='urn:x'/></b></a>",
]
"""They say in which namespace they are, first of all."""
OTHERS = [
    "<a b='1' xmlns='urn:x'/>",
    "<a b=\" xmlns='urn:y'\" xmlns='urn:x'/>",
    "<p:a xmlns:p='urn:x'><b/></p:a>",
    "<a/>",
    "<a  xmlns='urn:x'/>",
]
TWO = [
    "<a xmlns='urn:x'/><b xmlns='urn:x'/>",
    "text<a xmlns='urn:x'/>",
    "<a xmlns='urn:x'></a><a xmlns='urn:x'></a>",
    "<a xmlns='urn:x'>1</a></item><item id='2'><a xmlns='urn:x'>2</a>",
    "<a xmlns='urn:x'>1</a><b xmlns='urn:x'>2</b>",
    "<a xmlns='urn:x'>1</a>text",
]


def request(payload, item="", publish=""):
    inner = f"<pubsub xmlns='{NS}'><publish node='n'{publish}><item id='1'{item}>{payload}</item></publish></pubsub>"
    return Element.raw("iq", "jabber:client", {}, inner.encode(), [f"{NS} pubsub"])


def payloads(stanza):
    return list(stanza.payload.child("publish").child("item").elements())


@pytest.mark.parametrize("payload", OPAQUE + OTHERS + TWO)
def test_a_request_means_the_same_as_its_tree(payload):
    stanza = request(payload)
    unfold(stanza)
    tree = build(request(payload).inner)[0]
    assert str(from_text(str(stanza.payload))) == str(tree)
    found = payloads(stanza)
    for one, other in zip(found, tree.child("publish").child("item").elements(), strict=True):
        assert (one.name, one.ns, one.attrs, one.kids) == (other.name, other.ns, other.attrs, other.kids)
        assert str(from_text(one.to_bytes("\0"))) == str(from_text(other.to_bytes("\0")))
        assert one.inner == other.inner
    assert all(isinstance(each, Verbatim) for each in found) is (payload not in OTHERS)


def test_a_payload_that_uses_a_prefix_of_the_elements_around_it_is_no_text():
    for stanza in (
        request("<a xmlns='urn:x' p:b='1'><p:c/></a>", item=" xmlns:p='urn:p'"),
        request("<a xmlns='urn:x'><p:c/></a>", publish=" xmlns:p='urn:p'"),
    ):
        unfold(stanza)
        [payload] = payloads(stanza)
        assert not isinstance(payload, Verbatim)
        assert from_text(payload.to_bytes("\0")).elements()


def test_readers_get_what_was_published(romeo):
    for number, payload in enumerate(OPAQUE + OTHERS):
        inner = f"<publish node='urn:test:n{number}'><item id='1'>{payload}</item></publish>"
        assert condition(romeo.iq("set", pubsub(inner))) == ("result",)
        [item] = items(romeo, f"urn:test:n{number}").iter(f"{{{NS}}}item")
        wanted = build(request(payload).inner)[0].child("publish").child("item").payload
        assert item[0].tag == (f"{{{wanted.ns}}}{wanted.name}" if wanted.ns else wanted.name)
        assert "".join(item[0].itertext()) == "".join(_texts(wanted))


def _texts(element):
    for child in element.children:
        if isinstance(child, str):
            yield child
        else:
            yield from _texts(child)
