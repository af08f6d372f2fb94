"""Events: what subscribers are told (XEP-0060 sections 7.1.2 and 12.2).

An event is serialised once. Each node's events leave one behind the other, in turns with what others do; each reader gets
all that waits for him at once (`Fan`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from random import getrandbits
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary
from zlib import crc32

from ..fanout import PLAIN, Copies, Fan, Variant
from ..net.turns import fairly
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.jid import JID
from ..xmpp.ns import CLIENT, DELAY
from ..xmpp.serialise import ATTRIBUTE
from ..xmpp.stamp import utc
from .names import EVENT, NS, SHIM
from .options import Subscription
from .store import Item, Node

if TYPE_CHECKING:
    from ..router import Router

KIDS = [f"{EVENT} event"]
PUBSUB = f"{NS} pubsub"
LANES = 8
"""The nodes that one address has made share so many `Fan`s: they take no more than that of the memory, and of the turns."""
Headers = tuple[tuple[str, str], ...]
"""Why a copy comes (XEP-0131): (name, text) of each header."""
Readers = tuple[Headers, Sequence[JID]]
"""Those whose copies have the same headers, most often none. Nobody changes the addresses any more."""


class Event(NamedTuple):
    """``weight``: about how many hear of it; ``audience`` tells, and is asked when the event's turn has come."""

    stanza: Element
    weight: int
    audience: Callable[[], Iterable[Readers]]


class Outbox:
    """``lets``: may that copy of an event leave? None: all may. ``fans``: (owner, creator, lane) -> what sends the events of
    those nodes; it is there while some wait. So a node with many subscribers holds up no other creator's."""

    def __init__(self, router: Router, lets: Callable[[Element], bool] | None = None) -> None:
        self.router, self.lets = router, lets
        self.fans = WeakValueDictionary[tuple[str, str, int], Fan]()

    def send(self, stanza: Element) -> None:
        """Delivers it at once. Does not block."""
        if self.lets is None or self.lets(stanza):
            self.router.deliver(stanza)

    def put(self, owner: str, node: Node, event: Event) -> None:
        """Blocks only while too much waits of what subscribers of this node are told, or of those that share its lane."""
        key = owner, node.creator, crc32(node.name.encode()) % LANES
        fan = self.fans.get(key)
        if fan is None:
            fan = self.fans[key] = Fan(self.router)
        elif fan.busy:
            xdb.release()
            fan.wait()
        fan.later(event.weight, self._variants(event), len(event.stanza.inner))

    def _variants(self, event: Event) -> Iterator[Variant]:
        stanza, copies = event.stanza, Copies(event.stanza)
        for headers, readers in event.audience():
            if self.lets is not None:
                readers = self._let(stanza, readers)
            yield with_headers(stanza, headers) if headers else copies, readers

    def _let(self, stanza: Element, readers: Iterable[JID]) -> list[JID]:
        assert self.lets is not None
        let, copy = list[JID](), stanza.copy()
        for jid in fairly(readers):
            copy.attrs["to"] = jid.full
            if self.lets(copy):
                let.append(jid)
        return let


def attribute(text: str) -> str:
    """As it stands between single quotes."""
    return text if PLAIN(text) else text.translate(ATTRIBUTE)


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
    inner = "".join([f"<item id='{attribute(item.id)}'/>" for item in items])
    return _answer(request, f"<publish node='{attribute(node)}'>{inner}</publish>")


def _answer(request: Element, inner: str) -> Element:
    xml = f"<pubsub xmlns='{NS}'>{inner}</pubsub>"
    return Element.raw("iq", CLIENT, request.reply_attrs(), xml.encode(), [PUBSUB])


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
