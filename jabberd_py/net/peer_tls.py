"""TLS between servers: both sides show a certificate, and one that proves nothing does not end the handshake (dialback may
still prove who it is). The stdlib's ssl cannot do that for the accepting side, pyOpenSSL can."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto

PIECE = 16 * 1024
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!MD5"


class Context:
    """The certificate that a domain of ours shows to other servers, and the authorities by which theirs are judged."""

    def __init__(self, certificate: Path, key: Path, ca: str | None) -> None:
        """Raises ValueError, naming the file."""
        context = self.context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_TICKET)
        context.set_options(SSL.OP_NO_RENEGOTIATION)
        context.set_cipher_list(CIPHERS)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_alpn_select_callback(_choose)
        context.set_verify(SSL.VERIFY_PEER, lambda *args: True)  # ask for it, judge it afterwards
        try:
            context.use_certificate_chain_file(str(certificate))
            context.use_privatekey_file(str(key if key.exists() else certificate))
            context.check_privatekey()
        except SSL.Error:
            raise ValueError(f"{certificate}: no certificate, or not that of {key.name}") from None
        self.store = crypto.X509Store()
        paths = ssl.get_default_verify_paths()
        if paths.cafile or paths.capath:
            self.store.load_locations(paths.cafile, paths.capath)
        if ca is not None:
            try:
                self.store.load_locations(ca)
            except crypto.Error:
                raise ValueError(f"{ca}: no certificates there") from None

    def judge(self, chain: Sequence[crypto.X509]) -> str | None:
        """What is wrong with a certificate (the first of the chain), or None. Whose it is, is another question."""
        if not chain:
            return "none was shown"
        try:
            crypto.X509StoreContext(self.store, chain[0], list(chain[1:])).verify_certificate()
        except crypto.X509StoreContextError as error:
            return str(error.args[0] if error.args else error)
        return None


def _choose(connection: SSL.Connection, offered: list[bytes]) -> Any:
    return b"xmpp-server" if b"xmpp-server" in offered else SSL.NO_OVERLAPPING_PROTOCOLS


class PeerChannel:
    """One TLS connection between servers; to a `Stream` the same as `channel.Channel`. It is its own two BIOs."""

    def __init__(self, context: Context, server_side: bool, hostname: str | None = None) -> None:
        self.context = context
        connection = self.connection = SSL.Connection(context.context, None)
        if server_side:
            connection.set_accept_state()
        else:
            connection.set_connect_state()
            if hostname:
                connection.set_tlsext_host_name(hostname.encode())
            connection.set_alpn_protos([b"xmpp-server"])
        self.tls = self.incoming = self.outgoing = self
        self.kept = b""

    # -- as ssl.MemoryBIOs ----------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Bytes from the wire."""
        if data:
            self.connection.bio_write(data)

    def read(self) -> bytes:
        """Bytes for the wire."""
        pieces, self.kept = [self.kept], b""
        while True:
            try:
                pieces.append(self.connection.bio_read(PIECE))
            except SSL.WantReadError:
                return b"".join(pieces)

    @property
    def pending(self) -> int:
        self.kept = self.read()
        return len(self.kept) or 1  # one cannot ask OpenSSL; looking in vain costs nothing

    # -- as ssl.SSLObject -----------------------------------------------------------------

    def version(self) -> str:
        return self.connection.get_protocol_version_name()

    def peer_chain(self) -> list[crypto.X509]:
        """What the other side has shown: its own certificate, then those that may vouch for it."""
        own = self.connection.get_peer_certificate()
        if own is None:
            return []
        shown = self.connection.get_peer_cert_chain() or []
        return [own, *(each for each in shown if each.digest("sha256") != own.digest("sha256"))]

    # -- as channel.Channel ---------------------------------------------------------------

    def handshake(self) -> bool:
        """True once it is done; False if more must be read first. Raises ssl.SSLError; the alert is there to `read`."""
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise _fault(error) from None
        return True

    def decrypt(self, data: bytes) -> tuple[bytes, ssl.SSLError | None]:
        """What the bytes said, and the fault that ended the channel behind it."""
        self.write(data)
        plain = []
        fault = None
        try:
            while True:
                plain.append(self.connection.recv(PIECE))
        except (SSL.WantReadError, SSL.ZeroReturnError):
            pass
        except SSL.Error as error:
            fault = _fault(error)
        return b"".join(plain), fault

    def encrypt(self, data: bytes) -> bytes:
        """Raises ssl.SSLError."""
        view = memoryview(data)
        pieces = []
        try:
            while view:
                sent = self.connection.send(view[:PIECE])
                view = view[sent:]
                pieces.append(self.read())
        except SSL.Error as error:
            raise _fault(error) from None
        return b"".join(pieces)

    def close(self) -> bytes:
        """The close_notify; the peer's own is not waited for."""
        with suppress(SSL.Error):
            self.connection.shutdown()
        return self.read()


def _fault(error: SSL.Error) -> ssl.SSLError:
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    text = "; ".join(str(each[-1]) for each in reasons if each) or str(error) or type(error).__name__
    return ssl.SSLError(1, text)
