"""Which sessions a stanza for a user reaches: RFC 6121 section 8.5, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..hooks import HANDLED
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .session import Session

if TYPE_CHECKING:
    from .host import Host

ABOUT_SUBSCRIPTIONS = frozenset(("subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"))


def deliver(host: Host, stanza: Element) -> None:
    """``stanza`` is for a user's bare or full address; IQs only for a full one. Raises StanzaError."""
    to = stanza.to
    assert to is not None
    user = str(to.bare)
    if host.hooks.call("filter_in", user, stanza) is HANDLED:
        return
    name = stanza.name
    if name == "presence" and host.hooks.call("presence", user, stanza) is HANDLED:
        return
    session = host.sessions.find(to)
    if session is not None and not (name == "presence" and stanza.type in ABOUT_SUBSCRIPTIONS):
        host.pass_on(session, stanza)
    elif name == "message":
        _message(host, user, stanza, to.resource is None)
    elif name == "presence":
        if to.resource is None and stanza.type not in ABOUT_SUBSCRIPTIONS and stanza.type != "error":
            _each(host, host.sessions.available(user), stanza)
    elif stanza.type in ("get", "set"):
        raise StanzaError("service-unavailable")


def _message(host: Host, user: str, stanza: Element, bare: bool) -> None:
    type = stanza.type
    if type == "error":
        return
    if type in ("headline", "groupchat") or (type != "chat" and not bare):
        # 8.5.2.1.1: a headline reaches all who are willing; 8.5.3.2.1: nothing but chat falls back on the bare address
        if type == "headline":
            if bare:
                _each(host, host.sessions.willing(user), stanza)
            return
        raise StanzaError("service-unavailable")
    sessions = host.sessions.best(user)
    if sessions:
        _each(host, sessions, stanza)
    elif not host.users.exists(user) or host.hooks.call("offline", user, stanza) is not HANDLED:
        raise StanzaError("service-unavailable")


def _each(host: Host, sessions: list[Session], stanza: Element) -> None:
    for session in sessions:
        host.pass_on(session, stanza)
