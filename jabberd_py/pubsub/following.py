"""Following nodes: the host subscribes to a node of somebody's pubsub service and knows the ids of its items from then on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import gevent

from .. import log
from ..hooks import HANDLED, Module, every, on
from ..xdb import xdb
from ..xmpp import rsm
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from ..xmpp.ns import CLIENT
from .engine import Engine
from .names import EVENT, NS

logger = log.get(__name__)
PAGES = 1000
"""Answers that one node is read in, at most."""
RETRIES = 3
"""A node that changes while it is read is read again, at most so many times."""
PATIENCE = 60.0


class Source(NamedTuple):
    """``jid``: of the pubsub service, or of an account; ``node``: there."""

    jid: str
    node: str


def source(jid: str, node: str) -> Source:
    """Raises ValueError: that is no address."""
    return Source(str(parse(jid)), node)


class Following:
    """``what``: for the log, "a block list"; ``most``: ids of one node, the others are not heeded; ``told`` is called when the
    ids of a node have changed.

    known  node -> its ids, as soon as it was read
    fresh  nodes that have changed since somebody began to read them
    reading  nodes that are being read
    """

    def __init__(self, host: Any, what: str, most: int, told: Callable[[], object] = lambda: None) -> None:
        self.host, self.what, self.most, self.told = host, what, most, told
        self.wanted: Collection[Source] = ()
        self.known: dict[Source, set[str]] = {}
        self.fresh: set[Source] = set()
        self.reading: set[Source] = set()

    def follow(self, wanted: Collection[Source]) -> None:
        """Subscribes to each node and reads it, in a greenlet of its own. A node that cannot be read stays as it was."""
        self.wanted = wanted
        for gone in self.known.keys() - set(wanted):
            del self.known[gone]
        for each in wanted:
            gevent.spawn(self._read_whole, each)

    def try_again(self) -> None:
        """Reads the nodes that could not be read yet."""
        for each in self.wanted:
            if each not in self.known and each not in self.reading:
                gevent.spawn(self._read_whole, each)

    def _read_whole(self, each: Source) -> None:
        self.reading.add(each)
        with xdb.unit():
            try:
                subscribe = Element("subscribe", NS, node=each.node, jid=self.host.domain)
                self._ask(each, "set", Element("pubsub", NS, subscribe))
                for _ in range(RETRIES):
                    self.fresh.discard(each)
                    found = self._read(each)
                    if each not in self.fresh:
                        break
            except (StanzaError, ValueError) as error:
                logger.warning(
                    f"{self.what} cannot be read", service=each.jid, node=each.node, reason=str(error)
                )
                return
            finally:
                self.reading.discard(each)
            if each in self.wanted:
                self.known[each] = found
                logger.info(f"{self.what} was read", service=each.jid, node=each.node, entries=len(found))
                self._warn(each)
                self.told()

    def _warn(self, each: Source) -> None:
        """Whoever owns the node decides. On a service of this server anybody may have made it."""
        service = self.host.router.instances.get(each.jid)
        node = service.nodes(each.jid).get(each.node) if isinstance(service, Engine) else None
        for owner in [] if node is None else node.owners:
            if not self.host.is_admin(parse(owner)):
                logger.warning(f"{self.what} is owned by somebody who does not administer the host",
                               service=each.jid, node=each.node, owner=owner)  # fmt: skip

    def _read(self, each: Source) -> set[str]:
        found: set[str] = set()
        after: str | None = None
        for _ in range(PAGES):
            query = Element("pubsub", NS, Element("items", NS, node=each.node))
            if after is not None:
                query.append(
                    Element("set", rsm.NS, Element("max", rsm.NS, "1000"), Element("after", rsm.NS, after))
                )
            answer = self._ask(each, "get", query)
            pubsub = answer.child("pubsub", NS)
            items = None if pubsub is None else pubsub.child("items", NS)
            ids = [] if items is None else [item.attrs.get("id", "") for item in items.all("item", NS)]
            before = len(found)
            found.update(ids[: self.most - before])
            page = None if pubsub is None else pubsub.child("set", rsm.NS)
            last = None if page is None else page.text_of("last", rsm.NS)
            if not ids or not last or len(found) == before or len(found) >= self.most:
                break
            after = last
        found.discard("")
        return found

    def _ask(self, each: Source, type: str, payload: Element) -> Element:
        request = Element("iq", CLIENT, payload, type=type, from_=self.host.domain, to=each.jid)
        answer: Element = self.host.ask(request, PATIENCE)
        if answer.type != "result":
            error = answer.child("error")
            raise StanzaError(
                (error.payload.name if error and error.payload else None) or "undefined-condition"
            )
        return answer

    def heard(self, stanza: Element) -> bool:
        """A message for the domain. Is it an event of a node that is followed? Nobody else's is believed."""
        if not stanza.has("event", EVENT) or stanza.from_ is None:
            return False
        sender, event = str(stanza.from_), stanza.child("event", EVENT)
        followed = {each.node: each for each in self.wanted if each.jid == sender}
        if not followed or event is None:
            return False
        mine = False
        for verb in event.elements():
            each = followed.get(verb.attrs.get("node", ""))
            if each is not None:
                mine = True
                self.fresh.add(each)
                self._take(verb, self.known.get(each, set()))
        if mine:
            self.told()
        return mine

    def _take(self, verb: Element, ids: set[str]) -> None:
        if verb.name in ("purge", "delete"):
            ids.clear()
        for item in verb.elements() if verb.name == "items" else ():
            id = item.attrs.get("id", "")
            if item.name == "retract":
                ids.discard(id)
            elif id and len(ids) < self.most:
                ids.add(id)


class Follower(Module):
    """What modules that follow nodes have in common."""

    following: Following

    @every(300)
    def try_again(self) -> None:
        """Reads the nodes that could not be read yet."""
        self.following.try_again()

    @on("server", kind="message")
    def changed(self, stanza: Element) -> bool | None:
        """An event of such a node."""
        return HANDLED if self.following.heard(stanza) else None
