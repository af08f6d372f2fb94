"""RFC 6121 section 4: presence, from a session to all who may see it.

A session is *available* once it has sent presence. Three events tell what becomes of it:

- ``initial``: it has sent its first presence, and contacts and other resources have got that.
- ``available``: it can take messages now, because its priority is not negative any more.
- ``unavailable``: it can take none any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import gevent

from ..fanout import Copies
from ..hooks import HANDLED, Module, Option, on
from ..jsm.notes import DIRECTED
from ..jsm.session import Session
from ..net.turns import fairly, share
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.large import unfold
from ..xmpp.ns import CLIENT
from ..xmpp.protocols import RFC
from .mod_roster import roster

PRIORITY = re.compile(r"[+-]?[0-9]{1,3}")
FAN = 10
"""This many copies of a presence cost its sender as much karma as one stanza."""
SEES = frozenset(("from", "both"))
"""Subscriptions of contacts who see the user's presence."""
LOOK = 8
"""After so many copies the clock is looked at."""
AT_ONCE = 200
"""When a session ends, up to this many contacts are told at once (5 µs each). If there are more, all are told in turns."""


class Presence(Module):
    """Broadcasts the presence of users to their subscribers, and answers probes."""

    protocols = (RFC(6121, "XMPP: instant messaging and presence"),)
    needs = ("roster", "subscription")
    directed = Option(int, 500, "addresses outside of the roster that one session may show itself to", min=0)

    def __init__(self, host: Any, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.strangers: set[Session] = set()

    # -- sent by a session ----------------------------------------------------------------------------

    @on("out", kind="presence")
    def sent(self, session: Session, stanza: Element) -> bool | None:
        unfold(stanza, fairly)  # others look at its children
        type = stanza.type
        if "to" in stanza.attrs:
            if type is None or type == "unavailable":
                self._direct(session, stanza)
            return None
        if type is None:
            self._available(session, stanza)
        elif type == "unavailable":
            self._unavailable(session, stanza)
        elif type == "probe":
            raise StanzaError("bad-request", "whom?")
        return HANDLED

    @on("end")
    def end(self, session: Session) -> None:
        self.strangers.discard(session)
        if session.presence is not None or session.note(DIRECTED):
            stanza = Element("presence", CLIENT, from_=session.full, type="unavailable")
            self._unavailable(session, stanza, ended=True)

    def _available(self, session: Session, stanza: Element) -> None:
        """Sections 4.2.2 and 4.4.2."""
        if self.host.sessions.find(session.jid) is not session:
            return  # it has ended while its stanza waited
        priority = _priority(stanza)
        first = session.presence is None
        willing = not first and session.priority >= 0
        session.presence, session.priority = stanza, priority
        self.host.hooks.tell("shown", session, stanza)
        user = session.user
        self._broadcast(session, stanza, self.host["roster"].subscribers(user), still=True)
        if first and session.presence is stanza:
            for other in self.host.sessions.available(user):
                if other is not session:
                    self.host.deliver_to(session, other.presence.copy(to=user))
            self.probe(session)
        if session.presence is not stanza:
            return  # the session has ended meanwhile
        own = stanza.copy(to=user)
        for resource in self.host.sessions.available(user):  # itself among them
            self.host.deliver_to(resource, own)
        if first:
            self.host.hooks.tell("initial", session)
        if willing != (priority >= 0):
            self.host.hooks.tell("unavailable" if willing else "available", session)

    def _unavailable(self, session: Session, stanza: Element, ended: bool = False) -> None:
        """Sections 4.5.2 and 4.6.3: tells everybody who has seen the session available that it no longer is."""
        was, willing = session.presence is not None, session.presence is not None and session.priority >= 0
        session.presence, session.priority = None, 0
        directed = session.note(DIRECTED) or ()
        if directed:
            session.notes[DIRECTED] = {}
        if was:
            self.host.hooks.tell("shown", session, stanza)
            subscribers = self.host["roster"].subscribers(session.user)
            known = set(subscribers) if directed else ()
            jids = [*(jid for jid in directed if jid.partition("/")[0] not in known), *subscribers]
        else:
            jids = list(directed)
        if not ended:
            self._broadcast(session, stanza, jids)
        elif len(jids) <= AT_ONCE:
            self._broadcast(session, stanza, jids, turns=False)
        else:  # nothing may block between this event and the removal of the session from the map
            gevent.spawn(self._afterwards, session, stanza, jids)
        if was:
            own = stanza.copy(to=session.user)
            resources = self.host.sessions.available(session.user)
            for resource in resources if ended or session in resources else [session, *resources]:
                self.host.deliver_to(resource, own)
        if willing:
            self.host.hooks.tell("unavailable", session)

    def _afterwards(self, session: Session, stanza: Element, jids: list[str]) -> None:
        with xdb.unit():
            self._broadcast(session, stanza, jids)

    def _broadcast(
        self, session: Session, stanza: Element, jids: Iterable[str], still: bool = False, turns: bool = True
    ) -> int:
        """Sends the presence to these addresses, except those that a filter stops. All copies share one text (`Copies`). Stops
        early if the session has another presence meanwhile. ``still``: only who is still a subscriber when it is his turn gets
        a copy. ``turns``: everybody else is served in between. Returns the number of copies that were sent."""
        # every copy of every presence comes by here: calls are written out
        deliver, user, available = self.host.router.deliver_presence, session.user, stanza.type is None
        filters = self.host.hooks.chains["filter_out"]["presence"]
        copies = Copies(stanza)
        began, tried, sent = 0.0, 0, 0
        for jid in jids:
            tried += 1
            if turns and not tried % LOOK:
                began = share(began)
            if session.presence is not stanza and (available or not self._holds(session)):
                break
            if still:
                item = roster[user].get(jid)
                if item is None or item.state.subscription not in SEES:
                    continue
            copy = copies.shared
            copy.attrs["to"] = jid
            try:
                for handler in filters:
                    if handler(session, copy) is HANDLED:
                        break
                else:
                    deliver(copies, jid)
                    sent += 1
            except StanzaError:
                continue
        session.work += tried // FAN
        return sent

    def _holds(self, session: Session) -> bool:
        """Is the session still unavailable? Other greenlets may have changed that."""
        heir = self.host.sessions.find(session.jid)
        return heir is None or heir.presence is None

    def probe(self, session: Session) -> None:
        """Section 4.3.1: asks for the presence of all contacts that the user may see. Between our own hosts the probe names the
        session: no other hears the answers."""
        router = self.host.router
        here, elsewhere = (
            Copies(Element("presence", CLIENT, from_=each, type="probe"))
            for each in (session.full, session.user)
        )
        for jid in fairly(self.host["roster"].subscriptions(session.user)):
            if session.presence is None:
                break
            ours = jid.rpartition("@")[2] in router.instances
            router.deliver_presence(here if ours else elsewhere, jid)

    def _direct(self, session: Session, stanza: Element) -> None:
        """Section 4.6.3: remembers who gets directed presence. They get no broadcasts, but they must be told when the session
        ends."""
        to = stanza.to
        if stanza.type == "unavailable":
            (session.note(DIRECTED) or {}).pop(str(to), None)
            return
        bare = to.user
        knows = bare == session.user or self.host["roster"].state(session.user, bare).from_
        if knows and session.presence is not None:
            return
        remembered = session.notes.setdefault(DIRECTED, {})
        if str(to) not in remembered and len(remembered) >= self.directed:
            raise StanzaError("resource-constraint", "directed presence to too many addresses")
        remembered[str(to)] = True

    # -- after a restart of the server ----------------------------------------------------------------------

    @on("restored")
    def remember(self) -> None:
        """These sessions were made by another process: what it knew of their contacts is gone."""
        self.strangers.update(self.host.sessions)

    @on("resumed")
    def ask_again(self, session: Session) -> None:
        if session in self.strangers:
            self.strangers.discard(session)
            if session.presence is not None:
                gevent.spawn(self._ask_again, session)

    def _ask_again(self, session: Session) -> None:
        with xdb.unit():
            self.probe(session)

    # -- received for a user -----------------------------------------------------------------------------

    @on("presence")
    def received(self, user: str, stanza: Element) -> bool | None:
        type = stanza.attrs.get("type")
        if type is None or type == "unavailable":
            return None
        if type == "probe":
            self._answer(user, stanza)
            return HANDLED
        session = self.host.sessions.find(stanza.to)
        if type == "error" and session is not None:
            (session.note(DIRECTED) or {}).pop(str(stanza.from_), None)
        return None

    def _answer(self, user: str, probe: Element) -> None:
        """Answers a probe: section 4.3.2, and 4.6.5 for somebody who has seen directed presence. A stranger does not even learn
        whether there is such a user."""
        to, asker = probe.to, probe.from_
        bare = asker.user
        reply = Element("presence", CLIENT, from_=user, to=asker, id=probe.id)
        if bare == user or self.host["roster"].state(user, bare).from_:
            sessions = self.host.sessions.available(user)
            if to.resource is not None:
                sessions = [session for session in sessions if session.jid == to]
                reply.from_ = to
            shown = False
            for session in sessions:
                presence = session.presence
                copy = None if presence is None else presence.copy(to=asker)
                if copy is not None and self.host.lets_out(session, copy):
                    shown = True
                    if session.presence is presence:  # else a newer one is on its way
                        self.host.router.deliver(copy)
            if shown:
                return
            reply.attrs["type"] = "unavailable"  # the same if a privacy list hides the user
        else:
            session = self.host.sessions.find(to)
            seen = session and session.note(DIRECTED)
            if seen and (str(asker) in seen or bare in seen):
                reply.from_ = to
            else:
                reply.attrs["type"] = "unsubscribed"
        self.host.router.deliver(reply)


def _priority(stanza: Element) -> int:
    """Raises StanzaError."""
    if not stanza.has("priority"):
        return 0
    text = (stanza.text_of("priority", CLIENT) or "").strip()
    if PRIORITY.fullmatch(text) and -128 <= int(text) <= 127:
        return int(text)
    raise StanzaError("bad-request", "a priority is a whole number from -128 to 127")
