"""XEP-0199: XMPP Ping. Also as an ad-hoc command, which many a client and server has beside it."""

from __future__ import annotations

import time
from typing import Any

from ..adhoc import Dialogue, Values, note
from ..hooks import Module, iq
from ..instance import Instance
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.forms import Form
from ..xmpp.protocols import XEP
from ..xmpp.stamp import utc
from .trust import may_see

NS = ns.PING


class Ping(Module):
    """Answers pings to the server, and pings to an account if the sender may know that it exists."""

    protocols = (XEP(199, "2.0.1", "XMPP Ping"),)
    anywhere = True
    features = (NS,)
    account_features = (NS,)

    def __init__(self, host: Instance, settings: Any = None) -> None:
        super().__init__(host, settings)
        if host.has_users:
            host.dialogues["ping"] = lambda request: Dialogue("Ping", _pong)

    @iq("get", NS, "ping")
    @iq("get", NS, "ping", to="self")
    def pong(self, request: Element) -> None:
        return None

    @iq("get", NS, "ping", to="user")
    def pong_for(self, request: Element) -> None:
        user = str(request.to)
        if not (may_see(self.host, user, request.from_) and self.host.users.exists(user)):
            raise StanzaError("service-unavailable")


def _pong(values: Values) -> list[Element]:
    form = Form("result", "Pong").field("timestamp", "text-single", "Time of the server", utc(time.time()))
    return [note("Pong"), form.element()]
