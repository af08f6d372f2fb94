"""What people answer when they set a server up: each answer alone, checked, with words that say what is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

from ..arguments import account, domain
from ..commands import Failed, WrongArgument
from ..modules.mod_acme import KNOWN, directory_url
from ..net import certfiles
from ..net.ports import listen

LARGEST = 1 << 20
"""Bytes of a file with a certificate or a key."""
CHALLENGES = 80
"""The port where an authority asks."""
PRIVATE = (
    "localhost", "local", "localdomain", "lan", "home", "internal", "intranet", "corp", "private", "test", "example", "invalid",
    "onion", "alt",
)  # fmt: skip
"""Last words of domains that are not in the internet's DNS."""
_around = re.compile(r"^https?://|^xmpp:|/+$").sub


def domain_of(name: str) -> str:
    """``name``: as it was typed, or pasted with the "https://" and the "/" around it. Raises WrongArgument."""
    name = _around("", name.strip().lower())
    if not name:
        raise WrongArgument("domain: which one? It is what stands behind the @ in addresses", "domain")
    try:
        return domain(name)
    except ValueError as error:
        raise WrongArgument(f"domain: {error}", "domain") from None


def admin_of(name: str, of: str) -> str:
    """The address of the administrator: a name alone is one at the domain. Raises WrongArgument."""
    if not name:
        raise WrongArgument("admin: a name is wanted, such as juliet", "admin")
    name = name.strip() if "@" in name else f"{name.strip()}@{of}"
    try:
        jid = account(name)
    except ValueError as error:
        raise WrongArgument(f"admin: {error}", "admin") from None
    if jid.domain != of:
        raise WrongArgument(f"admin: {jid} is not an address at {of}", "admin")
    return str(jid)


def files_of(certificate: str, key: str, name: str) -> tuple[bytes, bytes]:
    """The content of both files, which fit each other and the domain. Raises WrongArgument."""
    for argument, path in (("certificate", certificate), ("key", key)):
        if not path:
            raise WrongArgument(f"{argument}: which file?", argument)
        there = Path(path)
        if there.exists() and not (there.is_file() and there.stat().st_size <= LARGEST):
            raise WrongArgument(f"{argument}: {path} is no file in PEM format", argument)
    try:
        own = certfiles.read(Path(certificate), Path(key))[0]
        wrong = [each for each in certfiles.trouble(own, name) if "not for" in each or "expired" in each]
        if wrong:
            raise ValueError(f"{certificate}: {'; '.join(wrong)}")
        return Path(certificate).read_bytes(), Path(key).read_bytes()
    except (ValueError, OSError) as error:
        raise WrongArgument(str(error), "certificate") from None


def check_acme(name: str, directory: str, port: int | None) -> None:
    """Can an authority give us a certificate for that domain? ``port``: `http.challenge_port`. Raises WrongArgument, Failed."""
    try:
        url = directory_url(directory) if directory else ""
    except ValueError as error:
        raise WrongArgument(f"directory: {error}", "directory") from None
    if (not url or url in KNOWN.values()) and not public(name):
        raise WrongArgument(
            f"domain: {name} is no name of the internet, and Let's Encrypt has certificates for such only; take a self-signed "
            "one, or an authority of your own",
            "domain",
        )
    if port is None:
        try:
            listen("::", CHALLENGES, 1).close()
        except OSError as error:
            raise Failed(
                f"the server cannot listen on port 80, where the authority asks: {error.strerror}. "
                "Another web server has it, or only root may; see docs/certificates.md."
            ) from None


def public(name: str) -> bool:
    """May the domain be one of the internet's DNS? Not ``localhost``, ``server`` and names for private use (RFC 6761, RFC 6762,
    RFC 8375)."""
    last = name.rpartition(".")[2]
    return "." in name and last not in PRIVATE and not name.endswith(".home.arpa") and not last.isdigit()


def strong(password: str, address: str, shortest: int) -> None:
    """Raises WrongArgument: the password is too weak for an administrator, or has fewer than ``shortest`` characters."""
    name = address.partition("@")[0].lower()
    if len(password) < shortest:
        raise WrongArgument(f"a password needs {shortest} characters", "password")
    if len(set(password)) < 5 or password.lower() in (
        name,
        name * 2,
        "password",
        "12345678",
        "123456789",
        "1234567890",
    ):
        raise WrongArgument("password: too easy to guess", "password")


def strength(password: str) -> str:
    """How strong it is, in a word."""
    kinds = sum(
        any(map(test, password))
        for test in (str.islower, str.isupper, str.isdigit, lambda c: not c.isalnum())
    )
    score = len(password) + 3 * kinds
    return "strong" if score >= 24 else "fair" if score >= 17 else "weak"
