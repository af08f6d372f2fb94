"""MUC/Sub (`urn:xmpp:mucsub:0`, as ejabberd documents it): what a subscription is, where it is kept, and what events
look like."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

from peewee import CharField, TextField, fn

from ..xdb import OWNER_LENGTH, JidField, Table, xdb
from ..xmpp.element import Element
from ..xmpp.ns import CLIENT, HINTS

NS = "urn:xmpp:mucsub:0"
NODES = "urn:xmpp:mucsub:nodes:"
KINDS = ("messages", "presence", "affiliations", "subscribers", "config", "subject", "system")
"""The nodes, without `NODES` before their names."""
EVENT = "http://jabber.org/protocol/pubsub#event"
LASTING = frozenset(("messages", "subject"))
"""The kinds whose events an account keeps, in its archive and its offline store; those of all others are headlines."""
STORE = f"<store xmlns='{HINTS}'/>".encode()


class RoomSubscription(Table):
    """``owner``: the room. ``jid``: the bare address that is subscribed, under ``nick``. ``kinds``: of `KINDS`, with spaces."""

    owner = CharField(max_length=OWNER_LENGTH)
    service = CharField(max_length=OWNER_LENGTH)
    jid = JidField()
    nick = TextField()
    kinds = TextField()

    class Meta:
        indexes = ((("owner", "jid"), True), (("jid",), False))


class Subscription(NamedTuple):
    """``kinds``: of `KINDS`."""

    nick: str
    kinds: tuple[str, ...]

    def events(self) -> list[Element]:
        """As a request or an answer names them."""
        return [Element("event", NS, node=f"{NODES}{each}") for each in self.kinds]


def event(room: str, kind: str, item: bytes, id: str = "") -> Element:
    """The message that tells subscribers of something, without ``to``. ``item``: what it is, as XML that names its namespace.
    ``id``: its number in the archive of the room, if it has one."""
    attrs, kids = {"from": room, "id": secrets.token_hex(8)}, [f"{EVENT} event"]
    head = f"<event xmlns='{EVENT}'><items node='{NODES}{kind}'><item id='{id or attrs['id']}'>"
    inner = head.encode() + item + b"</item></items></event>"
    if kind in LASTING:
        inner, kids = inner + STORE, [*kids, f"{HINTS} store"]
    else:
        attrs["type"] = "headline"
    return Element.raw("message", CLIENT, attrs, inner, kids)


def whole(stanza: Any) -> bytes:
    """The stanza, or `Copies` of one, as an item: without ``to``, and with its namespace."""
    attrs = {key: value for key, value in stanza.attrs.items() if key != "to"}
    bare = Element.raw(stanza.name, stanza.ns, attrs, stanza.inner, stanza.kids).to_bytes()
    start = f"<{stanza.name}".encode()
    return start + f" xmlns='{CLIENT}'".encode() + bare.removeprefix(start)


# -- the store -------------------------------------------------------------------------------------------


@xdb.prepared(str)
def of_room(room: str) -> Any:
    """[(bare address, nick, kinds), ...]"""
    s = RoomSubscription
    return s.select(s.jid, s.nick, s.kinds).where(s.owner == room).order_by(s.id)


@xdb.prepared(str, str)
def of_user(user: str, service: str) -> Any:
    """[(room, nick, kinds), ...]"""
    s = RoomSubscription
    return s.select(s.owner, s.nick, s.kinds).where(s.jid == user, s.service == service).order_by(s.owner)


@xdb.prepared(str, str)
def count(user: str, service: str) -> Any:
    """[(number of rooms,)]"""
    s = RoomSubscription
    return s.select(fn.COUNT(s.id)).where(s.jid == user, s.service == service)


def keep(room: str, service: str, user: str, entry: Subscription | None) -> None:
    """Keeps a subscription; None: it has ended. In the writer."""
    s = RoomSubscription
    s.delete().where(s.owner == room, s.jid == user).execute()
    if entry is not None:
        kinds = " ".join(entry.kinds)
        s.insert(owner=room, service=service, jid=user, nick=entry.nick, kinds=kinds).execute()
