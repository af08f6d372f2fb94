"""A vCard in both forms: vcard-temp (XEP-0054) and vCard4 (RFC 6351, XEP-0292). No I/O here.

Each property that both have is a row of the tables. What only one form has stays with that form.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..xmpp.element import Element

TEMP, VCARD4 = "vcard-temp", "urn:ietf:params:xml:ns:vcard-4.0"

VALUES = {
    "FN": ("fn", "text", ""),
    "NICKNAME": ("nickname", "text", ""),
    "BDAY": ("bday", "date", ""),
    "URL": ("url", "uri", ""),
    "TITLE": ("title", "text", ""),
    "ROLE": ("role", "text", ""),
    "DESC": ("note", "text", ""),
    "JABBERID": ("impp", "uri", "xmpp:"),
}
"""Properties with one value: vCard4's name, the element of the value, and what stands before it."""

PARTS = {
    "N": ("n", {"FAMILY": "surname", "GIVEN": "given", "MIDDLE": "additional", "PREFIX": "prefix", "SUFFIX": "suffix"}),
    "ADR": (
        "adr",
        {"POBOX": "pobox", "EXTADD": "ext", "STREET": "street", "LOCALITY": "locality", "REGION": "region",
         "PCODE": "code", "CTRY": "country"},
    ),
}  # fmt: skip
"""Properties of several named parts."""

INNER = {"TEL": ("tel", "NUMBER", "uri", "tel:"), "EMAIL": ("email", "USERID", "text", "")}
"""Properties with one value inside: vCard4's name, the element in vcard-temp, the element in vCard4, what stands before it."""

TYPES = ("HOME", "WORK", "VOICE", "FAX", "CELL", "VIDEO", "PAGER")

OLD = {*VALUES, *PARTS, *INNER, "ORG"}
NEW = {each[0] for each in (*VALUES.values(), *PARTS.values(), *INNER.values())} | {"org"}


def to_vcard4(card: Element, old: Element | None = None) -> Element:
    """``card``: in vcard-temp. ``old``: what is said in vCard4 so far; of it stays what vcard-temp has no words for."""
    made = Element("vcard", VCARD4)
    for each in card.elements():
        made.append(*_new(each))
    if old is not None:
        made.append(*(each for each in old.elements() if each.name not in NEW))
    return made


def _new(each: Element) -> Iterator[Element]:
    name = each.name
    if name in VALUES:
        new, value, before = VALUES[name]
        text = each.text.strip()
        if text:
            yield Element(new, VCARD4, Element(value, VCARD4, before + text))
    elif name in PARTS:
        new, parts = PARTS[name]
        found = ((part, (each.text_of(old) or "").strip()) for old, part in parts.items())
        rows = [Element(part, VCARD4, text) for part, text in found if text]
        if rows:
            yield Element(new, VCARD4, *_parameters(each), *rows)
    elif name in INNER:
        new, inside, value, before = INNER[name]
        text = (each.text_of(inside) or each.text).strip()
        if text:
            yield Element(new, VCARD4, *_parameters(each), Element(value, VCARD4, before + text))
    elif name == "ORG":
        texts = [part.text.strip() for part in each.elements() if part.name in ("ORGNAME", "ORGUNIT")]
        if any(texts):
            yield Element("org", VCARD4, *(Element("text", VCARD4, text) for text in texts))


def _parameters(each: Element) -> Iterator[Element]:
    rows = []
    types = [type.lower() for type in TYPES if each.child(type) is not None]
    if types:
        rows.append(Element("type", VCARD4, *(Element("text", VCARD4, type) for type in types)))
    if each.child("PREF") is not None:
        rows.append(Element("pref", VCARD4, Element("integer", VCARD4, "1")))
    if rows:
        yield Element("parameters", VCARD4, *rows)


def to_temp(card: Element, old: Element | None = None) -> Element:
    """``card``: in vCard4. ``old``: what is said in vcard-temp so far; of it stays what vCard4 has other words for."""
    made = Element("vCard", TEMP)
    for each in card.elements():
        made.append(*_old(each))
    if old is not None:
        made.append(*(each for each in old.elements() if each.name not in OLD))
    return made


def _old(each: Element) -> Iterator[Element]:
    for name, (new, _, before) in VALUES.items():
        if each.name == new:
            text = next((one.text.strip() for one in each.elements() if one.name != "parameters"), "")
            if text and text.startswith(before):
                yield Element(name, TEMP, text.removeprefix(before))
    for name, (new, parts) in PARTS.items():
        if each.name == new:
            rows = ((part, (each.text_of(found) or "").strip()) for part, found in parts.items())
            yield Element(
                name, TEMP, *_flags(each), *(Element(part, TEMP, text) for part, text in rows if text)
            )
    for name, (new, inside, _, before) in INNER.items():
        if each.name == new:
            text = next((one.text.strip() for one in each.elements() if one.name != "parameters"), "")
            if text:
                yield Element(name, TEMP, *_flags(each), Element(inside, TEMP, text.removeprefix(before)))
    if each.name == "org":
        texts = [one.text.strip() for one in each.all("text", VCARD4)]
        names = ["ORGNAME", *["ORGUNIT"] * len(texts)]
        yield Element(
            "ORG", TEMP, *(Element(name, TEMP, text) for name, text in zip(names, texts, strict=False))
        )


def _flags(each: Element) -> Iterator[Element]:
    parameters = each.child("parameters", VCARD4)
    if parameters is None:
        return
    types = parameters.child("type", VCARD4)
    if types is not None:
        found = {one.text.strip().upper() for one in types.all("text", VCARD4)}
        yield from (Element(type, TEMP) for type in TYPES if type in found)
    if parameters.child("pref", VCARD4) is not None:
        yield Element("PREF", TEMP)
