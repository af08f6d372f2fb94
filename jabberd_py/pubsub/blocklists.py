"""Real-time block lists: addresses and domains that other operators have found to be abusive, published as nodes of a pubsub
service.

The host subscribes to each list and reads it. An item's id is a bare address or a domain, or its SHA-256 in hexadecimal.
Whoever is on a list reaches no user of the host who has not put him into the roster. Rooms do not let him in
(muc/blocklisted.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import gevent

from .. import log
from ..hooks import HANDLED, Module, Option, every, list_of, on
from ..xdb import xdb
from ..xmpp import rsm
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.ns import CLIENT
from .names import EVENT, NS

logger = log.get(__name__)
MOST = 200_000
"""Entries of one list; the others are not heeded."""
PAGES = 1000
"""Answers that one list is read in, at most."""
PATIENCE = 60.0


class BlockList(NamedTuple):
    """``jid``: of the pubsub service, or of an account; ``node``: there."""

    jid: str
    node: str


def block_list(text: Any) -> BlockList:
    """ "ADDRESS NODE"."""
    if isinstance(text, BlockList):
        return text
    parts = str(text).split()
    if len(parts) != 2:
        raise ValueError(f"{str(text)[:100]!r} is no block list: write 'pubsub.example.org muc_bans_sha256'")
    return BlockList(str(parse(parts[0])), parts[1])


def spellings(jid: JID) -> tuple[str, ...]:
    """How a list may name that address, or its domain."""
    names = dict.fromkeys((jid.user, jid.domain))
    return (*names, *(hashlib.sha256(each.encode()).hexdigest() for each in names))


class BlockLists(Module):
    """Heeds lists of abusive addresses that others publish."""

    name = "blocklists"
    lists = Option[list[BlockList]](
        list_of(block_list),
        [],
        "block lists to heed, such as 'xmppbl.org muc_bans_sha256': a pubsub service and a node",
    )

    def __init__(self, host: Any, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.entries: dict[BlockList, set[str]] = {}
        self.listening = False

    def lists_it(self, jid: JID) -> bool:
        """Is that address on a list, or its domain? The host's own users never are. Does not block."""
        if not self.entries or jid.domain == self.host.domain:
            return False
        names = spellings(jid)
        return any(not entries.isdisjoint(names) for entries in self.entries.values())

    # -- the lists --------------------------------------------------------------------------------

    @on("start", "reload")
    @every(3600)
    def refresh(self) -> None:
        """Subscribes and reads, each list in a greenlet of its own. A list that cannot be read stays as it was."""
        for gone in set(self.entries) - set(self.lists):
            del self.entries[gone]
        for each in self.lists:
            gevent.spawn(self._refresh, each)
        if self.lists and not self.listening:  # most servers heed none: their messages do without the call
            self.listening = True
            self.host.hooks.add("filter_in", self.turn_away)

    @every(300)
    def try_again(self) -> None:
        """Lists that could not be read yet."""
        for each in self.lists:
            if each not in self.entries:
                gevent.spawn(self._refresh, each)

    def _refresh(self, each: BlockList) -> None:
        with xdb.unit():
            try:
                subscribe = Element("subscribe", NS, node=each.node, jid=self.host.domain)
                self._ask(each, "set", Element("pubsub", NS, subscribe))
                found = self._read(each)
            except (StanzaError, ValueError) as error:
                logger.warning(
                    "a block list cannot be read", service=each.jid, node=each.node, reason=str(error)
                )
                return
            if each in self.lists:
                self.entries[each] = found
                logger.info("a block list was read", service=each.jid, node=each.node, entries=len(found))

    def _read(self, each: BlockList) -> set[str]:
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
            found.update(ids[: MOST - before])
            page = None if pubsub is None else pubsub.child("set", rsm.NS)
            last = None if page is None else page.text_of("last", rsm.NS)
            if not ids or not last or len(found) == before or len(found) >= MOST:
                break
            after = last
        found.discard("")
        return found

    def _ask(self, each: BlockList, type: str, payload: Element) -> Element:
        request = Element("iq", CLIENT, payload, type=type, from_=self.host.domain, to=each.jid)
        answer: Element = self.host.ask(request, PATIENCE)
        if answer.type != "result":
            error = answer.child("error")
            raise StanzaError(
                (error.payload.name if error and error.payload else None) or "undefined-condition"
            )
        return answer

    @on("server", kind="message")
    def changed(self, stanza: Element) -> bool | None:
        """An event of a list. Nobody else's is believed."""
        if not stanza.has("event", EVENT) or stanza.from_ is None:
            return None
        sender, event = str(stanza.from_), stanza.child("event", EVENT)
        known = {each.node: each for each in self.entries if each.jid == sender}
        if not known or event is None:
            return None
        for verb in event.elements():
            each = known.get(verb.attrs.get("node", ""))
            if each is None:
                continue
            entries = self.entries[each]
            if verb.name in ("purge", "delete"):
                entries.clear()
            for item in verb.elements() if verb.name == "items" else ():
                id = item.attrs.get("id", "")
                if item.name == "retract":
                    entries.discard(id)
                elif id and len(entries) < MOST:
                    entries.add(id)
        return HANDLED

    # -- who is on them ---------------------------------------------------------------------------

    def turn_away(self, user: str, stanza: Element) -> bool | None:
        """Event ``filter_in``. A stranger who is listed gets no answer from the account; a contact is the user's own choice."""
        if not self.entries:
            return None
        sender = stanza.from_
        if sender is None or not self.lists_it(sender) or stanza.type == "error":
            return None
        if "roster" in self.host.modules:
            state = self.host["roster"].state(user, sender.user)
            if state.from_ or state.to:
                return None
        if stanza.name == "presence":
            return HANDLED
        raise StanzaError("forbidden", "your address, or your server, is on a block list")
