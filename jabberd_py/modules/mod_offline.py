"""XEP-0160: Offline Messages, and XEP-0013: Flexible Offline Message Retrieval."""

from __future__ import annotations

import time
from collections.abc import Iterator

from peewee import FloatField, TextField

from ..hooks import HANDLED, Module, Option, iq, on
from ..jsm.session import Session
from ..xdb import Table, xdb
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError
from ..xmpp.forms import Form
from ..xmpp.ns import CLIENT, DELAY, DISCO_INFO
from ..xmpp.stamp import utc

NS = "http://jabber.org/protocol/offline"
CHAT_STATES = "http://jabber.org/protocol/chatstates"
HINTS = "urn:xmpp:hints"
PAGE = 50
"""Messages that are read from the store at a time."""


class OfflineMessage(Table):
    """``xml``: the whole stanza, its delay stamp included; ``stored``: when, in seconds since 1970."""

    stored = FloatField()
    xml = TextField()


def _store(owner: str, xml: str, stored: float, limit: int) -> bool:
    """Runs in the writer. False: the store of that account is full."""
    if OfflineMessage.select().where(OfflineMessage.owner == owner).count() >= limit:
        return False
    OfflineMessage.insert(owner=owner, xml=xml, stored=stored).execute()
    return True


class Offline(Module):
    """Keeps messages for users who are not there."""

    features = ("msgoffline", NS)
    tables = (OfflineMessage,)
    limit = Option(int, 200, "messages kept for one account; to more, the answer is an error", min=0)

    # -- keeping (XEP-0160) ------------------------------------------------------------------

    @on("offline")
    def keep(self, user: str, message: Element) -> bool | None:
        """Returns when the message is safely stored. PASS: the sender gets service-unavailable."""
        if message.type not in (None, "normal", "chat") or self.host.options.anonymous:
            return None
        if message.has("no-store", HINTS):
            return None
        if not message.has("store", HINTS) and all(_slight(kid) for kid in message.kids):
            return HANDLED  # "is typing": neither worth keeping nor worth an error
        now = time.time()
        if not xdb.save(_store, user, str(self._stamped(message, now)), now, self.limit):
            return None
        for session in self.host.sessions.best(user)[:1]:
            self.hand_over(session)  # came while we were writing
        return HANDLED

    def _stamped(self, message: Element, now: float) -> Element:
        kept = message.copy()
        for delay in kept.all("delay", DELAY):
            if delay.attrs.get("from") == self.host.domain:
                kept.remove(delay)  # forged: only we stamp in our name (XEP-0203 section 6)
        stamp = utc(now, fraction=True)
        return kept.append(Element("delay", DELAY, "Offline Storage", from_=self.host.domain, stamp=stamp))

    # -- handing over ------------------------------------------------------------------------

    @on("available")
    def hand_over(self, session: Session) -> None:
        """All that was kept goes to the session, then out of the store."""
        user, sessions = session.user, self.host.sessions.of(session.user)
        if session.priority < 0 or any(each.note(NS) for each in sessions):
            return
        for each in sessions:
            if each.note("offline-busy"):
                return
        session.notes["offline-busy"] = True
        try:
            last = 0
            for row in _rows(user):
                self.host.pass_on(session, from_text(row.xml))
                last = row.id
            if last:
                query = OfflineMessage.delete().where(OfflineMessage.owner == user, OfflineMessage.id <= last)
                xdb.save(query.execute)
        finally:
            del session.notes["offline-busy"]

    # -- picking (XEP-0013) --------------------------------------------------------------------

    def account_node(self, request: Element, node: str) -> Element | None:
        """The queue as a node for service discovery: how many messages, or their headers."""
        if node != NS:
            return None
        user = self._owner(request)
        if request.payload.ns == DISCO_INFO:
            count = OfflineMessage.select().where(OfflineMessage.owner == user).count()
            return Element(
                "query", DISCO_INFO,
                Element("identity", DISCO_INFO, category="automation", type="message-list"),
                Element("feature", DISCO_INFO, var=NS),
                Form("result", form_type=NS).field("number_of_messages", value=count).element(),
            )  # fmt: skip
        space = request.payload.ns
        headers = ((row, from_text(row.xml).attrs.get("from")) for row in _rows(user))
        items = (Element("item", space, jid=user, node=_node(row), name=sender) for row, sender in headers)
        return Element("query", space, *items)

    @iq("get", NS, to="self")
    def view(self, request: Element) -> None:
        user = self._owner(request)
        session = self.host.sessions.find(request.from_)
        if session is None:
            raise StanzaError("forbidden")
        if _only(request, "fetch"):
            rows = list(_rows(user))
        else:
            rows = self._picked(user, request, "view")
        for row in rows:
            item = Element("offline", NS, Element("item", NS, node=_node(row)))
            self.host.pass_on(session, from_text(row.xml).append(item))

    @iq("set", NS, to="self")
    def remove(self, request: Element) -> None:
        mine = OfflineMessage.owner == self._owner(request)
        if not _only(request, "purge"):
            rows = self._picked(str(request.from_.bare), request, "remove")
            mine &= OfflineMessage.id.in_([row.id for row in rows])
        xdb.save(OfflineMessage.delete().where(mine).execute)

    @iq("get", NS, to="user")
    @iq("set", NS, to="user")
    def refuse(self, request: Element) -> None:
        raise StanzaError("forbidden")

    def _owner(self, request: Element) -> str:
        """The user, who from now on picks messages: they do not come by themselves in this session."""
        asker = request.from_.bare
        if request.to is not None and request.to.bare != asker:
            raise StanzaError("forbidden")
        session = self.host.sessions.find(request.from_)
        if session is not None:
            session.notes[NS] = True
        return str(asker)

    def _picked(self, user: str, request: Element, action: str) -> list[OfflineMessage]:
        items = list(request.payload.elements())
        if not items or any(item.name != "item" or item.attrs.get("action") != action for item in items):
            raise StanzaError("bad-request")
        nodes = [item.attrs.get("node", "") for item in items]
        if not all(node.isascii() and node.isdigit() and len(node) < 20 for node in nodes):
            raise StanzaError("item-not-found")
        found = []
        for number in dict.fromkeys(int(node) for node in nodes):
            mine = (OfflineMessage.owner == user) & (OfflineMessage.id == number)
            found.append(OfflineMessage.select().where(mine).first())
        if None in found:
            raise StanzaError("item-not-found")
        return found


def _rows(user: str) -> Iterator[OfflineMessage]:
    """All messages of a user, the oldest first."""
    last = 0
    while True:
        newer = (OfflineMessage.owner == user) & (OfflineMessage.id > last)
        rows = list(OfflineMessage.select().where(newer).order_by(OfflineMessage.id).limit(PAGE))
        yield from rows
        if len(rows) < PAGE:
            return
        last = rows[-1].id


def _node(row: OfflineMessage) -> str:
    """The row's number, of a fixed width: nodes sort as the messages came."""
    return f"{row.id:019}"


def _only(request: Element, name: str) -> bool:
    return request.payload.name == "offline" and [e.name for e in request.payload.elements()] == [name]


def _slight(kid: str) -> bool:
    """Is that child ("uri name") nothing to keep a message for?"""
    return kid.rpartition(" ")[0] in (CHAT_STATES, HINTS) or kid == f"{CLIENT} thread"
