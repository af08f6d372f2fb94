"""Ad-hoc commands of rooms (XEP-0050): features add theirs."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..hooks import iq
from ..instance import Instance
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from ..xmpp.ns import DISCO_INFO, DISCO_ITEMS
from ..xmpp.protocols import XEP
from .feature import Feature
from .room import Room

NS = "http://jabber.org/protocol/commands"
MAX_SESSION = 100


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
    run: Callable[[Room, dict[str, list[str]]], forms.Form | None]
    form: Callable[[Room], forms.Form] | None = None
    form_type: str | None = None


class Adhoc(Feature):
    """Runs commands. It keeps nothing of a session: a form that is submitted has all that is needed."""

    protocols = (XEP(50, "1.3.0", "Ad-Hoc Commands", missing="only commands of rooms"),)
    room_namespaces = (NS,)

    def __init__(self, host: Instance, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.nodes: dict[str, RoomCommand] = {}

    @iq("set", NS, "command", to="room")
    def execute(self, request: Element) -> Element:
        room, payload = self.host.room(request), request.payload
        node, command = payload.attrs.get("node", ""), self.nodes.get(payload.attrs.get("node", ""))
        if command is None:
            raise StanzaError("item-not-found", "there is no such command")
        if not command.may(room, request.from_):
            raise StanzaError("forbidden")
        session = payload.attrs.get("sessionid") or secrets.token_hex(8)
        if len(session) > MAX_SESSION:
            raise StanzaError("bad-request", None, Element("bad-sessionid", NS))
        answer = Element("command", NS, node=node, sessionid=session)
        action, x = payload.attrs.get("action", "execute"), payload.child("x", forms.NS)
        if action == "cancel":
            answer.attrs["status"] = "canceled"
            return answer
        if action not in ("execute", "next", "complete"):
            raise StanzaError("bad-request", None, Element("bad-action", NS))
        if command.form is not None and x is None:
            answer.attrs["status"] = "executing"
            actions = Element("actions", NS, Element("complete", NS), execute="complete")
            return answer.append(actions, command.form(room).element())
        result = command.run(room, self._values(command, x))
        answer.attrs["status"] = "completed"
        return answer if result is None else answer.append(result.element())

    def _values(self, command: RoomCommand, x: Element | None) -> dict[str, list[str]]:
        """Raises StanzaError."""
        if x is None or command.form is None:
            return {}
        try:
            return forms.read(x, command.form_type)
        except ValueError as error:
            raise StanzaError("bad-request", str(error), Element("bad-payload", NS)) from None

    def room_node(self, room: Room, request: Element, node: str) -> Element | None:
        """Sections 2.2 and 2.3."""
        space = request.payload.ns
        if node == NS and space == DISCO_ITEMS:
            query = Element("query", DISCO_ITEMS, node=node)
            for name, command in self.nodes.items():
                if command.may(room, request.from_):
                    query.append(
                        Element("item", DISCO_ITEMS, jid=room.address, node=name, name=command.title)
                    )
            return query
        if node in self.nodes and space == DISCO_INFO:
            query = Element("query", DISCO_INFO, node=node)
            query.append(
                Element("identity", DISCO_INFO, category="automation", type="command-node", name=self.nodes[node].title),
                *(Element("feature", DISCO_INFO, var=var) for var in (NS, forms.NS)),
            )  # fmt: skip
            return query
        return None
