"""MUC/Sub (`urn:xmpp:mucsub:0`, as ejabberd documents it): an account subscribes to what happens in a room, and speaks there
without being in.

An account and its sessions are two things here: while one session of the account is in, the room sends to the sessions only.
Else the bare address gets events, in the form of publish-subscribe. What the archive of the room would keep comes as a normal
message, for the archive and the offline store of the account; all other events are headlines, which nothing keeps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gevent

from ..hooks import Option, iq, on
from ..net.turns import fairly
from ..xdb import Ticket, xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.lookalikes import skeleton
from ..xmpp.ns import CLIENT
from ..xmpp.prep import resourceprep
from . import mucsub
from .changes import Change
from .feature import Feature
from .fields import Field
from .mucsub import KINDS, NODES, NS, Subscription
from .occupant import MUC, USER, Occupant
from .offline import RETRACT
from .ranks import at_least
from .room import Room
from .subject import changes as is_subject
from .traffic import conditions

TOLD = 20
"""If more subscriptions end at a time, each hears only of its own end."""
UNREACHABLE = frozenset(("remote-server-not-found", "remote-server-timeout", "resource-constraint"))
"""Errors that end no subscription: the account may still be there."""


class Subscriptions(Feature):
    """Accounts get what happens in a room, and speak in it, without being in. They hold their nicks."""

    needs = ("members", "register", "admin", "invitations")
    tables = (mucsub.RoomSubscription,)
    allowed = Field("muc#roomconfig_allow_subscription", "boolean", False, "Users may subscribe to the room")
    most = Option(int, 1000, "subscribers of one room", min=0)
    rooms = Option(int, 1000, "rooms of the service to which one address is subscribed", min=1)
    others = Option(
        str,
        "local",
        "whom moderators may subscribe beside themselves; local: accounts of this server that are in the room",
        choices=["anyone", "local", "nobody"],
    )

    def room_features(self, room: Room) -> list[str]:
        return [NS] if self.allowed(room) else []

    # -- who is subscribed -----------------------------------------------------------------------------

    def of(self, room: Room) -> dict[str, Subscription]:
        """Bare address -> its subscription. Change it by `_put`."""
        known: dict[str, Subscription] = room.memory.get("subscribers") or {}
        return known

    def says(self, room: Room) -> bool:
        """Does the room last for the sake of its subscribers?"""
        return bool(self.of(room))

    @on("loaded")
    def load(self, room: Room) -> None:
        rows = mucsub.of_room(room.address)
        if rows:
            known = {jid: Subscription(nick, tuple(kinds.split())) for jid, nick, kinds in rows}
            room.memory["subscribers"] = known

    def _put(self, room: Room, user: str, entry: Subscription | None) -> Ticket:
        """Changes a subscription; None: it ends. Does not wait."""
        known = room.memory.setdefault("subscribers", {})
        before = known.get(user)
        if entry is None:
            assert before is not None
            self._tell_subscribers(room, "unsubscribe", user, before.nick)
            del known[user]
            gevent.spawn(self._rest, room)  # whoever calls this is not done with the room
        else:
            known[user] = entry
        self._look_anew(room)
        if entry is not None and (before is None or before.nick != entry.nick):
            self._tell_subscribers(room, "subscribe", user, entry.nick)
        return xdb.write(mucsub.keep, room.address, self.host.domain, user, entry)

    def _rest(self, room: Room) -> None:
        """A temporary room goes with its last subscriber, if nobody is in."""
        awake = self.host.rooms.get(room.address) is room
        if awake and not room.sessions and not self.host.lasts(room):
            room.destroy()

    @on("seated")
    def came(self, room: Room, occupant: Occupant) -> None:
        self._look_anew(room)

    @on("left")
    def went(self, room: Room, occupant: Occupant) -> None:
        self._look_anew(room)

    def _look_anew(self, room: Room) -> None:
        for each in ("listening", "held nicks"):
            room.memory.pop(each, None)

    @on("naming")
    def held(self, room: Room, occupant: Occupant, nick: str, stanza: Element) -> None:
        """A subscription holds its nick."""
        if not self.of(room):
            return
        nicks: dict[str, str] | None = room.memory.get("held nicks")
        if nicks is None:
            nicks = {skeleton(each.nick): user for user, each in self.of(room).items()}
            room.memory["held nicks"] = nicks
        if nicks.get(skeleton(nick), occupant.user) != occupant.user:
            raise StanzaError("conflict", "that nick is a subscriber's")

    # -- requests --------------------------------------------------------------------------------------

    @iq("set", NS, "subscribe", to="room")
    def subscribe(self, request: Element) -> Element:
        payload, user = request.payload, self._whom(request)
        held = mucsub.count(user, self.host.domain)[0][0]  # it may block
        room: Room = self.host.room(request)
        if not self.allowed(room):
            raise StanzaError("not-allowed", "nobody subscribes to this room")
        try:
            nick = resourceprep(payload.attrs.get("nick", "").strip())
        except ValueError as error:
            raise StanzaError("bad-request", str(error)) from None
        if not nick:
            raise StanzaError("bad-request", "a nick is needed")
        named = {each.attrs.get("node") for each in payload.all("event", NS)}
        entry = Subscription(nick, tuple(each for each in KINDS if f"{NODES}{each}" in named))
        before = self.of(room).get(user)
        if before is None and (len(self.of(room)) >= self.most or held >= self.rooms):
            raise StanzaError("resource-constraint", "too many subscriptions", type="wait")
        if room.sending.busy:
            raise StanzaError("resource-constraint", "the room is busy", type="wait")
        self._check(room, user, nick, payload.attrs.get("password", ""), before)
        if entry != before:
            self._put(room, user, entry).wait()
        return Element("subscribe", NS, *entry.events())

    def _whom(self, request: Element) -> str:
        """The bare address that a request is about: the sender's, or the one that a moderator names. Raises StanzaError."""
        asker, named = request.from_, request.payload.attrs.get("jid")
        try:
            user = asker.user if named is None else parse(named).user
        except ValueError as error:
            raise StanzaError("jid-malformed", str(error)) from None
        if user == asker.user:
            return user
        room = self.host.room(request)
        if not self._moderates(room, asker):
            raise StanzaError("forbidden", "moderators may do that")
        if request.payload.name == "subscribe":
            self._check_other(room, user, asker)
        return user

    def _check_other(self, room: Room, user: str, asker: JID | None) -> None:
        """May a moderator subscribe that address, which was not asked? Raises StanzaError."""
        if "@" not in user:
            raise StanzaError("jid-malformed", "a domain cannot subscribe")
        instance = self.host.router.instances.get(user.rpartition("@")[2])
        local = instance is not None and instance.has_users
        if self.others == "nobody" or self.others == "local" and not (local and room.of(user)):
            raise StanzaError("not-allowed", "they have to subscribe themselves")
        if not self.host["invitations"].karma.spend(asker.user):
            raise StanzaError("resource-constraint", "too many at once", type="wait")

    def _moderates(self, room: Room, asker: JID | None) -> bool:
        return room.role(asker) == "moderator" or at_least(room.power(asker), "admin")

    def _check(self, room: Room, user: str, nick: str, password: str, before: Subscription | None) -> None:
        """May they subscribe under that nick? Who might come in may, and may again. ``before``: their subscription until now.
        Raises StanzaError."""
        own = [each for each in room.of(user) if skeleton(each.nick) == skeleton(nick)]
        occupant = own[0] if own else Occupant(user, nick, "none")
        x = Element("x", MUC, Element("password", MUC, password) if password else None)
        asks = Element("presence", CLIENT, x, from_=user, to=room.at(nick))
        if before is None:
            self.host.hooks.call("entering", room, Occupant(user, nick, "none"), asks)
        else:
            known = Occupant(user, before.nick, "none")
            room.rank(known)
            self.host.hooks.call("updating", room, known, asks)
        kept = room.affiliations.get(user)
        if kept is not None and kept.nick and skeleton(kept.nick) != skeleton(nick):
            raise StanzaError("conflict", f"your nick in this room is {kept.nick}")
        room.check_nick(occupant, nick, asks)

    @iq("set", NS, "unsubscribe", to="room")
    def unsubscribe(self, request: Element) -> None:
        user = self._whom(request)
        self.drop(self.host.room(request), user)

    def drop(self, room: Room, user: str) -> None:
        """Ends a subscription, if there is one. Returns when the store knows."""
        if user in self.of(room):
            self._put(room, user, None).wait()

    @iq("get", NS, "subscriptions", to="room")
    def subscribers(self, request: Element) -> Element:
        room, asker = self.host.room(request), request.from_
        moderates = self._moderates(room, asker)
        if not moderates and asker.user not in self.of(room):
            raise StanzaError("forbidden", "subscribers and moderators get the list")
        answer, open = Element("subscriptions", NS), moderates or self.host.open_to_all(room)
        for user, each in fairly(list(self.of(room).items())):
            jid = user if open else None
            answer.append(Element("subscription", NS, *each.events(), nick=each.nick, jid=jid))
        return answer

    @iq("get", NS, "subscriptions")
    def subscriptions(self, request: Element) -> Element:
        """Of who asks, with all rooms."""
        answer, user = Element("subscriptions", NS), request.from_.user
        for room, nick, kinds in fairly(mucsub.of_user(user, self.host.domain)):
            awake = self.host.rooms.get(room)
            if room in self.host.going or awake is not None and user not in self.of(awake):
                continue  # the store does not know yet that it has ended
            events = Subscription(nick, tuple(kinds.split())).events()
            answer.append(Element("subscription", NS, *events, nick=nick, jid=room))
        return answer

    # -- who speaks ------------------------------------------------------------------------------------

    def speaker(self, room: Room, stanza: Element) -> Occupant | None:
        """The occupant as whom a session that is not in speaks. None: the account is not subscribed. May block. Raises
        StanzaError."""
        jid = stanza.from_
        assert jid is not None
        if jid.user not in self.of(room):
            return None
        self.host.hooks.tell("coming", room)  # it may block
        entry = self.of(room).get(jid.user)
        if entry is None or self.host.rooms.get(room.address) is not room:
            raise StanzaError("recipient-unavailable", "the room sleeps; once more, please", type="wait")
        here = room.of(jid.user)
        if here:
            return here[0]
        occupant = Occupant(jid.user, entry.nick, "none")
        room.check_nick(occupant, entry.nick, stanza)
        room.rank(occupant)
        occupant.shown = str(jid)
        if "occupant_id" in self.host.modules:
            self.host["occupant_id"].mark(room, occupant)
        return occupant

    # -- whose subscription ends -------------------------------------------------------------------------

    def _may_stay(self, room: Room, user: str) -> bool:
        now = room.affiliation(user)
        return now != "outcast" and (not self.host["members"].says(room) or at_least(now, "member"))

    def _weed(self, room: Room, users: Iterable[str]) -> None:
        """Ends the subscriptions of users who would not be let in any more. Does not wait for the store."""
        known = self.of(room)
        gone = [
            each
            for each in users
            if each in known and not (self.allowed(room) and self._may_stay(room, each))
        ]
        if len(gone) <= TOLD:
            for user in gone:
                self._put(room, user, None)
            return
        curious = {jid.user: jid for jid in self._readers(room, "subscribers")}
        for user in gone:
            before = known.pop(user)
            if user in curious:
                item = Element("unsubscribe", NS, nick=before.nick, jid=user).to_bytes()
                self._tell(room, "subscribers", [curious[user]], item)
            xdb.write(mucsub.keep, room.address, self.host.domain, user, None)
        self._look_anew(room)
        gevent.spawn(self._rest, room)

    @on("configured")
    def set_up(self, room: Room, before: dict[str, Any], statuses: set[int]) -> None:
        self._weed(room, self.of(room))

    @on("deleting")
    def deleting(self, user: str) -> None:
        """An account goes."""
        for address, _, _ in fairly(mucsub.of_user(user, self.host.domain)):
            room = self.host.find(address)
            if room is not None:
                self.drop(room, user)

    @on("returned")
    def returned(self, room: Room, stanza: Element) -> None:
        """An event came back. Whoever may not be there only now stays subscribed, and so do the accounts of this server."""
        jid = stanza.from_
        if jid is None or jid.resource is not None or jid.user not in self.of(room):
            return
        if jid.domain not in self.host.router.instances and not conditions(stanza) & UNREACHABLE:
            self._put(room, jid.user, None)

    # -- events ----------------------------------------------------------------------------------------

    def _readers(self, room: Room, kind: str) -> list[JID]:
        """The subscribers to a node who are not in. The list is shared, and never changes."""
        if not self.of(room):
            return []
        found: dict[str, list[JID]] | None = room.memory.get("listening")
        if found is None:
            here = {each.user for each in room.occupants.values()}
            away = [(parse(user), each) for user, each in self.of(room).items() if user not in here]
            found = {kind: [jid for jid, each in away if kind in each.kinds] for kind in KINDS}
            room.memory["listening"] = found
        return found[kind]

    def _tell(self, room: Room, kind: str, readers: list[JID], item: bytes, id: str = "") -> None:
        if readers:
            room.sending.add((mucsub.event(room.address, kind, item, id), readers))

    @on("said")
    def said(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        kind = "subject" if is_subject(stanza) else "messages"
        readers = self._readers(room, kind)
        if readers and (self.host.archive is None or self.host.archive.worthy(stanza)):
            self._tell(room, kind, readers, mucsub.whole(stanza), str(stanza.uid or ""))

    @on("shown")
    def shown(self, room: Room, stanza: Any) -> None:
        """``stanza``: an Element, or `Copies` of one."""
        if room.gone:  # some want to know of all that is set up, some only of such things
            first = self._readers(room, "config")
            self._tell(room, "config", first, mucsub.whole(stanza))
            known = set(first)
            rest = [jid for jid in self._readers(room, "system") if jid not in known]
            self._tell(room, "system", rest, mucsub.whole(stanza))
            return
        notice = "messages" if RETRACT in stanza.kids else "config"
        kind = "presence" if stanza.name == "presence" else notice
        readers = self._readers(room, kind)
        if readers:
            self._tell(room, kind, readers, mucsub.whole(stanza))

    @on("affiliating")
    def changed(self, room: Room, change: Change) -> None:
        sees, lists = (
            self.host["admin"].sees,
            [each for each in (change.before, change.after) if each != "none"],
        )
        readers = [
            jid
            for jid in self._readers(room, "affiliations")
            if all(sees(room, room.affiliation(jid.user), "none", each) for each in lists)
        ]
        if readers:
            item = Element("item", USER, affiliation=change.after, jid=change.user, role="none")
            x = Element("x", USER, item)
            self._tell(
                room, "affiliations", readers, mucsub.whole(Element("message", CLIENT, x, from_=room.address))
            )
        self._weed(room, [change.user] if "@" in change.user else self.of(room))

    def _tell_subscribers(self, room: Room, what: str, user: str, nick: str) -> None:
        """Who subscribes, and who does no longer. Addresses are for those who may see them."""
        open = self.host.open_to_all(room)
        full: list[JID] = []
        plain: list[JID] = []
        for jid in self._readers(room, "subscribers"):
            (full if open or at_least(room.affiliation(jid.user), "admin") else plain).append(jid)
        for readers, shown in ((full, user), (plain, None)):
            self._tell(room, "subscribers", readers, Element(what, NS, nick=nick, jid=shown).to_bytes())
