"""Ad-hoc commands of rooms (XEP-0050): features add theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from ..adhoc import NS, Dialogue, Talks, Values, about, listing
from ..hooks import iq
from ..instance import Instance
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from ..xmpp.ns import DISCO_INFO
from .feature import Feature
from .room import Room


class RoomCommand(NamedTuple):
    """
    title      for people
    may        may that address run it in that room?
    run        does it with the values of the submitted form, and returns a form of results, or None; raises StanzaError
    form       the form to be filled in, or None: there is none
    form_type  of the form
    """

    title: str
    may: Callable[[Room, JID | None], bool]
    run: Callable[[Room, Values], forms.Form | None]
    form: Callable[[Room], forms.Form] | None = None
    form_type: str | None = None

    def dialogue(self, room: Room) -> Dialogue:
        pages = () if self.form is None else (partial(_page, self.form, room),)
        return Dialogue(self.title, partial(self._shown, room), pages, self.form_type)

    def _shown(self, room: Room, values: Values) -> list[Element]:
        result = self.run(room, values)
        return [] if result is None else [result.element()]


def _page(form: Callable[[Room], forms.Form], room: Room, values: Values) -> forms.Form:
    return form(room)


class Adhoc(Feature):
    """Runs commands of rooms."""

    room_namespaces = (NS,)

    def __init__(self, host: Instance, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.nodes: dict[str, RoomCommand] = {}
        self.talks = Talks()

    @iq("set", NS, "command", to="room")
    def execute(self, request: Element) -> Any:
        room = self.host.room(request)
        command = self._command(room, request, request.payload.attrs.get("node", ""))
        return self.talks.execute(request, command.dialogue(room))

    def _command(self, room: Room, request: Element, node: str) -> RoomCommand:
        """Raises StanzaError."""
        command = self.nodes.get(node)
        if command is None:
            raise StanzaError("item-not-found", "there is no such command")
        if not command.may(room, request.from_):
            raise StanzaError("forbidden")
        return command

    def room_node(self, room: Room, request: Element, node: str) -> Element | None:
        """Sections 2.2 and 2.3."""
        info = request.payload.ns == DISCO_INFO
        if node == NS:
            if info:
                return about(node, "Commands", "command-list")
            may = {name: each.title for name, each in self.nodes.items() if each.may(room, request.from_)}
            return listing(room.address, may)
        if node in self.nodes and info:
            return about(node, self._command(room, request, node).title)
        return None
