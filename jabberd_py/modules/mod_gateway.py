"""XEP-0100: Gateway Interaction: contacts of a gateway come and go with its component."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent

from ..hooks import Module, on
from ..jsm.session import Session
from ..net.turns import fairly
from ..xmpp.element import Element
from ..xmpp.jid import parse
from ..xmpp.ns import CLIENT
from ..xmpp.protocols import XEP


class Gateway(Module):
    """When a component connects, asks it for the presence of the users' contacts there. When it has been away for longer than
    stanzas wait for it, shows these contacts offline."""

    protocols = (XEP(100, "1.0", "Gateway Interaction", missing="registration, prompts (the gateway does)"),)
    needs = ("roster", "presence")

    @on("component")
    def back(self, component: Any) -> None:
        gevent.spawn(self._probe, component)

    @on("component_gone")
    def gone(self, component: Any) -> None:
        gevent.spawn(self._hide, component)

    def _probe(self, component: Any) -> None:
        for session, jid in self._contacts(component):
            probe = Element("presence", CLIENT, from_=session.full, to=jid, type="probe")
            if self.host.lets_out(session, probe):
                self.host.router.deliver(probe)

    def _hide(self, component: Any) -> None:
        for session, jid in self._contacts(component):
            if self.host.sessions.available(session.user)[:1] == [session]:  # once for each user
                presence = Element("presence", CLIENT, from_=jid, to=session.user, type="unavailable")
                self.host.router.deliver(presence)

    def _contacts(self, component: Any) -> Iterator[tuple[Session, str]]:
        """(session, contact at that component) for all sessions and all contacts whose presence their users see."""
        for session in fairly(self.host.sessions):
            for jid in fairly(self.host["roster"].subscriptions(session.user)):
                if session.presence is not None and parse(jid).domain in component.domains:
                    yield session, jid
