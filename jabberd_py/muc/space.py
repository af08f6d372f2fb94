"""XEP-0503: Server-side spaces. A room whose form names a pubsub node says that this is the space it belongs to."""

from __future__ import annotations

import re

from ..xmpp.element import Element
from ..xmpp.forms import Form
from ..xmpp.protocols import XEP
from .feature import Feature
from .room import Room

NS = "urn:xmpp:spaces:0"
_node = re.compile(r"xmpp:[^?#]+\?(?:[^#]*;)?node=[^;#]+").match


class Space(Feature):
    """The space of a room. The space itself is a node of a pubsub service; nothing there is particular to spaces."""

    needs = ("description",)
    protocols = (XEP(503, "0.3.0", "Server-side spaces"),)

    def _parent(self, room: Room) -> str:
        """The URI of the node, or nothing."""
        uri: str = self.host["description"].pubsub(room)
        return uri if _node(uri) else ""

    def room_features(self, room: Room) -> list[str]:
        return [NS] if self._parent(room) else []

    def room_forms(self, room: Room) -> list[Element]:
        parent = self._parent(room)
        return (
            [Form("result", form_type=NS).field("parent", "text-single", "Parent space", parent).element()]
            if parent
            else []
        )
