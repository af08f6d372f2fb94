"""``jabberctl trace``: what goes over the streams of one session, account or domain."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent

from ..arguments import Address
from ..commands import Failed
from ..hooks import command
from ..net.trace import Trace
from ..xmpp.jid import JID

if TYPE_CHECKING:
    from ..server import Server

LOOK = 0.25
"""Seconds between two looks for new streams of other servers and components."""


class Watched(Trace):
    """The trace of one address, with the streams that begin while it runs."""

    def __init__(self, server: Server, jid: JID) -> None:
        super().__init__()
        self.server, self.jid = server, jid
        self.looker: Any = None
        self.hooked: list[list[Callable[..., Any]]] = []

    def __enter__(self) -> Watched:
        host = next((each for each in self.server.hosts if each.domain == self.jid.domain), None)
        if host is None:
            self.only = None if self.jid.node is None else self.jid.user
            self.looker = gevent.spawn(self._look)
            return self
        for session in host.sessions:
            self._session(session)
        for event in ("session", "resumed"):
            handlers = host.hooks.told[event]
            handlers.append(self._session)
            self.hooked.append(handlers)
        return self

    def _session(self, session: Any) -> None:
        jid = self.jid
        if jid.node is not None and (
            session.user != jid.user or jid.resource not in (None, session.jid.resource)
        ):
            return
        client = getattr(session.transport, "client", session.transport)
        stream = getattr(client, "stream", None)
        if stream is not None:
            self.watch(stream, session.full)
            client.send = stream.send  # what it had bound was the class's before

    def _look(self) -> None:
        while self.open:
            uplink = self.server.uplink
            connections = list(uplink.connections) if uplink is not None else []
            for connection in connections:
                stream, remotes = getattr(connection, "stream", None), self._remotes(connection)
                if stream is not None and self.jid.domain in remotes:
                    self.watch(stream, f"{connection.info.get('direction', '')} {self.jid.domain}".strip())
            for each in list(self.server.components.connections):
                if self.jid.domain == getattr(getattr(each, "component", None), "domain", None):
                    self.watch(each.stream, f"component {self.jid.domain}")
            gevent.sleep(LOOK)

    def _remotes(self, connection: Any) -> set[str]:
        return {*connection.remotes, connection.remote}

    def close(self) -> None:
        for handlers in self.hooked:
            if self._session in handlers:
                handlers.remove(self._session)
        self.hooked.clear()
        if self.looker is not None:
            self.looker.kill(block=False)
            self.looker = None
        super().close()


class Tracing:
    """Of a `Server`."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @command("trace", changes=True, live=True)
    def trace(self, jid: Address) -> Watched:
        """Show what goes over the streams of an account, a session, a host, another server or a component: XML without
        passwords and keys. The log keeps who watched."""
        if jid.domain not in self.server.router.instances and self.server.uplink is None:
            raise Failed(f"{jid.domain} is not served here, and there is no federation")
        return Watched(self.server, jid)
