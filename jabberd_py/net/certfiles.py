"""Checks the certificate and key files of the hosts. Each fault is a sentence for a person.

`read` raises faults that stop the start. `trouble` returns faults that only clients and other servers would notice.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from .identity import Identities, identities, matches

SOON = datetime.timedelta(days=14)
"""A certificate that expires within this time causes a warning."""
CERTIFICATE, KEY = b"-----BEGIN CERTIFICATE-----", b"PRIVATE KEY-----"


def unusable(path: Path, error: OSError) -> str:
    """Why the file cannot be opened, with its owner if the rights are missing."""
    if not isinstance(error, PermissionError):
        return f"{path}: {error.strerror or error}"
    about = ""
    for each in (path, *path.absolute().parents):
        try:
            found = each.stat()
        except OSError:
            continue  # a folder above hides it
        about = f": {each} belongs to {user(found.st_uid)}, with mode {found.st_mode & 0o7777:04o}"
        break
    return f"{path}: {error.strerror}{about}; the server runs as {user(os.geteuid())}"


def user(number: int) -> str:
    """The name of the user with this number, or "user 123"."""
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(unusable(path, error)) from None


def there(path: Path) -> bool:
    """Is there such a file or link? Raises ValueError if the rights to look are missing."""
    try:
        path.lstat()
    except PermissionError as error:
        raise ValueError(unusable(path, error)) from None
    except OSError:
        return False
    return True


def key_in(certificate: Path, key: Path) -> Path:
    """The file with the private key: the key file, or the certificate file. Raises ValueError if neither has one."""
    if there(key):
        return key
    if KEY in _content(certificate):
        return certificate
    raise ValueError(f"{key}: is missing, the private key of {certificate.name}")


def read(certificate: Path, key: Path) -> list[x509.Certificate]:
    """The server's own certificate and those above it. Reads both files. Raises ValueError: one sentence, the file first."""
    if not there(certificate):
        raise ValueError(f"{certificate}: is missing, the certificate of {key.name}")
    chain, place = _chain(certificate), key_in(certificate, key)
    content = _content(place)
    try:
        private = serialization.load_pem_private_key(content, None)
    except TypeError:  # encrypted; nobody is there to be asked
        raise ValueError(
            f"{place}: is encrypted, and nobody can be asked for the pass phrase at a start; "
            f"decrypt it: openssl pkey -in {place.name} -out {place.name}.plain"
        ) from None
    except Exception:
        raise ValueError(f"{place}: holds no private key in PEM format that can be read") from None
    mine = private.public_key()
    if chain[0].public_key() != mine:
        for number, each in enumerate(chain[1:], 2):
            if each.public_key() == mine:
                raise ValueError(
                    f"{certificate}: the server's own certificate must come first, not as number {number}"
                )
        raise ValueError(f"{place}: is the key of another certificate than {certificate.name}")
    return chain


def _chain(certificate: Path) -> list[x509.Certificate]:
    content = _content(certificate)
    if CERTIFICATE not in content:
        hint = ", but a private key" if KEY in content else ""
        raise ValueError(f"{certificate}: holds no certificate in PEM format{hint}")
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise ValueError(f"{certificate}: holds a certificate that cannot be read") from None


def trouble(cert: x509.Certificate, domain: str, now: datetime.datetime | None = None) -> list[str]:
    """Why clients and other servers will refuse the certificate, now or within `SOON`; empty: they will not."""
    now = now or datetime.datetime.now(datetime.UTC)
    found, end, start = [], cert.not_valid_after_utc, cert.not_valid_before_utc
    if now >= end:
        found.append(f"has expired on {end:%Y-%m-%d}")
    elif now + SOON >= end:
        days = (end - now).days
        found.append(f"expires in {days} days" if days > 1 else f"expires on {end:%Y-%m-%d at %H:%M} UTC")
    if now < start:
        found.append(f"is not valid before {start:%Y-%m-%d %H:%M} UTC")
    der = cert.public_bytes(serialization.Encoding.DER)
    if not matches(der, domain) and not matches(der, domain, "xmpp-client"):
        found.append(f"is not for {domain}, but for {_names(identities(der))}")
    return found


def _names(found: Identities) -> str:
    text = str(found)
    return text if len(text) <= 200 else text[:200] + "..."


@dataclass(frozen=True)
class Report:
    """The state of the certificate of a domain."""

    domain: str
    file: Path
    expires: datetime.datetime | None
    names: list[str]
    self_signed: bool
    trouble: list[str]

    @property
    def days(self) -> int | None:
        """Whole days left; negative once it has expired."""
        return None if self.expires is None else (self.expires - datetime.datetime.now(datetime.UTC)).days

    def row(self) -> dict[str, Any]:
        """For `check certificates`."""
        expires = None if self.expires is None else self.expires.isoformat()
        return {"domain": self.domain, "file": str(self.file), "expires": expires, "days": self.days,
                "names": self.names, "trouble": [*self.trouble, *["is self-signed"] * self.self_signed]}  # fmt: skip


def files(domain: str, host: str, folder: Path) -> tuple[Path, Path]:
    """The files of certificate and key of ``domain``: its own, or, if it is a service of ``host`` without files, the host's."""
    own = folder / f"{domain}.pem", folder / f"{domain}.key"
    if domain == host or any(os.path.lexists(each) for each in own):
        return own
    return folder / f"{host}.pem", folder / f"{host}.key"


_read: dict[tuple[Path, Path], tuple[object, list[x509.Certificate]]] = {}
"""What was read, and of which files: they are asked about with each look at the server, and seldom change."""
MOST = 1000


def _read_again(certificate: Path, key: Path) -> list[x509.Certificate]:
    """`read`, unless both files are as they were."""
    now = [_stamp(certificate), _stamp(key)]
    known = _read.get((certificate, key))
    if known is not None and known[0] == now:
        return known[1]
    chain = read(certificate, key)
    if len(_read) >= MOST:
        _read.clear()
    _read[certificate, key] = now, chain
    return chain


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def report(domain: str, folder: Path, host: str | None = None) -> Report:
    """Reads the files as they are now; needs no running server. ``host``: the host whose service the domain is; None: it is a
    host."""
    certificate, key = files(domain, host or domain, folder)
    try:
        own = _read_again(certificate, key)[0]
    except ValueError as error:
        return Report(domain, certificate, None, [], False, [str(error)])
    names = identities(own.public_bytes(serialization.Encoding.DER))
    every = [*names.dns, *names.srv, *names.xmpp_addr, *names.ip]
    return Report(domain, certificate, own.not_valid_after_utc, list(dict.fromkeys(every)), own.issuer == own.subject,
                  trouble(own, domain))  # fmt: skip
