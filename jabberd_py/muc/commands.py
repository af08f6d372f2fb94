"""What an administrator can say about rooms: `jabberctl rooms ...`."""

from __future__ import annotations

from typing import Any, Literal

from .. import archive
from ..archive import pages
from ..archive.query import LAST
from ..arguments import AccountAddress, Address, Private
from ..hooks import command
from ..net.turns import fairly
from ..options import nearest
from ..xdb.numbers import when
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.ns import CLIENT
from ..xmpp.rsm import Page
from ..xmpp.stamp import utc
from . import changes, store
from .feature import Feature
from .fields import Field
from .occupant import USER
from .room import Room, fresh

PREFIX = "muc#roomconfig_"
MOST = 1000
"""Messages of one room that are shown at once."""


class Commands(Feature):
    """Rooms, as an administrator sees them. A room's address is given as ROOM@SERVICE."""

    needs = ("owner", "persistent")

    @command("rooms list")
    def everything(self, text: str = "", after: str = "", limit: int = 0) -> list[dict[str, Any]]:
        """All rooms, also those that nobody is in, by address; with a text, those that have it in the address or the name.
        `after`: the last one that you have seen; `limit`: so many at most."""
        kept = dict(store.everything(self.host.domain, text, after, limit))
        wanted, awake = text.casefold(), self.host.rooms
        for address, room in fairly(list(awake.items())):
            title = self.host["description"].title(room)
            if address > after and (wanted in address or wanted in title.casefold()):
                kept[address] = title
        rows = sorted(kept.items())
        return [
            {
                "room": address,
                "name": name,
                "occupants": len(awake[address].occupants) if address in awake else 0,
            }
            for address, name in fairly(rows[:limit] if limit else rows)
        ]

    @command("rooms show")
    def show(self, room: AccountAddress) -> dict[str, Any]:
        """One room: its settings, what those are called and may be, affiliations, who is in, who is subscribed (MUC/Sub)."""
        found = self._room(room)
        return {
            "room": found.address,
            "created": utc(found.created),
            "founder": found.founder,
            "settings": {
                self._short(field): self._value(found, field) for field in self.host.fields.values()
            },
            "labels": {self._short(field): field.label for field in self.host.fields.values()},
            "choices": {
                self._short(field): self._choices(field)
                for field in self.host.fields.values()
                if field.choices or field.type == "boolean"
            },
            "affiliations": {jid: each.affiliation for jid, each in found.affiliations.items()},
            "occupants": [
                {"nick": each.nick, "jid": each.user, "role": each.role, "sessions": len(each.sessions)}
                for each in found.occupants.values()
            ],
            "subscribers": self._subscribers(found),
        }

    @command("rooms create", changes=True)
    def create(self, room: AccountAddress, owner: Address) -> dict[str, str]:
        """Make a persistent room with an owner."""
        service = self.host
        if service.find(room.user) is not None:
            raise StanzaError("conflict", "that room exists")
        made = service.rooms[room.user] = fresh(service, room.user, owner.user)
        made.config[service["persistent"].lasting.var] = True
        store.affiliate(made.address, owner.user, made.affiliations[owner.user])
        service.empty(made)
        made.save().wait()
        return {"room": made.address}

    @command("rooms archive", changes=True)
    def archive(self, room: AccountAddress, last: int = 20) -> list[dict[str, str]]:
        """The last messages in a room's archive. The log keeps who read it."""
        found = self._room(room)
        query = archive.Query(None, 0, LAST, None, None, None, None, "", False, Page(before=""))
        ids = pages.page(found.address, query, min(max(last, 1), MOST)).ids
        rows = []
        for id, xml in pages.rows(found.address, ids):
            stanza = from_text(xml)
            nick = parse(stanza.attrs["from"]).resource or ""
            text = stanza.text_of("body") or stanza.text_of("subject") or ""
            rows.append({"id": str(id), "time": utc(when(id)), "nick": nick, "text": text})
        return rows

    @command("rooms destroy", changes=True)
    def destroy(self, room: AccountAddress, reason: str = "") -> None:
        """Throw everybody out, and remove the room with all that it keeps."""
        why = Element("reason", USER, reason) if reason else None
        found = self._room(room)
        found.destroy(Element("destroy", USER, why))
        self.host.forgotten(found.address)

    @command("rooms affiliation", changes=True)
    def affiliation(
        self,
        room: AccountAddress,
        jid: Address,
        affiliation: Literal["member", "admin", "owner", "outcast", "none"],
        reason: str = "",
        invite: bool = True,
    ) -> None:
        """Set what an address is to a room: a member; an admin, who runs it; an owner, who may change all of it; an outcast,
        who stays outside; none of these. (Unlike others, you may leave a room without an owner.) A new member of a room for
        members only gets an invitation, unless you say no."""
        found = self._room(room)
        if not invite:
            found.memory["inviting"] = jid.user
        try:
            ticket = changes.affiliate(found, jid.user, affiliation, "", reason)
        finally:
            found.memory.pop("inviting", None)
        if ticket is not None:
            ticket.wait()

    @command("rooms kick", changes=True)
    def kick(self, room: AccountAddress, nick: str, reason: str = "") -> None:
        """Throw an occupant out."""
        found = self._room(room)
        occupant = found.occupants.get(nick)
        if occupant is None:
            raise StanzaError("item-not-found", "nobody has that nick")
        changes.give(found, occupant, "none", "", reason)

    @command("rooms config", changes=True)
    def config(self, room: AccountAddress, setting: str, value: Private) -> None:
        """Change one setting of a room; the names are those of `rooms show`. Of a list: one item a line."""
        found = self._room(room)
        names = {self._short(each): each for each in self.host.fields.values()}
        field = names.get(setting) or self.host.fields.get(setting)
        if field is None:
            raise ValueError(f"no such setting: {setting}{nearest(setting, names)}")
        whole = {"yes": "1", "no": "0"}.get(value, value) if field.type == "boolean" else value
        values = whole.split("\n") if field.type.endswith("-multi") else [whole]
        by = next(iter(self.host.admins or ()), self.host.domain)
        self.host["owner"].put(found, {field.var: values}, Element("iq", CLIENT, from_=by))

    def _room(self, jid: JID) -> Room:
        found: Room | None = self.host.find(jid.user)
        if found is None:
            raise StanzaError("item-not-found", "there is no such room")
        return found

    def _subscribers(self, room: Room) -> dict[str, str]:
        """Bare address -> nick."""
        module: Any = self.host.modules.get("subscriptions")
        return {} if module is None else {jid: each.nick for jid, each in module.of(room).items()}

    def _short(self, field: Field[Any]) -> str:
        return field.var.removeprefix(PREFIX).removeprefix("muc#")

    def _choices(self, field: Field[Any]) -> dict[str, str]:
        """Value -> what it is called, where there is a choice."""
        return {"yes": "yes", "no": "no"} if field.type == "boolean" else dict(field.choices)

    def _value(self, room: Room, field: Field[Any]) -> Any:
        return (
            "***" if field.type == "text-private" and field(room) else self.host["owner"].value(room, field)
        )
