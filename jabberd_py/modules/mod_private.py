"""XEP-0049: Private XML Storage."""

from __future__ import annotations

import hashlib
from typing import Any

from peewee import CharField, IntegerField, TextField

from ..hooks import LATER, Module, Option, iq, size
from ..net.turns import fairly
from ..xdb import OWNER_LENGTH, Table, xdb
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.large import payload_text, verbatim
from ..xmpp.protocols import XEP

NS = "jabber:iq:private"


class Private(Table):
    """``xml``: the <query/> with all elements of one name and namespace. ``key``: a hash of these two, which
    clients may make long. ``size``: bytes of ``xml``."""

    owner = CharField(max_length=OWNER_LENGTH)
    key = CharField(max_length=64)
    size = IntegerField()
    xml = TextField()

    class Meta:
        indexes = ((("owner", "key"), True),)


class PrivateStorage(Module):
    """Keeps XML for a user's own clients, such as their settings and bookmarks."""

    protocols = (XEP(49, "1.2", "Private XML Storage"),)
    features = (NS,)
    tables = (Private,)
    max_size = Option(size, "256 KiB", "bytes that one user may keep")
    max_elements = Option(int, 500, "different elements that one user may keep", min=1)

    @iq("get", NS, "query", to="self")
    def show(self, request: Element) -> Any:
        wanted = list(request.payload.elements())
        if len(wanted) != 1:
            raise StanzaError("bad-request", "ask for one element")
        mine = (Private.owner == request.from_.user) & (Private.key == key(wanted[0]))
        xml = Private.select(Private.xml).where(mine).scalar()
        if xml is None:
            return Element("query", NS, wanted[0])
        self.host.router.reply(verbatim(request, xml))  # as it is stored: it may be large
        return LATER

    @iq("set", NS, "query", to="self")
    def store(self, request: Element) -> None:
        if self.host.options.anonymous:
            raise StanzaError("not-allowed", "guests keep nothing here")
        elements = list(request.payload.elements())
        if not elements or any(element.ns in (NS, ns.CLIENT, "") for element in elements):
            raise StanzaError("not-acceptable", "elements with a namespace of their own are kept here")
        queries: dict[str, Element] = {}
        for element in fairly(elements):
            queries.setdefault(key(element), Element("query", NS)).append(element)
        if len(queries) == 1:  # what nearly everybody sends stays as it came
            texts = dict.fromkeys(queries, payload_text(request))
        else:
            texts = {name: str(query) for name, query in fairly(queries.items())}
        xdb.save(_store, request.from_.user, texts, self.max_size, self.max_elements)

    @iq("get", NS, "query", to="user")
    @iq("set", NS, "query", to="user")
    def forbid(self, request: Element) -> None:
        raise StanzaError("forbidden")


def key(element: Element) -> str:
    return hashlib.sha256(f"{element.ns} {element.name}".encode()).hexdigest()


def _store(user: str, texts: dict[str, str], max_size: int, max_elements: int) -> None:
    """Where the writer runs: two clients that store at once cannot pass the limits together."""
    Private.delete().where(Private.owner == user, Private.key.in_(list(texts))).execute()
    rows = [{"owner": user, "key": k, "size": len(xml.encode()), "xml": xml} for k, xml in texts.items()]
    others = Private.select(Private.size).where(Private.owner == user)
    sizes = [len(xml.encode()) for xml in texts.values()] + [row.size for row in others]
    if sum(sizes) > max_size or len(sizes) > max_elements:
        raise StanzaError("policy-violation", "your private storage is full")
    Private.insert_many(rows).execute()
