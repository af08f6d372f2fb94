"""Stream errors (RFC 6120 section 4.9) and stanza errors (section 8.3)."""

from __future__ import annotations

from . import ns
from .element import Element

TYPES = {
    "bad-request": "modify",
    "conflict": "cancel",
    "feature-not-implemented": "cancel",
    "forbidden": "auth",
    "gone": "cancel",
    "internal-server-error": "cancel",
    "item-not-found": "cancel",
    "jid-malformed": "modify",
    "not-acceptable": "modify",
    "not-allowed": "cancel",
    "not-authorized": "auth",
    "policy-violation": "modify",
    "recipient-unavailable": "wait",
    "redirect": "modify",
    "registration-required": "auth",
    "remote-server-not-found": "cancel",
    "remote-server-timeout": "wait",
    "resource-constraint": "wait",
    "service-unavailable": "cancel",
    "subscription-required": "auth",
    "undefined-condition": "cancel",
    "unexpected-request": "wait",
}
"""The defined conditions and the error type that the RFC suggests for each."""


class StanzaError(Exception):
    """What a handler raises to have ``<error/>`` sent back; ``extra`` are application-specific conditions."""

    def __init__(
        self, condition: str, text: str | None = None, *extra: Element, type: str | None = None
    ) -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text
        self.extra = extra
        self.type = type or TYPES[condition]

    def element(self) -> Element:
        error = Element("error", ns.CLIENT, Element(self.condition, ns.STANZAS), type=self.type)
        if self.text:
            text = Element("text", ns.STANZAS, self.text)
            text.attrs["xml:lang"] = "en"
            error.append(text)
        return error.append(*self.extra)


def error_reply(stanza: Element, error: StanzaError) -> Element | None:
    """The stanza that tells the sender, or None: errors and IQ results are never answered (section 8.3.1). An IQ of
    an unknown type gets its error (section 8.2.3)."""
    type = stanza.type
    if type == "error" or (stanza.name == "iq" and type == "result"):
        return None
    answer = Element(stanza.name)
    attrs = stanza.attrs
    answer.attrs["type"] = "error"
    for key, source in (("id", "id"), ("from", "to"), ("to", "from")):
        if source in attrs:
            answer.attrs[key] = attrs[source]
    return answer.append(error.element())


def lost_answer(stanza: Element, error: StanzaError) -> Element | None:
    """An answer to an IQ cannot be passed on: returns the error for whom it was meant, who would else wait for it. None: the
    stanza is no answer."""
    if stanza.name != "iq" or stanza.type not in ("result", "error"):
        return None
    answer = Element("iq", ns.CLIENT, error.element())
    answer.attrs |= {key: stanza.attrs[key] for key in ("id", "from", "to") if key in stanza.attrs}
    answer.attrs["type"] = "error"
    return answer


class StreamError(Exception):
    """Ends the stream with ``<stream:error/>``."""

    def __init__(self, condition: str, text: str | None = None, *extra: Element) -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text
        self.extra = extra

    def to_bytes(self) -> bytes:
        text = Element("text", ns.STREAMS, self.text) if self.text else None
        inner = b"".join(
            e.to_bytes() for e in (Element(self.condition, ns.STREAMS), text, *self.extra) if e is not None
        )
        return b"<stream:error>%b</stream:error>" % inner
