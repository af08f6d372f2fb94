"""XEP-0160: Best Practices for Handling Offline Messages, and XEP-0013: Flexible Offline Message Retrieval.

The messages behind the mark (`jsm/spool.py`) are delivered when a session becomes available, or the client fetches them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..archive import messages
from ..archive.messages import HEADERS, PAGE, readable
from ..archive.stamps import stamped
from ..hooks import Module, Option, iq, on
from ..jsm.answers import later
from ..jsm.notes import PICKING
from ..jsm.session import Session
from ..net.turns import fairly
from ..xdb.numbers import when
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.forms import Form
from ..xmpp.ns import DELAY, DISCO_INFO
from ..xmpp.protocols import XEP
from ..xmpp.stamp import utc

NS = "http://jabber.org/protocol/offline"


class Offline(Module):
    """Keeps messages for users who are not there."""

    protocols = (
        XEP(13, "1.3", "Flexible Offline Message Retrieval"),
        XEP(160, "1.0.1", "Handling Offline Messages"),
    )
    features = ("msgoffline", NS)
    limit = Option(
        int, 1000, "messages that may wait for one user; more are returned to their senders", min=1
    )

    @on("start", "reload")
    def start(self) -> None:
        if not self.host.options.anonymous:
            self.host.spool.offline = True
            self.host.spool.limit = self.limit

    @on("available")
    def deliver(self, session: Session) -> None:
        self.host.spool.flush(session.user)

    # -- picking (XEP-0013) --------------------------------------------------------------------

    def account_node(self, request: Element, node: str) -> Element | None:
        """The waiting messages as a node of service discovery: how many there are, or their headers."""
        if node != NS:
            return None
        user = self._owner(request)
        if request.payload.ns == DISCO_INFO:
            return Element(
                "query", DISCO_INFO,
                Element("identity", DISCO_INFO, category="automation", type="message-list"),
                Element("feature", DISCO_INFO, var=NS),
                Form("result", form_type=NS).field("number_of_messages", value=len(self._ids(user))).element(),
            )  # fmt: skip
        space = request.payload.ns
        headers = fairly(self._headers(user))
        items = (Element("item", space, jid=user, node=_node(id), name=sender) for id, sender in headers)
        query = Element("query", space, *items)
        query.serialise(fairly)
        return query

    @iq("get", NS, "offline", to="self")
    def view(self, request: Element) -> Any:
        user = self._owner(request)
        picked = None if _only(request, "fetch") else set(self._picked(user, request, "view"))
        return later(self.host, request, lambda session: self._send(session, picked))

    def _send(self, session: Session, picked: set[int] | None) -> None:
        """Sends the messages with these numbers; None: all that wait."""
        for id, stanza in session.pace(self._waiting(session.user)):
            if picked is None or id in picked:
                stanza.append(
                    Element("delay", DELAY, from_=self.host.domain, stamp=utc(when(id))),
                    Element("offline", NS, Element("item", NS, node=_node(id))),
                )
                stanza = stamped(stanza, session.user, id)
                stanza.uid = 0  # it stays in the store until the client removes it
                self.host.deliver_to(session, stanza)

    @iq("set", NS, "offline", to="self")
    def remove(self, request: Element) -> None:
        user, spool = self._owner(request), self.host.spool
        gone = self._ids(user) if _only(request, "purge") else self._picked(user, request, "remove")
        mine = spool.marks.of(user)
        for id in gone:
            mine.returned.pop(id, None)
            mine.kept_back.pop(id, None)
        spool.marks.singles += gone
        spool.counts.pop(user, None)
        ticket = spool.marks.save()
        if ticket is not None:
            ticket.wait()

    @iq("get", NS, "offline", to="user")
    @iq("set", NS, "offline", to="user")
    def refuse(self, request: Element) -> None:
        raise StanzaError("forbidden")

    def _owner(self, request: Element) -> str:
        """The user who asks. Notes that this session fetches messages itself: from now on they are not sent to it. Raises
        StanzaError (forbidden)."""
        asker = request.from_.bare
        if request.to is not None and request.to.bare != asker:
            raise StanzaError("forbidden")
        session = self.host.sessions.find(request.from_)
        if session is not None:
            session.notes[PICKING] = True
        return str(asker)

    def _waiting(self, user: str) -> Iterator[tuple[int, Element]]:
        """Yields (number, message) for all messages that wait and that no client has got, the oldest first."""
        for id, xml, _ in self._pages(user, messages.page, PAGE):
            stanza = self.host.spool.admitted(user, id, xml)
            if stanza is not None:
                yield id, stanza

    def _headers(self, user: str) -> Iterator[tuple[int, str]]:
        """Yields (number, sender) for the same messages."""
        for id, peer, resource in self._pages(user, messages.headers, HEADERS):
            sender = f"{peer}/{resource}" if resource else peer
            if self.host.spool.allowed(user, id, Element("message", from_=sender, to=user)):
                yield id, sender

    def _pages(self, user: str, page: Callable[[str, int], list[Any]], size: int) -> Iterator[Any]:
        spool = self.host.spool
        spool.marks.save()
        readable()
        mine, position = spool.marks.of(user), spool.marks.stored(user)
        while True:
            rows = page(user, position)
            for row in rows:
                id = row[0]
                if id not in mine.waiting and (id > mine.upto or id in mine.returned or id in mine.kept_back):
                    yield row
            if len(rows) < size:
                return
            position = rows[-1][0]

    def _ids(self, user: str) -> list[int]:
        return [id for id, _ in fairly(self._headers(user))]

    def _picked(self, user: str, request: Element, action: str) -> list[int]:
        items = list(request.payload.elements())
        if not items or any(item.name != "item" or item.attrs.get("action") != action for item in items):
            raise StanzaError("bad-request")
        nodes = dict.fromkeys(item.attrs.get("node", "") for item in items)
        waiting = {_node(id): id for id in self._ids(user)}
        if any(node not in waiting for node in nodes):
            raise StanzaError("item-not-found")
        return [waiting[node] for node in nodes]


def _node(id: int) -> str:
    """The row number as text of a fixed width, so that sorted nodes are in the order of the messages."""
    return f"{id:019}"


def _only(request: Element, name: str) -> bool:
    return [e.name for e in request.payload.elements()] == [name]
