"""Our side of a stream: what c2s, s2s and components send at its beginning and at its end, on any transport.

c2s, s2s and components have a stanza loop each (`_loop`), because the loops share almost nothing:

- The loop of a client is on the path of every message, so it calls as few functions as possible. It counts stanzas for stream
  management, and it may rest while the client is silent.
- The loop of a server also handles dialback. Between two elements it lets pairs of domains send.
- The loop of a component begins only after the handshake, knows no features, and restarts no stream.

A common loop would have to call a method for each of these steps, and every message would pay for the calls.
"""

from __future__ import annotations

from typing import Any

from ..xdb import StoreError
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StreamError
from ..xmpp.protocols import XEP

PROTOCOLS = (
    XEP(478, "0.2.0", "Stream Limits Advertisement", missing="the limits of other servers are not looked at"),
)
LIMITS = "urn:xmpp:stream-limits:0"


class Entity:
    """``stream``: a `Stream`. ``opened``: True if our stream header is sent. ``content``: the content namespace."""

    __slots__ = ("stream", "opened")
    stream: Any
    opened: bool

    content = ns.CLIENT

    def header_attrs(self) -> dict[str, str]:
        """The attributes of our stream header."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Queues one element; never blocks, never raises."""
        self.stream.send(data)

    def say(self, element: Element) -> None:
        """Sends an element that is not counted as a stanza (XEP-0198). Never blocks."""
        self.write(element.to_bytes())

    def header(self) -> None:
        """Sends our stream header if it is not sent yet. A stream error needs it, too."""
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
        """Called last: closes the socket. Blocks for a few seconds at most, while the other side takes what we have sent."""
        if self.stream.closing:
            self.stream.finish()
        self.stream.abort()


def limits(octets: int, idle: float) -> Element:
    """The stream feature that tells the peer what we take (XEP-0478): bytes of an element, and seconds of silence; 0: any."""
    idle_seconds = Element("idle-seconds", LIMITS, str(int(idle))) if idle else None
    return Element("limits", LIMITS, Element("max-bytes", LIMITS, str(octets)), idle_seconds)


def fault(error: Exception) -> StreamError:
    """The stream error for an unexpected exception. It tells no details."""
    return StreamError("resource-constraint" if isinstance(error, StoreError) else "internal-server-error")
