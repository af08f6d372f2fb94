"""Who may make rooms; who is banned."""

from __future__ import annotations

from ..hooks import Option, on
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
        if self.rooms_per_user and store.founded(sender.user) >= self.rooms_per_user:
            raise StanzaError("resource-constraint", "you have made too many rooms", type="wait")

    @on("entering")
    def banned(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        """Section 7.2.8."""
        if room.affiliation(occupant.user) == "outcast" and not self.host.is_admin(stanza.from_):
            raise StanzaError("forbidden", "you are banned from this room")
