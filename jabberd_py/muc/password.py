"""Rooms with a password (XEP-0045 section 7.2.6)."""

from __future__ import annotations

import hmac
from typing import Any

from ..hooks import Option, duration, on
from ..net.karma import Karma
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .feature import Feature
from .fields import Field
from .occupant import MUC, Occupant
from .room import Room


class Password(Feature):
    """Who enters has to know the room's password, where it has one."""

    protected = Field(
        "muc#roomconfig_passwordprotectedroom", "boolean", False, "A password is needed to enter"
    )
    secret = Field("muc#roomconfig_roomsecret", "text-private", "", "The password", most=255)

    tries = Option(int, 10, "passwords that one account may try at once in a room", min=1)
    refill = Option(duration, "10s", "time after which an account may try one password more", min=0.1)

    @on("start", "reload")
    def start(self) -> None:
        self.tried = Karma(1 / self.refill, self.tries)

    def of(self, room: Room) -> str | None:
        """The password that is needed, or None."""
        return self.secret(room) if self.protected(room) else None

    def room_features(self, room: Room) -> list[str]:
        return ["muc_passwordprotected" if self.protected(room) else "muc_unsecured"]

    @on("entering")
    def check(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        wanted = self.of(room)
        if wanted is None or self.host.is_admin(stanza.from_):
            return
        if not self.tried.spend((room.address, occupant.user)):
            raise StanzaError("resource-constraint", "too many passwords, wait a little", type="wait")
        x = stanza.child("x", MUC)
        given = None if x is None else x.text_of("password", MUC)
        if given is None or not hmac.compare_digest(given.encode(), wanted.encode()):
            raise StanzaError("not-authorized", "the password is needed")

    @on("configuring")
    def sensible(self, room: Room, values: dict[str, Any], stanza: Element) -> None:
        """Section 10.1.3. Who only submits a password wants it to be needed."""
        if self.secret.var in values:
            values.setdefault(self.protected.var, bool(values[self.secret.var]))
        after = {**room.config, **values}
        if after.get(self.protected.var) and not after.get(self.secret.var):
            raise StanzaError("not-acceptable", "a room with a password needs one")
