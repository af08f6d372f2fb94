"""Hashes of what an entity can do, which stand for its answer to disco#info (XEP-0115, XEP-0390)."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from typing import NamedTuple

from . import forms
from .element import Element
from .ns import DISCO_INFO

NS = "http://jabber.org/protocol/caps"
NS2 = "urn:xmpp:caps"
HASHES_NS = "urn:xmpp:hashes:2"
HASHES = {"sha-1": "sha1", "sha-256": "sha256", "sha-512": "sha512"}
"""Of XEP-0115: IANA's names of hash functions, and hashlib's."""
HASHES2 = {"sha-256": "sha256", "sha-512": "sha512", "sha3-256": "sha3_256", "sha3-512": "sha3_512"}
"""Of XEP-0390, the preferred one first."""
SOFTWARE = "urn:xmpp:dataforms:softwareinfo"
"""The form in answers of clients (XEP-0232)."""
VER_LENGTH = 256
"""Characters of a hash; those of XEP-0115 have 28 to 88."""

Key = tuple[str, ...]
"""What clients with the same capabilities share. XEP-0115: (hash, ver). XEP-0390: (`NS2`, "hash.value"). Of older clients
without a hash: (address, node, ver). The node for disco#info ends in the last one."""


class Shown(NamedTuple):
    """What a presence says of its sender's capabilities. ``node``: what stands before the # in the node for disco#info."""

    node: str
    hash: str | None
    ver: str

    def key(self, jid: str) -> Key:
        """``jid``: the sender, a full address."""
        return (jid, self.node, self.ver) if self.hash is None else (self.hash, self.ver)


def shown(presence: Element) -> Shown | None:
    """None: it says nothing of them."""
    if presence.has("c", NS2):
        found = _newer(presence.child("c", NS2))
        if found is not None:
            return found
    c = presence.child("c", NS) if presence.has("c", NS) else None
    if c is None:
        return None
    hash, node, ver = c.attrs.get("hash"), c.attrs.get("node"), c.attrs.get("ver")
    if not node or not ver or len(ver) > VER_LENGTH or len(hash or "") > 20:
        return None
    return Shown(node, hash, ver)


def _newer(c: Element | None) -> Shown | None:
    hashes = (
        {} if c is None else {each.attrs.get("algo"): each.text.strip() for each in c.all("hash", HASHES_NS)}
    )
    for name in HASHES2:
        value = hashes.get(name)
        if value and len(value) <= VER_LENGTH - 20:
            return Shown(NS2, NS2, f"{name}.{value}")
    return None


def proves(info: Element, hash: str, ver: str, language: str = "") -> bool:
    """Is that the hash of this answer to disco#info? ``language``: the xml:lang around it."""
    try:
        if hash != NS2:
            return hash in HASHES and _clear(info) and verification(info, HASHES[hash]) == ver
        name = ver.partition(".")[0]
        languages = dict.fromkeys(
            ("", info.attrs.get("xml:lang", language))
        )  # not every client minds the one around
        return name in HASHES2 and any(capability_hash(info, name, each) == ver for each in languages)
    except ValueError:
        return False


def _clear(info: Element) -> bool:
    """Does the hash of XEP-0115 stand for this answer alone? It tells neither identities from features, nor features from
    forms: somebody might hide features there."""
    for each in info.all("identity", DISCO_INFO):
        category, type, language = (each.attrs.get(key, "") for key in ("category", "type", "xml:lang"))
        if not category or not type or "/" in category + type + language:
            return False
    found = (forms.read(x) for x in info.all("x", forms.NS))
    return all(form.get("FORM_TYPE", [SOFTWARE]) == [SOFTWARE] for form in found)


def verification(info: Element, hash: str = "sha1") -> str:
    """The verification string of an answer to disco#info (XEP-0115 section 5.1). Code points sort as i;octet does. A
    "<" in a name is written "&lt;", since it separates the names. Raises ValueError: ill-formed, as of two forms with the same
    FORM_TYPE (section 5.4)."""
    identities = (
        "/".join(identity.attrs.get(key, "") for key in ("category", "type", "xml:lang", "name"))
        for identity in info.all("identity", DISCO_INFO)
    )
    parts = [*sorted(identities), *sorted(f.attrs.get("var", "") for f in info.all("feature", DISCO_INFO))]
    found = (forms.read(x) for x in info.all("x", forms.NS))
    typed = [form for form in found if form.get("FORM_TYPE")]
    types = [form["FORM_TYPE"] for form in typed]
    if len({tuple(each) for each in types}) < len(types) or any(len(set(each)) > 1 for each in types):
        raise ValueError("two forms of the same type, or one of two types")
    for form in sorted(typed, key=lambda form: form["FORM_TYPE"]):
        parts += form.pop("FORM_TYPE")[:1]
        for var in sorted(form):
            parts += [var, *sorted(form[var])]
    text = "".join(f"{part.replace('<', '&lt;')}<" for part in parts)
    return _digest(hash, text)


def capability_hash(info: Element, name: str, language: str = "") -> str:
    """Of an answer to disco#info: "hash.value" (XEP-0390 section 4.1). ``language``: of identities that say none. Raises
    ValueError: there is something in it that no hash can stand for."""
    kinds = {("identity", DISCO_INFO), ("feature", DISCO_INFO), ("x", forms.NS)}
    if any((each.name, each.ns) not in kinds for each in info.elements()):
        raise ValueError("more than identities, features and forms")
    features = _joined(f"{each.attrs.get('var', '')}\x1f" for each in info.all("feature", DISCO_INFO))
    identities = _joined(
        "".join(f"{part}\x1f" for part in (
            each.attrs.get("category", ""), each.attrs.get("type", ""), each.attrs.get("xml:lang", language),
            each.attrs.get("name", ""),
        )) + "\x1e"
        for each in info.all("identity", DISCO_INFO)
    )  # fmt: skip
    extensions = _joined(_form(each) + "\x1d" for each in info.all("x", forms.NS))
    text = f"{features}\x1c{identities}\x1c{extensions}\x1c"
    return f"{name}.{_digest(HASHES2[name], text)}"


def _form(x: Element) -> str:
    if x.child("reported") is not None or x.child("item") is not None:
        raise ValueError("a form with rows")
    fields = []
    for field in x.all("field", forms.NS):
        values = _joined(f"{value.text}\x1f" for value in field.all("value", forms.NS))
        fields.append(f"{field.attrs.get('var', '')}\x1f{values}\x1e")
    if not any(each.startswith("FORM_TYPE\x1f") for each in fields):
        raise ValueError("a form without a type")
    return _joined(fields)


def _joined(parts: Iterable[str]) -> str:
    return "".join(sorted(parts))


def _digest(hash: str, text: str) -> str:
    return b64encode(hashlib.new(hash, text.encode(), usedforsecurity=False).digest()).decode()
