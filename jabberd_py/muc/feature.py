"""A feature of rooms: a Module of the service that may have a say about each room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..hooks import Module
from ..xmpp import forms
from ..xmpp.element import Element

if TYPE_CHECKING:
    from .room import Room


class Feature(Module):
    """Its `Field`s stand in the rooms' form; its handlers hear the events of `events.py`. ``room_namespaces``: for service
    discovery of every room."""

    room_namespaces: tuple[str, ...] = ()

    def room_features(self, room: Room) -> list[str]:
        """Features of this room (XEP-0045 section 6.4)."""
        return []

    def room_info(self, room: Room, form: forms.Form) -> None:
        """Adds fields of `muc#roominfo` (XEP-0128)."""

    def room_forms(self, room: Room) -> list[Element]:
        """Data forms beside `muc#roominfo`."""
        return []

    def room_node(self, room: Room, request: Element, node: str) -> Element | None:
        """The <query/> that answers for a node of the room, or None: not mine. Raises StanzaError."""
        return None

    def codes(self, room: Room) -> tuple[int, ...]:
        """Status codes that those who enter get with their own presence."""
        return ()

    def marks(self, room: Room) -> tuple[Element, ...]:
        """Elements in the <x/> of the same presence."""
        return ()
