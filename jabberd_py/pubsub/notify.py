"""Events: what subscribers are told (XEP-0060 sections 7.1.2 and 12.2).

An event is serialised once. Each owner's events leave one behind the other; a long fan-out goes in turns with what others do.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

import gevent
from gevent.event import Event as Signal

from .. import log
from ..net.turns import fairly
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.ns import CLIENT, DELAY
from ..xmpp.serialise import ATTRIBUTE
from ..xmpp.stamp import utc
from .names import EVENT, NS
from .store import Item

logger = log.get(__name__)
KIDS = [f"{EVENT} event"]
WAITING = 20
"""Events of one owner that may wait for the one that is on its way; who causes more has to wait himself."""


class Event(NamedTuple):
    """``audience`` is asked when the event's turn has come."""

    stanza: Element
    audience: Callable[[], Iterable[str]]


class Queue(deque[Event]):
    """``room``: an event has left."""

    def __init__(self) -> None:
        super().__init__()
        self.room = Signal()


class Outbox:
    """``send`` takes one copy of an event to its address."""

    def __init__(self, send: Callable[[Element], None]) -> None:
        self.send = send
        self.queues: dict[str, Queue] = {}

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
        try:
            with xdb.unit():
                while queue:
                    stanza, audience = queue.popleft()
                    queue.room.set()
                    try:
                        for address in fairly(audience()):
                            self.send(stanza.copy(to=address))
                    except Exception:
                        logger.exception("an event was not sent to all", owner=owner)
        finally:
            del self.queues[owner]
            queue.room.set()


def attribute(text: str) -> str:
    """As it stands between single quotes."""
    return text.translate(ATTRIBUTE)


def item_xml(item: Item, payload: bool = True) -> str:
    """<item/>, to stand in any pubsub namespace."""
    if not payload or not item.payload:
        return f"<item id='{attribute(item.id)}'/>"
    return f"<item id='{attribute(item.id)}'>{item.payload}</item>"


def items_answer(request: Element, node: str, items: Iterable[Item], more: Element | None = None) -> Element:
    """The result of a request for items, which are not parsed. ``more``: <set/> of XEP-0059."""
    inner = "".join(item_xml(item) for item in items)
    set_ = "" if more is None else str(more)
    xml = f"<pubsub xmlns='{NS}'><items node='{attribute(node)}'>{inner}</items>{set_}</pubsub>"
    answer = request.reply()
    return Element.raw(answer.name, answer.ns, answer.attrs, xml.encode(), [f"{NS} pubsub"])


def _message(owner: str, type: str, inner: str) -> Element:
    attrs = {"from": owner, "type": type, "id": secrets.token_hex(6)}
    if type == "normal":
        del attrs["type"]
    return Element.raw("message", CLIENT, attrs, inner.encode(), list(KIDS))


def items_event(owner: str, node: str, type: str, items: Iterable[Item], payload: bool) -> Element:
    inner = "".join(item_xml(item, payload) for item in items)
    xml = f"<items node='{attribute(node)}'>{inner}</items>"
    return _message(owner, type, f"<event xmlns='{EVENT}'>{xml}</event>")


def last_event(owner: str, node: str, type: str, item: Item, payload: bool) -> Element:
    """The last item, for one who has just come: it says when it was published."""
    stanza = items_event(owner, node, type, [item], payload)
    delay = f"<delay xmlns='{DELAY}' stamp='{utc(item.published)}'/>"
    return Element.raw(
        stanza.name, CLIENT, stanza.attrs, stanza.inner + delay.encode(), [*KIDS, f"{DELAY} delay"]
    )


def retract_event(owner: str, node: str, type: str, ids: Iterable[str]) -> Element:
    inner = "".join(f"<retract id='{attribute(id)}'/>" for id in ids)
    xml = f"<items node='{attribute(node)}'>{inner}</items>"
    return _message(owner, type, f"<event xmlns='{EVENT}'>{xml}</event>")


def node_event(owner: str, node: str, type: str, verb: str, inner: str = "") -> Element:
    """``verb``: delete, purge or configuration."""
    return _message(
        owner, type, f"<event xmlns='{EVENT}'><{verb} node='{attribute(node)}'>{inner}</{verb}></event>"
    )


def subscription_event(owner: str, node: str, jid: str, state: str) -> Element:
    where = f"node='{attribute(node)}' jid='{attribute(jid)}'"
    xml = f"<event xmlns='{EVENT}'><subscription {where} subscription='{state}'/></event>"
    return _message(owner, "headline", xml).copy(to=jid)
