"""DANE: what signed TLSA records say about a server's certificate (RFC 6698, RFC 7671; for XMPP RFC 7673 and RFC 7712)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..xmpp.protocols import RFC
from . import identity
from .chain import LONGEST, Authorities, Untrusted, path
from .dnsrv import TLSA

PROTOCOLS = (
    RFC(6698, "DANE: TLSA records"),
    RFC(7671, "DANE: operations"),
    RFC(7673, "DANE with SRV records"),
    RFC(7712, "Domain name associations (DNA) in XMPP", missing="POSH"),
)

PKIX_TA, PKIX_EE, DANE_TA, DANE_EE = range(4)
CERT, KEY = range(2)
SIZES = {1: hashlib.sha256().digest_size, 2: hashlib.sha512().digest_size}


def usable(records: Iterable[TLSA]) -> tuple[TLSA, ...]:
    """The records that we understand. If there is none, DANE does not apply (RFC 7671 section 10.3)."""
    return tuple(
        each
        for each in records
        if each.usage <= DANE_EE
        and each.selector <= KEY
        and (
            len(each.data) == SIZES[each.matching]
            if each.matching in SIZES
            else not each.matching and each.data
        )
    )


def matches(tlsa: TLSA, chain: Sequence[bytes]) -> bool:
    """Does the record match one of these certificates (DER, the peer's own first)? This alone proves nothing: see `judge`."""
    return _match(tlsa, chain) is not None


def judge(
    records: Sequence[TLSA], chain: Sequence[bytes], names: Sequence[str], authorities: Authorities
) -> str | None:
    """None if one of the usable records vouches for the chain, else why none does. ``names``: the domain and the host of its
    SRV record. The certificate may be for either, because the DNS records that lead there are signed. With a DANE-EE record
    names do not count."""
    if not chain:
        return "no certificate was shown"
    why = "none of the TLSA records fits the certificate"
    for tlsa in records:
        try:
            if tlsa.usage == DANE_EE:
                if matches(tlsa, chain):
                    return None
                continue
            if tlsa.usage == DANE_TA:
                anchor = _match(tlsa, chain)
                if anchor is None:
                    continue
                path(chain, Authorities.only([anchor]))
            elif not matches(tlsa, path(chain, authorities)):
                continue
        except (Untrusted, ValueError) as error:
            why = str(error)
            continue
        if any(identity.matches(chain[0], name) for name in names):
            return None
        why = f"the certificate is for {identity.identities(chain[0])}, not for {' or '.join(names)}"
    return why


def _match(tlsa: TLSA, chain: Sequence[bytes]) -> bytes | None:
    """The certificate that the record matches; None: there is none."""
    own = tlsa.usage in (PKIX_EE, DANE_EE)
    for der in chain[:1] if own else chain[1:LONGEST]:
        data = der if tlsa.selector == CERT else _key(der)
        if tlsa.matching:
            data = (hashlib.sha256 if tlsa.matching == 1 else hashlib.sha512)(data).digest()
        if data and data == tlsa.data:
            return der
    return None


def _key(der: bytes) -> bytes:
    """The SubjectPublicKeyInfo; empty where it cannot be read."""
    try:
        key = x509.load_der_x509_certificate(der).public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return b""
