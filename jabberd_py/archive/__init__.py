"""The archive of any owner: an account, a room, a pubsub service (XEP-0313, XEP-0359, XEP-0424, XEP-0425).

An owner is a bare address, as text. A message in an archive has a number that grows with time and is known at once: as text
it is the message's stanza-id (XEP-0359).

    number, ticket = archive.keep(room, room, nick, xml)    # does not wait for the disk; `ticket.wait()` does
    stanza = archive.stamped(stanza, room, number)          # with <stanza-id by=room id=number/>
    stanza = archive.genuine(stanza, room)                  # before: without ids and delays that strangers gave in our name

A query, in a handler of ``@iq("set", archive.NS, "query")``:

    query = archive.read(request.payload, fulltext=False)   # raises StanzaError
    limit = query.page.limit(50, 250)                       # what was asked for, 50 if nothing was, 250 at most
    return answers.for_anybody(                             # jsm/answers.py: in a greenlet, not faster than he reads
        router, request, lambda reader: archive.answer(room, query, reader, limit)[0])

``archive.form(fulltext=False)`` answers ``@iq("get", archive.NS, "query")``, ``archive.metadata(room)`` answers
``@iq("get", archive.NS, "metadata")``; `FEATURES` is for service discovery. ``with=room@service/nick`` finds what was kept with
that peer and resource. What the archive of a room shows of a message may depend on who asks: `answer` has ``show``.

Retracted and moderated messages become tombstones: ``archive.bury(room, number, payload)``. ``archive.trim(domain, seconds,
messages)`` lets old ones go (call it from an ``@every`` job), ``archive.purge(room)`` all of them. Whoever deletes an owner
with `xdb.delete_owner` needs no `purge`.

What is particular to accounts is elsewhere: preferences and copies in modules/mod_mam.py, offline messages in jsm/spool.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .. import log
from ..xdb import Ticket, xdb
from ..xdb.numbers import next_id
from ..xmpp.element import Element
from . import messages, stones
from .query import EXTENDED, FULLTEXT, GROUPCHAT_AVAILABLE, GROUPCHAT_FIELD, NS, Query, form, read
from .results import Reader, answer, metadata
from .retention import TRIM, purge, remove, trim, trim_upto
from .stamps import SID, genuine, stamped

__all__ = [
    "EXTENDED", "FEATURES", "FULLTEXT", "GROUPCHAT_AVAILABLE", "GROUPCHAT_FIELD", "NS", "SID", "TRIM", "Kept", "Query",
    "Reader", "answer", "bury", "form", "genuine", "keep", "metadata", "next_id", "purge", "read", "remove", "stamped", "trim",
    "trim_upto",
]  # fmt: skip

logger = log.get(__name__)
FEATURES = (NS, EXTENDED, SID, stones.RETRACT)
"""For the service discovery of an owner without full-text search."""


class Kept(NamedTuple):
    """``number``: the message's stanza-id. ``ticket``: its `wait` returns when the message is committed, and raises
    StoreError."""

    number: int
    ticket: Ticket


def keep(
    owner: str,
    peer: str,
    resource: str,
    xml: str,
    number: int = 0,
    failed: Callable[[Any], object] | None = None,
    about: Any = None,
    session: Any = None,
) -> Kept:
    """Puts a message into the owner's archive. Does not wait for the disk; blocks only while the writer's queue is full.

    peer, resource   the bare address and the resource that ``with`` finds it by (of a room: its own address and the nick)
    xml              the whole stanza, in ``jabber:client``
    number           from `next_id`, where it had to be known before
    failed           ``failed(about)`` is called should the message not be kept after all, in the writer's greenlet: it must
                     not block. By default the log says so.
    session          the sender's, if its client has just sent the message: after a crash the row tells that it came

    Raises StoreError."""
    id = number or next_id()
    row = [id, owner, peer, resource, xml, 0, 1, *messages.origin(session), ""]
    return Kept(id, messages.put(row, failed or _unkept, owner if failed is None else about))


def _unkept(owner: str) -> None:
    logger.error("a message could not be archived", owner=owner)


def bury(owner: str, number: int, payload: Element) -> Ticket:
    """Puts a tombstone in the place of a message. Its start tag and its occupant-id stay; ``payload`` is what else it has
    inside: ``<retracted/>`` (XEP-0424 section 5) or ``<moderated/>`` (XEP-0425). Does not wait. The ticket's result is False if
    there was no such message."""
    return xdb.write(stones.bury, owner, number, str(payload))
