"""Verifies chains of certificates (RFC 5280, by OpenSSL), and gives the reason if one is not good.

This is done after the TLS handshake, not in it: a server with a bad certificate may still prove by dialback who it is."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto

from ..xmpp.protocols import RFC
from . import identity

PROTOCOLS = (RFC(5280, "X.509 certificates", missing="revocation"),)

LONGEST = 10
"""At most so many certificates of a chain are looked at."""
WEAK = ("md5", "sha1")
RSA_BITS, EC_BITS = 2048, 224
EXPIRED, NOT_YET, SELF_SIGNED, SELF_SIGNED_ROOT, NO_ISSUER = 10, 9, 18, 19, (2, 20, 21)
"""OpenSSL's numbers (X509_V_ERR_...)."""
USES = {
    ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedKeyUsageOID.CLIENT_AUTH,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
}
"""A certificate must be meant for one of these uses. Most authorities sign for servers only, but a server is a client, too."""


class Authorities:
    """The trusted certificates: those in ``path``, a file or folder of PEM certificates (by default the system's), and those in
    ``more``. They are read once; make a new object to see changes."""

    def __init__(self, path: str | None = None, more: str | None = None) -> None:
        """Raises OSError or ValueError, naming the file."""
        self.store = crypto.X509Store()
        if path is None:
            paths = ssl.get_default_verify_paths()
            for file, folder in ((paths.cafile, None), (None, paths.capath)):
                if file or folder:
                    self.store.load_locations(file, folder)
        for each in (path, more):
            if each is not None:
                self._add(each)

    def _add(self, path: str) -> None:
        where = Path(path)
        where.stat()
        try:
            self.store.load_locations(*((None, path) if where.is_dir() else (path, None)))
        except crypto.Error:
            where.read_bytes()  # cannot be read?
            raise ValueError(f"{path}: no certificates there") from None

    @classmethod
    def only(cls, anchors: Sequence[bytes]) -> Authorities:
        """Trusts these certificates (DER) only. They need not be self-signed. Raises ValueError."""
        made = cls.__new__(cls)
        made.store = crypto.X509Store()
        made.store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        for der in anchors:
            made.store.add_cert(_load(der))
        return made


class Untrusted(Exception):
    """The chain is not good; the text says why."""


def path(chain: Sequence[bytes], authorities: Authorities) -> list[bytes]:
    """The certificates from the peer's own (first of ``chain``; all are DER) to an authority. Raises Untrusted."""
    if not chain:
        raise Untrusted("no certificate was shown")
    try:
        certs = [_load(der) for der in chain[:LONGEST]]
        found = crypto.X509StoreContext(authorities.store, certs[0], certs[1:]).get_verified_chain()
        why = _weakness([cert.to_cryptography() for cert in found])
    except crypto.X509StoreContextError as error:
        why = _reason(error)
    except (crypto.Error, ValueError, UnsupportedAlgorithm) as error:
        why = f"the certificate cannot be read: {error}"
    if why is not None:
        raise Untrusted(why)
    return [crypto.dump_certificate(crypto.FILETYPE_ASN1, cert) for cert in found]


def verify(chain: Sequence[bytes], authorities: Authorities) -> str | None:
    """None if the chain leads to an authority, else why it does not. Names are not checked: see `judge`."""
    try:
        path(chain, authorities)
    except Untrusted as error:
        return str(error)
    return None


def judge(chain: Sequence[bytes], domain: str, authorities: Authorities) -> str | None:
    """None if the chain leads to an authority and the first certificate is for this domain; else why not."""
    why = verify(chain, authorities)
    if why is None and not identity.matches(chain[0], domain):
        return f"the certificate is for {identity.identities(chain[0])}, not for {domain}"
    return why


def _load(der: bytes) -> crypto.X509:
    try:
        return crypto.load_certificate(crypto.FILETYPE_ASN1, der)
    except crypto.Error:
        raise ValueError("it is no X.509 certificate") from None


def _reason(error: crypto.X509StoreContextError) -> str:
    code, depth, message = error.errors
    try:
        this = error.certificate.to_cryptography()
        what = "the certificate" if depth == 0 else f"the authority's certificate ({_name(this.subject)})"
        if code == EXPIRED:
            return f"{what} expired on {this.not_valid_after_utc:%Y-%m-%d}"
        if code == NOT_YET:
            return f"{what} is not valid before {this.not_valid_before_utc:%Y-%m-%d}"
        if code == SELF_SIGNED:
            return "the certificate is self-signed"
        if code == SELF_SIGNED_ROOT:
            return f"the certificate comes from an authority that is not trusted here: {_name(this.subject)}"
        if code in NO_ISSUER:
            return (
                f"{what} was issued by somebody unknown here, or the chain lacks a link: {_name(this.issuer)}"
            )
    except ValueError as unreadable:
        message = str(unreadable)
    return f"the certificate is not good: {message}"


def _weakness(verified: list[x509.Certificate]) -> str | None:
    """Why a verified chain is too weak, or not meant for servers; None: it is fine. OpenSSL checks this only in a TLS
    handshake. The signature of the last certificate, the trust anchor, does not count."""
    for at, cert in enumerate(verified):
        key, algorithm = cert.public_key(), cert.signature_hash_algorithm
        if at < len(verified) - 1 and algorithm is not None and algorithm.name in WEAK:
            return f"the signature of {_name(cert.subject)} is too weak ({algorithm.name})"
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < RSA_BITS:
            return f"the key of {_name(cert.subject)} is too weak (RSA, {key.key_size} bits)"
        if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < EC_BITS:
            return f"the key of {_name(cert.subject)} is too weak (EC, {key.key_size} bits)"
    try:
        uses = set(verified[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return None
    except x509.DuplicateExtension as error:
        return f"the certificate is not good: {error}"
    return None if uses & USES else "the certificate is not meant for servers (extended key usage)"


def _name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string() or "without a name"
