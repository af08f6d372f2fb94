"""How a stream stands in what carries it. What differs between TCP (RFC 6120 section 4), WebSocket and BOSH is a `Frame`;
everything else about a stream is the same on all of them.

A stream sends one element at a time (`Stream.send`), so that a carrier of messages can make each one a message of its own.
"""

from __future__ import annotations

import re
from typing import Protocol

from . import ns
from .element import Element
from .errors import StreamError
from .serialise import attributes

FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"


class Frame(Protocol):
    """Makes the bytes; each method gives one element, or one part of a document, for `Stream.send`."""

    carrier: str
    """Its name, for a person."""
    starttls: bool
    """Can TLS begin inside of the stream?"""

    def opening(self, content: str, attrs: dict[str, str]) -> bytes:
        """Our stream header (RFC 6120 section 4.7). ``content``: the content namespace."""

    def features(self, features: Element) -> bytes:
        """What is offered now; ``features`` is `{stream}features`."""

    def error(self, error: StreamError) -> bytes:
        """A stream error; the goodbye comes behind it."""

    def goodbye(self) -> bytes:
        """The end of our side of the stream."""

    def element(self, data: bytes) -> bytes:
        """An element as `Element.to_bytes` writes it for a stream over TCP, for this carrier."""


class TCPFrame:
    """RFC 6120: one XML document in each direction. An element stands in it as it is, so `Stream.send` does not ask."""

    carrier = "TCP"
    starttls = True

    def opening(self, content: str, attrs: dict[str, str]) -> bytes:
        head = f"<?xml version='1.0'?><stream:stream xmlns='{content}' xmlns:stream='{ns.STREAM}'"
        return f"{head}{attributes(attrs)}>".encode()

    def features(self, features: Element) -> bytes:
        return b"<stream:features>%b</stream:features>" % features.inner

    def error(self, error: StreamError) -> bytes:
        return error.to_bytes()

    def goodbye(self) -> bytes:
        return b"</stream:stream>"

    def element(self, data: bytes) -> bytes:
        return data


TCP = TCPFrame()


_bare = re.compile(rb"<(?:message|presence|iq)(?=[ />])(?! xmlns=)").match
"""The beginning of a stanza that does not name its namespace."""
_STREAM = ns.STREAM.encode()


class WebSocketFrame:
    """RFC 7395 section 3: each element is a message, and stands for itself. (BOSH puts such elements into its bodies.)"""

    carrier = "WebSocket"
    starttls = False

    def opening(self, content: str, attrs: dict[str, str]) -> bytes:
        return Element("open", FRAMING).copy(**attrs).to_bytes()

    def features(self, features: Element) -> bytes:
        return b"<stream:features xmlns:stream='%b'>%b</stream:features>" % (_STREAM, features.inner)

    def error(self, error: StreamError) -> bytes:
        return error.to_bytes().replace(b">", b" xmlns:stream='%b'>" % _STREAM, 1)

    def goodbye(self) -> bytes:
        return b'<close xmlns="%b" />' % FRAMING.encode()  # letter by letter what strophe.js looks for

    def element(self, data: bytes) -> bytes:
        """What stands in the content namespace without a word has to say so: nothing declares it here."""
        if data.startswith(b"<message ") and not data.startswith(
            b"xmlns=", 9
        ):  # what nearly every element is
            return b"<message xmlns='jabber:client'" + data[8:]
        bare = _bare(data)
        if bare is None:
            return data
        end = bare.end()
        return b"%b xmlns='jabber:client'%b" % (data[:end], data[end:])


WEBSOCKET = WebSocketFrame()
