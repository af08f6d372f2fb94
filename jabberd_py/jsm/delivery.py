"""Which sessions a stanza for a user reaches: RFC 6121 section 8.5, row by row."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from ..hooks import HANDLED
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from .session import Session
from .worth import ARCHIVED, worth

if TYPE_CHECKING:
    from .host import Host

managed = attrgetter("sm")
ABOUT_SUBSCRIPTIONS = frozenset(("subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"))


def deliver(host: Host, stanza: Element, to: JID) -> None:
    """``stanza`` is for ``to``, a user's bare or full address; IQs only for a full one. Raises StanzaError."""
    user, name = to.user, stanza.name
    for handler in host.hooks.chains["filter_in"][name]:
        if handler(user, stanza) is HANDLED:
            return
    if name == "presence" and host.hooks.call("presence", user, stanza) is HANDLED:
        return
    session = host.sessions.find(to)
    if name == "message":
        _message(host, user, stanza, session, to.resource is None)
    elif session is not None and not (name == "presence" and stanza.type in ABOUT_SUBSCRIPTIONS):
        host.pass_on(session, stanza)
    elif name == "presence":
        if to.resource is None and stanza.type not in ABOUT_SUBSCRIPTIONS and stanza.type != "error":
            for each in host.sessions.available(user):
                host.pass_on(each, stanza)
    elif stanza.type in ("get", "set"):
        raise StanzaError("service-unavailable")


def _message(host: Host, user: str, stanza: Element, session: Session | None, bare: bool) -> None:
    sessions = [session] if session is not None else _fallback(host, user, stanza, bare)
    if sessions is None:
        return
    spool = host.spool
    held = bool(sessions) and spool.held(user, sessions)
    # without stream management a message that was handed to the socket counts as delivered
    acknowledged = spool.offline and any(map(managed, sessions))
    if sessions and not held and spool.wants is None and not acknowledged:
        _give(host, user, stanza, sessions)  # nothing to keep
        return
    value = worth(stanza)
    archived = (
        bool(value & ARCHIVED) and spool.wants is not None and spool.wants(user, str(stanza.from_ or ""))
    )
    if sessions and not (held and value):
        if archived or value and acknowledged:
            stanza = spool.keep(user, stanza, archived)
        _give(host, user, stanza, sessions)
    elif not host.users.exists(user):
        raise StanzaError("service-unavailable")
    elif value and spool.offline:
        spool.store(user, stanza, archived)
        if held:  # the best sessions get it soon, behind what is older
            host.hooks.tell("received", user, stanza, host.sessions.best(user))
        else:
            host.hooks.tell("offline", user, stanza)
    elif value or not stanza.kids or stanza.type == "groupchat":
        raise StanzaError("service-unavailable")
    # what nobody would keep, chat states say, is not missed: RFC 6121 lets it go in silence


def _give(host: Host, user: str, stanza: Element, sessions: list[Session]) -> None:
    for each in sessions:
        host.pass_on(each, stanza)
    host.hooks.tell("received", user, stanza, sessions)


def _fallback(host: Host, user: str, stanza: Element, bare: bool) -> list[Session] | None:
    """Who gets a message that is for no session in particular; None: nobody, and nobody is told."""
    type = stanza.type
    if type == "error":
        return None
    if type == "headline":
        return host.sessions.willing(user) or None if bare else None
    if type == "groupchat" or (type != "chat" and not bare):
        raise StanzaError("service-unavailable")  # 8.5.3.2.1: nothing but chat falls back on the bare address
    return host.sessions.best(user)
