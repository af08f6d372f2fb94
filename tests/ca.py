"""A private certificate authority."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import idna
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
DNS_SRV = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")
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


class CA:
    """``folder`` gets ``ca.pem``, and the files of every certificate that is made."""

    def __init__(self, folder: Path, name: str = "Private CA") -> None:
        self.folder, self.count = folder, 0
        folder.mkdir(parents=True, exist_ok=True)
        self.party = _sign(name, None, ca=True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(self.party.cert.public_bytes(PEM))

    def certificate(self, domains: str | Sequence[str] = (), **options: Any) -> tuple[Path, Path]:
        """``domain.pem`` (with its chain) and ``domain.key``, as the server wants them in ``tls.certificates``; options
        as in `issue`."""
        party = self.issue(domains, **options)
        self.count += 1
        first = ([domains] if isinstance(domains, str) else list(domains) or [f"{self.count}"])[0]
        cert, key = self.folder / f"{first}.pem", self.folder / f"{first}.key"
        cert.write_bytes(b"".join(each.public_bytes(PEM) for each in (party.cert, *party.above)))
        key.write_bytes(
            party.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return cert, key

    def issue(
        self,
        domains: str | Sequence[str] = (),
        *,
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
        """``srv`` are domains of SRVNames for xmpp-server; ``wildcard`` puts ``*.`` before each of ``domains``."""
        names: list[x509.GeneralName] = []
        for domain in [domains] if isinstance(domains, str) else domains:
            ascii_ = domain if domain.isascii() else idna.encode(domain).decode()
            names.append(x509.DNSName("*." + ascii_ if wildcard else ascii_))
        names += [x509.OtherName(XMPP_ADDR, _string(0x0C, each)) for each in xmpp_addr]
        names += [x509.OtherName(DNS_SRV, _string(0x16, f"_xmpp-server.{each}")) for each in srv]
        names += [x509.IPAddress(ipaddress.ip_address(each)) for each in ip]
        issuer = _sign("Intermediate CA", self.party, ca=True) if intermediate else self.party
        start = DAY if future else -10 * DAY
        return _sign(
            common_name or (domains if isinstance(domains, str) else "server"),
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
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.cert.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    cert = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    shown = issuer is not None and issuer.cert.subject != issuer.cert.issuer  # a root need not be
    return Party(cert, key, [issuer.cert, *issuer.above] if issuer and shown else [])


def _string(tag: int, text: str) -> bytes:
    data = text.encode()
    assert len(data) < 256
    return bytes([tag]) + (b"" if len(data) < 128 else b"\x81") + bytes([len(data)]) + data
