"""Who may make rooms; who is banned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..hooks import Option, on
from ..instance import Instance
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from . import store
from .feature import Feature
from .occupant import Occupant
from .room import Room


class Permissions(Feature):
    """Who may make rooms, and who is kept out of one."""

    create = Option(str, "local", "who may make rooms", choices=["anyone", "local", "admins"])
    rooms_per_user = Option(int, 100, "rooms that one account may make; 0: any number", min=0)

    def __init__(self, host: Instance, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.fresh: Counter[str] = Counter()
        """Account -> the rooms that it has made and that the store does not have yet."""

    @on("creating")
    def check(self, address: str, stanza: Element) -> None:
        """Section 10.1.1. Administrators always may."""
        sender = stanza.from_
        if self.host.is_admin(sender):
            return
        instance = self.host.router.instances.get(sender.domain)
        local = instance is not None and instance.has_users
        if self.create == "admins" or self.create == "local" and not local:
            raise StanzaError("not-allowed", "you may not make rooms here")
        if self.rooms_per_user:
            before, user = self.fresh[sender.user], sender.user
            found = store.founded(user) + max(
                before, self.fresh[user]
            )  # rooms may be made while the store counts
            if found >= self.rooms_per_user:
                raise StanzaError("resource-constraint", "you have made too many rooms", type="wait")

    @on("founded")
    def made(self, room: Room, stanza: Element) -> None:
        self.fresh[room.founder] += 1

    @on("kept")
    def kept(self, room: Room) -> None:
        self.fresh -= Counter((room.founder,))

    @on("entering")
    def banned(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        """Section 7.2.8."""
        if room.affiliation(occupant.user) == "outcast" and not self.host.is_admin(stanza.from_):
            raise StanzaError("forbidden", "you are banned from this room")
