import pytest

from tests.match import matches, parse, show

SAME = {
    "the element alone": ("<presence/>", "<presence from='a@b'/>"),
    "attributes in any order": ("<iq type='result' id='1'/>", "<iq id='1' to='x' type='result'/>"),
    "any attribute value": ("<iq id='...'/>", "<iq id=''/>"),
    "a run in an attribute": ("<iq from='a@b/...'/>", "<iq from='a@b/phone'/>"),
    "an absent attribute": ("<presence type='!absent'/>", "<presence/>"),
    "text": ("<message><body>hi</body></message>", "<message><body>hi</body><thread>t</thread></message>"),
    "text over lines": ("<body>a...d</body>", "<body>a\nb\nd</body>"),
    "any text": ("<body>...</body>", "<body>hi</body>"),
    "any content": ("<query xmlns='n'>...</query>", "<query xmlns='n'><item/></query>"),
    "no content is any content": ("<query xmlns='n'>...</query>", "<query xmlns='n'/>"),
    "text not named": ("<body/>", "<body>hi</body>"),
    "white space in a template": ("<message>\n  <body/>\n</message>", "<message><body/></message>"),
    "children in any order": ("<a><b/><c/></a>", "<a><c/><d/><b/></a>"),
    "the namespace is inherited": (
        "<iq><query xmlns='n'><item/></query></iq>",
        "<iq><x:query xmlns:x='n'><x:item/></x:query></iq>",
    ),
    "each wanted child finds its own": ("<a><b i='...'/><b i='1'/></a>", "<a><b i='1'/><b i='2'/></a>"),
    "an absent child": ("<a><delay xmlns='d'>!absent</delay></a>", "<a><delay xmlns='other'/></a>"),
    "an absent child of a kind": ("<a><b i='1'>!absent</b></a>", "<a><b i='2'/></a>"),
    "the stream prefix": ("<stream:error/>", "<error xmlns='http://etherx.jabber.org/streams'/>"),
    "xml:lang": ("<a xml:lang='de'/>", "<a xml:lang='de'/>"),
}
DIFFERENT = {
    "another element": ("<message/>", "<presence/>", "message: is <presence>"),
    "another namespace": ("<query xmlns='n'/>", "<query xmlns='m'/>", "query: is in namespace 'm', not 'n'"),
    "a missing attribute": ("<iq id='...'/>", "<iq/>", "iq: attribute id is missing, should be '...'"),
    "another value": ("<iq id='1'/>", "<iq id='2'/>", "iq: attribute id is '2', should be '1'"),
    "dots are only dots in a template": (
        "<iq id='a.c'/>",
        "<iq id='abc'/>",
        "iq: attribute id is 'abc', should be 'a.c'",
    ),
    "an attribute too many": (
        "<presence type='!absent'/>",
        "<presence type='error'/>",
        "presence: attribute type must be absent, is 'error'",
    ),
    "another text": (
        "<message><body>hi</body></message>",
        "<message><body>ho</body></message>",
        "message/body: text is 'ho', should be 'hi'",
    ),
    "the nearest child is named": (
        "<a><b i='1' j='1'/></a>",
        "<a><b/><b i='1'/></a>",
        "a/b: attribute j is missing, should be '1'",
    ),
    "a missing child": (
        "<message><body>hi</body></message>",
        "<message/>",
        "message/body: is missing: <body>hi</body>",
    ),
    "one child is not two": ("<a><b/><b/></a>", "<a><b/></a>", "a/b: is missing: <b/>"),
    "a child too many": ("<a><b>!absent</b></a>", "<a><b i='2'/></a>", "a: <b>!absent</b>, but it is there"),
    "deep down": (
        "<a><b><c x='1'/></b></a>",
        "<a><b><c x='2'/></b></a>",
        "a/b/c: attribute x is '2', should be '1'",
    ),
}


@pytest.mark.parametrize(("template", "xml"), SAME.values(), ids=SAME.keys())
def test_it_matches(template, xml):
    assert matches(template, xml) == []


@pytest.mark.parametrize(("template", "xml", "difference"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_the_difference_is_told(template, xml, difference):
    assert matches(template, xml) == [difference]


def test_all_differences_are_told():
    assert len(matches("<iq id='1' type='get'><a/><b/></iq>", "<iq><c/></iq>")) == 4


@pytest.mark.parametrize("xml", ["", "text", "<a/><b/>", "<a>", "<a/>text"])
def test_a_template_is_one_element(xml):
    with pytest.raises(ValueError, match="not"):
        parse(xml)


def test_an_element_is_shown_as_it_would_be_written():
    xml = "<message to='a&apos;b' xml:lang='en'><body>1 &lt; 2</body><x xmlns='n'><y/></x></message>"
    assert show(parse(xml)) == xml
