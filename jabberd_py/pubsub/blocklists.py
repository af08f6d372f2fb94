"""Real-time block lists: addresses and domains that other operators have found to be abusive, published as nodes of a pubsub
service.

The host subscribes to each list and reads it. An item's id is a bare address or a domain, or its SHA-256 in hexadecimal.
Whoever is on a list reaches no user of the host who has not put him into the roster. Rooms do not let him in
(muc/blocklisted.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ..hooks import HANDLED, Option, every, list_of, on
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from .following import Follower, Following, Source, source

MOST = 200_000
"""Entries of one list; the others are not heeded."""


def block_list(text: Any) -> Source:
    """ "ADDRESS NODE"."""
    if isinstance(text, Source):
        return text
    parts = str(text).split()
    if len(parts) != 2:
        raise ValueError(f"{str(text)[:100]!r} is no block list: write 'pubsub.example.org muc_bans_sha256'")
    return source(*parts)


def spellings(jid: JID) -> tuple[str, ...]:
    """How a list may name that address, or its domain."""
    names = dict.fromkeys((jid.user, jid.domain))
    return (*names, *(hashlib.sha256(each.encode()).hexdigest() for each in names))


class BlockLists(Follower):
    """Heeds lists of abusive addresses that others publish."""

    name = "blocklists"
    lists = Option[list[Source]](
        list_of(block_list),
        [],
        "block lists to heed, such as 'xmppbl.org muc_bans_sha256': a pubsub service and a node",
    )

    streams = Option(
        bool,
        False,
        "refuse streams with a server whose domain is on a list, so that its users reach nobody, not even contacts",
    )

    def __init__(self, host: Any, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.following = Following(host, "a block list", MOST)
        self.listening = False

    def lists_it(self, jid: JID) -> bool:
        """Is that address on a list, or its domain? The host's own users never are. Does not block."""
        known = self.following.known
        if not known or jid.domain == self.host.domain:
            return False
        names = spellings(jid)
        return any(not entries.isdisjoint(names) for entries in known.values())

    def shuns(self, remote: str) -> bool:
        """Does the host refuse streams with that server?"""
        return self.streams and self.lists_it(parse(remote))

    # -- the lists --------------------------------------------------------------------------------

    @on("start", "reload")
    @every(3600)
    def refresh(self) -> None:
        """Subscribes and reads, each list in a greenlet of its own. A list that cannot be read stays as it was."""
        self.following.follow(self.lists)
        if self.lists and not self.listening:  # most servers heed none: their messages do without the call
            self.listening = True
            self.host.hooks.add("filter_in", self.turn_away)

    # -- who is on them ---------------------------------------------------------------------------

    def turn_away(self, user: str, stanza: Element) -> bool | None:
        """Event ``filter_in``. A stranger who is listed gets no answer from the account; a contact is the user's own choice."""
        if not self.following.known:
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
