"""Messages of rooms for members who are away: which rooms may send them to the bare address.

A client registers with a room, and asks in the form that the room sends what is said while the user is not in. The account
remembers that its own client has asked. From then on groupchat messages of that room to the bare address are kept and
delivered like chat; those of other rooms get the error of RFC 6121 section 8.5.2.
"""

from __future__ import annotations

from typing import Any

from peewee import CharField

from ..hooks import Module, Option, on
from ..jsm.session import Session
from ..xdb import OWNER_LENGTH, JidField, Table, cached, xdb
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError

REGISTER = "jabber:iq:register"
OFFLINE = "{http://tigase.org/protocol/muc}offline"


class Membership(Table):
    """``owner`` wants messages of the room ``room``, a bare address, while away."""

    owner = CharField(max_length=OWNER_LENGTH)
    room = JidField()

    class Meta:
        indexes = ((("owner", "room"), True),)


@cached(size=100_000, weigh=lambda rooms: 1 + len(rooms))
def rooms(owner: str) -> frozenset[str]:
    """The rooms that may send to the bare address."""
    found: Any = Membership.select(Membership.room).where(Membership.owner == owner).tuples()
    return frozenset(room for (room,) in found)


class Memberships(Module):
    """Takes messages of rooms for users who are not in."""

    tables = (Membership,)
    most = Option(int, 1000, "rooms that may send to one user", min=1)

    @on("start")
    def start(self) -> None:
        if not self.host.options.anonymous:
            self.host.member = lambda user, room: room in rooms(user)

    @on("out", kind="iq")
    def asked(self, session: Session, stanza: Element) -> None:
        """A client registers with a room, or changes or ends that."""
        if stanza.type != "set" or stanza.kids[:1] != [f"{REGISTER} query"]:
            return
        to = stanza.to
        if to is None or to.node is None or to.domain == self.host.domain:
            return
        wanted, user, room = _wants(stanza), session.user, to.user
        known = rooms(user)
        if wanted == (room in known):
            return
        if wanted and len(known) >= self.most:
            raise StanzaError("resource-constraint", f"at most {self.most} rooms", type="wait")
        xdb.save(_put, user, room, wanted)
        rooms.forget(user)


def _wants(stanza: Element) -> bool:
    query = stanza.payload
    x = None if query is None else query.child("x", forms.NS)
    try:
        return x is not None and x.type == "submit" and forms.boolean(forms.read(x).get(OFFLINE, ["0"]))
    except ValueError:
        return False


def _put(owner: str, room: str, wanted: bool) -> None:
    """In the writer."""
    Membership.delete().where(Membership.owner == owner, Membership.room == room).execute()
    if wanted:
        Membership.insert(owner=owner, room=room).execute()
