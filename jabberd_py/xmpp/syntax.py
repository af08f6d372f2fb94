"""The syntax of a stanza: what RFC 6120 section 8 and RFC 6121 ask of it, whatever it is about."""

from __future__ import annotations

from .element import Element
from .errors import StanzaError, lost_answer
from .jid import parse
from .worker import Skipped

LANG = "en"
"""The language of our streams, as our stream headers say it: of what this server says, and of stanzas that name none."""

IQ_TYPES = frozenset(("get", "set", "result", "error"))
PRESENCE_TYPES = frozenset(
    (None, "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error")
)


def check(stanza: Element) -> None:
    """The syntax that RFC 6120 section 8 and RFC 6121 ask of a stanza. Raises StanzaError."""
    attrs = stanza.attrs
    if "to" in attrs:
        try:
            parse(attrs["to"])
        except ValueError as error:
            raise StanzaError("jid-malformed", str(error)) from None
    name = stanza.name
    if name == "iq":
        type = attrs.get("type")
        if type not in IQ_TYPES:
            raise StanzaError("bad-request", "an IQ is of type get, set, result or error")
        if not attrs.get("id"):
            raise StanzaError("bad-request", "an IQ must have an id")
        kids = stanza.kids
        if type in ("get", "set") and len(kids) != 1:
            raise StanzaError("bad-request", "a request has exactly one payload")
        if type == "result" and len(kids) > 1:
            raise StanzaError("bad-request", "a result has at most one payload")
    elif name == "presence" and attrs.get("type") not in PRESENCE_TYPES:
        raise StanzaError("bad-request", "no such type of presence")


def checked(stanza: Element) -> Element:
    """What to pass on: the stanza; or, if it is an answer to an IQ and may not be passed on, the error for whom it was meant.
    That one would wait for it. Raises StanzaError."""
    try:
        if isinstance(stanza, Skipped):
            raise StanzaError("policy-violation", stanza.reason)
        check(stanza)
    except StanzaError as error:
        lost = lost_answer(stanza, error)
        if lost is None:
            raise
        check(lost)
        return lost
    return stanza


def name_language(stanza: Element) -> None:
    """Lets a message or presence name its language where it leaves our streams: for another server, a component or an archive
    (RFC 6120 section 8.1.5). Our own clients need no name: their stream header says the same."""
    if stanza.name != "iq":
        stanza.attrs.setdefault("xml:lang", LANG)
