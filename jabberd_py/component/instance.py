"""The Instance of a component's domain. It exists whether the component is connected or not."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import gevent

from .. import log, outbox
from ..heartbeat import heartbeat
from ..instance import Instance
from ..jsm.worth import lasts, promised
from ..outbox import Entry
from ..router import Router
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from .options import ComponentOptions

if TYPE_CHECKING:
    from .connection import Connection

logger = log.get(__name__)

TAG = 256
"""Bytes that a waiting stanza counts in addition to its own."""
STATE = frozenset(
    (
        "jabber:client show",
        "jabber:client status",
        "jabber:client priority",
        "http://jabber.org/protocol/caps c",
        "vcard-temp:x:update x",
        "urn:xmpp:idle:1 idle",
    )
)
"""A presence whose children are all among these only tells how its sender is. It does nothing else, such as joining a room."""


class Component(Instance):
    """Sends stanzas to the component's stream. While it has none, or does not read, they wait in a bounded queue. The sender
    of a stanza that has waited for longer than ``wait`` gets an error. After ``wait`` without a stream the component is
    *down*: all senders get an error at once.

    connection  its stream, once the secret is proved; None: there is none
    left        when it disconnected, or when we began to wait for it (`time.monotonic`)
    changed_at  when it connected or disconnected (Unix time)
    queue       the entries that wait, oldest first: ``size`` bytes
    last        sender's full address -> the newest entry of that sender in the queue
    """

    category, type = "component", "generic"

    def __init__(self, router: Router, domain: str, options: ComponentOptions) -> None:
        super().__init__(router, domain)
        self.connection: Connection | None = None
        self.slot = 0
        self.down = False
        self.changed_at = time.time()
        self.queue: deque[Entry] = deque()
        self.size = 0
        self.last: dict[str, Entry] = {}
        self.draining = False
        self.trouble = ""
        self.counts = {"sent": 0, "received": 0, "refused": 0, "bounced": 0}
        self.configure(options)
        self.expect()

    def expect(self) -> None:
        """From now on it has ``wait`` to connect."""
        self.left = time.monotonic()
        heartbeat.at(self.left + self.options.wait, self)

    def configure(self, options: ComponentOptions) -> None:
        self.options = options
        self.title = options.name
        self.domains = {self.domain, *options.also}
        self.grants = options

    def shown_on(self, host: str) -> bool:
        return not self.options.hidden and self.options.concerns(host)

    @property
    def connected(self) -> bool:
        return self.connection is not None

    # -- to the component ---------------------------------------------------------------------

    def deliver(self, stanza: Element, to: JID) -> None:
        """Raises StanzaError: remote-server-timeout (it is away), resource-constraint (too much waits)."""
        connection = self.connection
        if connection is None and stanza.name == "presence" and stanza.type in ("probe", "error"):
            return  # when it connects, both sides probe
        if self.down:
            self._refuse(stanza)
            return
        entry, o = Entry(stanza), self.options
        waits = bool(self.queue) or connection is None or not connection.writable
        if waits and self._replaces(entry):
            return
        if waits and (len(self.queue) >= o.queue or self.size + len(entry.data) + TAG > o.queue_size):
            self.counts["bounced"] += 1
            raise StanzaError("resource-constraint", f"too much is waiting for {self.domain} already")
        if promised(stanza, self.router.instances):
            self._keep(entry)
            if self.down:  # since we waited for the writer
                outbox.forget(entry)
                self._refuse(stanza)
                return
        self._enqueue(entry)

    def requeue(self, entry: Entry, to: JID) -> bool:
        self._enqueue(entry)
        return True

    def _refuse(self, stanza: Element) -> None:
        """Raises StanzaError. Broadcast presence is dropped instead. Presence to a full address gets the error: its sender may
        want to enter a room."""
        self.counts["bounced"] += 1
        to_one = stanza.to is not None and stanza.to.resource is not None
        if stanza.name == "presence" and stanza.type in (None, "unavailable") and not to_one:
            return
        raise StanzaError(
            "remote-server-timeout", f"{self.domain} is not connected to this server at present"
        )

    def _replaces(self, entry: Entry) -> bool:
        """If the entry is a presence that only tells how its sender is (`STATE`), and the sender's newest waiting entry is one,
        too, puts it in the place of that. Not if the sender has sent something else in between, so that the order is kept."""
        stanza, attrs = entry.stanza, entry.stanza.attrs
        before = self.last.get(attrs["from"]) if stanza.name == "presence" and stanza.type is None else None
        if before is None or before.stanza.name != "presence" or before.stanza.type is not None:
            return False
        if before.stanza.attrs["to"] != attrs["to"] or not STATE.issuperset(before.stanza.kids):
            return False
        self.size += len(entry.data) - len(before.data)
        before.stanza, before.data = stanza, entry.data
        return True

    def _keep(self, entry: Entry) -> None:
        outbox.keep("component", self.domain, entry, self._unkept)

    def _unkept(self, entry: Entry) -> None:
        """The store could not keep the row. If the stanza still waits, its sender gets an error. If it was sent meanwhile,
        nothing happens."""
        entry.row = 0
        if entry in self.queue:
            self.queue.remove(entry)
            self._removed(entry)
            outbox.refuse(self.router, entry)

    def _enqueue(self, entry: Entry) -> None:
        self.queue.append(entry)
        self.size += len(entry.data) + TAG
        self.last[entry.stanza.attrs["from"]] = entry
        self.pump()
        if self.connection is not None and len(self.queue) == 1:
            heartbeat.at(entry.queued_at + self.options.wait, self)

    def _take(self) -> Entry:
        entry = self.queue.popleft()
        self._removed(entry)
        return entry

    def _removed(self, entry: Entry) -> None:
        self.size -= len(entry.data) + TAG
        sender = entry.stanza.attrs["from"]
        if self.last.get(sender) is entry:
            del self.last[sender]

    def pump(self) -> None:
        """Sends what waits until the stream is full. Sends the rest when the component has read some. Never blocks."""
        connection = self.connection
        if connection is None:
            return
        while self.queue and connection.writable:
            self.counts["sent"] += 1
            connection.send(self._take())
        if self.queue and not self.draining and not connection.stream.closing:
            self.draining = True
            gevent.spawn(self._drain, connection)

    def _drain(self, connection: Connection) -> None:
        connection.stream.drain()
        self.draining = False
        self.pump()

    # -- its stream comes and goes ---------------------------------------------------------------

    def attach(self, connection: Connection) -> None:
        """To be called when the component has proved its secret on this stream, and an older stream is detached."""
        self.connection, self.down, self.changed_at, self.trouble = connection, False, time.time(), ""
        heartbeat.cancel(self)
        self.pump()
        if self.queue:
            heartbeat.at(self.queue[0].queued_at + self.options.wait, self)
        self.tell("component")

    def detach(self, connection: Connection, reason: str, unsent: Iterable[Entry]) -> None:
        """To be called when the stream is over. ``unsent``: what its socket has not taken; it waits in front of all else."""
        before = list(unsent)
        if self.connection is not connection:
            self._bounce(before, False)  # we were removed meanwhile
            return
        self.connection, self.changed_at, self.trouble = None, time.time(), reason
        self.counts["sent"] -= len(before)
        self.queue.extendleft(reversed(before))
        self.size += sum(len(entry.data) + TAG for entry in before)
        self.expect()

    def tell(self, event: str) -> None:
        """Tells a life event at all hosts that this component belongs to."""
        for domain, instance in list(self.router.instances.items()):
            if self.options.concerns(domain) and instance is not self:
                instance.hooks.tell(event, self)

    def due(self, now: float) -> float | None:
        """Called by the timer wheel: sends errors for what has waited for too long."""
        wait = self.options.wait
        late: list[Entry] = []
        if self.connection is None:
            if self.left + wait > now:
                return self.left + wait
            self.down = True
            while self.queue:
                late.append(self._take())
            gevent.spawn(self._bounce, late, True)
            return None
        while self.queue and self.queue[0].queued_at + wait <= now:
            late.append(self._take())
        if late:
            gevent.spawn(self._bounce, late, False)
        return self.queue[0].queued_at + wait if self.queue else None

    def _bounce(self, late: list[Entry], gone: bool) -> None:
        with xdb.unit():
            for entry in late:
                try:
                    self._refuse(entry.stanza)
                except StanzaError as error:
                    self.router.bounce(entry.stanza, error)
                outbox.forget(entry)
            if gone:
                logger.warning("component is away", component=self.domain, bounced=len(late))
                self.tell("component_gone")

    def save(self) -> None:
        """To be called when the server stops: see `outbox.save`."""
        outbox.save(self.router, self.queue, lasts, self._keep)

    def remove(self) -> None:
        """To be called when the component was removed from the configuration. Ends its stream."""
        heartbeat.cancel(self)
        if self.connection is not None:
            self.connection.kick("host-unknown", "no longer configured")
        self.connection, self.down = None, True
        self._bounce([self._take() for _ in range(len(self.queue))], True)

    def info(self) -> dict[str, Any]:
        """A row of ``jabberctl components``."""
        state = "connected" if self.connection is not None else "down" if self.down else "away"
        return {
            "domain": self.domain,
            "state": state,
            "seconds": round(time.time() - self.changed_at),
            "address": self.connection.address if self.connection is not None else self.options.connect,
            "waiting": len(self.queue),
            **self.counts,
            "also": self.options.also,
            "trouble": self.trouble,
        }


class Also(Instance):
    """One more domain of a component."""

    category, type = "component", "generic"

    def __init__(self, component: Component, domain: str) -> None:
        super().__init__(component.router, domain)
        self.component = component
        self.title = component.title

    @property
    def connected(self) -> bool:
        return self.component.connected

    def shown_on(self, host: str) -> bool:
        return self.component.shown_on(host)

    def deliver(self, stanza: Element, to: JID) -> None:
        self.component.deliver(stanza, to)

    def requeue(self, entry: Entry, to: JID) -> bool:
        return self.component.requeue(entry, to)
