"""XEP-0199: XMPP Ping."""

from __future__ import annotations

from ..hooks import Module, iq
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.protocols import XEP
from .trust import may_see

NS = ns.PING


class Ping(Module):
    """Answers pings to the server, and pings to an account if the sender may know that it exists."""

    protocols = (XEP(199, "2.0.1", "XMPP Ping"),)
    anywhere = True
    features = (NS,)
    account_features = (NS,)

    @iq("get", NS, "ping")
    @iq("get", NS, "ping", to="self")
    def pong(self, request: Element) -> None:
        return None

    @iq("get", NS, "ping", to="user")
    def pong_for(self, request: Element) -> None:
        user = str(request.to)
        if not (may_see(self.host, user, request.from_) and self.host.users.exists(user)):
            raise StanzaError("service-unavailable")
