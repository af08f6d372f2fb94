"""Which sessions a stanza for a user reaches: RFC 6121 section 8.5, row by row."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..archive.stamps import STAMPS, genuine, may_speak
from ..hooks import HANDLED
from ..net.turns import fairly
from ..router import unexpected
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from ..xmpp.large import unfold
from .session import Session
from .worth import ARCHIVED, missed, worth

if TYPE_CHECKING:
    from ..fanout import Copies
    from .host import Host

Handler = Callable[[Any, Element], Any]
managed = attrgetter("sm")
ABOUT_SUBSCRIPTIONS = frozenset(("subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"))


def deliver(host: Host, stanza: Element, to: JID) -> None:
    """``stanza`` is for ``to``, a user's bare or full address; IQs only for a full one. Raises StanzaError."""
    user, name = to.user, stanza.name
    if not STAMPS.isdisjoint(stanza.kids) and may_speak(stanza):
        unfold(stanza, fairly)
        given, stanza = stanza, genuine(stanza, user)
        if stanza is not given:
            stanza.serialise(fairly)
    for handler in host.hooks.chains["filter_in"][name]:
        if handler(user, stanza) is HANDLED:
            return
    if name == "presence" and host.hooks.call("presence", user, stanza) is HANDLED:
        return
    session = host.sessions.find(to)
    if name == "message":
        _message(host, user, stanza, session, to.resource is None)
    elif session is not None and not (name == "presence" and stanza.type in ABOUT_SUBSCRIPTIONS):
        host.deliver_to(session, stanza)
    elif name == "presence":
        if to.resource is None and stanza.type not in ABOUT_SUBSCRIPTIONS and stanza.type != "error":
            for each in host.sessions.available(user):
                host.deliver_to(each, stanza)
    elif stanza.type in ("get", "set"):
        raise StanzaError("service-unavailable")


def deliver_presence(host: Host, copies: Copies, to: JID) -> None:
    """`Host.deliver_presence`. The same as `deliver` for a presence to a bare address, with all calls written out: presence is
    what most deliveries are. All contacts share one Element, until a handler stops it."""
    if copies.noted[0] is not host:
        copies.noted = _noted(host, copies)
    _, plain, filter_in, presence, in_ = copies.noted
    if to.resource is not None or to.node is None or not plain:
        host.router.deliver(copies.element(to.full))
        return
    user, copy = to.user, copies.shared
    copy.attrs["to"] = user
    try:
        for handler in filter_in:
            if handler(user, copy) is HANDLED:
                return
        for handler in presence:
            if handler(user, copy) is HANDLED:
                copies.part()
                return
        mine = host.sessions.users.get(user)
        if mine is None:
            return
        data = copies.start + user.encode() + copies.rest  # nothing in a bare address needs quoting
        for session in list(mine.values()):
            if session.presence is None:
                continue
            for handler in in_:
                if handler(session, copy) is HANDLED:
                    copies.part()
                    break
            else:
                if session.sm is None:
                    session.transport.send(data)
                else:
                    session.sm.push(copy, data)
    except Exception as error:
        copies.part()
        host.router.bounce(copy, error if isinstance(error, StanzaError) else unexpected(error))


def _noted(host: Host, copies: Copies) -> tuple[Host, bool, list[Handler], list[Handler], list[Handler]]:
    """What all copies have in common at that host: may they go the short way, and the handlers that they meet there."""
    chains = host.hooks.chains
    plain = not chains["deliver"]["presence"] and not may_speak(copies.shared)
    return (
        host,
        plain,
        chains["filter_in"]["presence"],
        chains["presence"]["presence"],
        chains["in"]["presence"],
    )


def _message(host: Host, user: str, stanza: Element, session: Session | None, bare: bool) -> None:
    sessions = [session] if session is not None else _fallback(host, user, stanza, bare)
    if sessions is None:
        return
    spool = host.spool
    held = bool(sessions) and spool.held(user, stanza, sessions)
    # without stream management a message that was handed to the socket counts as delivered
    acknowledged = any(map(managed, sessions))
    if sessions and not held and spool.wants is None and not acknowledged:
        spool.give(user, stanza, sessions)  # nothing to keep
        host.hooks.tell("received", user, stanza, sessions)
        return
    value = worth(stanza, of_room=bare)
    archived = (
        bool(value & ARCHIVED) and spool.wants is not None and spool.wants(user, str(stanza.from_ or ""))
    )
    if sessions and not (held and value):
        if archived or value and acknowledged and spool.offline:
            stanza = spool.deliver(user, stanza, archived, sessions)
        else:
            if acknowledged and missed(stanza) and stanza.type != "groupchat":
                stanza = spool.watch(user, stanza)
            spool.give(user, stanza, sessions)
        host.hooks.tell("received", user, stanza, sessions)
    elif not missed(stanza):
        return  # silence, whether there is such an account or not
    elif not host.users.exists(user):
        raise StanzaError("service-unavailable")
    elif value and spool.offline:
        spool.store(user, stanza, archived)
        if held:  # the best sessions get it soon, behind what is older
            host.hooks.tell("received", user, stanza, host.takers(user, stanza))
        else:
            host.hooks.tell("offline", user, stanza)
    else:
        raise StanzaError("service-unavailable")


def _fallback(host: Host, user: str, stanza: Element, bare: bool) -> list[Session] | None:
    """Who gets a message that is for no session in particular; None: nobody, and nobody is told."""
    type = stanza.type
    if type == "error":
        return None
    if type == "headline":
        willing = host.sessions.willing(user) if bare else []
        return [session for session in willing if host.permits(session, stanza)] or None
    if type == "groupchat" and bare and _member(host, user, stanza.from_):
        return host.takers(user, stanza)
    if type == "groupchat" or (type != "chat" and not bare):
        raise StanzaError("service-unavailable")  # 8.5.3.2.1: nothing but chat falls back on the bare address
    return host.takers(user, stanza)


def _member(host: Host, user: str, sender: JID | None) -> bool:
    """Does the user want messages of that room while away?"""
    return host.member is not None and sender is not None and host.member(user, sender.user)
