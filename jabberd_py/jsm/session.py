"""One connected resource of a user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Protocol, TypeVar

from ..fanout import quoted
from ..net.turns import fairly
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from .notes import Note

T = TypeVar("T")


class Transport(Protocol):
    """What carries a session: a c2s stream, WebSocket, BOSH."""

    @property
    def private(self) -> bool:
        """May passwords pass here: is it encrypted, or does this server do without (``c2s.require_tls``)?"""

    @property
    def info(self) -> dict[str, Any]:
        """What an administrator sees: address, transport, secure, mechanism..."""

    def send(self, data: bytes) -> None:
        """Queues the bytes of a stanza; never blocks, never raises."""

    def drain(self) -> None:
        """Blocks until what was sent has mostly been taken, or the transport is gone."""

    def kick(self, condition: str, text: str | None = None) -> None:
        """Ends the stream with that stream error, soon."""


class Nobody:
    """The `Transport` of a session that exists only while something is said in an account's name (`Host.say`)."""

    private = False
    info: ClassVar[dict[str, Any]] = {}

    def send(self, data: bytes) -> None:
        pass

    def drain(self) -> None:
        pass

    def kick(self, condition: str, text: str | None = None) -> None:
        pass


class Managed(Protocol):
    """Stream management (XEP-0198) of a session.

    number   names the resumable stream in the store
    handled  how many stanzas of the client were handled
    stored   the count of the last of them that has a row in the client's own archive
    """

    number: int
    handled: int
    stored: int

    @property
    def connected(self) -> bool:
        """Is there a stream, or is the session lost and waits to be resumed?"""

    @property
    def place(self) -> str:
        """The stream's ``number`` and the count of the stanza that was sent last: "number:count ". Empty if the stream cannot
        be resumed."""

    def push(self, stanza: Element, data: bytes) -> None:
        """Queues the stanza, whose bytes are ``data``, until the client acknowledges it, and sends it if there is a stream."""

    def drain(self) -> None:
        """Blocks while too much is unacknowledged."""

    def hold(self) -> None:
        """From now on stanzas are counted and wait for `release`, so that the store knows of them before the client gets
        them."""

    def release(self) -> None:
        """Sends what was held."""

    def unacknowledged(self) -> list[int]:
        """The row numbers of messages that the client may not have."""

    def changed(self) -> None:
        """Called after each stanza of the client that is no message: it may have changed the session."""

    def refused(self) -> None:
        """Called when a stanza of the client could not be stored, after the error was sent to it."""


class Session:
    """
    host       its `Host`
    user       the bare address of the account, as text
    full       the full address, as text
    quoted     the full address as it stands in a start tag; empty before `quote` has made it
    presence   the last available presence, as broadcast; None while unavailable
    priority   of that presence
    began_at   when the resource was bound (Unix time)
    notes      what modules remember about this session; jsm/notes.py declares the notes
    work       the cost of its last stanza in addition to itself, in stanzas (karma): a handler that makes much of it adds here
    """

    __slots__ = (
        "host",
        "jid",
        "user",
        "full",
        "transport",
        "presence",
        "priority",
        "_notes",
        "quoted",
        "began_at",
        "id",
        "sm",
        "work",
    )

    def __init__(self, host: Any, jid: JID, transport: Transport, id: str, began_at: float) -> None:
        self.host = host
        self.jid = jid
        self.user = jid.user
        self.full = str(jid)
        self.transport = transport
        self.id = id
        self.began_at = began_at
        self.presence: Element | None = None
        self.priority = 0
        self.work = 0
        self.sm: Managed | None = None
        self._notes: dict[Note, Any] | None = None
        self.quoted = b""

    def quote(self) -> bytes:
        """Makes `quoted`, when a sender to many first asks for it (`fanout.Copies`)."""
        self.quoted = quoted(self.full)
        return self.quoted

    @property
    def notes(self) -> dict[Note, Any]:
        if self._notes is None:
            self._notes = {}
        return self._notes

    @property
    def connected(self) -> bool:
        """Is there a client to take what is sent?"""
        return self.sm is None or self.sm.connected

    def note(self, key: Note) -> Any:
        """The value of a note; None if there is none."""
        return None if self._notes is None else self._notes.get(key)

    def send(self, stanza: Element, data: bytes | None = None) -> None:
        """Queues the stanza for the client, after event ``in``. Never blocks. ``data``: the bytes of the stanza, if they are
        known."""
        data = data or stanza.to_bytes()
        if self.sm is not None:
            self.sm.push(stanza, data)  # delivered is what the client has acknowledged
            return
        self.transport.send(data)
        if stanza.uid:
            if self.host.sessions.find(self.jid) is self:
                self.host.marks.delivered(self.user, stanza.uid)
            else:
                self.host.spool.missed(self.user, stanza.uid)

    def drain(self) -> None:
        """Blocks until the client has taken, or acknowledged, most of what it was sent."""
        (self.transport if self.sm is None else self.sm).drain()

    def pace(self, items: Iterable[T]) -> Iterator[T]:
        """Yields the items, for a caller that sends something for each: in turns with others, and as fast as the client takes
        it. Blocks, so the greenlet that reads from the client must not call it. Raises StanzaError (recipient-unavailable) when
        the client is gone."""
        for item in fairly(items):
            self.drain()
            if not self.connected or self.host.sessions.find(self.jid) is not self:
                raise StanzaError("recipient-unavailable")
            yield item

    def __repr__(self) -> str:
        return f"<Session {self.full}>"
