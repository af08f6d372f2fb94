"""All components of the server: where they connect, and where we connect to them."""

from __future__ import annotations

import _socket
import random
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import gevent

from .. import log
from ..net.accept import Ports, Wanted
from ..net.karma import Karma, neighbourhood
from ..options import OptionError
from ..router import Router
from ..xmpp.parser import Limits
from .connection import Connection
from .instance import Also, Component
from .options import ComponentOptions, ListenerOptions

logger = log.get(__name__)

CONNECT = 10.0
"""Seconds that a connection to a component may take to be made."""
FIRST = 1.0
"""Seconds before the second try; each further wait is twice as long."""

SKIP = 4
"""A stanza above the limit gets an error, and the stream goes on. A stanza so many times as large as the limit ends it."""


class Conflict(OptionError):
    """``component`` is the domain whose option is wrong."""

    def __init__(self, component: str, option: str, message: str) -> None:
        super().__init__(option, message)
        self.component = component


class Components:
    """
    known        main domain -> its component
    connections  every stream, proved or not
    connecting   main domain -> the greenlet that connects to that component
    strangers    streams that have not proved their secret
    """

    def __init__(self, router: Router) -> None:
        self.router = router
        self.known: dict[str, Component] = {}
        self.connections: set[Connection] = set()
        self.ports = Ports()
        self.connecting: dict[str, gevent.Greenlet] = {}
        self.strangers = 0
        self.notes = Karma(0.2, 30)  # lines of the log about refused stanzas, by component
        self.karma = Karma(0.1, 1)
        self.running = False

    def check(self, components: Mapping[str, ComponentOptions], hosts: Mapping[str, object]) -> None:
        """Checks a configuration. Raises Conflict."""
        taken = {*hosts, *components}
        delegated: set[tuple[str, str]] = set()
        for domain, options in components.items():
            try:
                options.check()
            except OptionError as error:
                raise Conflict(domain, error.option, str(error)) from None
            for other in options.also:
                if other in taken:
                    raise Conflict(domain, "also", f"{other} is taken")
                taken.add(other)
            for host in options.hosts:
                if host not in hosts:
                    raise Conflict(domain, "hosts", f"{host} is not among the hosts")
            for key in [(host, each) for host in options.hosts or hosts for each in options.delegate]:
                if key in delegated:
                    raise Conflict(domain, "delegate", f"{key[1]} is delegated to another component already")
                delegated.add(key)

    def prepare(
        self,
        options: ListenerOptions,
        components: Mapping[str, ComponentOptions],
        hosts: Mapping[str, object],
        undo: ExitStack,
    ) -> Callable[[], None]:
        """The first step of a change, see `Ports`: a port is taken if some component is to be waited for. Raises OptionError.
        Returns the second step."""
        self.check(components, hosts)
        awaited = any(each.connect is None for each in components.values())
        addresses = options.address if awaited and options.port is not None else []
        listen = self.ports.prepare(
            (Wanted("component", each, options.port or 0, "port", self._serve) for each in addresses), undo
        )

        def switch() -> None:
            self.options = options
            self.limits = Limits(
                options.max_stanza,
                options.max_depth,
                options.max_attributes,
                SKIP * options.max_stanza,
                options.max_elements,
            )
            self.karma.limit(0.1, options.failures)
            listen()

        return switch

    def configure(self, components: Mapping[str, ComponentOptions]) -> None:
        """Adds, removes and changes components; `check` must have accepted them. A new secret counts for the next
        connection."""
        for domain in [each for each in self.known if each not in components]:
            self._remove(domain)
        for domain, options in components.items():
            component = self.known.get(domain)
            if component is None:
                component = self.known[domain] = Component(self.router, domain, options)
                self.router.add(component)
                self._also(component, [], options.also)
                continue
            before = component.options
            self._also(component, before.also, options.also)
            component.configure(options)
            if before.connect != options.connect:
                self._hang_up(domain)
                if component.connection is not None:
                    component.connection.kick("reset", "the configuration has changed")
            if component.connection is not None and before.settings != options.settings:
                component.tell("component")  # the grants may be others
        if self.running:
            self._call()

    def _also(self, component: Component, before: list[str], now: list[str]) -> None:
        for each in before:
            if each not in now:
                self.router.remove(each)
        for each in now:
            if each not in before:
                self.router.add(Also(component, each))

    def _remove(self, domain: str) -> None:
        component = self.known.pop(domain)
        self._hang_up(domain)
        for each in component.domains:
            self.router.remove(each)
        component.remove()

    def start(self) -> None:
        self.running = True
        for component in self.known.values():
            component.expect()
        self.ports.start()
        self._call()

    def stop(self) -> None:
        """No new connections; streams end with ``system-shutdown``."""
        self.running = False
        self.close()
        for domain in list(self.connecting):
            self._hang_up(domain)
        for connection in list(self.connections):
            connection.kick("system-shutdown")

    def save(self) -> None:
        """To be called after `stop`: keeps what waits for the next process."""
        for component in self.known.values():
            component.save()

    def close(self) -> None:
        self.ports.close()

    # -- they connect ------------------------------------------------------------------------------

    def _serve(self, sock: socket.socket, address: str) -> None:
        if self.strangers >= self.options.strangers:
            return  # closed without a word
        self.strangers += 1
        connection = Connection(self, sock, address)
        self.connections.add(connection)
        try:
            connection.run()
        finally:
            self.connections.discard(connection)
            if not connection.proved:
                self.strangers -= 1

    def proved(self, connection: Connection) -> None:
        """Counts the stream among the strangers no longer."""
        if not connection.ours:
            self.strangers -= 1

    def trusts(self, address: str, domain: str) -> bool:
        return self.karma.left((neighbourhood(address), domain)) >= 1

    def distrust(self, address: str, domain: str) -> None:
        """A wrong secret."""
        self.karma.spend((neighbourhood(address), domain))

    # -- we connect ----------------------------------------------------------------------------------

    def _call(self) -> None:
        for domain, component in self.known.items():
            if component.options.connect is not None and domain not in self.connecting:
                self.connecting[domain] = gevent.spawn(self._keep_calling, component)

    def _hang_up(self, domain: str) -> None:
        """Ends the attempts to connect. A stream that is up is not touched."""
        self.connecting.pop(domain, None)

    def _calls(self, component: Component) -> bool:
        return self.connecting.get(component.domain) is gevent.getcurrent()

    def _keep_calling(self, component: Component) -> None:
        """Connects again and again. The pauses grow, until a stream has lasted for ``retry`` seconds."""
        pause = FIRST
        while self._calls(component):
            began = time.monotonic()
            reason = self._once(component)
            component.trouble = component.trouble or reason
            if time.monotonic() - began > self.options.retry:
                pause = FIRST
            gevent.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(2 * pause, self.options.retry)

    def _once(self, component: Component) -> str:
        """Serves one connection from its beginning to its end. Blocks. Returns why it ended, for a person."""
        assert component.options.connect is not None
        host, _, port = component.options.connect.rpartition(":")
        try:
            made = socket.create_connection((host.strip("[]"), int(port)), CONNECT)
        except OSError as error:
            component.trouble = reason = f"cannot connect: {error.strerror or error}"
            return reason
        # _socket's own class, as in net/accept.py: the stream has watchers of its own
        sock: Any = _socket.socket(fileno=made.detach())
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self, sock, component.options.connect, component)
        self.connections.add(connection)
        try:
            component.trouble = reason = connection.run()
            return reason
        finally:
            self.connections.discard(connection)

    def rows(self) -> list[dict[str, object]]:
        return [component.info() for _, component in sorted(self.known.items())]
