"""XEP-0292: vCard4 Over XMPP, in step with vcard-temp (XEP-0054).

The node has the card. Who asks for vcard-temp gets it made of that, if he may read the node. A vcard-temp that is stored is
published. When the node goes, or its item, the stored vcard-temp goes, too.
"""

from __future__ import annotations

import time
from typing import Any

from ..hooks import LATER, Module, iq, on
from ..jsm.session import Session
from ..net.turns import queue
from ..xdb import xdb
from ..xdb.table import Document
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from ..xmpp.protocols import XEP
from . import store
from .config import Config
from .older import Older
from .store import Item, intact
from .vcards import TEMP, VCARD4, to_temp, to_vcard4

NODE = "urn:xmpp:vcard4"
CONFIG = Config(access_model="open", max_items=1, send_last_published_item="on_sub_and_presence")
"""A vCard is for everybody."""
TAGS = 500
"""A vCard with more of them is not converted: that would take long, and anybody may ask for it."""


class VCard4(Module):
    """Keeps the published vCard and the older vcard-temp the same. ``storing``: accounts whose vcard-temp is published now."""

    name = "vcard4"
    protocols = (XEP(292, "0.12.0", "vCard4 Over XMPP"),)
    works = False
    """Are both forms there, vcard-temp and PEP?"""

    def __init__(self, host: Any, settings: Any = None) -> None:
        super().__init__(host, settings)
        self.older = Older(host, self.name, Document, Document.namespace == TEMP, self.take_over)
        self.storing = set[str]()

    @on("start")
    def begin(self) -> None:
        self.works = {"vcard", "pep"} <= self.host.modules.keys()
        if self.works:
            self.host["vcard"].views.insert(0, self)
            self.older.start()

    @on("session")
    def enter(self, session: Session) -> None:
        if self.works and self.older.left:
            self.take_over(session.user)

    @on("imported")
    def take_over(self, user: str) -> None:
        """An account may have a vcard-temp from before there was a node for it."""
        if not self.works:
            return
        card = None if NODE in store.nodes_of(user) else intact(user, "document", xdb.get(user, TEMP))
        if card is not None:
            self.stored(user, card)

    def _card(self, user: str) -> Item | None:
        newest = store.newest(user, NODE, 1) if NODE in store.nodes_of(user) else []
        return newest[0] if newest and newest[0].payload else None

    def account_works(self) -> bool:
        return self.works and not self.host.options.anonymous

    # -- for mod_vcard ----------------------------------------------------------------------------

    def shown(self, user: str, asker: JID, text: str | None) -> str | None:
        """The vCard that ``asker`` may see. ``text``: as it is stored, or None."""
        nodes = store.nodes_of(user)
        if NODE not in nodes:
            return text
        if not self.host["pep"].reads(user, nodes[NODE], asker):
            return None
        item = self._card(user)
        if item is None:
            return text
        xdb.release()
        if item.payload.count("<") > TAGS:
            return None
        card = intact(user, "pubsub_item", item.payload)
        queue()  # a long vCard takes milliseconds at each step
        old = intact(user, "document", text)
        if card is None:
            return text
        queue()
        if old is not None:
            made = to_vcard4(old, card)
            queue()
            if str(made) == str(card):
                return text  # as the client wrote it
            queue()
        return str(to_temp(card, old))

    def stored(self, user: str, card: Element) -> None:
        """A vcard-temp was stored: it is the vCard now. Raises StanzaError, StoreError."""
        if card.inner.count(b"<") > TAGS:
            raise StanzaError("not-acceptable", "that vCard has too many elements")
        item, pep = self._card(user), self.host["pep"]
        xdb.release()
        small = item is not None and item.payload.count("<") <= TAGS
        before = intact(user, "pubsub_item", item.payload) if item is not None and small else None
        queue()
        made = to_vcard4(card, before)
        queue()
        payload = "" if made.payload is None else made.to_bytes("\0").decode()
        self.storing.add(user)
        try:
            if payload and (item is None or item.payload != payload):
                pep.publish_for(user, NODE, CONFIG, [Item("current", user, time.time(), payload)])
            elif item is not None and not payload:
                pep.retract_for(user, NODE, [item.id])
        finally:
            self.storing.discard(user)

    @on("pep")
    def changed(self, user: str, node: str) -> None:
        """Who has deleted his card has none in the older form, either."""
        if node == NODE and self.works and user not in self.storing and self._card(user) is None:
            xdb.set(user, TEMP, None)

    # -- without pubsub ---------------------------------------------------------------------------

    @iq("get", VCARD4, "vcard", to="self")
    @iq("get", VCARD4, "vcard", to="user")
    def show(self, request: Element) -> Any:
        if "pep" not in self.host.modules:
            raise StanzaError("service-unavailable")
        asker: Any = request.from_
        user = asker.user if request.to is None else request.to.user
        nodes, item = store.nodes_of(user), self._card(user)
        if item is None or not self.host["pep"].reads(user, nodes[NODE], asker):
            raise StanzaError("item-not-found" if user == asker.user else "service-unavailable")
        answer = request.reply()
        xml = item.payload.encode()
        self.host.router.reply(Element.raw("iq", answer.ns, answer.attrs, xml, [f"{VCARD4} vcard"]))
        return LATER
