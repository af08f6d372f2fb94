"""A room: its occupants, nicks, roles, affiliations and settings (XEP-0045). It knows nothing of passwords and the like: what
features have to say, they say at the service's events (`events.py`).

Everything here happens between two I/O calls; what has to be kept is written without waiting, and sent through one outbox.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..fanout import Fan
from ..net.turns import fairly
from ..xdb import Ticket
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.lookalikes import skeleton
from ..xmpp.ns import CLIENT
from . import showing, store
from .occupant import USER, Occupant, added, lean
from .presence import GOES, Leave, available, ended, unavailable
from .ranks import ROLE_OF, ROLES
from .seats import Seat, Seats, Snapshot
from .store import Affiliation, Loaded

if TYPE_CHECKING:
    from .service import Rooms


class Room:
    """
    address       its bare address, as text
    config        what its form says: field -> value, where that is not the default
    notes         what features keep of it, as JSON knows it; `save` writes it
    affiliations  bare address or domain -> what it is
    occupants     nick -> Occupant
    taken         skeleton of a nick -> the Occupant that has it
    reserved      skeleton of a nick -> the bare address for which it is kept
    sessions      full address -> its Occupant
    seats         all sessions, in the order in which they came
    sending       what the room sends: all see the same order
    memory        what features remember of it as long as it is awake
    """

    def __init__(self, service: Rooms, address: str, created: float, founder: str = "") -> None:
        self.service, self.address, self.created, self.founder = service, address, created, founder
        self.jid: JID = parse(address)
        self.config: dict[str, Any] = {}
        self.notes: dict[str, Any] = {}
        self.affiliations: dict[str, Affiliation] = {}
        self.occupants: dict[str, Occupant] = {}
        self.taken: dict[str, Occupant] = {}
        self.reserved: dict[str, str] = {}
        self.sessions: dict[str, Occupant] = {}
        self.memory: dict[str, Any] = {}
        self.seats = Seats()
        self.sending = Fan(service.router, service.tally)
        self.gone = False

    def load(self, kept: Loaded) -> None:
        """The room as the store has it. Blocks if its lists are long."""
        self.config, self.notes, self.affiliations = kept.config, kept.notes, kept.affiliations
        for jid, each in fairly(list(self.affiliations.items())):
            self.reserve(jid, "", each.nick)
        for row in kept.sessions:
            occupant = self.occupants.get(row.nick)
            if occupant is None:
                occupant = Occupant(parse(row.jid).user, row.nick, row.role)
                self._seat(occupant)
            self._sit(occupant, parse(row.jid), self.service.read(row.presence))

    def check_there(self) -> None:
        """To be called after one has waited. Raises StanzaError: the room was destroyed meanwhile."""
        if self.gone:
            raise StanzaError("item-not-found", "the room is gone")

    def save(self) -> Ticket:
        """Writes its settings and notes. Does not wait. Raises StanzaError if it is gone: it must not come back."""
        self.check_there()
        public, name = self.service.entry(self)
        return store.save(
            self.address,
            self.service.domain,
            self.founder,
            self.created,
            public,
            name,
            self.config,
            self.notes,
        )

    # -- who is what -----------------------------------------------------------------------------------

    def at(self, nick: str) -> str:
        """The address of an occupant."""
        return f"{self.address}/{nick}"

    def affiliation(self, user: str) -> str:
        """Of a bare address. A ban may name a whole domain."""
        found = self.affiliations.get(user)
        if found is not None:
            return found.affiliation
        whole = self.affiliations.get(user.rpartition("@")[2])
        return "outcast" if whole is not None and whole.affiliation == "outcast" else "none"

    def power(self, jid: JID | None) -> str:
        """The affiliation whose rights somebody has: the server's administrators may repair every room."""
        own = self.affiliation(jid.user)
        return "owner" if own != "owner" and self.service.is_admin(jid) else own

    def role(self, jid: JID | None) -> str:
        """The highest role of a bare address's occupants."""
        here = [each.role for each in self.occupants.values() if each.user == jid.user]
        return max(here, key=ROLES.index, default="none")

    def of(self, user: str) -> list[Occupant]:
        """Under which nicks that bare address is in the room."""
        return [each for each in self.occupants.values() if each.user == user]

    def reserve(self, user: str, before: str, after: str) -> None:
        """Another nick is kept for a bare address; empty: none."""
        if before and self.reserved.get(skeleton(before)) == user:
            del self.reserved[skeleton(before)]
        if after:
            self.reserved[skeleton(after)] = user

    def owners(self) -> list[str]:
        return [jid for jid, each in self.affiliations.items() if each.affiliation == "owner"]

    def rank(self, occupant: Occupant) -> None:
        """Gives the occupant the role that its affiliation brings in this room."""
        occupant.role = ROLE_OF[self.affiliation(occupant.user)]
        self.service.hooks.tell("ranked", self, occupant)

    def sees(self, occupant: Occupant) -> bool:
        """May that occupant see the others' real addresses?"""
        return occupant.role == "moderator" or self.service.open_to_all(self)

    @property
    def everyone(self) -> Snapshot:
        """The full addresses of all sessions that are in now."""
        return self.seats.snapshot()

    # -- entering and leaving --------------------------------------------------------------------------

    def _seat(self, occupant: Occupant) -> None:
        self.occupants[occupant.nick] = self.taken[skeleton(occupant.nick)] = occupant
        self.service.hooks.tell("seated", self, occupant)

    def _sit(self, occupant: Occupant, jid: JID, presence: Element) -> None:
        """A session comes in."""
        full = str(jid)
        self.sessions[full] = occupant
        occupant.sessions[full] = seat = Seat(jid, occupant, presence)
        occupant.shown = full
        self.seats.add(seat)

    def _rise(self, occupant: Occupant, full: str) -> None:
        """A session goes."""
        del self.sessions[full]
        self.seats.remove(occupant.sessions[full])

    def check_nick(self, occupant: Occupant, nick: str, stanza: Element) -> None:
        """May the occupant have that nick? Raises StanzaError (conflict, not-acceptable)."""
        shape = skeleton(nick)
        if not shape:
            raise StanzaError("not-acceptable", "a nick that people can see")
        self.service.hooks.call("naming", self, occupant, nick, stanza)
        other = self.taken.get(shape)
        if other is not None and other is not occupant:
            raise StanzaError("conflict", "that nick, or one that looks like it, is in use")

    def enter(self, stanza: Element, nick: str, statuses: Iterable[int] = ()) -> None:
        """A session that is not in the room wants to be. Raises StanzaError."""
        jid, full = stanza.from_, str(stanza.from_)
        given = self.service.nick(self, jid.user, nick)
        if given != nick:
            nick, statuses = given, (*statuses, 210)
        known = self.occupants.get(nick)
        if known is not None and known.user == jid.user:
            occupant = known
        else:
            occupant = Occupant(jid.user, nick, "none")
            self.rank(occupant)
        self.service.hooks.call("entering", self, occupant, stanza)
        if occupant is not known:
            self.check_nick(occupant, nick, stanza)
        if occupant is not known:
            self._seat(occupant)
        self._shows(occupant, full, stanza)
        self.service.awake(self)
        self.service.hooks.tell("greeting", self, occupant, full, stanza)
        self.greet(occupant, full)
        self.publish(occupant, but=full)
        self._own(occupant, full, statuses)
        self.service.hooks.tell("entered", self, occupant, full, stanza)

    def again(self, occupant: Occupant, full: str, stanza: Element) -> None:
        """A session that is in the room enters it: its client has lost track, and gets everything once more (section 7.2.1).
        Raises StanzaError."""
        self.service.hooks.call("updating", self, occupant, stanza)
        before = occupant.presence.inner
        self._shows(occupant, full, stanza)
        self.service.hooks.tell("greeting", self, occupant, full, stanza)
        self.greet(occupant, full)
        if occupant.presence.inner != before and not self.service.holds(self, occupant):
            self.publish(occupant, but=full)
        self._own(occupant, full)
        self.service.hooks.tell("entered", self, occupant, full, stanza)

    def update(self, occupant: Occupant, full: str, stanza: Element) -> None:
        """The occupant's availability has changed (section 7.7). Raises StanzaError."""
        self.service.hooks.call("updating", self, occupant, stanza)
        self._shows(occupant, full, stanza)
        if not self.service.holds(self, occupant):
            self.publish(occupant)

    def rename(self, occupant: Occupant, full: str, nick: str, stanza: Element) -> None:
        """Another nick for the occupant and all its sessions (section 7.6). Raises StanzaError."""
        self.service.hooks.call("updating", self, occupant, stanza)
        nick, wanted = self.service.nick(self, occupant.user, nick), nick
        statuses = (210,) if nick != wanted else ()
        if nick == occupant.nick:
            self._shows(occupant, full, stanza)
            self.publish(occupant, statuses=statuses)
            return
        other = self.taken.get(skeleton(nick))
        if other is not None and other is not occupant and other.user == occupant.user:
            self._join(occupant, other, full, stanza)
            return
        self.check_nick(occupant, nick, stanza)
        self._gone(occupant, tuple(occupant.sessions), Leave((303,), nick=nick))
        del self.occupants[occupant.nick], self.taken[skeleton(occupant.nick)]
        occupant.nick = nick
        self._seat(occupant)
        self._shows(occupant, full, stanza)
        for each in occupant.sessions:
            self.keep(occupant, each)
        self.publish(occupant, statuses=statuses)

    def _join(self, occupant: Occupant, other: Occupant, full: str, stanza: Element) -> None:
        """A user takes the nick of another client of their own: from now on both share it."""
        self._gone(occupant, tuple(occupant.sessions), Leave((303,), nick=other.nick))
        del self.occupants[occupant.nick], self.taken[skeleton(occupant.nick)]
        for each, seat in occupant.sessions.items():
            self.sessions[each] = seat.occupant = other
            other.sessions[each] = seat
            self.keep(other, each)
        self._shows(other, full, stanza)
        self.publish(other)

    def leave(self, full: str, leave: Leave = GOES, said: Element | None = None) -> None:
        """A session is out. The others see the occupant go with its last one."""
        occupant = self.sessions[full]
        if len(occupant.sessions) == 1:
            self.remove(occupant, leave, said)
            return
        own = unavailable(self, occupant, full, leave, (*leave.statuses, 110), said)
        shown = occupant.shown == full
        self._rise(occupant, full)
        occupant.drop(full)
        store.leave(self.address, [full])
        self.service.hooks.tell("departed", self, occupant.nick, (full,))
        self.sending.one(own.copy(to=full))
        if shown:
            self.publish(occupant)

    def remove(self, occupant: Occupant, leave: Leave = GOES, said: Element | None = None) -> None:
        """The occupant is out, with all its sessions."""
        sessions = tuple(occupant.sessions)
        self._gone(occupant, sessions, leave, said)
        del self.occupants[occupant.nick], self.taken[skeleton(occupant.nick)]
        for full in sessions:
            self._rise(occupant, full)
        store.leave(self.address, list(sessions))
        self.service.hooks.tell("left", self, occupant)
        if not self.sessions and not self.gone:
            self.service.empty(self)

    def _gone(
        self, occupant: Occupant, sessions: tuple[str, ...], leave: Leave, said: Element | None = None
    ) -> None:
        """Tells everybody that the occupant is no longer under its nick; its own sessions first (section 8.2)."""
        self.service.hooks.tell("departed", self, occupant.nick, sessions)
        own = unavailable(self, occupant, occupant.shown, leave, (*leave.statuses, 110), said)
        self.sending.all(own, sessions)
        if occupant.seen:
            plain = unavailable(self, occupant, None, leave, leave.statuses, said)
            full = unavailable(self, occupant, occupant.shown, leave, leave.statuses, said)
            showing.spread(self, occupant, plain, full)

    # -- presence --------------------------------------------------------------------------------------

    def _shows(self, occupant: Occupant, full: str, stanza: Element) -> None:
        presence, seat = lean(self.service.presentable(self, occupant, stanza)), occupant.sessions.get(full)
        if seat is None:
            self._sit(occupant, parse(full), presence)
        else:
            seat.presence, occupant.shown = presence, full
        self.keep(occupant, full)

    def keep(self, occupant: Occupant, full: str) -> None:
        presence = occupant.sessions[full].presence.to_bytes().decode()
        store.enter(self.address, self.service.domain, full, occupant.nick, occupant.role, presence)

    def _own(self, occupant: Occupant, full: str, statuses: Iterable[int] = ()) -> None:
        """To a session that enters: that is you, and the room is like this."""
        codes = [code for each in self.service.own for code in each.codes(self)]
        marks = tuple(mark for each in self.service.own for mark in each.marks(self))
        own = available(self, occupant, True, (*codes, *statuses, 110), Leave(marks=marks))
        self.sending.one(own.copy(to=full))

    def publish(
        self, occupant: Occupant, but: str = "", why: Leave = GOES, statuses: Iterable[int] = ()
    ) -> None:
        """The occupant's presence, to everybody; its own sessions learn that they are meant. ``but``: a session that gets it
        otherwise. ``why``: the actor and the reason of a change. ``statuses``: codes for its own sessions."""
        own = available(self, occupant, True, (*statuses, 110), why)
        self.sending.all(own, [each for each in occupant.sessions if each != but])
        occupant.look, occupant.seen = None, self.service.broadcasts(self, occupant)
        if occupant.seen:
            plain = (
                showing.look(self, occupant, self.service.open_to_all(self))
                if why == GOES
                else available(self, occupant, False, (), why)
            )
            showing.spread(self, occupant, plain, available(self, occupant, True, (), why))

    def hide(self, occupant: Occupant) -> None:
        """The others no longer see an occupant who stays."""
        occupant.seen = False
        plain, full = (unavailable(self, occupant, jid, GOES) for jid in (None, occupant.shown))
        showing.spread(self, occupant, plain, full)

    def greet(self, occupant: Occupant, full: str) -> None:
        """The presence of all others for one session, made when it is its turn."""
        showing.greet(self, occupant, full)

    # -- messages --------------------------------------------------------------------------------------

    def say(self, occupant: Occupant, stanza: Element) -> None:
        """A message for all (section 7.4). Raises StanzaError."""
        for handler in self.service.hooks.chains["saying"]["message"]:
            if handler(self, occupant, stanza):
                return
        said = added(self.service.cleaned(self, stanza), *self._badge(occupant))
        said.attrs = {**stanza.attrs, "from": self.at(occupant.nick)}
        said.attrs.pop("to", None)
        if self.service.archive is not None:
            said = self.service.archive.keep(self, occupant, said, stanza)
        self.service.hooks.tell("said", self, occupant, said)
        self.sending.add((said, self.everyone))

    def _badge(self, occupant: Occupant) -> tuple[bytes, *tuple[str, ...]]:
        return occupant.badge[0], *occupant.badge[1]

    def whisper(self, occupant: Occupant, target: Occupant, stanza: Element) -> None:
        """A private message from one occupant to another (section 7.5). Raises StanzaError."""
        self.service.hooks.call("whispering", self, occupant, target, stanza)
        xml, *kids = self._badge(occupant)
        marked = xml + f"<x xmlns='{USER}'/>".encode()
        said = added(self.service.cleaned(self, stanza), marked, f"{USER} x", *kids)
        said.attrs = {**stanza.attrs, "from": self.at(occupant.nick)}
        self.sending.all(said, tuple(target.sessions))

    def announce(self, *statuses: int) -> None:
        """Something about the room has changed (section 10.2.1)."""
        if statuses:
            x = Element("x", USER, *(Element("status", USER, code=code) for code in statuses))
            stanza = Element("message", CLIENT, x, from_=self.address, type="groupchat")
            self.service.hooks.tell("shown", self, stanza)
            self.sending.add((stanza, self.everyone))

    def destroy(self, venue: Element | None = None) -> None:
        """The room goes, for good (section 10.9). ``venue``: the <destroy/> that its occupants get."""
        self.gone = True
        venue = Element("destroy", USER) if venue is None else venue
        leave = Leave(more=venue)
        for occupant in list(self.occupants.values()):
            stanza = unavailable(self, occupant, occupant.shown, leave, (110,))
            self.sending.all(stanza, tuple(occupant.sessions))
        self.service.hooks.tell("shown", self, ended(self, venue))
        for full, occupant in list(self.sessions.items()):
            self._rise(occupant, full)
        for each in (self.occupants, self.taken):
            each.clear()
        self.service.forget(self)


def fresh(service: Rooms, address: str, founder: str) -> Room:
    """A new room, which is not kept yet; its founder is its owner."""
    room = Room(service, address, time.time(), founder)
    room.affiliations[founder] = Affiliation("owner")
    return room
