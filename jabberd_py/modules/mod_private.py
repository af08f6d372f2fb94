"""XEP-0049: Private XML Storage."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from peewee import CharField, IntegerField, TextField

from ..hooks import Module, Option, iq, size
from ..net.turns import fairly
from ..xdb import OWNER_LENGTH, Table, spoilt, xdb
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.large import grown, payload_text
from ..xmpp.protocols import XEP

NS = "jabber:iq:private"


class Private(Table):
    """
    key   a hash of the name and the namespace of the elements, because clients may make these long
    size  bytes of ``xml``
    xml   the <query/> with all elements of that name and namespace
    """

    owner = CharField(max_length=OWNER_LENGTH)
    key = CharField(max_length=64)
    size = IntegerField()
    xml = TextField()

    class Meta:
        indexes = ((("owner", "key"), True),)


@xdb.prepared(str, str)
def _private(user: str, key: str) -> Any:
    return Private.select(Private.xml).where(Private.owner == user, Private.key == key)


class PrivateStorage(Module):
    """Keeps XML for a user's own clients, such as their settings and bookmarks."""

    protocols = (XEP(49, "1.2", "Private XML Storage"),)
    features = (NS,)
    tables = (Private,)
    max_size = Option(size, "256 KiB", "bytes that one user may keep")
    max_elements = Option(int, 500, "different elements that one user may keep", min=1)

    def __init__(self, host: Any, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.views: dict[str, Any] = {}

    # -- for other modules --------------------------------------------------------------------------

    def view(self, element: Element, view: Any) -> None:
        """From now on another module answers for elements of this name. ``view.shown(user, kept)`` returns what a client gets;
        ``kept`` is the stored element or None. ``view.stored(user, element)`` returns what is to be stored of an element that
        a client has sent."""
        self.views[key(element)] = view

    def holding(self, element: Element) -> tuple[type[Table], Any]:
        """The table, and the condition of its rows with elements of that name."""
        return Private, Private.key == key(element)

    def stored(self, user: str, element: Element) -> Element | None:
        """The stored <query/> with elements of that name; None if there is none. Blocks if it is long."""
        rows = _private(user, key(element))
        try:
            return grown(rows[0][0], fairly) if rows else None
        except ValueError as error:
            spoilt("private", user, error)
            return None

    def keep(self, user: str, element: Element) -> None:
        """Stores the element. Blocks until the commit. Raises StanzaError."""
        texts = {key(element): str(Element("query", NS, element))}
        xdb.save(_store, user, texts, self.max_size, self.max_elements)

    # -- from clients -------------------------------------------------------------------------------

    def account_works(self) -> bool:
        return not self.host.options.anonymous

    @iq("get", NS, "query", to="self")
    def show(self, request: Element) -> Any:
        wanted = list(request.payload.elements())
        if len(wanted) != 1:
            raise StanzaError("bad-request", "ask for one element")
        user, view = request.from_.user, self.views.get(key(wanted[0]))
        if view is not None:
            kept = self.stored(user, wanted[0])
            query = Element(
                "query", NS, view.shown(user, None if kept is None else kept.payload) or wanted[0]
            )
            query.serialise(fairly)
            return query
        rows, none = _private(user, key(wanted[0])), Element("query", NS, wanted[0])
        return self.host.answer_stored(request, "private", user, rows[0][0], none) if rows else none

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
        viewed = [name for name in queries if name in self.views]
        if len(queries) == 1 and not viewed:  # the usual case: the text is stored as it came
            texts = dict.fromkeys(queries, payload_text(request))
        else:
            for name in viewed:
                (element,) = list(queries[name].elements())[:1]
                queries[name] = Element("query", NS, self.views[name].stored(request.from_.user, element))
            texts = {name: str(query) for name, query in fairly(queries.items())}
        xdb.save(_store, request.from_.user, texts, self.max_size, self.max_elements)

    @iq("get", NS, "query", to="user")
    @iq("set", NS, "query", to="user")
    def forbid(self, request: Element) -> None:
        raise StanzaError("forbidden")


def key(element: Element) -> str:
    return hashlib.sha256(f"{element.ns} {element.name}".encode()).hexdigest()


def _store(user: str, texts: dict[str, str], max_size: int, max_elements: int) -> None:
    """Runs in the writer, so two clients that store at the same time cannot exceed the limits together."""
    Private.delete().where(Private.owner == user, Private.key.in_(list(texts))).execute()
    rows = [{"owner": user, "key": k, "size": len(xml.encode()), "xml": xml} for k, xml in texts.items()]
    others = Private.select(Private.size).where(Private.owner == user)
    sizes = [len(xml.encode()) for xml in texts.values()] + [row.size for row in others]
    if sum(sizes) > max_size or len(sizes) > max_elements:
        raise StanzaError("policy-violation", "your private storage is full")
    Private.insert_many(rows).execute()
