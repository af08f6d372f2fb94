"""Requests for items (XEP-0060 section 6.5), in pages (XEP-0059) and in another order (XEP-0413)."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from ..hooks import LATER
from ..net.turns import fairly, share
from ..xdb import xdb
from ..xmpp import rsm
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from . import counting, notify, store
from .engine import Engine
from .names import NS, ORDER, refusal, unsupported
from .store import Cut, Item, Node

AT_ONCE = 100
"""Items of one request."""
CHUNK = 20
"""Items that are read from the database at a time."""
ANSWER, ANSWER_AWAY = 1 << 20, 192 << 10
"""Characters of payload in one answer, to our users and to those of other servers, whose streams take less; with more it ends,
and says so (XEP-0059)."""
ORDERS = {"creation": "born", "modification": "id"}


class Wanted(NamedTuple):
    """At most ``most`` items with ``room`` characters, by ``order`` (as in `Cut`), the largest first if ``desc``.

    start  only behind the item that stands there in the order; None: from the beginning
    back   from the end on, backwards; then ``start`` is the item before which they stand
    """

    most: int
    room: int
    order: str
    desc: bool
    since: float
    start: int | None = None
    back: bool = False

    def cut(self, start: int | None) -> Cut:
        """What is left to read, behind ``start``."""
        after, before = (None, start) if self.down else (start, None)
        return Cut(after, before, self.order, self.since)

    @property
    def down(self) -> bool:
        """Is it read from large to small?"""
        return self.back != self.desc


class Reading(Engine):
    """Answers who asks for items of any owner's nodes."""

    def items(self, owner: str, asker: JID, verb: Element, request: Element) -> Any:
        """All items, the newest, some by id, or a page."""
        node = self.node(owner, verb.attrs.get("node"), asker)
        refused = self.closed(owner, node, asker)
        if refused is not None:
            raise refused
        if node.config.is_collection:
            raise unsupported("retrieve-items")
        self._subscription(node, asker, verb.attrs.get("subid"))
        if not node.config.keeps:
            raise unsupported("persistent-items")
        ids = [each.attrs.get("id", "") for each in verb.all("item", NS)]
        if len(ids) > AT_ONCE:
            raise StanzaError("policy-violation", f"ask for at most {AT_ONCE} items by id")
        more = None
        self.settle(owner, node)
        if ids:
            found = self._named(owner, node, ids, self.room_for(asker))
        else:
            found, more = self._page(owner, asker, node, verb, request.payload)
        self.host.router.reply(
            notify.items_answer(request, node.name, fairly(found), more, self.reply_to(owner, node))
        )
        return LATER

    def room_for(self, asker: JID) -> int:
        """How many characters an answer may have."""
        return ANSWER if asker.domain in self.host.router.instances else ANSWER_AWAY

    def _named(self, owner: str, node: Node, ids: list[str], room: int) -> list[Item]:
        """Items by their ids, some at a time. Raises StanzaError: they are too much for one answer."""
        found, since, turn = list[Item](), self.since(node), 0.0
        for begin in range(0, len(ids), CHUNK):
            turn = share(turn)
            for each in store.some(owner, node.name, ids[begin : begin + CHUNK]):
                if each.published > since:
                    room -= len(each.payload)
                    found.append(each)
            if room < 0 and len(found) > 1:
                raise StanzaError("policy-violation", "these are too large for one answer: ask for fewer")
        return found

    def since(self, node: Node) -> float:
        """Items that were published at that Unix time, or before it, have expired; 0: none has."""
        expire = node.config.item_expire
        return time.time() - expire if expire else 0.0

    def _subscription(self, node: Node, asker: JID, subid: str | None) -> None:
        """Section 6.5.9.1: who has subscriptions of several kinds says which one it is about. Raises StanzaError."""
        mine = node.subscriptions.get(asker.user, ())
        if subid is not None:
            if mine and all(each.subid != subid for each in mine):
                raise refusal("not-acceptable", "invalid-subid")
        elif len({each.options for each in mine}) > 1:
            raise refusal("bad-request", "subid-required")

    def _page(
        self, owner: str, asker: JID, node: Node, verb: Element, payload: Any
    ) -> tuple[list[Item], Element | None]:
        try:
            page = rsm.read(payload)
            number = verb.attrs.get("max_items")
            most = self.max_items if number is None else max(int(number), 0)
        except ValueError as error:
            raise StanzaError("bad-request", str(error)) from None
        room = self.room_for(asker)
        order, desc = self._order(payload)
        since = self.since(node)
        if page is None:
            wanted = Wanted(most, room, order, desc, since, back=not desc)  # the most recent ones
        elif page.index is not None:
            raise StanzaError("feature-not-implemented", "ask for items after or before another one")
        else:
            start = self._row(owner, node, page.after or page.before, order)
            wanted = Wanted(page.limit(most, most), room, order, desc, since, start, page.before is not None)
        found, cut = self._read(owner, node, wanted)
        if page is None and not cut:
            return found, None
        total, before = counting.total(owner, node, since), None
        if not found:
            return found, rsm.answer(count=total)
        if wanted.start is not None:
            first = store.number_of(owner, node.name, found[0].id, order)
            before = Cut(first, None, order, since) if desc else Cut(None, first, order, since)
        index = counting.index(owner, node.name, total, len(found), wanted.back, before)
        return found, rsm.answer(found[0].id, found[-1].id, total, index)

    def _order(self, payload: Element) -> tuple[str, bool]:
        """The column, and does the largest come first? Raises StanzaError."""
        wish = payload.child("order", ORDER)
        if wish is None:
            return "id", False
        order = ORDERS.get(wish.attrs.get("by", ""))
        if order is None:
            raise StanzaError("bad-request", "order is by creation or by modification")
        return order, wish.attrs.get("desc") in ("true", "1")

    def _row(self, owner: str, node: Node, id: str | None, order: str) -> int | None:
        if not id:
            return None
        row = store.number_of(owner, node.name, id, order)
        if row is None:
            raise StanzaError("item-not-found")
        return row

    def _read(self, owner: str, node: Node, wanted: Wanted) -> tuple[list[Item], bool]:
        """The items, and True where not all of them have room. Others have their turns between two chunks."""
        found: list[Item] = []
        length, cut, start, began = 0, False, wanted.start, 0.0
        while len(found) < wanted.most and not cut:
            size = min(CHUNK, wanted.most - len(found))
            chunk = store.page(owner, node.name, size, wanted.cut(start), wanted.down)
            xdb.release()
            for number, item in chunk:
                if found and length + len(item.payload) > wanted.room:
                    cut = True
                    break
                found.append(item)
                length += len(item.payload)
                start = number
            if len(chunk) < size:
                break
            began = share(began)
        return (found[::-1] if wanted.back else found), cut
