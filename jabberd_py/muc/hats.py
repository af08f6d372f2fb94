"""XEP-0317: Hats: what people are in a room beside role and affiliation, such as host or teacher."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

from ..adhoc import refusal
from ..hooks import Option, on
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.protocols import XEP
from .adhoc import RoomCommand
from .changes import Change
from .feature import Feature
from .occupant import Occupant
from .ranks import at_least
from .room import Room

NS = "urn:xmpp:hats:0"
COMMANDS = "urn:xmpp:hats:commands"
URI, TITLE, HUE, WHO = "hats#uri", "hats#title", "hats#hue", "hats#jid"
LONGEST_URI, LONGEST_TITLE = 500, 100
WORN = 5
"""Hats of one person: they stand in each presence."""
WORN_SIZE = 64 << 10
"""Characters of all that say who wears what: a room is stored as a whole."""


class Hat(NamedTuple):
    """``hue``: an angle of XEP-0392 as text, or empty."""

    title: str
    hue: str = ""


class Hats(Feature):
    """Admins make hats and give them to people. A room's notes keep ``hats``: URI -> [title, hue], and ``worn``: bare address
    -> URIs."""

    protocols = (XEP(317, "0.3.1", "Hats"),)
    needs = ("adhoc",)
    room_namespaces = (NS,)
    most = Option(int, 50, "hats of one room", min=1)
    wearers = Option(int, 1000, "people with hats in one room", min=1)

    @on("start")
    def start(self) -> None:
        admins, insiders = self._admin, self._insider
        form = COMMANDS
        self.host["adhoc"].nodes |= {
            f"{COMMANDS}:create": RoomCommand("Create a hat", admins, self._create, self._about_hat, form),
            f"{COMMANDS}:destroy": RoomCommand("Destroy a hat", admins, self._destroy, self._which, form),
            f"{COMMANDS}:list": RoomCommand("List hats", insiders, self._list),
            f"{COMMANDS}:assign": RoomCommand("Give a hat to a user", admins, self._assign, self._whom, form),
            f"{COMMANDS}:unassign": RoomCommand("Take a hat from a user", admins, self._unassign, self._whom, form),
            f"{COMMANDS}:list-assigned": RoomCommand("List who wears hats", admins, self._list_assigned),
        }  # fmt: skip

    def _admin(self, room: Room, jid: JID | None) -> bool:
        return at_least(room.power(jid), "admin")

    def _insider(self, room: Room, jid: JID | None) -> bool:
        return at_least(room.power(jid), "member") or room.role(jid) != "none"

    # -- what is shown ---------------------------------------------------------------------------------

    def of(self, room: Room) -> dict[str, Hat]:
        """The hats of a room, by URI."""
        return {uri: Hat(*hat) for uri, hat in room.notes.get("hats", {}).items()}

    @on("seated")
    def dress(self, room: Room, occupant: Occupant) -> None:
        worn = room.notes.get("worn", {}).get(occupant.user)
        occupant.hats = b""
        if worn:
            hats = self.of(room)
            kids = (
                Element("hat", NS, title=hats[uri].title, uri=uri, hue=hats[uri].hue or None) for uri in worn
            )
            occupant.hats = Element("hats", NS, *kids).to_bytes()

    def room_info(self, room: Room, form: forms.Form) -> None:
        hats = room.notes.get("hats")
        if hats:
            digest = hashlib.sha1(json.dumps(hats, sort_keys=True).encode(), usedforsecurity=False)
            form.field("hats#hash", "text-single", "Hats hash", digest.hexdigest())

    def _changed(self, room: Room, users: list[str], listed: bool) -> None:
        """Keeps hats and wearers, and shows the users anew. ``listed``: the list of hats has changed."""
        ticket = room.save()
        if listed:
            room.announce(104)
        for user in users:
            for occupant in room.of(user):
                self.dress(room, occupant)
                room.publish(occupant)
        ticket.wait()

    @on("affiliating")
    def banned(self, room: Room, change: Change) -> None:
        if change.after == "outcast" and room.notes.get("worn", {}).pop(change.user, None):
            room.save()

    @on("forgotten")
    def forget(self, room: Room, user: str) -> None:
        room.notes.get("worn", {}).pop(user, None)

    # -- commands --------------------------------------------------------------------------------------

    def _about_hat(self, room: Room) -> forms.Form:
        return (
            forms.Form("form", "Creating a hat", "Fill out this form to create or change a hat.", COMMANDS)
            .field(TITLE, "text-single", "Title", required=True)
            .field(URI, "text-single", "URI", required=True)
            .field(HUE, "text-single", "Hue, an angle from 0 to 360")
        )

    def _create(self, room: Room, values: dict[str, list[str]]) -> None:
        uri, title, hue = _one(values, URI), _one(values, TITLE), (values.get(HUE) or [""])[0].strip()
        if len(uri) > LONGEST_URI or len(title) > LONGEST_TITLE or not _is_hue(hue):
            raise StanzaError("not-acceptable", "the URI or the title is too long, or the hue is no angle")
        hats = room.notes.setdefault("hats", {})
        if uri not in hats and len(hats) >= self.most:
            raise StanzaError("resource-constraint", f"a room may have {self.most} hats", type="wait")
        hats[uri] = [title, hue]
        self._changed(room, self._wearers(room, uri), True)

    def _which(self, room: Room) -> forms.Form:
        form = forms.Form("form", "Destroying a hat", "Which hat?", COMMANDS)
        options = [(uri, hat.title) for uri, hat in self.of(room).items()]
        return form.field(URI, "list-single", "Hat", None, options, required=True)

    def _destroy(self, room: Room, values: dict[str, list[str]]) -> None:
        uri = self._known(room, values)
        wearers = self._wearers(room, uri)
        del room.notes["hats"][uri]
        for user in wearers:
            self._take(room, user, uri)
        self._changed(room, wearers, True)

    def _whom(self, room: Room) -> forms.Form:
        form = forms.Form("form", "A hat of a user", "Whose hat, and which?", COMMANDS)
        options = [(uri, hat.title) for uri, hat in self.of(room).items()]
        form.field(WHO, "jid-single", "User", required=True)
        return form.field(URI, "list-single", "Hat", None, options, required=True)

    def _assign(self, room: Room, values: dict[str, list[str]]) -> None:
        uri, user = self._known(room, values), _user(values)
        worn = room.notes.setdefault("worn", {})
        if user not in worn and len(worn) >= self.wearers:
            raise StanzaError("resource-constraint", "too many people wear hats", type="wait")
        mine = worn.get(user, [])
        if uri not in mine:
            size = sum(len(each) + sum(map(len, uris)) for each, uris in worn.items())
            if len(mine) >= WORN or size + len(user) + len(uri) > WORN_SIZE:
                raise StanzaError("resource-constraint", "too many hats are worn", type="wait")
            worn[user] = [*mine, uri]
        self._changed(room, [user], False)

    def _unassign(self, room: Room, values: dict[str, list[str]]) -> None:
        uri, user = self._known(room, values), _user(values)
        if user not in self._wearers(room, uri):
            raise StanzaError("item-not-found", "they do not wear that hat")
        self._take(room, user, uri)
        self._changed(room, [user], False)

    def _list(self, room: Room, values: dict[str, list[str]]) -> forms.Form:
        rows = [{TITLE: hat.title, URI: uri, HUE: hat.hue} for uri, hat in self.of(room).items()]
        return _table("Hats", (TITLE, URI, HUE), rows)

    def _list_assigned(self, room: Room, values: dict[str, list[str]]) -> forms.Form:
        hats = self.of(room)
        rows = [
            {WHO: user, URI: uri, TITLE: hats[uri].title, HUE: hats[uri].hue}
            for user, worn in room.notes.get("worn", {}).items()
            for uri in worn
        ]
        return _table("Who wears hats", (WHO, URI, TITLE, HUE), rows)

    def _known(self, room: Room, values: dict[str, list[str]]) -> str:
        """The URI of a hat that there is. Raises StanzaError."""
        uri = _one(values, URI if URI in values else "hat")
        if uri not in room.notes.get("hats", {}):
            raise StanzaError("item-not-found", "there is no such hat")
        return uri

    def _wearers(self, room: Room, uri: str) -> list[str]:
        return [user for user, worn in room.notes.get("worn", {}).items() if uri in worn]

    def _take(self, room: Room, user: str, uri: str) -> None:
        worn: dict[str, list[str]] = room.notes["worn"]
        worn[user].remove(uri)
        if not worn[user]:
            del worn[user]


def _one(values: dict[str, list[str]], var: str) -> str:
    """Raises StanzaError."""
    text = (values.get(var) or [""])[0].strip()
    if not text:
        raise refusal("bad-payload", f"{var} is missing")
    return text


def _user(values: dict[str, list[str]]) -> str:
    """A bare address. Raises StanzaError."""
    try:
        user = parse(_one(values, WHO)).user
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None
    if "@" not in user:
        raise StanzaError("jid-malformed", "a user wears a hat, no domain does")
    return user


def _is_hue(text: str) -> bool:
    try:
        return not text or len(text) < 20 and 0 <= float(text) <= 360
    except ValueError:
        return False


def _table(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> forms.Form:
    return forms.Form("result", title, None, COMMANDS).table([(each, each) for each in columns], rows)
