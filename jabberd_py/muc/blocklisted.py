"""Whoever is on a block list of the host (pubsub/blocklists.py) does not come in."""

from __future__ import annotations

from ..hooks import on
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .feature import Feature
from .occupant import Occupant
from .room import Room


class BlockListed(Feature):
    """Asks the host's module about who enters. Owners, admins and members come in all the same."""

    @on("entering")
    def turn_away(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        lists, jid = self.host.host.modules.get("blocklists"), stanza.from_
        if lists is None or jid is None or occupant.sessions or not lists.lists_it(jid):
            return
        if room.affiliation(jid.user) in ("none", "outcast"):
            raise StanzaError("forbidden", "your address, or your server, is on a block list")
