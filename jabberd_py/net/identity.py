"""Which domains a server's certificate is for: RFC 6120 section 13.7.1.2 and RFC 9525."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import idna
from cryptography import x509
from cryptography.hazmat import asn1

from ..xmpp.prep import domainprep
from ..xmpp.protocols import RFC
from .dnsrv import literal

PROTOCOLS = (
    RFC(4985, "SRVName in certificates"),
    RFC(9525, "Service identity in TLS"),
)

XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
DNS_SRV = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")


@dataclass(frozen=True)
class Identities:
    """The names in the subjectAltName of a certificate, unprepared. The common name of the subject is no identity (RFC 9525
    section 2)."""

    dns: tuple[str, ...] = ()
    srv: tuple[str, ...] = ()
    xmpp_addr: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(dict.fromkeys((*self.dns, *self.srv, *self.xmpp_addr, *self.ip))) or "nobody"


def identities(der: bytes) -> Identities:
    """The names in a certificate (DER). A certificate that cannot be read has none."""
    try:
        cert = x509.load_der_x509_certificate(der)
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        others = names.get_values_for_type(x509.OtherName)
        return Identities(
            dns=tuple(names.get_values_for_type(x509.DNSName)),
            srv=_texts(others, DNS_SRV, asn1.IA5String),
            xmpp_addr=_texts(others, XMPP_ADDR, str),
            ip=tuple(str(address) for address in names.get_values_for_type(x509.IPAddress)),
        )
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return Identities()


def matches(der: bytes, domain: str, service: str = "xmpp-server") -> bool:
    """Is the certificate (DER) for this domain? The domain is prepared as in an address, or has A-labels."""
    mine = identities(der)
    address = literal(domain)
    if address is not None:
        wanted = ipaddress.ip_address(address)
        return any(literal(each) is not None and ipaddress.ip_address(each) == wanted for each in mine.ip)
    name = a_labels(domain)
    if name is None:
        return False
    return (
        any(_covers(each, name) for each in mine.dns)
        or any(_service(each, service) == name for each in mine.srv)
        or any(_domain(each) == name for each in mine.xmpp_addr)
    )


def a_labels(domain: str) -> str | None:
    """The domain with A-labels, in lower case, as in certificates. None if it is no domain."""
    try:
        return a_label_form(domainprep(domain))
    except ValueError:
        return None


def a_label_form(prepared: str) -> str:
    return prepared if prepared.isascii() else idna.encode(prepared).decode()


def cover(presented: Iterable[str], name: str) -> bool:
    """Does one of the dNSNames of a certificate match the name, which has A-labels?"""
    return any(_covers(each, name) for each in presented)


def _covers(presented: str, name: str) -> bool:
    """Does a dNSName match? Its left-most label may be ``*`` (RFC 9525 section 6.3), but not in front of a single label: nobody
    owns all names of a top-level domain."""
    if not presented.startswith("*."):
        return a_labels(presented) == name
    below = presented[2:]
    return "." in below.strip(".") and a_labels(below) == name.partition(".")[2]


def _service(presented: str, service: str) -> str | None:
    """The domain of an SRVName (RFC 4985) for this service; None if it is for another one."""
    label, _, domain = presented.partition(".")
    return a_labels(domain) if label.lower() == f"_{service}" else None


def _domain(presented: str) -> str | None:
    """The domain of an xmppAddr; None if it is the address of a user."""
    return None if "@" in presented or "/" in presented else a_labels(presented)


def _texts(others: list[x509.OtherName], oid: x509.ObjectIdentifier, type: Any) -> tuple[str, ...]:
    """The values of the otherNames with this OID. Values that are no DER string of this type are left out."""
    found = []
    for each in others:
        if each.type_id == oid:
            with suppress(ValueError):
                text = asn1.decode_der(type, each.value)
                found.append(text if isinstance(text, str) else text.as_str())
    return tuple(found)
