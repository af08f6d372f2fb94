"""Members who are away get what is said at their bare addresses, if they have asked for it when they registered.

An account and its sessions are two things here: as long as one session of the account is in, the room sends to the sessions
only.
"""

from __future__ import annotations

from typing import Any

from ..hooks import Option, on
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .changes import Change
from .feature import Feature
from .occupant import Occupant
from .room import Room

OFFLINE = "{http://tigase.org/protocol/muc}offline"
RETRACT = "urn:xmpp:message-retract:1 retract"
"""A child of a stanza, as `Element.kids` has it."""


class Offline(Feature):
    """A room's notes keep ``offline``: the bare addresses that want it."""

    needs = ("register",)
    room_namespaces = ("http://tigase.org/protocol/muc#offline",)
    most = Option(int, 1000, "members of one room who get messages while they are away", min=0)

    @on("registering")
    def offer(self, room: Room, user: str, form: forms.Form) -> None:
        wanted = user in room.notes.get("offline", ())
        form.field(OFFLINE, "boolean", "Send me what is said while I am not in", wanted)

    def check(self, room: Room, user: str, fields: dict[str, list[str]]) -> bool:
        """Does the form ask for it? Raises StanzaError."""
        try:
            wanted = forms.boolean(fields.get(OFFLINE, ["0"]))
        except ValueError:
            raise StanzaError("bad-request", f"{OFFLINE} is no boolean") from None
        known = room.notes.get("offline", ())
        if wanted and user not in known and len(known) >= self.most:
            raise StanzaError("resource-constraint", "too many members get messages while away", type="wait")
        return wanted

    @on("enrolled")
    def registered(self, room: Room, user: str, fields: dict[str, list[str]], tickets: list[object]) -> None:
        known: list[str] = room.notes.setdefault("offline", [])
        wanted = bool(fields) and self.check(room, user, fields)
        if wanted and user not in known:
            known.append(user)
            tickets.append(room.save())
        elif not wanted:
            self.drop(room, user)

    def drop(self, room: Room, user: str) -> None:
        """They get nothing more while they are away."""
        if user in room.notes.get("offline", ()):
            room.notes["offline"].remove(user)
            room.save()
        room.memory.pop("away", None)

    @on("forgotten")
    def forget(self, room: Room, user: str) -> None:
        self.drop(room, user)

    @on("affiliating")
    def changed(self, room: Room, change: Change) -> None:
        if change.after in ("none", "outcast"):
            self.drop(room, change.user)

    @on("seated")
    def came(self, room: Room, occupant: Occupant) -> None:
        room.memory.pop("away", None)

    @on("left")
    def went(self, room: Room, occupant: Occupant) -> None:
        room.memory.pop("away", None)

    @on("said")
    def tell(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        if stanza.has("body"):
            self._send(room, stanza)

    @on("shown")
    def moderated(self, room: Room, stanza: Any) -> None:
        """A moderator has taken back what somebody said (XEP-0425)."""
        if RETRACT in stanza.kids:
            self._send(room, stanza)

    def _send(self, room: Room, stanza: Element) -> None:
        if not room.notes.get("offline"):
            return
        away: list[str] | None = room.memory.get("away")
        if away is None:
            here = {each.user for each in room.occupants.values()}
            away = room.memory["away"] = [each for each in room.notes["offline"] if each not in here]
        if away:
            room.sending.all(stanza, away)

    @on("returned")
    def returned(self, room: Room, stanza: Element) -> None:
        """A message to a bare address came back. Users of this server have it switched off by their registration or with their
        account; other servers may not know how to take it."""
        jid = stanza.from_
        assert jid is not None
        if jid.resource is None and jid.domain not in self.host.router.instances:
            self.drop(room, jid.user)
