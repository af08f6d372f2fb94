"""XEP-0115: Entity Capabilities, of the server."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

from ..hooks import Module, on
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.ns import DISCO_INFO

NS = "http://jabber.org/protocol/caps"


class Caps(Module):
    """Says in the stream's features what the server can do, as a hash: clients that know it need not ask."""

    features = (NS,)
    needs = ("disco",)
    current: str | None = None

    @on("features")
    def offer(self, stream: Any, features: Element) -> None:
        features.append(Element("c", NS, hash="sha-1", node=self.node, ver=self.ver))

    @on("start", "reload")
    def changed(self) -> None:
        self.current = None

    def disco_node(self, request: Element, node: str) -> Element | None:
        if request.payload.ns != DISCO_INFO or node != f"{self.node}#{self.ver}":
            return None
        return self.host["disco"].describe()

    @property
    def node(self) -> str:
        return f"https://{self.host.domain}"

    @property
    def ver(self) -> str:
        if self.current is None:
            self.current = verification(self.host["disco"].describe())
        return self.current


def verification(info: Element) -> str:
    """The verification string of an answer to disco#info (section 5.1). Code points sort as i;octet does."""
    identities = (
        "/".join(identity.attrs.get(key, "") for key in ("category", "type", "xml:lang", "name"))
        for identity in info.all("identity", DISCO_INFO)
    )
    parts = [*sorted(identities), *sorted(f.attrs["var"] for f in info.all("feature", DISCO_INFO))]
    for form in sorted((forms.read(x) for x in info.all("x", forms.NS)), key=lambda form: form["FORM_TYPE"]):
        parts += form.pop("FORM_TYPE")
        for var in sorted(form):
            parts += [var, *sorted(form[var])]
    text = "".join(f"{part}<" for part in parts)
    return b64encode(hashlib.sha1(text.encode(), usedforsecurity=False).digest()).decode()
