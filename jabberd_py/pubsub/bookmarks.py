"""XEP-0402: PEP Native Bookmarks, in step with those of older clients: private XML (XEP-0048, XEP-0049), and one item in PEP
(XEP-0048, XEP-0411).

There is one list of rooms: the items of the node of XEP-0402. Private XML has what is no room, and what is asked for there is
made of both. The node ``storage:bookmarks`` has a copy, made whenever something changes; what a client publishes there is taken
apart.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import gevent

from .. import log
from ..hooks import Module, on
from ..jsm.session import Session
from ..net.turns import fairly, queue
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from ..xmpp.protocols import XEP
from . import counting, store
from .alone import Alone
from .config import Config
from .older import Older
from .store import Cut, Item, intact

NODE = "urn:xmpp:bookmarks:1"
OLD = "storage:bookmarks"
CONFIG = Config(access_model="whitelist", send_last_published_item="never")
"""Bookmarks are nobody else's (XEP-0411 section 6)."""
COPY = Config(access_model="whitelist", max_items=1, send_last_published_item="on_sub_and_presence")
"""Of the node ``storage:bookmarks``."""


LARGE = 4096
"""Characters of a bookmark. Older clients do not see a larger one."""
logger = log.get(__name__)


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
    """Shows the bookmarks that today's clients keep to older clients, and the other way round. ``busy``: accounts whose
    bookmarks are being changed."""

    name = "bookmarks"
    protocols = (
        XEP(48, "1.2", "Bookmarks"),
        XEP(402, "1.2.0", "PEP Native Bookmarks"),
        XEP(411, "1.1.0", "Bookmarks Conversion"),
    )
    works = False
    """Are private XML and PEP there?"""

    def __init__(self, host: Any, settings: Any = None) -> None:
        super().__init__(host, settings)
        self.busy = Alone()
        self.older: Older

    @on("start")
    def begin(self) -> None:
        if "pep" in self.host.modules:
            self.host["pep"].usual |= {NODE: CONFIG, OLD: COPY}
        self.works = {"private", "pep"} <= self.host.modules.keys()
        if self.works:
            private, storage = self.host["private"], Element("storage", OLD)
            private.view(storage, self)
            self.host["pep"].checks[OLD] = self.check
            self.account_features = (
                f"{NODE}#compat",
                f"{NODE}#compat-pep",
                "urn:xmpp:bookmarks-conversion:0",
            )
            table, where = private.holding(storage)
            self.older = Older(self.host, self.name, table, where, self.take_over)
            self.older.start()

    def account_works(self) -> bool:
        return self.works and not self.host.options.anonymous

    @on("session")
    def enter(self, session: Session) -> None:
        if self.works and self.older.left:
            self.take_over(session.user)
        if self.works and not self._in_step(session.user):
            gevent.spawn(self._copy_again, session.user)

    def _in_step(self, user: str) -> bool:
        """Is the copy younger than each item, and are there as many rooms in it? After a crash it may be an older one."""
        if not store.nodes_of(user).keys() >= {NODE, OLD}:
            return True
        copy, last = (
            store.page(user, OLD, 1, Cut(), newest=True),
            store.names(user, NODE, 1, Cut(), newest=True),
        )
        if not copy or last and last[0][0] > copy[0][0]:
            return False
        return copy[0][1].payload.count("<conference ") == counting.count(user, NODE)

    @on("imported")
    def take_over(self, user: str) -> None:
        """An account may have bookmarks from before there was a node for them."""
        if not self.works:
            return
        nodes = store.nodes_of(user)
        if NODE in nodes and OLD in nodes:
            return
        with self.busy.of(user) as outermost:
            if not outermost:
                return
            storage = self._kept(user)
            if NODE not in nodes:
                found = self._copy_of(user) if OLD in nodes else storage
                if found is None or found.child("conference", OLD) is None:
                    return
                storage = self._take_apart(user, found)
                self.host["private"].keep(user, storage)
            self._copy(user, storage)

    def check(self, user: str, items: list[Item]) -> None:
        """A list is taken apart behind its publication: nothing may be in it that cannot be. Raises StanzaError."""
        for item in items:
            storage = intact(user, "pubsub_item", item.payload)
            if storage is None or (storage.name, storage.ns) != ("storage", OLD):
                raise StanzaError("bad-request", "bookmarks are a <storage/>")
            if len({room_of(each) for each in storage.elements()} - {None}) > self.host["pep"].max_items:
                raise StanzaError("policy-violation", "too many bookmarks")

    @on("pep")
    def changed(self, user: str, node: str) -> None:
        """Somebody has published bookmarks, in one way or the other."""
        if not self.works or node not in (NODE, OLD):
            return
        with self.busy.of(user) as outermost:
            if not outermost:
                return  # it was this module
            rest = self._kept(user)
            if node == NODE:
                self._copy(user, rest)
                return
            storage = self._copy_of(user)
            if (
                storage is None
            ):  # the copy is gone, and no room is: it is made again when subscribers have heard that
                gevent.spawn(self._copy_again, user)
                return
            rest = self._take_apart(user, storage)
            self.host["private"].keep(user, rest)

    def _copy_again(self, user: str) -> None:
        with xdb.unit(), self.busy.of(user):
            if NODE in store.nodes_of(user):
                self._copy(user, self._kept(user))

    # -- the node of XEP-0048 -----------------------------------------------------------------------

    def _copy_of(self, user: str) -> Element | None:
        """<storage/> as it is published, or None."""
        newest = store.newest(user, OLD, 1)
        found = intact(user, "pubsub_item", newest[0].payload) if newest else None
        return found if found is not None and (found.name, found.ns) == ("storage", OLD) else None

    def _copy(self, user: str, kept: Element | None) -> None:
        """Publishes all bookmarks as one item, if they are not there yet. ``kept``: those that are no rooms."""
        storage, pep, node = self.shown(user, kept), self.host["pep"], store.nodes_of(user).get(OLD)
        if storage is None:
            if node is None:
                return
            storage = Element("storage", OLD)
        if node is not None and node.config.access_model == COPY.access_model:
            old = self._copy_of(user)
            if old is not None:
                old.serialise(fairly)
                storage.serialise(fairly)
                if str(old) == str(storage):
                    return
        storage.serialise(fairly)
        queue()
        payload = storage.to_bytes("\0").decode()
        if len(payload) > pep.max_payload:
            logger.debug("the bookmarks are too many for one item", account=user)
            return
        pep.publish_for(user, OLD, COPY, [Item("current", user, time.time(), payload)])

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
        with self.busy.of(user):
            rest = self._take_apart(user, storage)
            self._copy(user, rest)
        return rest

    def _kept(self, user: str) -> Element | None:
        kept = self.host["private"].stored(user, Element("storage", OLD))
        return None if kept is None else kept.child("storage", OLD)

    def _take_apart(self, user: str, storage: Element) -> Element:
        """Makes the items as that list says; returns what is in it beside rooms. Raises StanzaError, StoreError."""
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
        for jid, bookmark in fairly(wanted.items()):
            old = known.get(jid)
            if old is not None and read(old) == bookmark:
                continue
            more = [] if old is None else old.all("extensions", NODE)
            payload = write(bookmark, NODE, *more).to_bytes("\0").decode()
            items.append(Item(jid, user, time.time(), payload))
        if items:
            queue()
            pep.publish_for(user, NODE, CONFIG, items)
        gone = [jid for jid in known if jid not in wanted]
        if gone:
            pep.retract_for(user, NODE, gone)
        return rest

    def _all(self, user: str) -> list[tuple[Item, Element]]:
        """All that older clients see."""
        node = store.nodes_of(user).get(NODE)
        if node is None:
            return []
        self.host["pep"].settle(user, node)
        items = store.page(user, NODE, self.host["pep"].max_items, Cut(), newest=False)
        xdb.release()
        found = [
            (item, intact(user, "pubsub_item", item.payload))
            for _, item in fairly(items)
            if len(item.payload) <= LARGE
        ]
        return [(item, bookmark) for item, bookmark in found if bookmark is not None]
