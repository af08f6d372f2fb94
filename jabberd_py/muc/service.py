"""The service of rooms, at `conference.HOST`: finds or makes the room that a stanza is for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import gevent
from gevent import Greenlet

from .. import log
from ..archive.stamps import STAMPS, genuine
from ..cluster import cluster
from ..fanout import Tally
from ..hooks import Option, on
from ..instance import Instance
from ..net.turns import fairly
from ..router import Router
from ..service import Service
from ..xdb import OWNER_LENGTH, StoreError, xdb
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError, error_reply
from ..xmpp.jid import JID, parse
from ..xmpp.ns import CLIENT
from ..xmpp.protocols import XEP
from . import changes, store, traffic
from . import room as rooms
from .events import ARGUMENTS, EVENTS
from .feature import Feature
from .fields import Field
from .occupant import HATS, MUC, USER, Occupant, cleaned, lean
from .presence import Leave
from .room import Room

logger = log.get(__name__)


class Rooms(Service):
    """Rooms for many to talk in. Each is at home where its state is: in memory while somebody is in, else in the store."""

    name = "rooms"
    category, type, title = "conference", "text", "Chat rooms"
    targets = ("server", "room")
    events = EVENTS
    arguments = ARGUMENTS
    features = (MUC, f"{MUC}#stable_id")
    tables = store.TABLES
    protocols = (XEP(45, "1.35.5", "Multi-User Chat"),)
    order = (
        # who may come in, in the order of the errors that they get
        "permissions",
        "blocklisted",
        "lock",
        "members",
        "password",
        "limits",
        # what an occupant is and may
        "occupant_id",
        "whois",
        "moderated",
        "broadcast",
        "crowd",
        "register",
        "nicks",
        "approval",
        "offline",
        "private",
        "relay",
        # what a room is, and what those who come in get
        "description",
        "space",
        "hidden",
        "persistent",
        "archive",
        "history",
        "subject",
        "slow",
        "activity",
        "avatar",
        "reports",
        "trim",
        "invitations",
        "recovery",
        # how it is run
        "admin",
        "owner",
        "subscriptions",
        "versions",
        "adhoc",
        "hats",
        "discovery",
        "search",
        "unique",
        "commands",
        "alive",
    )
    prefix = Option(
        str,
        "conference",
        "label before the host's name that makes its address, unless 'address' says otherwise",
    )
    groupchat_1 = Option(
        bool,
        True,
        "do clients enter that send presence without saying that they know XEP-0045? If not, they are told to",
    )
    asleep = Option(int, 1000, "rooms in memory that nobody is in", min=1)

    def __init__(
        self, router: Router, host: Instance, domain: str, settings: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(router, host, domain, settings)
        self.rooms: dict[str, Room] = {}
        self.idle: OrderedDict[str, Room] = OrderedDict()
        self.tally = Tally()
        self.going: dict[str, Greenlet] = {}
        """Rooms that are gone, and that the store still has -> who removes them there."""
        self.silent: dict[str, float] = {}
        """Other servers that do not answer -> since when (`time.monotonic`). Whatever comes from one takes it out."""
        self.reserved: frozenset[str] = frozenset((f"{MUC} x", f"{USER} x", HATS))
        """Children of a stanza, as `Element.kids` has them, that only the room itself may send."""

    @cached_property
    def own(self) -> list[Feature]:
        """The features of rooms that are switched on."""
        return [each for each in self.modules.values() if isinstance(each, Feature)]

    @cached_property
    def archive(self) -> Any:
        """The feature that keeps what is said, or None."""
        return self.modules.get("archive")

    @cached_property
    def fields(self) -> dict[str, Field[Any]]:
        """The fields of the rooms' form, by name, in order: first what the room is called."""
        parts = sorted(self.own, key=lambda each: each.name != "description")
        found = (each for part in parts for each in vars(type(part)).values())
        return {each.var: each for each in found if isinstance(each, Field)}

    # -- rooms -----------------------------------------------------------------------------------------

    def find(self, address: str) -> Room | None:
        """The room of that bare address, from the store if nobody is in. None: there is none. May block."""
        room = self.rooms.get(address)
        if room is not None or address in self.going:
            return room
        if len(address) <= OWNER_LENGTH and cluster.claim(address):
            kept = store.load(address)
            room = self.rooms.get(address)  # somebody else may have been faster
            if room is None and kept is not None:
                made = Room(self, address, kept.created, kept.founder)
                made.load(kept)
                self.hooks.tell("loaded", made)  # it may block
                room = self.rooms.get(address)
                if room is None and address not in self.going:
                    room = self.rooms[address] = made
                    if not room.sessions:
                        self.empty(room)
        return room

    def room(self, stanza: Element) -> Room:
        """The room that a request is for. Raises StanzaError."""
        room = self.find(stanza.to.user)
        if room is None:
            raise StanzaError("item-not-found", "there is no such room")
        return room

    def glance(self, stanza: Element) -> Room:
        """The room that a request only asks about. One that sleeps is read and sleeps on: nothing may be changed in what is
        returned. May block. Raises StanzaError."""
        address = stanza.to.user
        room = self.rooms.get(address)
        if room is None and address not in self.going and len(address) <= OWNER_LENGTH:
            kept = store.load(address)
            room = self.rooms.get(address)
            if room is None and kept is not None:
                room = Room(self, address, kept.created, kept.founder)
                room.config, room.notes, room.affiliations = kept.config, kept.notes, kept.affiliations
        if room is None:
            raise StanzaError("item-not-found", "there is no such room")
        return room

    def make(self, stanza: Element, address: str) -> Room:
        """A new room for who sent this. Raises StanzaError."""
        if len(address) > OWNER_LENGTH:
            raise StanzaError("not-acceptable", "the room's address is too long")
        self.forgotten(address)
        self.hooks.call("creating", address, stanza)
        founder = stanza.from_.user
        room = self.rooms.get(address)
        if room is None:
            room = self.rooms[address] = rooms.fresh(self, address, founder)
            self.hooks.tell("founded", room, stanza)
            store.affiliate(address, founder, room.affiliations[founder])
            room.save().then(lambda _: self.hooks.tell("kept", room))
            logger.info("a room is made", room=address, by=founder)
        return room

    def awake(self, room: Room) -> None:
        """Somebody is in."""
        self.idle.pop(room.address, None)

    def empty(self, room: Room) -> None:
        """Nobody is in any more: the room sleeps, or goes if it is not to last."""
        if not self.lasts(room):
            room.destroy()
            return
        self.idle[room.address] = room
        if len(self.idle) > self.asleep:
            ticket = xdb.newest
            if ticket is None:
                self._sleep()
            else:  # the store shall know all that the room knows
                ticket.then(lambda _: self._sleep())

    def _sleep(self) -> None:
        for address, room in list(self.idle.items())[: max(0, len(self.idle) - self.asleep)]:
            if not room.sending.queue:  # the next one of its address would not keep the order
                del self.idle[address], self.rooms[address]
                cluster.release(address)

    def forget(self, room: Room) -> None:
        """The room is gone for good."""
        self.rooms.pop(room.address, None)
        self.idle.pop(room.address, None)
        self.going[room.address] = gevent.spawn(self._forget, room.address)
        self.hooks.tell("destroyed", room)
        logger.info("a room is gone", room=room.address)

    def _forget(self, address: str) -> StoreError | None:
        try:
            store.forget(address)
        except StoreError as error:
            return error
        finally:
            del self.going[address]
        return None

    def forgotten(self, address: str) -> None:
        """Blocks while the store still has a room that is gone. Raises StoreError: it keeps it."""
        going = self.going.get(address)
        error = None if going is None else going.get()
        if error is not None:
            raise error

    # -- what features say of a room -------------------------------------------------------------------

    def _says(self, name: str, room: Room, default: bool) -> bool:
        module: Any = self.modules.get(name)
        return default if module is None else module.says(room)

    def open_to_all(self, room: Room) -> bool:
        """Does everybody see real addresses?"""
        return self._says("whois", room, False)

    def public(self, room: Room) -> bool:
        """Does everybody find it, and may everybody enter?"""
        password: Any = self.modules.get("password")
        closed = self._says("members", room, False) or password is not None and password.of(room) is not None
        return self._says("hidden", room, False) and not closed

    def nick(self, room: Room, user: str, wanted: str) -> str:
        """The nick that a user gets who wants that one."""
        module: Any = self.modules.get("nicks")
        return wanted if module is None else str(module.given(room, user, wanted))

    def lasts(self, room: Room) -> bool:
        """Does it last when nobody is in?"""
        return self._says("persistent", room, False) or self._says("subscriptions", room, False)

    def subscribed(self, room: Room, user: str) -> bool:
        """Has that bare address subscribed to the room?"""
        module: Any = self.modules.get("subscriptions")
        return module is not None and user in module.of(room)

    def speaker(self, room: Room, stanza: Element) -> Occupant | None:
        """As whom a session that is not in the room may speak, or None. May block. Raises StanzaError."""
        module: Any = self.modules.get("subscriptions")
        return None if module is None else module.speaker(room, stanza)

    def broadcasts(self, room: Room, occupant: Occupant) -> bool:
        """Do all see the presence of that occupant?"""
        broadcast: Any = self.modules.get("broadcast")
        crowd: Any = self.modules.get("crowd")
        shown = broadcast is None or broadcast.shows(room, occupant)
        return shown and (crowd is None or not crowd.hides(room, occupant))

    def holds(self, room: Room, occupant: Occupant) -> bool:
        """Does a new presence of that occupant wait a little?"""
        crowd: Any = self.modules.get("crowd")
        return crowd is not None and crowd.holds(room, occupant)

    def check_list(self, room: Room, user: str) -> None:
        """May that address become something in the room? Raises StanzaError: its lists are full."""
        admin: Any = self.modules.get("admin")
        if admin is not None:
            admin.check_list(room, user)

    def entry(self, room: Room) -> tuple[bool, str]:
        """Whether the public list shows it, and under which name."""
        name: Any = self.modules.get("description")
        return self._says("hidden", room, True), "" if name is None else name.title(room)

    # -- stanzas ---------------------------------------------------------------------------------------

    def deliver_node(self, stanza: Element, to: JID) -> None:
        """Errors say that the room refuses, and those of who wants to enter say that it is one (section 7.2)."""
        try:
            traffic.deliver(self, stanza, to)
        except StanzaError as error:
            answer = error_reply(stanza, error)
            if answer is not None:
                answer.child("error").attrs["by"] = to.user
                if stanza.name == "presence" and stanza.has("x", MUC):
                    kids = list(answer.children)
                    answer = Element.parsed("presence", CLIENT, answer.attrs).append(Element("x", MUC), *kids)
                self.router.reply(answer)

    @on("server", kind="presence")
    def which(self, stanza: Element) -> None:
        """Clients would wait for ever."""
        if stanza.type is None and stanza.has("x", MUC):
            raise StanzaError("jid-malformed", "which room? room@service/nick")

    def answered(self, stanza: Element) -> None:
        """Also an answer that comes too late is a sign of life."""
        if stanza.from_ is not None:
            self.silent.pop(stanza.from_.domain, None)
        super().answered(stanza)

    def cleaned(self, room: Room, stanza: Element) -> Element:
        """A message without what only the room may say: its own marks, and stanza-ids in its name (XEP-0359)."""
        if not STAMPS.isdisjoint(stanza.kids):
            stanza = genuine(stanza, room.address)
        return cleaned(stanza, self.reserved)

    def presentable(self, room: Room, occupant: Occupant, presence: Element) -> Element:
        """A presence of the occupant as the room shows it."""
        moderated: Any = self.modules.get("moderated")
        presence = cleaned(presence, self.reserved)
        return presence if moderated is None else moderated.modest(room, occupant, presence)

    def read(self, presence: str) -> Element:
        """A presence that was kept."""
        return lean(from_text(presence))

    # -- the life of the service -----------------------------------------------------------------------

    @on("start")
    def wake(self) -> None:
        """Rooms that somebody was in are in memory again."""
        for address in store.inhabited(self.domain):
            self.find(address)

    @on("restored")
    def look(self) -> None:
        """Who had no session that can be resumed is gone; of users of other servers, errors will tell."""
        for room in list(self.rooms.values()):
            for full in fairly(list(room.sessions)):
                jid = parse(full)
                if self.router.has_session(jid) is False and full in room.sessions:
                    room.leave(full)

    @on("stop")
    def close(self) -> None:
        """The service goes while the server runs: all are told (section 11.2). When the server stops they stay in."""
        if self.ending:
            for room in list(self.rooms.values()):
                for occupant in list(room.occupants.values()):
                    room.remove(occupant, Leave((332,)))

    @on("deleting")
    def drop(self, user: str) -> None:
        """An account goes, and with it what it was to the rooms."""
        store.forget_user(user)
        for room in list(self.rooms.values()):
            for occupant in room.of(user):
                room.remove(occupant)
            changes.affiliate(room, user, "none")
        for address in store.noted(self.domain, user):
            noted = self.find(address)
            if noted is not None:
                self.hooks.tell("forgotten", noted, user)
                noted.save()
