"""What rooms tell those who ask: features, information, who is in (XEP-0045 section 6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..hooks import Option, iq
from ..xmpp import forms, rsm
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.ns import DISCO_INFO, DISCO_ITEMS
from . import store
from .feature import Feature
from .occupant import MUC
from .room import Room

INFO = "http://jabber.org/protocol/muc#roominfo"
TRAFFIC = f"{MUC}#traffic"
OCCUPANTS = 500
"""Occupants on one page of the list of those who are in."""


class Discovery(Feature):
    """The list of public rooms, and what each room is."""

    needs = ("description",)
    page = Option(int, 200, "rooms on one page of the list", min=1, max=1000)

    # -- the list of rooms -----------------------------------------------------------------------------

    def disco_page(self, request: Element) -> Element:
        """Section 6.3, in pages (XEP-0059)."""
        query: Any = request.payload
        try:
            asked = rsm.read(query)
        except ValueError as error:
            raise StanzaError("bad-request", str(error)) from None
        page = asked or rsm.Page()
        if page.index is not None:
            raise StanzaError("feature-not-implemented", "pages by index")
        domain, limit = self.host.domain, page.limit(self.page, self.page)
        found = store.listed(domain, limit + 1, page.after or "", page.before) if limit else []
        more = len(found) > limit
        found = found[-limit:] if page.before is not None else found[:limit]
        query = Element("query", DISCO_ITEMS)
        for address, name in found:
            query.append(Element("item", DISCO_ITEMS, jid=address, name=name or address.partition("@")[0]))
        if asked is not None or more:
            first, last = (found[0][0], found[-1][0]) if found else (None, None)
            query.append(rsm.answer(first, last, store.count(domain)))
        return query

    # -- one room --------------------------------------------------------------------------------------

    @iq("get", DISCO_INFO, "query", to="room")
    def info(self, request: Element) -> Element:
        """Section 6.4."""
        room, node = self.host.glance(request), request.payload.attrs.get("node")
        if node is not None:
            return self._node(room, request, node)
        query, name = Element("query", DISCO_INFO), self.host["description"].title(room)
        query.append(
            Element("identity", DISCO_INFO, category="conference", type="text", name=name or room.jid.node)
        )
        query.append(*(Element("feature", DISCO_INFO, var=var) for var in sorted(set(self._features(room)))))
        form = forms.Form("result", form_type=INFO)
        for each in self.host.own:
            each.room_info(room, form)
        form.field("muc#roominfo_occupants", None, None, len(room.occupants))
        query.append(form.element())
        for each in self.host.own:
            query.append(*each.room_forms(room))
        return query

    def _features(self, room: Room) -> Iterable[str]:
        yield from (MUC, f"{MUC}#stable_id", DISCO_INFO, DISCO_ITEMS)
        for each in self.host.own:
            yield from each.room_namespaces
            yield from each.room_features(room)

    def _node(self, room: Room, request: Element, node: str) -> Element:
        if node == TRAFFIC and request.payload.ns == DISCO_INFO:
            raise StanzaError("service-unavailable", "everything passes")  # section 14.1.1
        for each in self.host.own:
            answer: Element | None = each.room_node(room, request, node)
            if answer is not None:
                return answer
        raise StanzaError("item-not-found")

    @iq("get", DISCO_ITEMS, "query", to="room")
    def items(self, request: Element) -> Element:
        """Section 6.5: who is in learns who is in, and so does everybody of a room that all find and may enter."""
        room, node = self.host.glance(request), request.payload.attrs.get("node")
        if node is not None:
            return self._node(room, request, node)
        query = Element("query", DISCO_ITEMS)
        if room.of(request.from_.user) or self.host.public(room):
            self._occupants(room, request, query)
        return query

    def _occupants(self, room: Room, request: Element, query: Element) -> None:
        """All of them, or a page (XEP-0059). Raises StanzaError."""
        payload: Any = request.payload
        try:
            asked = rsm.read(payload)
        except ValueError as error:
            raise StanzaError("bad-request", str(error)) from None
        nicks, page = list(room.occupants), asked or rsm.Page()
        limit = page.limit(OCCUPANTS, OCCUPANTS)
        start = page.index or 0
        try:
            if page.after is not None:
                start = nicks.index(page.after) + 1
            elif page.before is not None:
                end = nicks.index(page.before) if page.before else len(nicks)
                start, limit = max(0, end - limit), min(limit, end)
        except ValueError:
            raise StanzaError("item-not-found", "nobody has that nick") from None
        found = nicks[start : start + limit]
        for nick in found:
            query.append(Element("item", DISCO_ITEMS, jid=room.at(nick), name=nick))
        if asked is not None or len(found) < len(nicks):
            first, last = (found[0], found[-1]) if found else (None, None)
            query.append(rsm.answer(first, last, len(nicks), start))
