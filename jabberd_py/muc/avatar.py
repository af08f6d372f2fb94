"""XEP-0486: MUC Avatars: a room has a vCard with a photo (XEP-0054), and says which one it is (XEP-0153)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

from ..hooks import Option, iq, on, size
from ..xdb import xdb
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.large import payload_text
from ..xmpp.ns import CLIENT
from ..xmpp.protocols import XEP
from .feature import Feature
from .occupant import Occupant
from .room import Room

NS = "vcard-temp"
UPDATE = "vcard-temp:x:update"


class Avatar(Feature):
    """Owners give the room a vCard; everybody may read it."""

    protocols = (XEP(486, "0.1.0", "MUC Avatars"),)
    room_namespaces = (NS,)
    max_size = Option(size, "128 KiB", "largest vCard of a room, photo and all")

    @iq("get", NS, "vCard", to="room")
    def show(self, request: Element) -> Any:
        room = self.host.room(request).address
        text = xdb.get(room, NS)
        if text is None:
            return Element("vCard", NS)  # as an owner has set it who took the avatar away
        return self.host.answer_stored(request, "document", room, text, Element("vCard", NS))

    @iq("set", NS, "vCard", to="room")
    def store(self, request: Element) -> None:
        room, card = self.host.room(request), request.payload
        if room.power(request.from_) != "owner":
            raise StanzaError("forbidden", "Only owners are allowed to set avatars.")
        text = payload_text(request)
        if len(text.encode()) > self.max_size:
            raise StanzaError("policy-violation", f"a vCard may have {self.max_size} bytes")
        hashes = _hashes(card)
        xdb.set(room.address, NS, text if card.payload is not None else None)  # an empty one removes it
        if room.gone and room.address not in self.host.rooms:
            xdb.set(room.address, NS, None)
        room.check_there()
        before = room.notes.pop("avatar", [])
        if hashes:
            room.notes["avatar"] = hashes
        ticket = room.save()
        room.announce(104)
        if before != hashes:
            room.sending.all(_update(room), room.everyone)
        ticket.wait()

    @on("entered")
    def tell(self, room: Room, occupant: Occupant, full: str, stanza: Element) -> None:
        """For clients that know the older way only (XEP-0486 section 6.2)."""
        if "avatar" in room.notes:
            room.sending.one(_update(room).copy(to=full))

    def room_info(self, room: Room, form: forms.Form) -> None:
        hashes = room.notes.get("avatar")
        if hashes:
            form.field("muc#roominfo_avatarhash", "text-multi", "Avatar hash", hashes)


def _hashes(card: Any) -> list[str]:
    """Of each photo in a vCard (XEP-0153 section 3.1). Raises StanzaError."""
    found = []
    for photo in card.all("PHOTO", NS):
        text = photo.text_of("BINVAL", NS)
        if text is None:
            continue
        try:
            data = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            raise StanzaError("not-acceptable", "the photo is not in base64") from None
        if data:
            found.append(hashlib.sha1(data, usedforsecurity=False).hexdigest())
    return found


def _update(room: Room) -> Element:
    hashes = room.notes.get("avatar")
    photo = Element("photo", UPDATE, *hashes[:1]) if hashes else Element("photo", UPDATE)
    return Element("presence", CLIENT, Element("x", UPDATE, photo), from_=room.address)
