"""XEP-0402: PEP Native Bookmarks, in step with those of older clients, which are private XML (XEP-0048, XEP-0049).

There is one list, the items of the account's node. What older clients ask for is made of it; what they store is taken apart.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from ..hooks import Module, on
from ..jsm.session import Session
from ..net.turns import fairly
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from ..xmpp.protocols import XEP
from . import store
from .config import Config
from .store import Cut, Item

NODE = "urn:xmpp:bookmarks:1"
OLD = "storage:bookmarks"
CONFIG = Config(access_model="whitelist", send_last_published_item="never")


class Bookmark(NamedTuple):
    """What both forms can say of a room."""

    name: str | None
    autojoin: bool
    nick: str | None
    password: str | None


def read(conference: Element) -> Bookmark:
    """Of either form."""
    autojoin = conference.attrs.get("autojoin") in ("true", "1")
    nick, password = (conference.text_of(each) or None for each in ("nick", "password"))
    return Bookmark(conference.attrs.get("name"), autojoin, nick, password)


def write(bookmark: Bookmark, ns: str, *more: Element, jid: str | None = None) -> Element:
    autojoin = "true" if bookmark.autojoin else None
    element = Element("conference", ns, jid=jid, name=bookmark.name, autojoin=autojoin)
    for name in ("nick", "password"):
        text = getattr(bookmark, name)
        if text is not None:
            element.append(Element(name, ns, text))
    return element.append(*more)


def room_of(element: Element) -> str | None:
    """The room that an older client's bookmark is about; None: it is about something else, or nothing."""
    try:
        return (
            str(parse(element.attrs["jid"]).bare)
            if (element.name, element.ns) == ("conference", OLD)
            else None
        )
    except (KeyError, ValueError):
        return None


class Bookmarks(Module):
    """Shows the bookmarks that today's clients keep to older clients, and the other way round."""

    name = "bookmarks"
    protocols = (
        XEP(48, "1.2", "Bookmarks", missing="those in PEP are not in step with XEP-0402"),
        XEP(402, "1.2.0", "PEP Native Bookmarks"),
    )
    needs = ("private", "pep")
    account_features = (f"{NODE}#compat",)

    @on("start")
    def begin(self) -> None:
        self.host["private"].view(Element("storage", OLD), self)

    @on("session")
    def take_over(self, session: Session) -> None:
        """An account has bookmarks from before there was a node for them."""
        user = session.user
        if self.host.options.anonymous or NODE in store.nodes_of(user):
            return
        kept = self.host["private"].stored(user, Element("storage", OLD))
        storage = None if kept is None else kept.child("storage", OLD)
        if storage is not None and storage.child("conference", OLD) is not None:
            self.host["private"].keep(user, self.stored(user, storage))

    # -- for mod_private --------------------------------------------------------------------------

    def shown(self, user: str, kept: Element | None) -> Element | None:
        """<storage/> as an older client gets it. ``kept``: what is stored of it beside the rooms."""
        if NODE not in store.nodes_of(user):
            return kept
        storage = Element("storage", OLD)
        for item, bookmark in fairly(self._all(user)):
            storage.append(write(read(bookmark), OLD, jid=item.id))
        if kept is not None:
            storage.append(*(each for each in kept.elements() if room_of(each) is None))
        return storage

    def stored(self, user: str, storage: Element) -> Element:
        """An older client has stored it: rooms become items. Returns what is left for the private storage. Raises StanzaError,
        StoreError."""
        pep, rest = self.host["pep"], Element("storage", OLD)
        wanted: dict[str, Bookmark] = {}
        for each in fairly(list(storage.elements())):
            jid = room_of(each)
            if jid is None:
                rest.append(each)
            else:
                wanted[jid] = read(each)
        if len(wanted) > pep.max_items:
            raise StanzaError("policy-violation", f"at most {pep.max_items} bookmarks")
        known = {item.id: bookmark for item, bookmark in self._all(user)}
        items = []
        for jid, bookmark in wanted.items():
            old = known.get(jid)
            if old is not None and read(old) == bookmark:
                continue
            more = [] if old is None else old.all("extensions", NODE)
            payload = write(bookmark, NODE, *more).to_bytes("\0").decode()
            items.append(Item(jid, user, time.time(), payload))
        if items:
            pep.publish_for(user, NODE, CONFIG, items)
        gone = [jid for jid in known if jid not in wanted]
        if gone:
            pep.retract_for(user, NODE, gone)
        return rest

    def _all(self, user: str) -> list[tuple[Item, Element]]:
        node = store.nodes_of(user).get(NODE)
        if node is None:
            return []
        self.host["pep"].settle(user, node)
        items = store.page(user, NODE, self.host["pep"].max_items, Cut(), newest=False)
        return [(item, from_text(item.payload)) for item in fairly(items) if item.payload]
