"""The Instance of a component's domain, there whether the component is or not."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

import gevent

from .. import log
from ..heartbeat import heartbeat
from ..instance import Instance
from ..router import Router
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from .options import ComponentOptions

if TYPE_CHECKING:
    from .link import Link

logger = log.get(__name__)

TAG = 256
"""Bytes that a start tag and the bookkeeping of a waiting stanza count for."""


class Waiting:
    """A stanza in the queue. ``since`` is `time.monotonic`."""

    __slots__ = ("stanza", "since", "key")

    def __init__(self, stanza: Element, since: float, key: tuple[str, str] | None) -> None:
        self.stanza, self.since, self.key = stanza, since, key


class Component(Instance):
    """Stanzas go to the component's stream. While it is away, or does not read, they wait in a bounded queue; what
    waits too long comes back, as does everything while it is away for longer than that (*down*)."""

    category, type = "component", "generic"

    def __init__(self, router: Router, domain: str, options: ComponentOptions) -> None:
        super().__init__(router, domain)
        self.link: Link | None = None
        self.slot = 0
        self.down = False
        self.left = time.monotonic()
        self.since = time.time()
        self.queue: deque[Waiting] = deque()
        self.size = 0
        self.latest: dict[tuple[str, str], Waiting] = {}
        self.pumping = False
        self.trouble = ""
        self.counts = {"sent": 0, "received": 0, "bounced": 0}
        self.configure(options)
        heartbeat.at(self.left + options.wait, self)

    def configure(self, options: ComponentOptions) -> None:
        self.options = options
        self.title = options.name
        self.domains = {self.domain, *options.also}
        self.grants = options

    def shown_on(self, host: str) -> bool:
        return not self.options.hidden and self.options.concerns(host)

    @property
    def connected(self) -> bool:
        return self.link is not None

    # -- to the component ---------------------------------------------------------------------

    def deliver(self, stanza: Element, to: JID) -> None:
        """Raises StanzaError: remote-server-timeout (it is away), resource-constraint (too much waits)."""
        link = self.link
        if link is not None and not self.queue and link.room:
            link.send(stanza)
            self.counts["sent"] += 1
        elif stanza.name == "presence" and link is None and stanza.type in ("probe", "error"):
            pass  # it will ask, and be asked, when it is back
        elif self.down:
            self._refuse(stanza)
        else:
            self._enqueue(stanza)

    def _refuse(self, stanza: Element) -> None:
        self.counts["bounced"] += 1
        if stanza.name == "presence" and (stanza.to is None or stanza.to.resource is None):
            return  # a broadcast; who enters a room learns that it is closed
        raise StanzaError(
            "remote-server-timeout", f"{self.domain} is not connected to this server at present"
        )

    def _enqueue(self, stanza: Element) -> None:
        now = time.monotonic()
        key = None
        if stanza.name == "presence" and stanza.type in (None, "unavailable"):
            key = (stanza.attrs.get("from", ""), stanza.attrs.get("to", ""))
            earlier = self.latest.get(key)
            if earlier is not None:  # only the last one matters
                self.size += len(stanza.inner) - len(earlier.stanza.inner)
                earlier.stanza = stanza
                return
        size = len(stanza.inner) + TAG
        if len(self.queue) >= self.options.queue or self.size + size > self.options.queue_size:
            self.counts["bounced"] += 1
            raise StanzaError("resource-constraint", f"too much is waiting for {self.domain} already")
        waiting = Waiting(stanza, now, key)
        self.queue.append(waiting)
        self.size += size
        if key is not None:
            self.latest[key] = waiting
        if self.link is not None:
            self._pump()
            if len(self.queue) == 1:
                heartbeat.at(now + self.options.wait, self)

    def _take(self) -> Element:
        waiting = self.queue.popleft()
        self.size -= len(waiting.stanza.inner) + TAG
        if waiting.key is not None:
            del self.latest[waiting.key]
        return waiting.stanza

    def _pump(self) -> None:
        """Sends what waits as the component reads, in a greenlet that lives as long as something does."""
        if not self.pumping:
            self.pumping = True
            gevent.spawn(self._run_pump)

    def _run_pump(self) -> None:
        try:
            while self.queue and self.link is not None:
                link = self.link
                link.stream.drain()
                while self.queue and self.link is link and link.room:
                    link.send(self._take())
                    self.counts["sent"] += 1
                if link.stream.closing and self.link is link:
                    return  # the next stream takes the rest
        finally:
            self.pumping = False

    # -- its stream comes and goes ---------------------------------------------------------------

    def joined(self, link: Link) -> None:
        """The component has proved its secret; an older stream must have left."""
        self.link, self.down, self.since, self.trouble = link, False, time.time(), ""
        heartbeat.cancel(self)
        if self.queue:
            heartbeat.at(self.queue[0].since + self.options.wait, self)
            self._pump()
        self.tell("component")

    def lost(self, link: Link, reason: str) -> None:
        if self.link is not link:
            return
        self.link, self.left, self.since, self.trouble = None, time.monotonic(), time.time(), reason
        heartbeat.at(self.left + self.options.wait, self)

    def tell(self, event: str) -> None:
        """A life event, told at all hosts that this component is of."""
        for domain, instance in list(self.router.instances.items()):
            if self.options.concerns(domain) and instance is not self:
                instance.hooks.tell(event, self)

    def due(self, now: float) -> float | None:
        """Of the timer wheel: what has waited for too long comes back."""
        wait = self.options.wait
        late: list[Element] = []
        if self.link is None:
            if self.left + wait > now:
                return self.left + wait
            self.down = True
            while self.queue:
                late.append(self._take())
            gevent.spawn(self._fell, late, True)
            return None
        while self.queue and self.queue[0].since + wait <= now:
            late.append(self._take())
        if late:
            gevent.spawn(self._fell, late, False)
        return self.queue[0].since + wait if self.queue else None

    def _fell(self, late: list[Element], gone: bool) -> None:
        with xdb.unit():
            for stanza in late:
                try:
                    self._refuse(stanza)
                except StanzaError as error:
                    self.router.bounce(stanza, error)
            if gone:
                logger.warning("component is away", component=self.domain, bounced=len(late))
                self.tell("component_gone")

    def remove(self) -> None:
        """The configuration knows it no more."""
        heartbeat.cancel(self)
        if self.link is not None:
            self.link.kick("host-unknown", "no longer configured")
        self.link, self.down = None, True
        self._fell([self._take() for _ in range(len(self.queue))], True)

    def info(self) -> dict[str, Any]:
        """A row of ``jabberctl components``."""
        state = "connected" if self.link is not None else "down" if self.down else "away"
        return {
            "domain": self.domain,
            "state": state,
            "seconds": round(time.time() - self.since),
            "address": self.link.address if self.link is not None else self.options.connect,
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
