"""XEP-0220: Server Dialback, as far as it is pure: keys (XEP-0185) and elements."""

from __future__ import annotations

import hashlib
import hmac

from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from ..xmpp.protocols import XEP
from ..xmpp.serialise import ATTRIBUTE, escape

PROTOCOLS = (
    XEP(185, "1.0", "Dialback Key Generation and Validation"),
    XEP(220, "1.1.1", "Server Dialback"),
)

DIALBACK = "jabber:server:dialback"
FEATURE = "urn:xmpp:features:dialback"
LONGEST = 1024
"""Characters of a key that another server is asked about."""


def key(secret: str, receiving: str, originating: str, id: str) -> str:
    """What ``originating`` shows ``receiving`` on the stream ``id`` (XEP-0185 section 2)."""
    hashed = hashlib.sha256(secret.encode()).hexdigest().encode()
    return hmac.new(hashed, f"{receiving} {originating} {id}".encode(), "sha256").hexdigest()


def same(one: str, other: str) -> bool:
    """In constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def element(name: str, from_: str, to: str, key: str = "", **attrs: str | None) -> bytes:
    """``<db:result/>`` or ``<db:verify/>``: other servers know no prefix but ``db``. ``key`` may be a stranger's text."""
    return _element(name, {"from": from_, "to": to, **attrs}, escape(key))


def failure(name: str, from_: str, to: str, error: StanzaError, id: str | None = None) -> bytes:
    """The answer of type ``error`` (section 2.5), which leaves the stream as it is."""
    return _element(name, {"from": from_, "to": to, "id": id, "type": "error"}, str(error.element()))


def _element(name: str, given: dict[str, str | None], inner: str) -> bytes:
    attrs = "".join(f" {k}='{v.translate(ATTRIBUTE)}'" for k, v in given.items() if v is not None)
    return f"<db:{name}{attrs}>{inner}</db:{name}>".encode()


def domains(element: Element) -> tuple[str, str]:
    """(from, to) of a dialback element. Raises ValueError."""
    pair = []
    for attribute in ("from", "to"):
        jid = parse(element.attrs.get(attribute, ""))
        if jid.node is not None or jid.resource is not None:
            raise ValueError("not a domain")
        pair.append(jid.domain)
    return pair[0], pair[1]
