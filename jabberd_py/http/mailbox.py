"""A client's stream without a socket. BOSH puts the bodies of its requests in, and takes out what waits for the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event

from ..net.stream import LINGER, Stream
from ..xmpp.element import Element, from_text
from ..xmpp.frame import FRAMING, WebSocketFrame


class BOSHFrame(WebSocketFrame):
    """XEP-0206: what opens and ends a stream becomes attributes of bodies (`MailboxStream.send`)."""

    carrier = "BOSH"


class Body(bytes):
    """The body of a request, with the elements in it."""

    items: list[Element]


class Mailbox:
    """In the place of a socket, and of its watcher: there is room for one body at a time. ``taken`` is called when the stream
    has taken it, ``closed`` when the stream is over."""

    def __init__(self) -> None:
        self.body: Body | None = None
        self.over = False
        self.callback: Callable[[], object] | None = None
        self.taken: Callable[[], object] = _nothing
        self.closed: Callable[[], object] = _nothing

    def put(self, body: Body) -> None:
        """There must be room."""
        self.body = body
        self._ring()

    def end(self) -> None:
        """Nothing more will come."""
        self.over = True
        self._ring()

    def _ring(self) -> None:
        gevent.get_hub().loop.run_callback(self._tell)

    def _tell(self) -> None:
        """Again and again while there is something and it is asked for, as libev does it with a socket."""
        if self.callback is not None and (self.body is not None or self.over):
            self.callback()
            if self.callback is not None and (self.body is not None or self.over):
                self._ring()

    # -- a socket ---------------------------------------------------------------------------

    def fileno(self) -> int:
        """There is none."""
        return -1

    def recv(self, size: int) -> bytes:
        body, self.body = self.body, None
        if body is not None:
            gevent.get_hub().loop.run_callback(self.taken)
            return body
        if self.over:
            return b""
        raise BlockingIOError

    def shutdown(self, how: int) -> None:
        """The client learns it by the next body."""

    def close(self) -> None:
        self.callback = None
        self.closed()

    # -- a watcher -----------------------------------------------------------------------------

    def start(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self._ring()

    def stop(self) -> None:
        self.callback = None


class _Watcher:
    """The mailbox as the stream's watcher, whose `close` is not the socket's."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.start, self.stop = mailbox.start, mailbox.stop

    def close(self) -> None:
        self.stop()


class MailboxStream(Stream):
    """
    opening   attributes of our last stream header, None before
    ending    our last element has been sent; None, or why: a condition, empty for a plain end
    ready     called when something waits for the client
    """

    __slots__ = ("opening", "ending", "ready", "sheltered", "failure")
    frame = BOSHFrame()

    def __init__(self, sock: Any, *args: Any) -> None:
        super().__init__(sock, *args)
        self.opening: dict[str, str] | None = None
        self.ending: str | None = None
        self.failure = ""
        self.ready: Callable[[], object] = _nothing
        self.sheltered = False

    def _watch(self, events: int) -> Any:
        return _Watcher(self.sock)  # type: ignore[arg-type]

    @property
    def secure(self) -> bool:
        return self.sheltered

    def take(self, data: bytes) -> None:
        assert isinstance(data, Body)
        self.items = data.items[::-1]
        self.purse.stanzas -= len(self.items)

    def send(self, data: bytes) -> None:
        if data.startswith(_OPEN):
            self.opening = from_text(data).attrs
        elif data.startswith(_CLOSE):
            self.ending = self.failure
            super().send(b"")  # so that it is told
        else:
            if data.startswith(b"<stream:error"):
                self.failure = "remote-stream-error"
            super().send(self.frame.element(data))

    def flush(self) -> None:
        self.dirty = False
        if self.out:
            self.ready()
            self.backlog.weigh(self, self.size)

    def collect(self, most: int) -> list[bytes]:
        """Takes what waits for the client, about ``most`` bytes of it."""
        found = self.out
        if self.size > most:
            total = count = 0
            while count < len(found) and total < most:
                total += len(found[count])
                count += 1
            found, self.out = found[:count], found[count:]
        else:
            self.out = []
        size = sum(map(len, found))
        self.size -= size
        self.taken += size
        self.wrote = True
        self.backlog.weigh(self, self.size)
        self._wake_drainers()
        return found

    def drain(self) -> None:
        while not self.closing and self.size > self.cap // 2:
            self.drained = self.drained or Event()
            self.drained.wait(LINGER)


_OPEN = f"<open xmlns='{FRAMING}'".encode()
_CLOSE = MailboxStream.frame.goodbye()


def _nothing() -> None:
    """Nobody is there to be told."""
