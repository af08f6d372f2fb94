"""A private certification authority, and the certificates that good and bad servers show."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

XMPP_ADDR = ObjectIdentifier("1.3.6.1.5.5.7.8.5")  # RFC 6120, 13.7.1.4: a UTF8String
SRV_NAME = ObjectIdentifier("1.3.6.1.5.5.7.8.7")  # RFC 4985: an IA5String
DAY = datetime.timedelta(days=1)


class Certificate(NamedTuple):
    """PEM files: the certificate (chain), its key, and both in one for programs that want that."""

    chain: Path
    key: Path
    both: Path


class CA:
    """Signs whatever it is asked to; its own certificate is the file `root`."""

    def __init__(self, folder: Path, name: str = "Verona CA") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.made = folder, 0
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self.name, self.name, self.key, -DAY, 30 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        usage = {name: name in ("key_cert_sign", "crl_sign") for name in USAGES}
        self.certificate = builder.add_extension(x509.KeyUsage(**usage), critical=True).sign(
            self.key, hashes.SHA256()
        )
        self.root = folder / "ca.pem"
        self.root.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        *domains: str,
        xmpp_addr: Sequence[str] | None = None,
        srv: Sequence[str] | None = None,
        expired: bool = False,
        early: bool = False,
        self_signed: bool = False,
    ) -> Certificate:
        """For these domains as dNSName ("*.example" is a wildcard), xmppAddr and SRVName.

        `xmpp_addr`, `srv`: other names than the domains there, () for none (then `domains` may be empty, and
        the names are in no dNSName). `expired`: since yesterday; `early`: valid from tomorrow.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        plain = [domain for domain in domains if not domain.startswith("*")]
        addresses = plain if xmpp_addr is None else xmpp_addr
        services = [f"_xmpp-server.{domain}" for domain in plain] if srv is None else srv
        names: list[x509.GeneralName] = [x509.DNSName(domain) for domain in domains]
        names += [x509.OtherName(XMPP_ADDR, _text(0x0C, address)) for address in addresses]
        names += [x509.OtherName(SRV_NAME, _text(0x16, service)) for service in services]
        common = next(iter([*domains, *addresses]), "nobody")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])
        first, last = (-10 * DAY, -DAY) if expired else (DAY, 10 * DAY) if early else (-DAY, 10 * DAY)
        issuer, signer = (subject, key) if self_signed else (self.name, self.key)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        signed = (
            self._builder(subject, issuer, key, first, last)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(signer, hashes.SHA256())
        )
        return self._write(signed.public_bytes(serialization.Encoding.PEM), key)

    def _builder(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        first: datetime.timedelta,
        last: datetime.timedelta,
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            key.public_key() if issuer == subject else self.key.public_key()
        )
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + first)
            .not_valid_after(now + last)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(authority, critical=False)
        )

    def _write(self, chain: bytes, key: ec.EllipticCurvePrivateKey) -> Certificate:
        self.made += 1
        files = Certificate(*(self.folder / f"{self.made}.{end}" for end in ("crt", "key", "pem")))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files.chain.write_bytes(chain)
        files.key.write_bytes(private)
        files.both.write_bytes(private + chain)
        return files


USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
USAGES += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")


def _text(tag: int, value: str) -> bytes:
    """DER of one short string."""
    data = value.encode()
    assert len(data) < 128, value
    return bytes((tag, len(data))) + data
