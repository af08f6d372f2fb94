"""The stream parser: whatever the peer writes, and however the network cuts it, the same stanzas come out."""

import re
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jabberd_py.xmpp import element as elements
from jabberd_py.xmpp import ns, parser, root
from jabberd_py.xmpp.element import Element, Raw
from jabberd_py.xmpp.errors import StreamError
from jabberd_py.xmpp.parser import Close, Header, Limits, Parser, Skipped, reread
from tests.xmpp.wire import CLIENT, ROOT, ROOTS, STREAM, meant, pieces, stanzas


def feed(chunks, limits=None, stream=None):
    """All that comes out, and the condition of the fault (None: none)."""
    stream = stream or Parser(limits or Limits())
    out = []
    for chunk in chunks:
        found, fault = stream.feed(chunk)
        out += found
        if fault is not None:
            return out, fault.condition
    return out, None


def inside(xml, root=ROOT, limits=None):
    out, fault = feed([root.encode(), xml.encode() if isinstance(xml, str) else xml], limits)
    assert isinstance(out[0], Header)
    return out[1:], fault


def is_raw(element):
    return element._children is None


def rebuilt(element):
    """A twin that knows nothing of the bytes it came from."""
    twin = Element.parsed(element.name, element.ns, dict(element.attrs))
    return twin.append(*(kid if isinstance(kid, str) else rebuilt(kid) for kid in element.children))


# -- every stanza, every cut -------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ROOTS)
@given(data=st.data())
def test_a_stanza_means_the_same_however_it_is_cut_and_written(root, data):
    written = data.draw(st.lists(stanzas(root), min_size=1, max_size=3))
    spaces = data.draw(st.sampled_from(["", " ", "\r\n\t"]))
    stream = ROOTS[root] + spaces + spaces.join(written) + spaces
    out, fault = feed(data.draw(pieces(stream.encode())))
    assert fault is None
    assert isinstance(out.pop(0), Header)
    expected = meant(ROOTS[root], "".join(written))
    for how in (Element.to_bytes, lambda element: rebuilt(element).to_bytes()):  # raw relay; the tree
        sent = [meant(ROOT, how(element).decode())[0] for element in out]
        assert sent == expected
    for element in out:
        assert element.kids == rebuilt(element).kids


@given(data=st.data())
def test_raw_relay_hands_on_the_very_bytes(data):
    xml = data.draw(stanzas("usual"))
    (element,), fault = inside(xml)
    assert fault is None
    if is_raw(element):
        start = re.match(r"""<(?:[^>"']|"[^"]*"|'[^']*')*>""", xml)[0]
        inner = "" if start.endswith("/>") else xml[len(start) : xml.rindex("</")]
        assert element.inner == inner.encode()
        assert b">%b</" % element.inner in element.to_bytes() or not inner


@given(data=st.data())
def test_streams_that_take_turns_do_not_meet(data):
    """Parsers are borrowed: two streams fed alternately get what they would have got alone."""
    roots = [data.draw(st.sampled_from(sorted(ROOTS))) for _ in range(2)]
    texts = ["".join(data.draw(st.lists(stanzas(root), max_size=3))) for root in roots]
    chunks = [data.draw(pieces((ROOTS[r] + t).encode())) for r, t in zip(roots, texts, strict=True)]
    streams, got = [Parser(Limits()), Parser(Limits())], ([], [])
    for turn in range(max(map(len, chunks))):
        for number in (0, 1):
            if turn < len(chunks[number]):
                out, fault = streams[number].feed(chunks[number][turn])
                assert fault is None
                got[number].extend(out)
    for number in (0, 1):
        sent = [meant(ROOT, element.to_bytes().decode())[0] for element in got[number][1:]]
        assert sent == meant(ROOTS[roots[number]], texts[number])


# -- what may be relayed raw -------------------------------------------------------------------------------


RAW = [
    "<message><body>hi</body></message>",
    "<message/>",
    "<message xmlns='jabber:client' to='a'><body>hi</body></message>",
    '<iq xmlns="jabber:client"><q xmlns="urn:q"/></iq>',
    "<message id=\"xmlns='jabber:client'\"><body/></message>",
    "<message id='a>b' to='/'><body a='>'>c > d</body></message>",
    "<message><a:x xmlns:a='urn:a' a:b='c'/></message>",
    "<message><message><message/></message></message>",
    "<message><body><![CDATA[</message><!-- no -->]]></body></message>",
    "<message xml:lang='de'><body>]]&gt;</body></message>",
    "<message\n\tto = 'a'\r\n><body>a\r\nb</body></message\n>",
    "<presence />",
]


@pytest.mark.parametrize("xml", RAW)
def test_usual_stanzas_are_relayed_raw(xml):
    (element,), fault = inside(xml)
    assert fault is None
    assert is_raw(element) or not element.inner
    assert meant(ROOT, element.to_bytes().decode()) == meant(ROOT, xml)


NOT_RAW = {
    "a prefix on the stanza": ("usual", "<c:message xmlns:c='jabber:client'><c:body/></c:message>"),
    "a prefix of the root": ("prefixes", "<c:message><c:body>x</c:body></c:message>"),
    "a prefix of the root, inside": ("prefixes", "<message><x:y/></message>"),
    "a prefix of the root, on an attribute": ("prefixes", "<message><body x:y='z'/></message>"),
    "another default namespace": (
        "usual",
        "<c:message xmlns='urn:x' xmlns:c='jabber:client'><body/></c:message>",
    ),
    "a namespace with spaces around": ("usual", "<message xmlns = 'jabber:client'><body/></message>"),
    "a namespace in disguise": ("usual", "<message xmlns='jabber&#58;client'><body/></message>"),
    "a prefix that the stanza declares": ("usual", "<message xmlns:p='urn:p'><p:x/></message>"),
    "a prefix hidden behind a text": (
        "usual",
        "<message a=\"xmlns='jabber:client'\" xmlns:p='u'><p:x/></message>",
    ),
    "stream": ("usual", "<message><stream:error/></message>"),
    "stream, rebound by the root": ("other prefix", "<message><stream:x/></message>"),
    "db": ("server", "<message><db:result/></message>"),
    "the content namespace spelt out": ("server", "<message><body xmlns='jabber:server'/></message>"),
    "... in disguise": ("server", "<message><body xmlns='jabber&#x3a;server'/></message>"),
}


@pytest.mark.parametrize("name", NOT_RAW)
def test_what_does_not_stand_by_itself_goes_through_the_tree(name):
    root, xml = NOT_RAW[name]
    (element,), fault = inside(xml, ROOTS[root])
    assert fault is None
    assert not is_raw(element)
    assert element.ns == CLIENT
    assert meant(ROOT, element.to_bytes().decode()) == meant(ROOTS[root], xml)
    # and needs nothing of any stream but the default namespace
    fromstring(element.to_bytes(""))


def test_an_inner_prefix_may_look_like_one_of_the_root():
    (element,), _ = inside("<message><body>x:y</body></message>", ROOTS["prefixes"])
    assert element.text_of("body") == "x:y"
    (element,), _ = inside("<message><x:y xmlns:x='urn:other'/></message>", ROOTS["prefixes"])
    assert element.has("y", "urn:other")


def test_children_without_a_namespace():
    (element,), _ = inside("<message><a xmlns=''/><b/></message>")
    assert element.has("a", "") and not element.has("a") and element.has("b")
    assert rebuilt(element).has("a", "") and not rebuilt(element).has("b", "")


def test_elements_that_are_no_stanzas():
    out, fault = inside(
        "<starttls xmlns='urn:t'/><message xmlns='urn:m'><b/></message><stream:x/><message xmlns=''/>"
    )
    assert fault is None
    assert [(e.ns, e.name) for e in out] == [
        ("urn:t", "starttls"),
        ("urn:m", "message"),
        (STREAM, "x"),
        ("", "message"),
    ]
    assert out[1].has("b", "urn:m")


def test_the_end_of_a_stream():
    out, fault = inside("<message/> </stream:stream>")
    assert fault is None
    assert [type(e) for e in out] == [Raw, Close]


def test_white_space_between_stanzas_is_free():
    stream = Parser(Limits())
    feed([ROOT.encode()], stream=stream)
    for _ in range(3):
        assert feed([b" ", b"\r\n", b"\t <presence/>", b"\n"], stream=stream)[1] is None
        assert stream.worker is None and stream.pending == 0


# -- parsers are borrowed ----------------------------------------------------------------------------------


def test_an_idle_stream_holds_no_parser():
    stream = Parser(Limits())
    out, _ = feed([ROOT.encode() + b"<message/>"], stream=stream)
    assert stream.worker is None and len(out) == 2
    stream.feed(b"<message>")
    assert stream.worker is not None and stream.pending == 9
    stream.feed(b"</message>")
    assert stream.worker is None


def test_limits_are_those_of_the_stream_that_borrows():
    small, large = Parser(Limits(bytes=1000)), Parser(Limits())
    big = b"<message><body>" + b"x" * 2000 + b"</body></message>"
    for stream in (small, large):
        stream.feed(ROOT.encode())
    for _ in range(3):
        assert large.feed(big)[1] is None
        assert small.feed(b"<presence/>")[1] is None
    assert small.feed(big)[1].condition == "policy-violation"
    assert large.feed(big)[1] is None


def test_a_parser_that_failed_is_not_lent_again():
    for wrong in (b"<a", b"<message><body>", b"</message>", b"<message a='1' a='2'/>", b"<!--", b"x"):
        feed([ROOT.encode(), b"<presence/>", wrong, b"\xff"])
        out, fault = inside("<message><body>hi</body></message>")
        assert fault is None and out[0].text_of("body") == "hi"


def test_strange_roots_get_no_pool():
    before = dict(root._roots)
    for number in range(50):
        feed([f"<stream:stream xmlns='urn:{number}' xmlns:stream='{STREAM}'><x/>".encode()])
        feed([f"<s{number}:stream xmlns='{CLIENT}' xmlns:s{number}='{STREAM}'><x/>".encode()])
        feed([f"<stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAM}{number}'><x/>".encode()])
    assert root._roots == before
    one, two = Parser(Limits()), Parser(Limits())
    for stream, start in ((one, ROOTS["usual"]), (two, ROOTS["quotes"])):
        stream.feed(start.encode())
    assert one.root is two.root  # order and quotes make no difference


@pytest.mark.parametrize("root", ["usual", "prefixes"])
@pytest.mark.parametrize("tail", [b"", b"<mess", b"<message><body>half"])
def test_a_parser_is_thrown_away_in_time(root, tail, monkeypatch):
    """Expat keeps every name for its life: a peer that never lets go of its parser must not fill it."""
    monkeypatch.setattr(parser, "RECYCLE", 2000)
    stream, workers, count = Parser(Limits()), set(), 0
    stream.feed(ROOTS[root].encode())
    rest = {b"": b"", b"<mess": b"age/>", b"<message><body>half": b"</body></message>"}[tail]
    for number in range(200):
        out, fault = stream.feed(
            rest * (number > 0) + b"<message><n%d a%d='x'/></message>" % (number, number) + tail
        )
        assert fault is None
        count += len(out)
        worker = stream.worker or (stream.root.pool[-1] if stream.root.pool else None)
        if worker is not None:
            workers.add(worker)  # kept: ids must not come again
            assert worker.base < 2000 + 200
    assert len(workers) > 3
    assert count == 200 + (199 if tail else 0)


# -- cost --------------------------------------------------------------------------------------------------


def test_a_token_trickled_byte_by_byte_is_not_scanned_again_for_every_byte():
    stream, parses = Parser(Limits()), 0
    stream.feed(ROOT.encode() + b"<message a='")
    worker = stream.worker
    fed = worker.fed
    for _ in range(60_000):
        assert stream.feed(b"x")[1] is None
        if worker.fed != fed:
            parses, fed = parses + 1, worker.fed
    assert parses < 20
    out, fault = feed([b"'", b"/>"], stream=stream)
    assert fault is None and len(out[0].attrs["a"]) == 60_000


def test_nor_with_the_end_of_a_tag_in_every_piece():
    stream = Parser(Limits())
    stream.feed(ROOT.encode() + b"<message a='")
    for _ in range(16_000):
        _, fault = stream.feed(b">>>>>>>>")
        if fault:
            break
    assert fault.condition == "policy-violation"
    assert stream.worker is None


def test_a_large_stanza_in_packets_is_welcome():
    body = "<i a='>'>text</i>" * 9_000
    xml = f"<message><body>{body}</body></message>".encode()
    chunks = [xml[at : at + 1400] for at in range(0, len(xml), 1400)]
    out, fault = feed([ROOT.encode(), *chunks])
    assert fault is None and len(out) == 2
    attribute = b"<message a='" + b">x" * 100_000 + b"'/>"
    out, fault = feed([ROOT.encode(), *(attribute[at : at + 1400] for at in range(0, len(attribute), 1400))])
    assert fault is None and len(out) == 2


@pytest.mark.parametrize("cut", [1 << 30, 1000, 16_384])
def test_limits(cut):
    limits = Limits(bytes=10_000, depth=10, attributes=5)

    def fate(xml):
        return inside_cut(xml.encode(), limits, cut)

    assert fate("<message>" + "x" * 9_981 + "</message>") is None
    assert fate("<message>" + "x" * 9_982 + "</message>") == "policy-violation"
    assert fate("<message a='" + "x" * 10_000_000) == "policy-violation"
    assert fate("<message>" + "<a>" * 9 + "</a>" * 9 + "</message>") is None
    assert fate("<message>" + "<a>" * 10 + "</a>" * 10 + "</message>") == "policy-violation"
    assert fate("<a>" * 3_000) == "policy-violation"
    assert fate("<message>" + "x" * 9_000 + "</message>" + "<presence/>" * 3_000) is None
    for place in ("<message {}/>", "<message><a><b {}/></a></message>"):
        assert fate(place.format(" ".join(f"a{i}=''" for i in range(5)))) is None
        assert fate(place.format(" ".join(f"a{i}=''" for i in range(6)))) == "policy-violation"


@pytest.mark.parametrize("cut", [1 << 30, 1000])
@pytest.mark.parametrize("element", ["<a/>", "<a></a>", "<a b='&lt;'>x</a>"])
def test_the_limit_of_elements(cut, element):
    limits = Limits(elements=100)

    def fate(count):
        return inside_cut(f"<message>{element * count}</message>".encode(), limits, cut)

    assert fate(100) is None and fate(101) == "policy-violation"


def inside_cut(data, limits, cut):
    return feed([ROOT.encode(), *(data[at : at + cut] for at in range(0, len(data), cut))], limits)[1]


def test_handlers_of_a_restarted_stream_are_new():
    stream = Parser(Limits())
    feed([ROOT.encode(), b"<message><body>"], stream=stream)
    stream.reset()
    out, fault = feed([ROOTS["prefixes"].encode(), b"<x:y/>"], stream=stream)
    assert fault is None and (out[1].ns, out[1].name) == ("urn:x", "y")


def test_the_builder_of_trees_is_thrown_away_in_time(monkeypatch):
    monkeypatch.setattr(elements, "RECYCLE", 1000)
    builders = set()
    for number in range(1000):
        assert elements.build(b"<n%d/>" % number)[0].name == f"n{number}"
        assert elements._builder.bytes < 1100
        builders.add(elements._builder)
    assert 5 < len(builders) < 20


STORED = (
    f"<message to='a@b' id='1'><body>x &lt;</body><x xmlns='urn:x'>{'<y>' * 100}{'</y>' * 100}</x></message>"
)


def test_what_was_stored_is_read_without_a_tree():
    stanza = parser.reread(STORED.encode())
    assert is_raw(stanza)
    assert stanza.kids == ["jabber:client body", "urn:x x"]
    assert str(stanza) == STORED


@pytest.mark.parametrize(
    "xml",
    ["", "text", "<message>", "<message/><message/>", "</stream:stream>", "<message></x>", "<message/>text",
     "text<message/>", "<mess", "<message><body></message>", "<!-- no --><message/>"],
)  # fmt: skip
def test_what_is_broken_in_the_store_spoils_only_itself(xml):
    with pytest.raises(ValueError):
        parser.reread(xml.encode())
    assert str(parser.reread(STORED.encode())) == STORED
    assert inside("<message/>")[1] is None


SERVERS = b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"
SHARED = Limits(bytes=1000, depth=8, attributes=8, skip=4000, elements=150)


@pytest.mark.parametrize("size", [1, 7, 100, 100_000])
@pytest.mark.parametrize(
    "stanza",
    [
        b"<message id='2'>" + b"x" * 2000 + b"</message>",
        b"<message id='2'>" + b"<a b='>'>x</a>" * 100 + b"</message>",
        b"<message id='2'>" + b"<a>" * 20 + b"</a>" * 20 + b"</message>",
        b"<message id='2' " + b" ".join(b"a%d='>'" % n for n in range(20)) + b"/>",
        b"<message id='2' " + b" ".join(b"a%d=''" % n for n in range(20)) + b">></message >",
        b"<message id='2'>" + b"<a/>" * 160 + b"</message>",
        b"<message id='2'><a xmlns='urn:a b'/>" + b"x" * 2000 + b"</message>",
        b"<message id='2'>" + b"x" * 2000 + b"<a xmlns='urn:a b'/></message>",
    ],
)
def test_a_stanza_beyond_the_limits_is_skipped_on_a_shared_stream(stanza, size):
    made = Parser(SHARED, ns.SERVER)
    data = SERVERS + b"<iq id='1'/>" + stanza + b"<iq id='3'/></stream:stream>"
    found = []
    for start in range(0, len(data), size):
        items, fault = made.feed(data[start : start + size])
        assert fault is None
        found += items
        assert made.pending < 2 * SHARED.bytes + 200
    header, one, two, three, close = found
    assert [each.attrs["id"] for each in (one, two, three)] == ["1", "2", "3"]
    assert isinstance(header, Header) and isinstance(two, Skipped) and isinstance(close, Close)
    assert (two.name, two.ns, two.children) == ("message", ns.CLIENT, [])
    assert two.reason


@pytest.mark.parametrize(
    "data",
    [
        b"<message><a>" + b"x" * 6000,
        b"<message a='" + b"x" * 2000,
        b"<x xmlns='urn:x'>" + b"x" * 2000 + b"</x>",
    ],
    ids=["endless", "one tag", "no stanza"],
)
def test_what_is_not_skipped(data):
    made = Parser(SHARED, ns.SERVER)
    made.feed(SERVERS)
    for start in range(0, len(data), 100):
        _, fault = made.feed(data[start : start + 100])
        if fault is not None:
            assert fault.condition == "policy-violation"
            return
    raise AssertionError("it goes on")


@pytest.mark.parametrize("root", [SERVERS, ROOT.encode()])
def test_a_namespace_with_a_space(root):
    """XML allows it, though expat says that it is a syntax error where a space separates namespace and name."""
    xml = b"<message id='1'><x xmlns='urn:a b' xmlns:c='urn:c  d'><c:y c:z='1'/></x><body>hi</body></message>"
    made = Parser(Limits(), ns.SERVER if root is SERVERS else ns.CLIENT)
    (_, before), _ = made.feed(root + b"<iq/>")
    (stanza, after), fault = made.feed(xml + b"<iq id='2'/>")
    assert (before.name, after.attrs, fault) == ("iq", {"id": "2"}, None)
    assert stanza.kids == ["urn:a b x", "jabber:client body"]
    x = stanza.child("x", "urn:a b")
    assert x is not None and x.child("y", "urn:c  d").attrs == {"{urn:c  d}z": "1"}
    assert stanza.to_bytes() == xml
    assert made.worker is None
    assert reread(stanza.to_bytes()).kids == stanza.kids


def test_a_stream_whose_header_has_a_namespace_with_a_space():
    made = Parser(Limits())
    header = ROOT.replace(">", " xmlns:z='urn:a b'>").encode()
    for data in (header, b"<message><z:b z:k='1'/></message>", b"<iq/>"):
        (element,), fault = made.feed(data)
        assert fault is None
    made.feed(b"<message><z:b")
    (element,), fault = made.feed(b" z:k='1'/></message>")
    assert element.children[0].ns == "urn:a b" and element.children[0].attrs == {"{urn:a b}k": "1"}


@pytest.mark.parametrize("content", [ns.CLIENT, ns.SERVER, ns.COMPONENT])
def test_a_stream_without_prefixes(content):
    """RFC 6120, 4.8.2."""
    made = Parser(Limits(), content)
    (header,), _ = made.feed(b"<stream xmlns='http://etherx.jabber.org/streams' to='x'>")
    assert (header.name, header.ns, header.root.content) == ("stream", ns.STREAM, content)
    stanza = f"<message xmlns='{content}' id='1'><body>hi</body><x xmlns='urn:x'/></message>".encode()
    (message, error, empty, close), _ = made.feed(
        stanza + f"<error><x xmlns='urn:x'/></error><iq xmlns='{content}'/></stream>".encode()
    )
    assert message.to_bytes() == b"<message id='1'><body>hi</body><x xmlns='urn:x'/></message>"
    assert (message.ns, message.text_of("body")) == (ns.CLIENT, "hi")
    assert (error.name, error.ns) == ("error", ns.STREAM)
    assert (empty.name, empty.ns) == ("iq", ns.CLIENT)
    assert isinstance(close, Close)


def test_a_stanza_of_many_prefixed_elements_is_refused() -> None:
    """Its tree would be built in one go, and everybody would wait: 43,000 elements fit into 256 KiB."""
    parser = Parser(Limits())
    parser.feed(
        b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:a='urn:x' to='a'>"
    )
    few, fault = parser.feed(b"<message>" + b"<a:a/>" * 1000 + b"</message>")
    assert fault is None and len(few[0].kids) == 1000
    _, fault = parser.feed(b"<message>" + b"<a:a/>" * 10_000 + b"</message>")
    assert isinstance(fault, StreamError) and fault.condition == "policy-violation"
