"""The stanzas of one stream between two servers, in both directions, and how they are counted (XEP-0198)."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

import gevent

from ..net.stream import Stream
from ..outbox import Entry
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError, StreamError, error_reply
from ..xmpp.jid import JID
from ..xmpp.sm import WRAP, answer, count
from ..xmpp.syntax import checked
from .acks import Acks
from .pair import Pair

if TYPE_CHECKING:
    from .uplink import Uplink

LOOK = 0.2
"""Seconds between two looks at what the other side's TCP has acknowledged."""
LONGEST = 300
"""At most so many characters of what the other side says go into the log or into errors for our users."""


class Traffic:
    """
    local, remote   the domains of the stream header
    opened          our stream header is sent
    remotes         all domains that have proven to be at the other end
    pairs           those that may send on this stream
    soon            (local, remote) of pairs that may send here after the other side's next element
    handed          what was sent without stream management: (the place of its end in the stream's bytes, pair, entry)
    held            pairs that wait until the stream is no longer full
    lang            the language of the other side's stanzas that name none
    used            when the last stanza came or went
    """

    def __init__(self, uplink: Uplink, stream: Stream | None) -> None:
        self.uplink = uplink
        self.stream: Any = stream
        self.local = self.remote = ""
        self.opened = self.ended = self.draining = False
        self.remotes: set[str] = set()
        self.pairs: set[Pair] = set()
        self.soon: tuple[tuple[str, str], ...] = ()
        self.held: set[Pair] = set()
        self.sm: Acks | None = None
        self.handed: deque[tuple[int, Pair, Entry]] = deque()
        self.lang: str | None = None
        self.used = time.monotonic()
        self.sent = self.received = 0

    def note(self, event: str, **values: Any) -> None:
        raise NotImplementedError

    # -- in --------------------------------------------------------------------------------------

    def _stanza(self, stanza: Element) -> None:
        """Handles a stanza. A bad one is answered or dropped and counts as handled, because many users share this stream.
        Raises StreamError only for what no user can cause."""
        if not self.remotes:
            raise StreamError("not-authorized")
        attrs = stanza.attrs
        if not attrs.get("from") or not attrs.get("to"):  # no user can make a server leave these out
            raise StreamError("improper-addressing", "a stanza between servers has from and to")
        self.received += 1
        self.used = time.monotonic()
        try:
            sender = stanza.from_
        except ValueError:
            sender = None
        # nobody speaks for others (RFC 6120 section 8.1.2.2), nor for a domain that has become ours
        if (
            sender is None
            or sender.domain not in self.remotes
            or sender.domain in self.uplink.router.instances
        ):
            self.note("a stanza was dropped", remote=self.remote, sender=attrs["from"][:LONGEST],
                      reason="the sender is not on this stream")  # fmt: skip
        else:
            self._take(stanza, sender)
        if self.sm is not None:
            self.sm.handled = (self.sm.handled + 1) % WRAP

    def _take(self, stanza: Element, sender: JID) -> None:
        """Routes the stanza, or answers it."""
        router, attrs = self.uplink.router, stanza.attrs
        try:
            to = stanza.to
        except ValueError:
            self._return(stanza, StanzaError("jid-malformed", "'to' is no address"))
            return
        assert to is not None
        if to.domain not in router.instances:
            self._return(stanza, StanzaError("item-not-found", f"{to.domain} is not here"))
            return
        attrs["from"], attrs["to"] = str(sender), str(to)
        if self.lang is not None:
            attrs.setdefault("xml:lang", self.lang)
        try:
            stanza = checked(stanza)
            self.uplink.damp(sender.domain, stanza)
            router.deliver(stanza)
        except StanzaError as error:
            router.bounce(stanza, error)

    def _return(self, stanza: Element, error: StanzaError) -> None:
        """Sends an error reply from our domain, because the address in ``to`` cannot be its sender."""
        reply = error_reply(stanza, error)
        if reply is not None:
            reply.attrs["from"] = self.local
            self.uplink.router.reply(reply)

    def heard(self) -> None:
        """Called when the pairs of ``soon`` may send."""

    # -- out -------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Sends bytes. Never blocks. Between a restart of the stream and our new header they are dropped: nothing may be
        said."""
        if self.opened:
            self.stream.send(data)

    @property
    def full(self) -> bool:
        """True if no more may be sent here now: too much is not read or not acknowledged yet, or the stream ends or
        restarts."""
        stream, sm = self.stream, self.sm
        if self.ended or stream.closing or not self.opened:
            return True
        o = self.uplink.options
        if sm is not None and (len(sm.queue) >= o.unacknowledged or sm.bytes >= o.queue_size or sm.cautious):
            return True
        if stream.size + len(stream.rest) <= stream.cap // 2:
            return False
        if not self.draining:
            self.draining = True
            gevent.spawn(self._drain)
        return True

    def _drain(self) -> None:
        self.stream.drain()
        self.draining = False
        self._release_held()

    def _release_held(self) -> None:
        held, self.held = self.held, set()
        for pair in held:
            pair.pump()

    def transmit(self, pair: Pair, entry: Entry) -> None:
        self.used = time.monotonic()
        self.sent += 1
        sm = self.sm
        self.stream.send(entry.data)
        if sm is None:
            self.hand(pair, entry)
            return
        sm.add(pair, entry)
        if not sm.asked:
            self.stream.send(sm.ask())

    def hand(self, pair: Pair, entry: Entry) -> None:
        """A stanza was sent without stream management. It counts as delivered when the other side's TCP has acknowledged it:
        what went to a server that had just gone is sent again."""
        stream = self.stream
        self.handed.append((stream.taken + len(stream.rest) + stream.size, pair, entry))
        if len(self.handed) == 1:
            gevent.spawn_later(LOOK, self._look)

    def _look(self) -> None:
        self.settle()
        if self.handed and not self.ended:
            gevent.spawn_later(LOOK, self._look)

    def settle(self) -> None:
        """Looks what the other side's TCP has acknowledged."""
        stream, handed = self.stream, self.handed
        if stream is None:
            return
        acknowledged = stream.taken - stream.unacknowledged()
        while handed and handed[0][0] <= acknowledged:
            _, pair, entry = handed.popleft()
            pair.delivered(entry)

    def hand_back(self) -> None:
        """The stream is over. What is not known to be delivered goes to the next one, but only once: perhaps it was what made
        the other side end the stream."""
        handed, self.handed = self.handed, deque()
        again = Acks()
        for _, pair, entry in handed:
            if entry.suspect:
                pair.delivered(entry)
            else:
                entry.suspect = True
                again.add(pair, entry)
        again.give_back()

    def authorised(self, pair: Pair) -> None:
        """To be called when the other side lets this pair send here."""
        self.pairs.add(pair)
        pair.attach(self)

    # -- stream management -------------------------------------------------------------------------

    def _manage(self, element: Element) -> None:
        sm = self.sm
        if sm is not None and element.name == "r":
            self._answer(sm)
        elif sm is not None and element.name == "a":
            more = sm.acknowledged(count(element))
            sm.asked = False
            if more and sm.queue:
                self.send(sm.ask())
            self._release_held()
        elif not self.manage(element):
            raise StreamError("unsupported-stanza-type")

    def manage(self, element: Element) -> bool:
        """Handles an element that only an initiating or only a receiving server gets. False: it is unknown."""
        return False

    def _answer(self, sm: Acks) -> None:
        """``<a/>`` goes out when all that came before is committed."""
        h, ticket = sm.handled, xdb.newest
        if ticket is None:
            self.send(answer(h))
        else:
            ticket.then(lambda ticket: self.send(answer(h)))
