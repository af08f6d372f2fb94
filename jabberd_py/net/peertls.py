"""TLS between servers. Both sides are asked for their certificates, and the handshake goes on even if one is bad.

`chain` and `dane` verify the certificate afterwards, because a server with a bad certificate may still prove by dialback who
it is (XEP-0220), and DANE may vouch for a certificate that no authority has signed. Python's ssl cannot do that for the
certificate of a client: with CERT_OPTIONAL a bad one ends the handshake, with CERT_NONE none is asked for. pyOpenSSL can.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from OpenSSL import SSL, crypto

from .callbacks import ALPN, install
from .channel import PIECE, SLICE
from .dnsrv import literal
from .identity import a_labels

EXPORTER = b"EXPORTER-Channel-Binding"
DEPTH = 10
"""At most so many certificates above the peer's own are looked at by OpenSSL."""

Find = Callable[[str], "PeerContext | None"]
"""Called with a domain (A-labels); returns its context or None."""


class PeerContext:
    """The TLS context of one of our domains for streams between servers, in both directions."""

    def __init__(self, certificate: Path, key: Path | None, ciphers: str, find: Find | None = None) -> None:
        """``find`` is asked where the client names another domain in its hello. Raises ValueError, naming the file."""
        context = self.context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(
            SSL.OP_NO_COMPRESSION
            | SSL.OP_NO_RENEGOTIATION
            | SSL.OP_NO_TICKET
            | SSL.OP_CIPHER_SERVER_PREFERENCE
        )
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(ALPN)
        context.set_verify_depth(DEPTH)
        context.set_alpn_protos([ALPN])
        self.find = find
        install(context, self._named if find is not None else None)
        try:
            context.set_cipher_list(ciphers.encode())
            context.use_certificate_chain_file(str(certificate))
            context.use_privatekey_file(str(key or certificate))
            context.check_privatekey()
        except SSL.Error as error:
            raise ValueError(f"{certificate}: {_reason(error)}") from None

    def channel(self, server_side: bool, hostname: str | None) -> PeerChannel:
        """``hostname``: the domain to name in the hello, as in an address."""
        return PeerChannel(self, server_side, hostname)

    def _named(self, tls: SSL.Connection) -> None:
        name = (tls.get_servername() or b"").decode("ascii", "replace").lower()
        found = self.find(name) if self.find is not None else None
        if found is not None and found is not self:
            tls.set_context(found.context)


class PeerChannel:
    """A TLS connection with another server: implements `channel.Secure` with pyOpenSSL."""

    __slots__ = ("context", "tls", "incoming", "outgoing")

    def __init__(self, context: PeerContext, server_side: bool, hostname: str | None) -> None:
        self.context = context  # its callbacks must outlive a reload
        self.tls = SSL.Connection(context.context, None)
        self.incoming, self.outgoing = _Incoming(self.tls), _Outgoing(self.tls)
        if server_side:
            self.tls.set_accept_state()
            return
        self.tls.set_connect_state()
        name = a_labels(hostname) if hostname and literal(hostname) is None else None
        if name:
            self.tls.set_tlsext_host_name(name.encode())

    def handshake(self) -> bool:
        """True once it is done; False if more must be read first. Raises ssl.SSLError; the alert is in ``outgoing``."""
        try:
            self.tls.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise _ssl_error(error) from None
        return True

    def decrypt(self, data: bytes) -> tuple[bytes, ssl.SSLError | None]:
        """What the bytes said, and the fault that ended the channel behind it."""
        plain = []
        fault = None
        try:
            for at in range(0, len(data) or 1, SLICE):
                self.incoming.write(data[at : at + SLICE])
                with suppress(SSL.WantReadError, SSL.ZeroReturnError):
                    while True:
                        plain.append(self.tls.recv(PIECE))
        except SSL.Error as error:
            fault = _ssl_error(error)
        return plain[0] if len(plain) == 1 else b"".join(plain), fault

    def encrypt(self, data: bytes) -> bytes:
        """Raises ssl.SSLError."""
        pieces = []
        try:
            for at in range(0, len(data), SLICE):
                self.tls.sendall(data[at : at + SLICE])
                pieces.append(self.outgoing.read())
        except SSL.Error as error:
            raise _ssl_error(error) from None
        return b"".join(pieces)

    def close(self) -> bytes:
        """The close_notify; the peer's own is not waited for."""
        with suppress(SSL.Error):
            self.tls.shutdown()
        return self.outgoing.read()

    def peer_chain(self) -> list[bytes]:
        """The certificates (DER) that the peer has shown, its own first, unverified; empty if it has none."""
        own = self.tls.get_peer_certificate()
        if own is None:
            return []
        first = _der(own)
        rest = [_der(cert) for cert in self.tls.get_peer_cert_chain() or ()]
        return rest if rest[:1] == [first] else [first, *rest]  # a server's view lacks the client's own

    @property
    def version(self) -> str | None:
        return self.tls.get_protocol_version_name()

    @property
    def certificate(self) -> bytes | None:
        """Unverified: `chain` and `dane` judge it."""
        return next(iter(self.peer_chain()), None)

    @property
    def bindings(self) -> dict[str, bytes]:
        """``tls-exporter`` (RFC 9266) in TLS 1.3. Nothing between servers uses it so far."""
        if self.tls.get_protocol_version() < SSL.TLS1_3_VERSION:
            return {}
        return {"tls-exporter": self.tls.export_keying_material(EXPORTER, 32, b"")}


class _Incoming:
    """As `ssl.MemoryBIO`, as far as a stream uses one."""

    __slots__ = ("tls",)
    pending = 1
    """Unknown to pyOpenSSL, so always true: the caller finds out by reading."""

    def __init__(self, tls: SSL.Connection) -> None:
        self.tls = tls

    def write(self, data: bytes) -> int:
        return self.tls.bio_write(data) if data else 0


class _Outgoing:
    """As `ssl.MemoryBIO`, as far as a stream uses one."""

    __slots__ = ("tls", "held")

    def __init__(self, tls: SSL.Connection) -> None:
        self.tls, self.held = tls, b""

    @property
    def pending(self) -> int:
        self.held = self.read()
        return len(self.held)

    def read(self) -> bytes:
        pieces = [self.held]
        self.held = b""
        with suppress(SSL.WantReadError):
            while True:
                pieces.append(self.tls.bio_read(PIECE))
        return b"".join(pieces)


def _der(cert: crypto.X509) -> bytes:
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, cert)


def _reason(error: SSL.Error) -> str:
    """The first of OpenSSL's reasons: the others follow from it."""
    if isinstance(error, SSL.SysCallError):
        return str(error.args[-1])
    reasons = [each[-1] for each in error.args[0] if each[-1]] if error.args else []
    return str(reasons[0]) if reasons else "TLS failed"


def _ssl_error(error: SSL.Error) -> ssl.SSLError:
    made = ssl.SSLError(ssl.SSL_ERROR_SSL, _reason(error))
    made.reason = _reason(error)
    return made
