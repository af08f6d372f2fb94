"""What a query of an archive asks for, and what its results look like (XEP-0313 sections 4.1 to 4.3): for the archives of
accounts and, with the same words, of rooms."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..xdb.numbers import at
from ..xmpp import forms, ns, rsm
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.ns import FORWARD
from ..xmpp.serialise import ATTRIBUTE
from ..xmpp.stamp import parse as parse_stamp
from ..xmpp.stamp import utc

NS = "urn:xmpp:mam:2"
EXTENDED = f"{NS}#extended"
GROUPCHAT_FIELD = f"{NS}#groupchat-field"
GROUPCHAT_AVAILABLE = f"{NS}#groupchat-available"
FULLTEXT = "urn:xmpp:fulltext:0"
VALIDATE = "http://jabber.org/protocol/xdata-validate"
FIELDS = {
    "with": "jid-single",
    "start": "text-single",
    "end": "text-single",
    "before-id": "text-single",
    "after-id": "text-single",
    "ids": "list-multi",
    "include-groupchat": "boolean",
    f"{{{FULLTEXT}}}fulltext": "text-single",
}
IDS = 500
"""At most this many messages one query may name."""
LAST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Query:
    """
    first, last    row numbers: the limits of the time that is asked for, both included
    peer           only messages with this address
    before, after  row numbers: only messages before or after these
    ids            only these row numbers
    text           only messages with these words
    flip           the newest message of a page comes first
    groupchat      also messages of type groupchat, which rooms have sent to the account (section 4.1.6)
    known          row numbers that must be in the archive; else the answer is item-not-found
    """

    id: str | None
    first: int
    last: int
    peer: JID | None
    before: int | None
    after: int | None
    ids: tuple[int, ...] | None
    text: str
    flip: bool
    page: rsm.Page
    groupchat: bool = True

    @property
    def known(self) -> list[int]:
        named = [] if self.ids is None else list(self.ids)
        page = [parse_id(id) for id in (self.page.before, self.page.after) if id]
        return [*named, *(id for id in (self.before, self.after) if id is not None), *page]


def parse_id(id: str) -> int:
    """The row number of an id. Raises StanzaError (item-not-found)."""
    if not (id.isascii() and id.isdigit() and len(id) < 20 and int(id) <= LAST):
        raise StanzaError("item-not-found", "no message with that id is in the archive")
    return int(id)


def read(query: Element, fulltext: bool = True) -> Query:
    """``fulltext``: it is for the archive of an account; that of a room has no such search, and nothing but groupchat. Raises
    StanzaError."""
    x = query.child("x", forms.NS)
    try:
        page = rsm.read(query) or rsm.Page()
        fields = forms.read(x, NS) if x is not None else {}
    except ValueError as error:
        raise StanzaError("bad-request", str(error)) from None
    if page.index:
        raise StanzaError("feature-not-implemented", "pages are found by before and after")
    unknown = [var for var in fields if var not in FIELDS and var != "FORM_TYPE"]
    if unknown or query.attrs.get("node") or (not fulltext and f"{{{FULLTEXT}}}fulltext" in fields):
        raise StanzaError("feature-not-implemented", f"unknown field {unknown[0]}" if unknown else None)
    ids = fields.get("ids")
    if ids is not None and len(ids) > IDS:
        raise StanzaError("policy-violation", f"a query may name {IDS} messages")
    try:
        start, end, peer = (_one(fields, name) for name in ("start", "end", "with"))
        groupchat = forms.boolean(fields.get("include-groupchat") or ["1"])
        return Query(
            query.attrs.get("queryid"),
            0 if start is None else _row(math.ceil(parse_stamp(start) * 1000 - 1e-3)),
            LAST if end is None else _row(math.floor(parse_stamp(end) * 1000 + 1e-3) + 1) - 1,
            None if peer is None else parse(peer),
            _number(fields, "before-id"),
            _number(fields, "after-id"),
            None if ids is None else tuple(sorted({parse_id(id) for id in ids})),
            _one(fields, f"{{{FULLTEXT}}}fulltext") or "",
            query.has("flip-page", NS),
            page,
            groupchat or not fulltext,
        )
    except ValueError as error:
        raise StanzaError("bad-request", str(error)) from None


def _row(milliseconds: int) -> int:
    """The smallest row number of that time, within the range of row numbers."""
    return min(at(max(0, milliseconds)), LAST)


def _one(fields: dict[str, list[str]], name: str) -> str | None:
    """The field's value; an empty field counts as none."""
    values = [value for value in fields.get(name, ()) if value]
    if len(values) > 1:
        raise ValueError(f"{name} has one value")
    return values[0] if values else None


def _number(fields: dict[str, list[str]], name: str) -> int | None:
    value = _one(fields, name)
    return None if value is None else parse_id(value)


def form(fulltext: bool = True) -> Element:
    """The fields that a query may have."""
    made = forms.Form("form", form_type=NS)
    for var, type in FIELDS.items():
        if fulltext or FULLTEXT not in var:
            made.field(var, type)
    element = made.element()
    for field in element.all("field", forms.NS):
        if field.attrs["var"] == "ids":
            open_list = Element("validate", VALIDATE, Element("open", VALIDATE), datatype="xs:string")
            field.append(open_list)
    return Element("query", NS, element)


def result(user: str, to: str, query_id: str | None, id: int, time: float, xml: str) -> Element:
    """The stanza that carries one message of the archive. ``xml``: the message as it is stored; it is not parsed."""
    queryid = "" if query_id is None else f" queryid='{query_id.translate(ATTRIBUTE)}'"
    inner = (
        f"<result xmlns='{NS}'{queryid} id='{id}'><forwarded xmlns='{FORWARD}'>"
        f"<delay xmlns='{ns.DELAY}' stamp='{utc(time, fraction=True)}'/>{forwardable(xml)}</forwarded></result>"
    )
    attrs = {"from": user, "to": to}
    return Element.raw("message", ns.CLIENT, attrs, inner.encode(), [f"{NS} result"])


def forwardable(xml: str) -> str:
    """A stored message with its namespace, for the inside of <forwarded/>."""
    return f"<message xmlns='{ns.CLIENT}'{xml.removeprefix('<message')}"
