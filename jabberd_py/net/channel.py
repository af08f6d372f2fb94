"""TLS without a socket. Bytes go in and out through OpenSSL's memory BIOs."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any, Protocol

END_POINT = "tls-server-end-point"
XMPP, HTTP = "xmpp-client", "http/1.1"
"""What a client may want to speak inside of TLS (ALPN, RFC 7301)."""
PIECE = 16 * 1024
SLICE = 2 * 1024
"""A MemoryBIO keeps its largest size for ever: written and emptied in slices a TLS session costs 20 KB instead of 56."""


class Secure(Protocol):
    """What a `Stream` needs of TLS: a `Channel` with a client, a `peertls.PeerChannel` with a server.

    incoming     takes the bytes that the socket has received
    outgoing     gives the bytes that the socket must send

    After the handshake:

    version      the version of TLS, such as "TLSv1.3"
    certificate  the peer's certificate, as DER; None if it has shown none
    bindings     channel binding type, such as "tls-server-end-point" -> data
    """

    incoming: Any
    outgoing: Any

    @property
    def version(self) -> str | None: ...
    @property
    def certificate(self) -> bytes | None: ...
    @property
    def bindings(self) -> dict[str, bytes]: ...

    def handshake(self) -> bool: ...
    def decrypt(self, data: bytes) -> tuple[bytes, ssl.SSLError | None]: ...
    def encrypt(self, data: bytes) -> bytes: ...
    def close(self) -> bytes: ...


class Context(ssl.SSLContext):
    """``end_point``: the channel binding ``tls-server-end-point`` of the context's certificate (RFC 5929 section 4).
    ``signed``: did an authority sign it, and not its own key?"""

    end_point: bytes = b""
    signed = False
    names: tuple[str, ...] = ()
    """The dNSNames in it."""


class Channel:
    """A TLS connection with a client. If the client has shown a certificate, the handshake has verified it."""

    __slots__ = ("tls", "incoming", "outgoing", "slice")

    def __init__(
        self, context: ssl.SSLContext, server_side: bool = True, hostname: str | None = None
    ) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side, hostname)
        self.slice = SLICE

    def carry_much(self) -> None:
        """Much is to come or to go: from here on speed counts for more than memory."""
        self.slice = PIECE

    @property
    def version(self) -> str | None:
        return self.tls.version()

    @property
    def certificate(self) -> bytes | None:
        return self.tls.getpeercert(True) or None

    @property
    def protocol(self) -> str | None:
        """`XMPP` or `HTTP`, as the client wants; None if it has named neither."""
        return self.tls.selected_alpn_protocol()

    @property
    def bindings(self) -> dict[str, bytes]:
        """Has no ``tls-exporter`` (RFC 9266): Python's ssl cannot export it."""
        context = self.tls.context  # the one that SNI has chosen
        return {END_POINT: context.end_point} if isinstance(context, Context) and context.end_point else {}

    @property
    def signed(self) -> bool:
        """Did an authority sign the certificate that we have shown?"""
        return bool(getattr(self.tls.context, "signed", False))

    @property
    def names(self) -> tuple[str, ...]:
        """Whose name the certificate has that we have shown, if an authority has signed it."""
        context = self.tls.context
        return context.names if isinstance(context, Context) and context.signed else ()

    def handshake(self) -> bool:
        """True once it is done; False if more must be read first. Raises ssl.SSLError; the alert is in ``outgoing``."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def decrypt(self, data: bytes) -> tuple[bytes, ssl.SSLError | None]:
        """Decrypts bytes. Returns the plain bytes, and the error that ended TLS behind them or None."""
        size = self.slice
        if len(data) > size:
            plain = []
            for at in range(0, len(data), size):
                piece, fault = self.decrypt(data[at : at + size])
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
        """Encrypts bytes. Raises ssl.SSLError."""
        size = self.slice
        if len(data) <= size:
            self.tls.write(data)
            return self.outgoing.read()
        pieces = []
        for at in range(0, len(data), size):
            self.tls.write(data[at : at + size])
            pieces.append(self.outgoing.read())
        return b"".join(pieces)

    def close(self) -> bytes:
        """Returns the bytes of our close_notify. The peer's is not waited for."""
        with suppress(ssl.SSLError):
            self.tls.unwrap()
        return self.outgoing.read()
