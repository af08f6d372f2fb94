"""Stanzas as a hostile client may write them, as hypothesis strategies; what they mean, by ElementTree."""

from xml.etree.ElementTree import Element as Tree
from xml.etree.ElementTree import fromstring

from hypothesis import strategies as st

CLIENT, SERVER, STREAM = "jabber:client", "jabber:server", "http://etherx.jabber.org/streams"
ROOT = f"<stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAM}'>"
ROOTS = {
    "usual": ROOT,
    "quotes": f'<stream:stream xmlns:stream="{STREAM}" to="localhost" xmlns="{CLIENT}">',
    "prefixes": f"<stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAM}' xmlns:c='{CLIENT}' xmlns:x='urn:x'>",
    "other prefix": f"<s:stream xmlns='{CLIENT}' xmlns:s='{STREAM}' xmlns:stream='urn:trick'>",
    "server": f"<stream:stream xmlns='{SERVER}' xmlns:stream='{STREAM}' xmlns:db='jabber:server:dialback'>",
}
DECLARED = {
    "usual": {"stream"},
    "quotes": {"stream"},
    "prefixes": {"stream", "c", "x"},
    "other prefix": {"s", "stream"},
    "server": {"stream", "db"},
}

URIS = [CLIENT, SERVER, STREAM, "urn:x", "urn:&amp;", "xmlns=", "urn:é"]
NAMES = ["body", "message", "iq", "stream", "x", "xmlnsx", "Ä", "a-b.c_d"]
PIECES = [
    "hi", " ", "\n", "\r\n", "\t", "&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#13;", "&#x10FFFF;",
    "&#x2028;", ">", "é", "語", "\U0001f600", "x:", "stream:", "c:x", "db:", "xmlns='jabber:client'",
    "]]&gt;", "a]", "\x85",
]  # fmt: skip
CDATA = [
    "<![CDATA[]]>",
    "<![CDATA[<message>&amp;</message>]]>",
    "<![CDATA[]]]]><![CDATA[>]]>",
    "<![CDATA[<!-- -->]]>",
]

values = st.lists(st.sampled_from([*PIECES, "/", "<".replace("<", "&lt;"), "'", '"']), max_size=4).map(
    "".join
)


@st.composite
def attributes(draw: st.DrawFn, prefixes: set[str]) -> str:
    names = draw(
        st.lists(st.sampled_from(["to", "id", "type", "xml:lang", "xml:space", "é"]), unique=True, max_size=3)
    )
    prefix = draw(st.sampled_from([None, *sorted(prefixes)]))
    if prefix is not None:
        names.append(f"{prefix}:attr")
    out = ""
    for name in names:
        quote = draw(st.sampled_from("'\""))
        value = draw(values).replace(quote, "&quot;" if quote == '"' else "&apos;")
        space, equals = draw(st.sampled_from([" ", "\n", " \t "])), draw(st.sampled_from(["=", " = "]))
        out += f"{space}{name}{equals}{quote}{value}{quote}"
    return out


@st.composite
def elements(draw: st.DrawFn, prefixes: set[str], depth: int = 0, names: list[str] = NAMES) -> str:
    """Markup whose prefixes are among those given, or declared in it."""
    inside, declarations = set(prefixes), ""
    if draw(st.integers(0, 3)) == 0:
        new = draw(st.sampled_from(["a", "b", "c", "stream", "db", "x"]))
        inside.add(new)
        declarations += f" xmlns:{new}='{draw(st.sampled_from(URIS))}'"
    if draw(st.integers(0, 3)) == 0:
        declarations += f' xmlns="{draw(st.sampled_from(["", *URIS]))}"'
    prefix = draw(st.sampled_from([None, None, None, *sorted(inside)]))
    name = draw(st.sampled_from(names))
    name = f"{prefix}:{name}" if prefix else name
    tag = f"{name}{declarations}{draw(attributes(inside))}{draw(st.sampled_from(['', ' ', chr(10)]))}"
    if draw(st.booleans()) and depth:
        return f"<{tag}/>"
    pieces = [st.sampled_from(PIECES), st.sampled_from(CDATA)]
    if depth < 3:
        pieces.append(elements(inside, depth + 1))
    inner = "".join(draw(st.lists(st.one_of(pieces), max_size=4)))
    return f"<{tag}>{inner}</{name}{draw(st.sampled_from(['', ' ']))}>"


def stanzas(root: str) -> st.SearchStrategy[str]:
    return elements(DECLARED[root], 0, ["message", "presence", "iq"])


@st.composite
def pieces(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The bytes, cut anywhere."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def meaning(element: Tree) -> tuple:
    """Everything that XML says about an element, but for prefixes."""
    return (
        element.tag,
        sorted(element.items()),
        element.text or "",
        [(meaning(child), child.tail or "") for child in element],
    )


def meant(root: str, xml: str) -> list[tuple]:
    """The elements that ``xml`` stands for in a stream of that root; jabber:server becomes jabber:client."""
    qname = root[1:].split()[0]
    tree = fromstring(f"{root}{xml}</{qname}>".encode())
    if f"xmlns='{SERVER}'" in root:
        for element in tree.iter():
            element.tag = element.tag.replace(f"{{{SERVER}}}", f"{{{CLIENT}}}")
    return [meaning(child) for child in tree]
