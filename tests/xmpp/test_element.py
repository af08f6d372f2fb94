"""Elements: what is serialised reads back as the same; stanzas share and keep what they should."""

from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jabberd_py.xmpp import ns
from jabberd_py.xmpp.element import Element, build, from_text
from jabberd_py.xmpp.errors import StanzaError, StreamError, error_reply
from tests.xmpp.wire import ROOT, meaning, meant

plain = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
text = st.text(plain | st.sampled_from("\t\n\r&<>'\""), max_size=6)
names = st.sampled_from(["message", "body", "a", "Ä", "x-y.z_0"])
keys = st.sampled_from(["to", "id", "xml:lang", "xml:space", "{urn:x}k", "{urn:'&<}k", "{urn:y}to"])
uris = st.sampled_from([ns.CLIENT, "", "urn:x", "urn:'&\"<>", ns.STREAM])


@st.composite
def trees(draw, depth=0):
    element = Element.parsed(draw(names), draw(uris), draw(st.dictionaries(keys, text, max_size=3)))
    if depth < 4:
        element.append(*draw(st.lists(text.filter(bool) | st.deferred(lambda: trees(depth + 1)), max_size=3)))
    return element


def said(element):
    """What the tree says, in ElementTree's words."""
    parts = [""]  # text, child, tail, child, tail ...
    for child in element.children:
        if isinstance(child, str):
            parts[-1] += child
        else:
            parts += [said(child), ""]
    xml = "{http://www.w3.org/XML/1998/namespace}"
    attrs = {
        key.replace("xml:", xml) if key.startswith("xml:") else key: value
        for key, value in element.attrs.items()
    }
    tag = f"{{{element.ns}}}{element.name}" if element.ns else element.name
    return (tag, sorted(attrs.items()), parts[0], list(zip(parts[1::2], parts[2::2], strict=True)))


@given(trees(), st.sampled_from([ns.CLIENT, "", "urn:x"]))
def test_what_is_written_reads_back_the_same(tree, around):
    written = tree.to_bytes(around)
    assert meaning(fromstring(f"<w xmlns='{around}'>".encode() + written + b"</w>")[0]) == said(tree)


@given(trees())
def test_serialise_and_parse_is_identity(tree):
    first = from_text(tree.to_bytes())
    assert said(first) == said(tree)
    assert first.to_bytes() == tree.to_bytes()
    assert first.kids == tree.kids
    assert meant(ROOT, str(tree)) == [said(tree)]
    assert build(tree.to_bytes())[0].to_bytes() == tree.to_bytes()


@given(trees(), text)
def test_copies_share_what_is_inside(tree, to):
    one, two = tree.copy(to=to, id=None), tree.copy()
    assert one.inner is two.inner
    assert one.attrs == {key: value for key, value in tree.attrs.items() if key != "id"} | {"to": to}
    assert said(two) == said(tree)
    assert said(Element("w", "urn:w", one).children[0]) == said(one)
    twice = Element("w", "urn:w", two, two)
    assert [kid for kid, _ in meaning(fromstring(twice.to_bytes()))[3]] == [said(tree)] * 2


def test_arguments():
    element = Element("iq", ns.CLIENT, None, "x", Element("a", "urn:a"), to="b", from_="c", id=5, type=None)
    assert str(element) == "<iq to='b' from='c' id='5'>x<a xmlns='urn:a'/></iq>"
    assert element.kids == ["urn:a a"] and element.text == "x" and element.payload.name == "a"
    assert repr(Element("a")) == "Element('<a/>')"


def test_questions_do_not_build_the_tree():
    raw = Element.raw("message", ns.CLIENT, {"to": "a@b/c"}, b"<body>hi</body>", ["jabber:client body"])
    assert raw.has("body") and not raw.has("body", "urn:x") and raw.kids and raw.to.resource == "c"
    assert raw.to_bytes() == b"<message to='a@b/c'><body>hi</body></message>"
    assert raw._children is None
    assert raw.child("body").text == raw.text_of("body") == "hi"
    assert raw.text_of("subject") is None and raw.all("body", "urn:x") == []


def test_changed_children_are_written_anew():
    element = from_text("<message><a/><b/></message>")
    assert element.inner == b"<a/><b/>"
    element.remove(element.child("a"))
    assert element.inner == b"<b/>" and not element.has("a")
    element.append("&", Element("c", "urn:c"))
    assert element.inner == b"<b/>&amp;<c xmlns='urn:c'/>" and element.has("c", "urn:c")


def test_addresses():
    element = Element("message", to="Juliet@Example.COM/x")
    assert str(element.to) == "juliet@example.com/x" and element.from_ is None
    element.to, element.from_ = None, "a@b"
    assert str(element) == "<message from='a@b'/>"
    with pytest.raises(ValueError):
        _ = Element("message", to="@").to


def test_replies():
    request = from_text("<iq type='get' id='&apos;1' to='a' from='b'><q xmlns='urn:q'/></iq>")
    assert str(request.reply()) == "<iq type='result' id='&apos;1' from='a' to='b'/>"
    assert str(error_reply(request, StanzaError("gone", "where?"))) == (
        "<iq type='error' id='&apos;1' from='a' to='b'><error type='cancel'>"
        "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>where?</text></error></iq>"
    )
    for stanza in ("<iq type='result' id='1'/>", "<iq type='error' id='1'/>", "<message type='error'/>"):
        assert error_reply(from_text(stanza), StanzaError("gone")) is None
    assert StreamError("reset", "<", Element("x", "urn:x")).to_bytes() == (
        b"<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        b"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>&lt;</text><x xmlns='urn:x'/></stream:error>"
    )


@pytest.mark.parametrize("wrong", ["", "<a/><b/>", "<a>", "text", "<a b='1' b='2'/>", "<x:a/>", "\x01"])
def test_a_text_that_is_not_one_element(wrong):
    with pytest.raises(ValueError):
        from_text(wrong)


@pytest.mark.parametrize("wrong", ["</stream:stream>", "<a/></stream:stream><b/>", "</stream:stream><b/>"])
def test_a_text_cannot_leave_its_root(wrong):
    with pytest.raises(ValueError):
        from_text(wrong)


@pytest.mark.parametrize(
    "inner",
    [
        "<body>hi</body>",
        "<body xmlns='jabber:client'>hi</body>",
        "<body xmlns='jabber&#58;client'>hi</body>",
        "<x xmlns='urn:x'><message xmlns='jabber:client'><body>hi</body></message></x>",
        "<x xmlns='urn:x' a='é'><![CDATA[<]]></x>",
    ],
)
def test_a_stanza_goes_over_into_another_content_namespace(inner):
    stanza = from_text(f"<message to='a@b'>{inner}</message>")
    raw = Element.raw("message", ns.CLIENT, stanza.attrs, inner.encode(), stanza.kids)
    there = fromstring(f"<w xmlns='{ns.SERVER}'>".encode() + raw.across() + b"</w>")[0]
    assert there.tag == f"{{{ns.SERVER}}}message"
    top = {f"{{{ns.SERVER}}}body", "{urn:x}x"}
    assert {child.tag for child in there} <= top
    for nested in there.iter(f"{{{ns.CLIENT}}}message"):
        assert [child.tag for child in nested] == [f"{{{ns.CLIENT}}}body"]
    if b"client" not in raw.inner:
        assert inner.encode() in raw.across()  # as it came


def test_a_long_list_may_be_serialised_child_by_child():
    def query():
        items = [
            Element("item", "jabber:iq:roster", Element("group", "jabber:iq:roster", "<&>"), jid=f"{n}@a")
            for n in "ab"
        ]
        return Element("query", "jabber:iq:roster", *items, "text & more", Element("x", "other"), ver=1)

    made = query()
    made.serialise(iter)
    assert made.to_bytes() == query().to_bytes()
    assert (
        Element("iq", "jabber:client", made).to_bytes() == Element("iq", "jabber:client", query()).to_bytes()
    )
