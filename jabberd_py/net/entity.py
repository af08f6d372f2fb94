"""Our end of a stream: what c2s, s2s and components say at its beginning and at its end, whatever carries it.

Their loops stay three. A client's has the path of every message in it, a server's confirms pairs between two elements, a
component's begins with a handshake: one loop for all would be calls of methods and nothing else.
"""

from __future__ import annotations

from typing import Any

from ..xdb import StoreError
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StreamError


class Entity:
    """``stream``: a `Stream`. ``opened``: our header is sent. ``content``: the content namespace."""

    __slots__ = ("stream", "opened")
    stream: Any
    opened: bool

    content = ns.CLIENT

    def header_attrs(self) -> dict[str, str]:
        """Of our stream header, besides the content namespace."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Queues one element; never blocks, never raises."""
        self.stream.send(data)

    def say(self, element: Element) -> None:
        """Sends an element that is no stanza to be counted."""
        self.write(element.to_bytes())

    def header(self) -> None:
        """Our stream header, if it is still to be sent: an error must stand in a stream, too."""
        if not self.opened:
            self.opened = True
            self.write(self.stream.frame.opening(self.content, self.header_attrs()))

    def goodbye(self) -> None:
        """Ends our side of the stream. What is queued goes out before."""
        self.stream.close(self.stream.frame.goodbye())

    def fail(self, error: StreamError) -> None:
        """Ends the stream with an error (RFC 6120 section 4.9)."""
        self.header()
        self.write(self.stream.frame.error(error))
        self.goodbye()

    def leave(self) -> None:
        """The last thing: closes the socket. Blocks while the other side may still take our last words."""
        if self.stream.closing:
            self.stream.finish()
        self.stream.abort()


def fault(error: Exception) -> StreamError:
    """What the other side hears of a fault of ours."""
    return StreamError("resource-constraint" if isinstance(error, StoreError) else "internal-server-error")
