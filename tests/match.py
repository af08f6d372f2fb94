"""A tiny language that says what a stanza must look like.

    <message type='error' id='m' from='romeo@localhost/...'><error type='cancel'>...</error></message>

- What the template names must be there: the element, its attributes, its text, its children (in any order,
  each met by a child of its own). Attributes and children that it does not name are nobody's business.
- `...` in an attribute or a text matches any run of characters. An attribute that is only `...` must be
  there, with any value; a text that is only `...` is met by anything, also by children or by nothing.
- `!absent` as an attribute's value: the attribute must not be there. As an element's text: its parent must
  have no such child (what else the template says of that child tells which children are meant).

      <presence type='!absent'><delay xmlns='urn:xmpp:delay'>!absent</delay></presence>

- A template's text of only white space says nothing. Other text is compared exactly.
- An unprefixed name without xmlns is in jabber:client, the prefix `stream` is declared.
"""

import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element, ParseError, fromstring

CLIENT = "jabber:client"
STREAM = "http://etherx.jabber.org/streams"
ABSENT = "!absent"


def parse(xml: str) -> Element:
    """The one element in `xml`, read as inside of a client's stream."""
    try:
        outer = fromstring(f"<w xmlns='{CLIENT}' xmlns:stream='{STREAM}'>{xml}</w>")
    except ParseError as error:
        raise ValueError(f"not XML: {error}: {xml}") from None
    if len(outer) != 1 or (outer.text or outer[0].tail or "").strip():
        raise ValueError(f"not one element: {xml}")
    outer[0].tail = None
    return outer[0]


def show(xml: Element | str) -> str:
    """An element as a person would write it: no invented prefixes for what has one namespace."""
    if isinstance(xml, str):
        return xml
    return _show(xml, CLIENT)


def _show(element: Element, around: str) -> str:
    namespace, name = _split(element.tag)
    attributes = [] if namespace == around else [("xmlns", namespace)]
    attributes += [
        (key.replace("{http://www.w3.org/XML/1998/namespace}", "xml:"), value)
        for key, value in element.items()
    ]
    start = name + "".join(f" {key}='{_escape(value)}'" for key, value in attributes)
    inner = _escape(element.text)
    inner += "".join(_show(child, namespace) + _escape(child.tail) for child in element)
    return f"<{start}>{inner}</{name}>" if inner else f"<{start}/>"


def _escape(text: str | None) -> str:
    return (text or "").replace("&", "&amp;").replace("<", "&lt;").replace("'", "&apos;")


def matches(template: str | Element, xml: str | Element) -> list[str]:
    """What `xml` lacks of `template`, one line each; nothing if it matches."""
    want = parse(template) if isinstance(template, str) else template
    have = parse(xml) if isinstance(xml, str) else xml
    return _compare(want, have, _split(want.tag)[1])


def _compare(want: Element, have: Element, path: str) -> list[str]:
    if want.tag != have.tag:
        (namespace, name), (other_namespace, other) = _split(want.tag), _split(have.tag)
        if name != other:
            return [f"{path}: is <{other}>"]
        return [f"{path}: is in namespace {other_namespace!r}, not {namespace!r}"]
    return [*_attributes(want, have, path), *_text(want, have, path), *_children(want, have, path)]


def _attributes(want: Element, have: Element, path: str) -> Iterable[str]:
    for name, value in want.items():
        actual = have.get(name)
        if value == ABSENT:
            if actual is not None:
                yield f"{path}: attribute {name} must be absent, is {actual!r}"
        elif actual is None:
            yield f"{path}: attribute {name} is missing, should be {value!r}"
        elif not _like(value, actual):
            yield f"{path}: attribute {name} is {actual!r}, should be {value!r}"


def _text(want: Element, have: Element, path: str) -> Iterable[str]:
    text = want.text or ""
    if text.strip() in ("", "...", ABSENT):
        return
    if not _like(text, have.text or ""):
        yield f"{path}: text is {have.text or ''!r}, should be {text!r}"


def _children(want: Element, have: Element, path: str) -> Iterable[str]:
    wanted = []
    for child in want:
        if (child.text or "").strip() != ABSENT:
            wanted.append(child)
        elif any(not _compare(child, other, path) for other in have):
            yield f"{path}: {_show(child, CLIENT)}, but it is there"
    taken: dict[int, int] = {}  # index of a child of `have` -> index in `wanted`
    fits = [[i for i, other in enumerate(have) if not _compare(child, other, path)] for child in wanted]

    def place(number: int, seen: set[int]) -> bool:
        """Give `wanted[number]` a child of its own; others move if they can (bipartite matching)."""
        for i in fits[number]:
            if i not in seen:
                seen.add(i)
                if i not in taken or place(taken[i], seen):
                    taken[i] = number
                    return True
        return False

    for number, child in enumerate(wanted):
        if not place(number, set()):
            yield from _closest(child, [other for i, other in enumerate(have) if i not in taken], path)


def _closest(want: Element, candidates: list[Element], path: str) -> list[str]:
    """Why none is `want`: the differences from the one that comes nearest, else that it is missing."""
    name = _split(want.tag)[1]
    path = f"{path}/{name}"
    same = [_compare(want, other, path) for other in candidates if _split(other.tag)[1] == name]
    return min(same, key=len, default=[]) or [f"{path}: is missing: {_show(want, CLIENT)}"]


def _like(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("..."))), text, re.DOTALL) is not None


def _split(tag: str) -> tuple[str, str]:
    namespace, found, name = tag.rpartition("}")
    return (namespace[1:] if found else "", name)
