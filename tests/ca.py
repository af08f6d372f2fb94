"""A private certificate authority, and the certificates that good and bad servers and clients show."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import idna
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")  # RFC 6120, 13.7.1.4: a UTF8String
DNS_SRV = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")  # RFC 4985: an IA5String
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER


@dataclass
class Party:
    """A certificate, its key, and the certificates above it that it is shown with."""

    cert: x509.Certificate
    key: Any
    above: list[x509.Certificate]

    @property
    def chain(self) -> list[bytes]:
        return [cert.public_bytes(DER) for cert in (self.cert, *self.above)]


class Certificate(NamedTuple):
    """PEM files: a certificate with its chain, and its key."""

    chain: Path
    key: Path

    @property
    def both(self) -> Path:
        """One file with both, for programs that want that."""
        return self.chain.with_suffix(".both")


class CA:
    """``folder`` gets ``ca.pem``, and the files of every certificate that is made."""

    def __init__(self, folder: Path, name: str = "Private CA") -> None:
        self.folder, self.count = folder, 0
        folder.mkdir(parents=True, exist_ok=True)
        self.party = _sign(name, None, ca=True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(self.party.cert.public_bytes(PEM))

    def certificate(self, *domains: str, **options: Any) -> Certificate:
        """The files of one, named after its first domain (``domain.pem``, ``domain.key``), as the server wants them in
        ``tls.certificates``. Those of the same name before are written over. Options as in `issue`."""
        party = self.issue(*domains, **options)
        self.count += 1
        stem = self.folder / (domains[0] if domains else f"{self.count}")
        files = Certificate(stem.with_name(f"{stem.name}.pem"), stem.with_name(f"{stem.name}.key"))
        chain = b"".join(each.public_bytes(PEM) for each in (party.cert, *party.above))
        key = party.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        files.chain.write_bytes(chain)
        files.key.write_bytes(key)
        files.both.write_bytes(key + chain)
        return files

    def server_certificate(self, *domains: str, **options: Any) -> Certificate:
        """As a public authority makes it: each domain as dNSName ("*.example" is a wildcard), xmppAddr and SRVName, for
        servers and clients. Options as in `issue`: what is given there takes the place of that."""
        plain = [domain for domain in domains if not domain.startswith("*")]
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        services = [f"_xmpp-server.{domain}" for domain in plain]
        every = {"xmpp_addr": plain, "srv": services, "extensions": [usage]}
        return self.certificate(*domains, **{**every, **options})

    def issue(
        self,
        *domains: str,
        xmpp_addr: Sequence[str] = (),
        srv: Sequence[str] = (),
        ip: Sequence[str] = (),
        wildcard: bool = False,
        expired: bool = False,
        future: bool = False,
        self_signed: bool = False,
        intermediate: bool = False,
        common_name: str | None = None,
        extensions: Iterable[x509.ExtensionType] = (),
    ) -> Party:
        """``domains`` become dNSNames, ``wildcard`` puts ``*.`` before each; ``srv``: SRVNames, whole. ``expired``:
        since yesterday; ``future``: from tomorrow."""
        names: list[x509.GeneralName] = []
        for domain in domains:
            ascii_ = domain if domain.isascii() else idna.encode(domain).decode()
            names.append(x509.DNSName("*." + ascii_ if wildcard else ascii_))
        names += [x509.OtherName(XMPP_ADDR, _string(0x0C, each)) for each in xmpp_addr]
        names += [x509.OtherName(DNS_SRV, _string(0x16, each)) for each in srv]
        names += [x509.IPAddress(ipaddress.ip_address(each)) for each in ip]
        issuer = _sign("Intermediate CA", self.party, ca=True) if intermediate else self.party
        start = DAY if future else -10 * DAY
        return _sign(
            common_name or next(iter(domains), "server"),
            None if self_signed else issuer,
            names=names,
            start=start,
            end=-DAY if expired else start + 30 * DAY,
            extensions=extensions,
        )


def _sign(
    name: str,
    issuer: Party | None,
    *,
    ca: bool = False,
    names: Sequence[x509.GeneralName] = (),
    start: datetime.timedelta = -10 * DAY,
    end: datetime.timedelta = 20 * DAY,
    extensions: Iterable[x509.ExtensionType] = (),
) -> Party:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.datetime.now(datetime.UTC)
    above = (issuer.key if issuer else key).public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.cert.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above), critical=False)
    )
    if ca:
        usage = {each: each in ("key_cert_sign", "crl_sign") for each in USAGES}
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    cert = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    shown = issuer is not None and issuer.cert.subject != issuer.cert.issuer  # a root need not be
    return Party(cert, key, [issuer.cert, *issuer.above] if issuer and shown else [])


USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
USAGES += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")


def _string(tag: int, text: str) -> bytes:
    """DER of a string of that tag."""
    data = text.encode()
    assert len(data) < 256
    return bytes([tag]) + (b"" if len(data) < 128 else b"\x81") + bytes([len(data)]) + data
