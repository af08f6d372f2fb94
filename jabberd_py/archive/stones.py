"""Tombstones: what stands in an archive in the place of a message that was retracted or moderated (XEP-0424, XEP-0425).

All functions run in the writer."""

from __future__ import annotations

from collections.abc import Iterator

from ..xmpp.element import Element, from_text
from ..xmpp.serialise import ATTRIBUTE
from . import messages
from .messages import Message
from .pages import CHUNK
from .query import LAST
from .search import ArchiveText

LOOK_BACK = 1000
"""The message that is retracted is looked for among this many of the conversation."""
RETRACT = "urn:xmpp:message-retract:1"
OCCUPANT = "urn:xmpp:occupant-id:0"


def bury_number(owner: str, number: int, stone: str) -> bool:
    """Replaces the content of the message with that number by ``stone`` (XML). Its start tag and its occupant-id (XEP-0421)
    stay. False: there is no such message in the owner's archive."""
    messages.sort_in()
    mine = Message.select(Message.xml).where(
        Message.id == number, Message.owner == owner, Message.archived == 1
    )
    xml = mine.scalar()
    if xml is None:
        return False
    _put(number, from_text(xml), from_text(stone))
    return True


def _put(number: int, stanza: Element, stone: Element) -> None:
    made = Element(stanza.name, stanza.ns, *stanza.all("occupant-id", OCCUPANT), stone)
    made.attrs |= stanza.attrs
    Message.update(xml=str(made)).where(Message.id == number).execute()
    ArchiveText.delete().where(ArchiveText.id == number).execute()


def bury(user: str, peer: str, resource: str, sent: bool, original: str, id: str, stamp: str) -> None:
    """Puts a tombstone in the place of a message that its sender retracts (XEP-0424 section 5). ``original``: the id of the
    message. ``id``: the id of the retraction. ``sent``: the owner of the archive is the sender."""
    messages.sort_in()
    needle = f" id='{original.translate(ATTRIBUTE)}'"
    for row, other, xml in _conversation(user, peer):
        if needle not in xml:
            continue
        stanza = from_text(xml)
        sender = stanza.from_
        if stanza.id != original or sender is None or sender.user != (user if sent else peer):
            continue
        if stanza.has("x", "http://jabber.org/protocol/muc#user") and other != resource:
            continue  # in a room all have the same bare address
        _put(row, stanza, Element("retracted", RETRACT, id=id, stamp=stamp))
        return


def _conversation(user: str, peer: str) -> Iterator[tuple[int, str, str]]:
    """(number, resource, xml) of the last messages with that address, the newest first; a few are in memory at a time."""
    below = LAST
    for _ in range(LOOK_BACK // CHUNK):
        rows = Message.select(Message.id, Message.resource, Message.xml).where(
            Message.owner == user, Message.peer == peer, Message.archived == 1, Message.id < below
        )
        some = list(rows.order_by(Message.id.desc()).limit(CHUNK).tuples().iterator())
        yield from some
        if len(some) < CHUNK:
            return
        below = some[-1][0]
