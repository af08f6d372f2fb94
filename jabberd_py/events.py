"""The events that a module hooks with ``@on(event)``: declared here and nowhere else. docs/events.md is made of this.

A service that has events of its own lists them in the ``events`` of its class (`Instance`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, NamedTuple

KINDS = ("message", "presence", "iq")


class Event(NamedTuple):
    """``arguments``: what a handler is called with, by name; the last one of a stanza event is the stanza. ``told``: a
    life event, which every handler hears; of a stanza event the first handler that returns HANDLED ends the chain."""

    name: str
    arguments: tuple[str, ...]
    meaning: str
    told: bool = False

    def check(self, handler: Callable[..., Any], kind: str | None = None) -> None:
        """Raises ValueError: the handler cannot be called with these arguments, or ``kind`` is none of this event."""
        who = handler.__qualname__
        if kind is not None and (self.told or kind not in KINDS):
            raise ValueError(
                f"{who}: @on({self.name!r}, kind={kind!r}): kind is {', '.join(KINDS)}, of stanza events"
            )
        try:
            inspect.signature(handler).bind(*self.arguments)
        except TypeError as error:
            wanted = ", ".join(self.arguments)
            raise ValueError(f"{who}: event {self.name!r} calls it with ({wanted}): {error}") from None


def _stanza(name: str, arguments: str, meaning: str) -> Event:
    return Event(name, tuple(arguments.split()), meaning)


def _life(name: str, arguments: str, meaning: str) -> Event:
    return Event(name, tuple(arguments.split()), meaning, told=True)


EVENTS = (
    # stanza events, in the order in which a stanza meets them
    _stanza("negotiate", "stream element", "an element before login, or no stanza"),
    _stanza("filter_out", "session stanza", "may this session send this?"),
    _stanza("out", "session stanza", "a session sends a stanza"),
    _stanza("deliver", "stanza", "a stanza arrives for this domain"),
    _stanza("server", "stanza", "a message or a presence for the domain itself"),
    _stanza("filter_in", "user stanza", "may this reach this user?"),
    _stanza(
        "filter_session",
        "session stanza",
        "may this message, which is for no session in particular, reach this one?",
    ),
    _stanza("presence", "user stanza", "a presence for the user's account"),
    _stanza("in", "session stanza", "a stanza is about to reach one session"),
    # life events
    _life("features", "stream features", "what may this stream offer now?"),
    _life("session", "session", "a resource is bound"),
    _life("initial", "session", "a session has sent its first presence"),
    _life("available", "session", "a session becomes able to take messages"),
    _life("unavailable", "session", "a session is no longer able to take messages"),
    _life("shown", "session stanza", "a session's presence has changed"),
    _life(
        "caps", "session features", "what the client of a session can do is known, or has changed (XEP-0115)"
    ),
    _life("sent", "session stanza", "a session's stanza has been routed"),
    _life("received", "user stanza sessions", "a message has reached these sessions"),
    _life("offline", "user stanza", "a message was stored, as nobody is there"),
    _life("registered", "user address", "somebody has made an account, from that IP address"),
    _life("lost", "session", "a stream was lost; its session waits to be resumed (XEP-0198)"),
    _life("resumed", "session", "a session has a new stream (XEP-0198)"),
    _life(
        "recovered",
        "full since",
        "a session has a new stream after a crash of the server, which has forgotten what it had sent since that time, but not "
        "the account's messages",
    ),
    _life("end", "session", "a session is over"),
    _life("roster", "user jid", "a roster item has changed"),
    _life("roster_push", "user query", "clients are told of a roster item"),
    _life("pep", "user node", "the items of a node of an account are others now (XEP-0163)"),
    _life("blocked", "user jids", "a user has blocked addresses"),
    _life("reported", "user jid report", "a user who blocked an address says why, for the administrator"),
    _life("unblocked", "user jids", "a user has unblocked addresses"),
    _life("component", "component", "a component has connected"),
    _life("component_gone", "component", "a component has been away for too long"),
    _life("uploaded", "user size", "a user has uploaded a file"),
    _life("created", "user", "an account is made"),
    _life("imported", "user", "an account was read from a file (XEP-0227)"),
    _life("deleting", "user", "an account is about to go, data and all"),
    _life("start", "", "the instance begins to serve"),
    _life("restored", "", "behind `start`: sessions that can be resumed are there again (XEP-0198)"),
    _life("stop", "", "the server is stopping"),
    _life("reload", "", "the configuration was read again"),
)

ARGUMENTS = {
    "stream": "the client's stream, a `ClientStream`",
    "element": "an `Element`",
    "features": "of `features`: the <stream:features/> to append to; of `caps`: a frozenset of namespaces",
    "session": "a `Session`",
    "stanza": "an `Element`",
    "user": "an account's bare address, as text",
    "sessions": "a list of `Session`s",
    "full": "the full address of a session, as text",
    "since": "a Unix time",
    "jid": "a bare address, as text",
    "node": "the name of a node, as text",
    "jids": "a list of addresses, as text",
    "query": "the roster's <query/>, an `Element`",
    "report": "the <report/>, an `Element`",
    "component": "a `Component`",
    "address": "an IP address, as text",
    "size": "a number of bytes",
}
"""What the arguments are."""


def find(name: str, events: Iterable[Event]) -> Event:
    """Raises ValueError with the nearest name where there is no such event."""
    known = {event.name: event for event in events}
    if name not in known:
        near = get_close_matches(name, known, 1)
        raise ValueError(f"no such event: {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return known[name]
