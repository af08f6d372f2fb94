"""Tombstones: what stands in an archive in the place of a message that was retracted or moderated (XEP-0424, XEP-0425).

    bury()      the message with that number; runs in the writer
    retract()   the message that a retraction names by the id that its sender gave it: it has to be looked for

Nothing here builds the tree of a stored message: it may be large, and all other writes wait for the writer."""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

import gevent
from gevent.event import Event
from peewee import fn

from .. import log
from ..net.turns import pause
from ..xdb import StoreError, xdb
from ..xmpp.element import Element, from_text
from ..xmpp.serialise import ATTRIBUTE
from .messages import Message, readable, sort_in
from .query import LAST
from .search import ArchiveText

logger = log.get(__name__)
RETRACT = "urn:xmpp:message-retract:1"
ROOM_USER = "http://jabber.org/protocol/muc#user"
CHUNK, LOOK_BACK = 25, 1000
"""The message that is retracted is looked for among this many of the conversation, so many at a time."""
PATIENCE = 5.0
"""Seconds that a reader waits for tombstones."""
WAITING, ACCOUNTS = 20, 500
"""At most so many retractions of one account wait, and so many accounts have some. What comes then leaves the archives as they
are: a tombstone is a courtesy (XEP-0424 section 5), and the retraction itself is kept."""
WORK = 50
"""What a retraction costs its sender, in stanzas (karma)."""
HEAD = 1500
"""Characters of a stored message that are looked at: its start tag."""
START_TAG = re.compile(r"<message(?: [^\s=<]+='[^']*')*")
OCCUPANT_ID = re.compile(r"<occupant-id xmlns='urn:xmpp:occupant-id:0' id='[^'<]*'/>")


def bury(owner: str, number: int, stone: str) -> bool:
    """Replaces the content of the message with that number by ``stone`` (XML). Its start tag and its occupant-id (XEP-0421)
    stay. False: there is no such message in the owner's archive. Runs in the writer."""
    sort_in()
    mine = Message.select(Message.xml).where(
        Message.id == number, Message.owner == owner, Message.archived == 1
    )
    xml = mine.scalar()
    if xml is None:
        return False
    badges = OCCUPANT_ID.findall(xml)  # the room's own comes last
    Message.update(xml=f"{_start_tag(xml)}>{''.join(badges[-1:])}{stone}</message>").where(
        Message.id == number
    ).execute()
    ArchiveText.delete().where(ArchiveText.id == number).execute()
    return True


def _start_tag(xml: str) -> str:
    """Without its end. Values stand in single quotes, and have none in them."""
    found = START_TAG.match(xml)
    return "<message" if found is None else found[0]


class Retraction(NamedTuple):
    """
    user, peer   the owner of the archive, and the other side; ``resource``: its resource
    sent         is the owner of the archive the sender?
    original     the id of the message
    id, stamp    the id of the retraction, and when it came
    """

    user: str
    peer: str
    resource: str
    sent: bool
    original: str
    id: str
    stamp: str


_waiting: dict[str, deque[Retraction | Event]] = {}
"""Account -> its retractions, and the readers that wait for those before them."""


def retract(retraction: Retraction) -> None:
    """Puts a tombstone in the place of a message that its sender retracts (XEP-0424 section 5), soon. Does not block."""
    queue = _waiting.get(retraction.user)
    if queue is not None:
        if len(queue) < WAITING:
            queue.append(retraction)
    elif len(_waiting) < ACCOUNTS:
        _waiting[retraction.user] = deque((retraction,))
        gevent.spawn(_work_off, retraction.user)


def settle(user: str) -> None:
    """To be called by readers. Blocks until what was retracted so far has its tombstone, at most `PATIENCE`."""
    queue = _waiting.get(user)
    if queue is not None:
        done = Event()
        queue.append(done)
        xdb.release()
        done.wait(PATIENCE)


def _work_off(user: str) -> None:
    queue = _waiting[user]
    try:
        while queue:
            each = queue.popleft()
            if isinstance(each, Event):
                each.set()
                continue
            try:
                _retract(each)
            except StoreError as error:
                logger.warning("what was retracted stays in the archive", user=user, error=str(error))
            xdb.release()
    finally:
        del _waiting[user]  # whatever happens: nobody works off a queue that stays


def _retract(wanted: Retraction) -> None:
    number = find(wanted)
    if number is not None:
        stone = Element("retracted", RETRACT, id=wanted.id, stamp=wanted.stamp)
        xdb.save(bury, wanted.user, number, str(stone))


def find(wanted: Retraction) -> int | None:
    """The number of the message, the newest of the conversation that fits. Blocks; others have their turns. Raises
    StoreError."""
    readable()  # it may have come just before
    needle = f" id='{wanted.original.translate(ATTRIBUTE)}'"
    below, author = LAST, wanted.user if wanted.sent else wanted.peer
    mine = Message.owner == wanted.user, Message.peer == wanted.peer, Message.archived == 1
    for _ in range(LOOK_BACK // CHUNK):
        rows = Message.select(Message.id, Message.resource, fn.SUBSTR(Message.xml, 1, HEAD))
        rows = rows.where(*mine, Message.id < below).order_by(Message.id.desc()).limit(CHUNK)
        some = list(rows.tuples().iterator())
        for number, resource, head in some:
            tag = _start_tag(head)
            if needle in tag and _by(tag, author) and (resource == wanted.resource or not _of_room(number)):
                found: int = number
                return found
        if len(some) < CHUNK:
            break
        below = some[-1][0]
        pause()
    return None


def _by(tag: str, author: str) -> bool:
    sender = from_text(f"{tag}/>").from_
    return sender is not None and sender.user == author


def _of_room(number: int) -> bool:
    """Is it a message from an occupant of a room? There all have the same bare address."""
    rows = Message.select(Message.id).where(Message.id == number, Message.xml.contains(f"'{ROOM_USER}'"))
    return bool(rows.scalar())
