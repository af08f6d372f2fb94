"""TLS without a socket: bytes in, bytes out, through OpenSSL's memory BIOs."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any, Protocol

PIECE = 16 * 1024
SLICE = 2 * 1024
"""A MemoryBIO keeps its largest size for ever: written and emptied in slices a TLS session costs 20 KB instead of 56."""


class Secure(Protocol):
    """What a `Stream` needs of TLS: a `Channel`, or a `peer_tls.PeerChannel`."""

    tls: Any
    incoming: Any
    outgoing: Any

    def handshake(self) -> bool: ...
    def decrypt(self, data: bytes) -> tuple[bytes, ssl.SSLError | None]: ...
    def encrypt(self, data: bytes) -> bytes: ...
    def close(self) -> bytes: ...


class Channel:
    """One TLS connection. What is to go out on the wire is in ``outgoing``."""

    __slots__ = ("tls", "incoming", "outgoing")

    def __init__(
        self, context: ssl.SSLContext, server_side: bool = True, hostname: str | None = None
    ) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side, hostname)

    def handshake(self) -> bool:
        """True once it is done; False if more must be read first. Raises ssl.SSLError; the alert is in ``outgoing``."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def decrypt(self, data: bytes) -> tuple[bytes, ssl.SSLError | None]:
        """What the bytes said, and the fault that ended the channel behind it."""
        if len(data) > SLICE:
            plain = []
            for at in range(0, len(data), SLICE):
                piece, fault = self.decrypt(data[at : at + SLICE])
                plain.append(piece)
                if fault is not None:
                    return b"".join(plain), fault
            return b"".join(plain), None
        tls, incoming = self.tls, self.incoming
        incoming.write(data)
        plain = []
        try:
            while incoming.pending or tls.pending():
                piece = tls.read(PIECE)
                if not piece:
                    break
                plain.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            return b"".join(plain), error
        return plain[0] if len(plain) == 1 else b"".join(plain), None

    def encrypt(self, data: bytes) -> bytes:
        """Raises ssl.SSLError."""
        if len(data) <= SLICE:
            self.tls.write(data)
            return self.outgoing.read()
        pieces = []
        for at in range(0, len(data), SLICE):
            self.tls.write(data[at : at + SLICE])
            pieces.append(self.outgoing.read())
        return b"".join(pieces)

    def close(self) -> bytes:
        """The close_notify; the peer's own is not waited for."""
        with suppress(ssl.SSLError):
            self.tls.unwrap()
        return self.outgoing.read()
