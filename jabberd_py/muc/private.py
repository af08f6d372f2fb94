"""Private messages between occupants (XEP-0045 section 7.5)."""

from __future__ import annotations

from ..hooks import on
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .feature import Feature
from .fields import Field
from .occupant import Occupant
from .ranks import ROLES
from .room import Room

LEAST = {"anyone": "visitor", "participants": "participant", "moderators": "moderator"}


class Private(Feature):
    """Who may send private messages through the room."""

    who = Field(
        "muc#roomconfig_allowpm", "list-single", "anyone", "Who may send private messages",
        choices=(
            ("anyone", "Everybody"), ("participants", "Those who have voice"), ("moderators", "Moderators"),
            ("none", "Nobody"),
        ),
    )  # fmt: skip

    @on("whispering", kind="message")
    def check(self, room: Room, occupant: Occupant, target: Occupant, stanza: Element) -> None:
        """Whom nobody else may write to, a moderator may always be written to: visitors can ask for help."""
        least = LEAST.get(self.who(room))
        if least is None or ROLES.index(occupant.role) < ROLES.index(least):
            if least is not None and target.role == "moderator":
                return
            raise StanzaError("forbidden", "this room lets you send no private messages")
