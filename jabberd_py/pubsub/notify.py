"""Events: what subscribers are told (XEP-0060 sections 7.1.2 and 12.2).

An event is serialised once. Each owner's events leave one behind the other; a long fan-out goes in turns with what others do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from random import getrandbits
from typing import TYPE_CHECKING, NamedTuple

import gevent
from gevent.event import Event as Signal

from .. import log
from ..fanout import Copies
from ..net.turns import fairly
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.jid import parse
from ..xmpp.ns import CLIENT, DELAY
from ..xmpp.serialise import ATTRIBUTE
from ..xmpp.stamp import utc
from .names import EVENT, NS, SHIM
from .options import Subscription
from .store import Item

if TYPE_CHECKING:
    from ..router import Router

logger = log.get(__name__)
KIDS = [f"{EVENT} event"]
WAITING = 20
"""Events of one owner that may wait for the one that is on its way; who causes more has to wait himself."""


class Noted(NamedTuple):
    """A reader whose copy says why it comes, in headers (XEP-0131): (name, text)."""

    jid: str
    headers: tuple[tuple[str, str], ...]


Reader = str | Noted
"""An address, bare or full, or one with headers."""


class Event(NamedTuple):
    """``audience`` is asked when the event's turn has come."""

    stanza: Element
    audience: Callable[[], Iterable[Reader]]


class Queue(deque[Event]):
    """``room``: an event has left."""

    def __init__(self) -> None:
        super().__init__()
        self.room = Signal()


class Outbox:
    """``lets``: may that copy of an event leave? None: all may."""

    def __init__(self, router: Router, lets: Callable[[Element], bool] | None = None) -> None:
        self.router, self.lets = router, lets
        self.queues: dict[str, Queue] = {}

    def send(self, stanza: Element) -> None:
        """Delivers it at once. Does not block."""
        if self.lets is None or self.lets(stanza):
            self.router.deliver(stanza)

    def put(self, owner: str, event: Event) -> None:
        """Blocks only while too many events of the owner wait."""
        queue = self.queues.get(owner)
        while queue is not None and len(queue) >= WAITING:
            queue.room.clear()
            xdb.release()
            queue.room.wait()
            queue = self.queues.get(owner)
        if queue is not None:
            queue.append(event)
            return
        queue = self.queues[owner] = Queue()
        queue.append(event)
        gevent.spawn(self._work, owner, queue)

    def _work(self, owner: str, queue: Queue) -> None:
        instances, uplink = self.router.instances, self.router.uplink
        try:
            with xdb.unit():
                while queue:
                    stanza, audience = queue.popleft()
                    queue.room.set()
                    try:
                        copies = Copies(stanza)
                        for reader in fairly(audience()):
                            if not isinstance(reader, str):
                                self.send(with_headers(stanza, reader.headers).copy(to=reader.jid))
                            elif self.lets is None or self.lets(stanza.copy(to=reader)):
                                jid = parse(reader)
                                instances.get(jid.domain, uplink).deliver_copies((copies,), jid)
                    except Exception:
                        logger.exception("an event was not sent to all", owner=owner)
        finally:
            del self.queues[owner]
            queue.room.set()


def attribute(text: str) -> str:
    """As it stands between single quotes."""
    return text.translate(ATTRIBUTE)


def item_xml(item: Item, payload: bool = True, by: str | None = None) -> str:
    """<item/>, to stand in any pubsub namespace. ``by``: whom it names as its publisher, as in `Engine.reply_to`."""
    publisher = item.publisher if by == "publisher" else by
    start = f"<item id='{attribute(item.id)}'"
    if publisher is not None:
        start += f" publisher='{attribute(publisher)}'"
    return f"{start}>{item.payload}</item>" if payload and item.payload else f"{start}/>"


def items_answer(
    request: Element, node: str, items: Iterable[Item], more: Element | None = None, by: str | None = None
) -> Element:
    """The result of a request for items, which are not parsed. ``more``: <set/> of XEP-0059."""
    inner = "".join(item_xml(item, by=by) for item in items)
    set_ = "" if more is None else str(more)
    return _answer(request, f"<items node='{attribute(node)}'>{inner}</items>{set_}")


def published_answer(request: Element, node: str, items: Iterable[Item]) -> Element:
    """The result of publishing: it names the items."""
    inner = "".join(item_xml(item, payload=False) for item in items)
    return _answer(request, f"<publish node='{attribute(node)}'>{inner}</publish>")


def _answer(request: Element, inner: str) -> Element:
    answer = request.reply()
    xml = f"<pubsub xmlns='{NS}'>{inner}</pubsub>"
    return Element.raw(answer.name, answer.ns, answer.attrs, xml.encode(), [f"{NS} pubsub"])


def with_headers(stanza: Element, headers: Iterable[tuple[str, str]]) -> Element:
    """Another one, with XEP-0131 behind what it says."""
    rows = (Element("header", SHIM, text, name=name) for name, text in headers)
    xml = Element("headers", SHIM, *rows).to_bytes(CLIENT)
    kids = [*stanza.kids, f"{SHIM} headers"]
    return Element.raw(stanza.name, stanza.ns, stanza.attrs, stanza.inner + xml, kids)


def _message(owner: str, type: str, inner: str) -> Element:
    attrs = {"from": owner, "type": type, "id": f"{getrandbits(48):012x}"}
    if type == "normal":
        del attrs["type"]
    return Element.raw("message", CLIENT, attrs, inner.encode(), list(KIDS))


def items_event(
    owner: str, node: str, type: str, items: Iterable[Item], payload: bool, by: str | None = None
) -> Element:
    inner = "".join(item_xml(item, payload, by) for item in items)
    xml = f"<items node='{attribute(node)}'>{inner}</items>"
    return _message(owner, type, f"<event xmlns='{EVENT}'>{xml}</event>")


def last_event(owner: str, node: str, type: str, item: Item, payload: bool, by: str | None = None) -> Element:
    """The last item, for one who has just come: it says when it was published."""
    stanza = items_event(owner, node, type, [item], payload, by)
    delay = f"<delay xmlns='{DELAY}' stamp='{utc(item.published)}'/>"
    return Element.raw(
        stanza.name, CLIENT, stanza.attrs, stanza.inner + delay.encode(), [*KIDS, f"{DELAY} delay"]
    )


def retract_event(owner: str, node: str, type: str, ids: Iterable[str]) -> Element:
    inner = "".join(f"<retract id='{attribute(id)}'/>" for id in ids)
    xml = f"<items node='{attribute(node)}'>{inner}</items>"
    return _message(owner, type, f"<event xmlns='{EVENT}'>{xml}</event>")


def node_event(owner: str, node: str, type: str, verb: str, inner: str = "") -> Element:
    """``verb``: create, delete, purge, configuration or collection."""
    return _message(
        owner, type, f"<event xmlns='{EVENT}'><{verb} node='{attribute(node)}'>{inner}</{verb}></event>"
    )


def subscription_event(owner: str, node: str, one: Subscription, state: str | None = None) -> Element:
    """For the subscriber. ``state``: another one than it has."""
    where = f"node='{attribute(node)}' jid='{attribute(one.jid)}' subid='{attribute(one.subid)}'"
    xml = f"<event xmlns='{EVENT}'><subscription {where} subscription='{state or one.state}'/></event>"
    return _message(owner, "headline", xml).copy(to=one.jid)
