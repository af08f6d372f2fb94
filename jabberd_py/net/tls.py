"""Certificates and TLS contexts, one for each domain, and what binds SASL to a TLS channel (RFC 5929)."""

from __future__ import annotations

import _ssl
import datetime
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .. import log
from ..options import Option, OptionError, Section, optional
from ..xmpp.jid import parse
from ..xmpp.prep import domainprep
from ..xmpp.protocols import RFC
from . import certfiles
from .channel import HTTP, XMPP, Context
from .identity import a_label_form, identities
from .peertls import PeerContext

PROTOCOLS = (
    RFC(
        5929,
        "Channel bindings for TLS",
        missing="tls-unique; nor is there tls-exporter (RFC 9266) for clients: Python's ssl cannot export it, and pyOpenSSL "
        "would cost 9 µs a message",
    ),
)

logger = log.get(__name__)

LIFETIME = datetime.timedelta(days=3650)


class TLSOptions(Section):
    """Certificates: ``<certificates>/<domain>.pem`` (chain) and ``<domain>.key`` for each host; what is
    missing is made, self-signed."""

    certificates = Option(
        optional(str), None, "folder of the certificates; by default 'certificates' in the data folder"
    )
    client_ca = Option(
        optional(str), None, "file of the authorities whose client certificates log users in (EXTERNAL)"
    )
    ciphers = Option(
        str, "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!MD5", "OpenSSL's list of ciphers for TLS 1.2"
    )


def make_self_signed(domains: Iterable[str], certificate: Path, key_file: Path) -> None:
    """An ECDSA P-256 certificate (a quarter of RSA's cost per login) for the domains. Raises OSError."""
    names = [a_label_form(domain) for domain in domains]
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for path, data in ((key_file, private), (certificate, built.public_bytes(serialization.Encoding.PEM))):
        half = path.with_name(path.name + ".new")
        half.touch(mode=0o600)
        half.write_bytes(data)
        half.replace(path)


def owners_of(hosts: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """``hosts``: host -> the domains of its services. Returns host or service -> the host it belongs to."""
    found = {domain: domain for domain in hosts}
    return found | {service: host for host, services in hosts.items() for service in services}


class Certificates:
    """The TLS contexts of all domains; a change (`prepare`) reads the files again, for new connections. ``default``: the
    folder where the configuration names none."""

    def __init__(self, options: TLSOptions, default: Path) -> None:
        self.options, self.default = options, default
        self.folder = Path(options.certificates) if options.certificates else default
        self.contexts: dict[str, Context] = {}
        self.owners: dict[str, str] = {}
        """Host or service -> the host it belongs to."""
        self.peers: dict[str, PeerContext] = {}
        """For streams between servers, both ways."""
        self.made: list[Path] = []
        self.hosts: Mapping[str, Iterable[str]] = {}
        """Host -> the domains of its services."""
        self.notes: dict[str, str] = {}
        """Host -> what is to be told of its certificate, beside what the file shows."""

    def prepare(self, options: TLSOptions, hosts: Mapping[str, Iterable[str]]) -> Callable[[], None]:
        """The first step of a change: makes new contexts from the files. Returns the second step, which takes them into use and
        logs why certificates will be refused. ``hosts``: host -> the domains of its services. A service without files of its
        own shows the certificate of its host. Raises OSError or ValueError, naming the file, or OptionError."""
        contexts: dict[str, Context] = {}
        peers: dict[str, PeerContext] = {}
        folder = Path(options.certificates) if options.certificates else self.default
        owners = owners_of(hosts)
        for domain, host in owners.items():
            certificate, key = certfiles.files(domain, host, folder)
            if not certfiles.there(certificate) and not certfiles.there(key):
                try:
                    make_self_signed([domain, *hosts[domain]], certificate, key)
                except OSError as error:
                    raise OptionError(
                        "certificates", certfiles.unusable(Path(error.filename or certificate), error)
                    ) from None
                self.made.append(certificate)
            own = certfiles.read(certificate, key)[0]
            context = contexts[domain] = self._context(options, certificate, key)
            context.signed = own.issuer != own.subject
            context.names = identities(own.public_bytes(serialization.Encoding.DER)).dns
            # gevent's own setter wraps the callback for its sockets; our TLS lives in memory
            _ssl._SSLContext.sni_callback.__set__(context, self._sni)  # type: ignore[union-attr]
            chosen = key if key.exists() else None
            peers[domain] = PeerContext(certificate, chosen, options.ciphers, self._peer)

        def switch() -> None:
            self.options, self.folder = options, folder
            self.contexts, self.peers, self.owners, self.hosts = contexts, peers, owners, hosts
            self.warn()

        return switch

    def again(self) -> None:
        """Reads the files again, for new connections. Raises OSError, ValueError."""
        self.prepare(self.options, self.hosts)()

    def reports(self) -> list[certfiles.Report]:
        """What is to be said of the certificates, host by host. A service that shows the certificate of its host is in it only
        if something is wrong that is not wrong for the host."""
        found: dict[str, certfiles.Report] = {}
        for domain, host in self.owners.items():
            report = certfiles.report(domain, self.folder, host)
            if domain != host and report.file == found[host].file:
                trouble = [each for each in report.trouble if each not in found[host].trouble]
                report = replace(report, trouble=trouble, self_signed=False)
                if not trouble:
                    continue
            if domain in self.notes:
                report = replace(report, trouble=[*report.trouble, self.notes[domain]])
            found[domain] = report
        return list(found.values())

    def warn(self) -> None:
        """Logs which certificates are for another domain, not valid yet or no longer, or about to expire."""
        for report in self.reports():
            for each in report.trouble:
                logger.warning(f"the certificate {each}", domain=report.domain, file=str(report.file))

    def _context(self, options: TLSOptions, certificate: Path, key: Path) -> Context:
        context = Context(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.options |= ssl.OP_NO_TICKET
        context.set_alpn_protocols([XMPP, HTTP])
        context.num_tickets = 0  # a full ECDSA handshake costs less than two tickets for each login
        try:
            context.set_ciphers(options.ciphers)
        except ssl.SSLError:
            raise OptionError("ciphers", "OpenSSL knows no cipher of these") from None
        try:
            context.load_cert_chain(certificate, key if key.exists() else None, _no_pass_phrase)
            context.end_point = _end_point(certificate)
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise ValueError(f"{certificate}: OpenSSL does not take it: {reason}") from None
        if options.client_ca:
            try:
                context.load_verify_locations(options.client_ca)
            except OSError as error:
                reason = "no certificates there" if isinstance(error, ssl.SSLError) else str(error.strerror)
                raise OptionError("client_ca", f"{options.client_ca}: {reason}") from None
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _sni(self, tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """SNI: the client has named a domain in its hello. Chooses the context of that domain."""
        try:
            wanted = self.contexts.get(domainprep(name or ""))
        except ValueError:
            return
        if wanted is not None and wanted is not context:
            tls.context = wanted

    def _peer(self, name: str) -> PeerContext | None:
        """The context of a domain, as named in a hello (A-labels)."""
        try:
            return self.peers.get(domainprep(name))
        except ValueError:
            return None

    def direct_peer(self) -> PeerContext:
        """For direct TLS from a server, before it has named our domain (XEP-0368)."""
        return next(iter(self.peers.values()))

    def direct(self) -> ssl.SSLContext:
        """For direct TLS, before the client has named its domain (XEP-0368)."""
        return next(iter(self.contexts.values()))


def _no_pass_phrase() -> str:
    """Without this OpenSSL would ask for a pass phrase on the terminal."""
    return ""


def _end_point(certificate: Path) -> bytes:
    """``tls-server-end-point`` (RFC 5929 section 4): the certificate's hash, by its signature's hash
    function."""
    cert = x509.load_pem_x509_certificate(certificate.read_bytes())
    algorithm = cert.signature_hash_algorithm
    if algorithm is None or algorithm.name in ("md5", "sha1"):
        algorithm = hashes.SHA256()
    return cert.fingerprint(algorithm)


def client_names(certificate: bytes) -> list[str]:
    """The addresses (XEP-0178: ``xmppAddr``) that a verified client certificate (DER) is for, bare and prepared."""
    found = []
    for address in identities(certificate).xmpp_addr:
        with suppress(ValueError):
            found.append(str(parse(address).bare))
    return found
