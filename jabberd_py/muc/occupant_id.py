"""XEP-0421: Occupant identifiers: the same person is known again under any nick, and by nobody's address."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from ..hooks import on
from ..xdb import xdb
from ..xmpp.protocols import XEP
from .feature import Feature
from .occupant import Occupant
from .room import Room

NS = "urn:xmpp:occupant-id:0"
KEPT = "jabberd_py:rooms-secret"
KIDS = (f"{NS} occupant-id",)


class OccupantId(Feature):
    """Gives each occupant an id that lasts, in everything that goes out in its name."""

    name = "occupant_id"
    protocols = (XEP(421, "1.0.1", "Occupant identifiers for semi-anonymous MUCs"),)
    features = (NS,)
    room_namespaces = (NS,)

    @on("start")
    def start(self) -> None:
        self.host.reserved |= {f"{NS} occupant-id"}

    @property
    def secret(self) -> bytes:
        """Of the service; it lasts, and nobody knows it."""
        known: bytes | None = getattr(self, "_secret", None)
        if known is None:
            kept = xdb.get(self.host.domain, KEPT)
            if kept is None:
                kept = secrets.token_hex(32)
                xdb.set(self.host.domain, KEPT, kept)
            known = self._secret = bytes.fromhex(kept)
        return known

    def id(self, room: Room, user: str) -> str:
        """Section 4.1: of this person in this room."""
        return hmac.new(self.secret, f"{room.address}\0{user}".encode(), hashlib.sha256).hexdigest()[:40]

    @on("seated")
    def mark(self, room: Room, occupant: Occupant) -> None:
        xml = f"<occupant-id xmlns='{NS}' id='{self.id(room, occupant.user)}'/>"
        occupant.badge = xml.encode(), KIDS
