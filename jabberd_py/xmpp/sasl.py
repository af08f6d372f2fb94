"""The server's side of SASL: SCRAM (RFC 5802, 7677; channel binding RFC 5929) and PLAIN (RFC 4616).

Only the messages: base64 and <auth/> belong to the stream; the caller prepares names and keeps keys.
"""

import binascii
import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import NamedTuple

from .prep import MAX_BYTES, password_forms
from .protocols import RFC

PROTOCOLS = (
    RFC(4616, "SASL PLAIN"),
    RFC(5802, "SCRAM-SHA-1"),
    RFC(7677, "SCRAM-SHA-256"),
)

SALT_BYTES = 16  # of every account: a fake salt must look like a real one
MAX_MESSAGE = 4096  # bytes; a name, an authzid and a nonce fit in
MAX_NONCE = 256

_nonce_ok = re.compile(r"[!-+\--~]+").fullmatch  # printable, without a comma
_saslname_ok = re.compile(r"(?:[^=,\0]|=2C|=3D)+").fullmatch
_extensions_ok = re.compile(r"(?:,[A-Za-z]=[^,\0]+)*").fullmatch


class SaslError(Exception):
    """Authentication failed; `condition` is the element of RFC 6120 6.5, `text` is for the client."""

    def __init__(self, condition: str, text: str = "") -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text


class ScramKeys(NamedTuple):
    """What is kept of a password, for one hash: none of it lets anyone log in.

    ``others``: (stored key, server key) for each further form that clients make of the password (`password_forms`), from
    the same salt: the server shows the salt before it knows which form the client uses.
    """

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes
    others: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def pairs(self) -> tuple[tuple[bytes, bytes], ...]:
        """(stored key, server key) for each form."""
        return ((self.stored_key, self.server_key), *self.others)


def derive(hash_name: str, password: str, salt: bytes, iterations: int) -> ScramKeys:
    """Keys for "sha1", "sha256" or "sha512"; ValueError if the password is empty or too long.

    Takes milliseconds by design, for each form of the password: call it on a thread.
    """
    return _derive(hash_name, password_forms(password), salt, iterations)


def _derive(hash_name: str, forms: list[str], salt: bytes, iterations: int) -> ScramKeys:
    first, *others = (_pair(hash_name, form, salt, iterations) for form in forms)
    return ScramKeys(salt, iterations, *first, tuple(others))


def _pair(hash_name: str, form: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    salted = hashlib.pbkdf2_hmac(hash_name, form.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    server_key = hmac.digest(salted, b"Server Key", hash_name)
    return hashlib.new(hash_name, client_key).digest(), server_key


def verify_plain(keys: ScramKeys, hash_name: str, password: str) -> bool:
    """Is it the password of these keys, of at most MAX_MESSAGE bytes? As slow as `derive`, whatever the keys are."""
    if not 0 < len(password) <= MAX_MESSAGE:
        return False
    try:
        forms = password_forms(password)
    except ValueError:  # too long to be prepared, but prepared passwords can be that long
        forms = [password]
    given = _derive(hash_name, forms, keys.salt, keys.iterations)
    return any(hmac.compare_digest(one, kept) for one, _ in given.pairs for kept, _ in keys.pairs)


def fake_keys(secret: bytes, username: str, hash_name: str, iterations: int) -> ScramKeys:
    """Keys for a user who does not exist: the same at every try, and no password fits.

    `secret` is the server's own and lasts; with another one, a second try would show another salt and tell.
    """

    def made(what: str) -> bytes:
        return hmac.digest(secret, f"{what}\0{hash_name}\0{iterations}\0{username}".encode(), hash_name)

    return ScramKeys(made("salt")[:SALT_BYTES], iterations, made("stored"), made("server"))


class Scram:
    """One SCRAM exchange: `first`, then `final`; after a SaslError the object is of no more use.

    `bindings` holds the channel binding data of this TLS connection by type; `advertised_plus` tells whether
    the client was offered any -PLUS mechanism. `lookup` gets the name as sent; for a stranger it answers
    `fake_keys`.
    """

    username: str
    authzid: str | None = None

    def __init__(
        self,
        hash_name: str,
        plus: bool,
        bindings: dict[str, bytes],
        advertised_plus: bool,
        lookup: Callable[[str], ScramKeys],
    ) -> None:
        self._hash_name = hash_name
        self._plus = plus
        self._bindings = bindings
        self._advertised_plus = advertised_plus
        self._lookup = lookup
        self._keys: ScramKeys | None = None

    def first(self, message: bytes) -> bytes:
        """client-first-message to server-first-message; sets `username` and `authzid`."""
        flag, authzid, bare = _split(_decode(message))
        self._binding = f"{flag},{authzid},".encode() + self._binding_data(flag)
        self.authzid = _saslname(authzid, "a=") if authzid else None
        if bare.startswith("m="):
            raise SaslError("malformed-request", "extensions-not-supported")
        name, _, rest = bare.partition(",")
        nonce, comma, extensions = rest.partition(",")
        if not nonce.startswith("r=") or not _nonce_ok(nonce, 2) or len(nonce) > MAX_NONCE:
            raise SaslError("malformed-request", "invalid nonce")
        if not _extensions_ok(comma + extensions):
            raise SaslError("malformed-request", "invalid extensions")
        self.username = _saslname(name, "n=")
        keys = self._lookup(self.username)
        self._nonce = nonce[2:] + secrets.token_urlsafe(18)
        reply = f"r={self._nonce},s={b64encode(keys.salt).decode()},i={keys.iterations}"
        self._said = f"{bare},{reply},".encode()
        self._keys = keys
        return reply.encode()

    def final(self, message: bytes) -> bytes:
        """client-final-message to server-final-message: the user is who they say, and so is the server."""
        keys, self._keys = self._keys, None
        if keys is None:
            raise SaslError("malformed-request", "out of order")
        without_proof, comma, proof = _decode(message).rpartition(",p=")
        binding, _, rest = without_proof.partition(",")
        nonce, more, extensions = rest.partition(",")
        if not (
            comma
            and binding.startswith("c=")
            and nonce.startswith("r=")
            and _extensions_ok(more + extensions)
        ):
            raise SaslError("malformed-request")
        bound, given = _unbase64(binding[2:]), _unbase64(proof)
        if not hmac.compare_digest(bound, self._binding):
            raise SaslError("not-authorized", "channel-bindings-dont-match")
        if not hmac.compare_digest(nonce[2:].encode(), self._nonce.encode()):
            raise SaslError("not-authorized", "other-error")
        said = self._said + without_proof.encode()
        if len(given) != len(keys.stored_key):
            raise SaslError("malformed-request", "invalid proof")
        for stored_key, server_key in keys.pairs:
            signature = hmac.digest(stored_key, said, self._hash_name)
            client_key = bytes(a ^ b for a, b in zip(given, signature, strict=True))
            if hmac.compare_digest(hashlib.new(self._hash_name, client_key).digest(), stored_key):
                return b"v=" + b64encode(hmac.digest(server_key, said, self._hash_name))
        raise SaslError("not-authorized")

    def _binding_data(self, flag: str) -> bytes:
        if flag.startswith("p="):
            if not self._plus:
                raise SaslError("malformed-request", "channel binding needs a -PLUS mechanism")
            if flag[2:] not in self._bindings:
                raise SaslError("malformed-request", "unsupported-channel-binding-type")
            return self._bindings[flag[2:]]
        if self._plus:
            raise SaslError("malformed-request", "a -PLUS mechanism needs channel binding")
        if flag == "y" and self._advertised_plus:  # somebody on the way removed what we offered
            raise SaslError("not-authorized", "server-does-support-channel-binding")
        return b""


def plain(message: bytes) -> tuple[str, str, str]:
    """(authzid or "", username, password) of a PLAIN message (RFC 4616)."""
    parts = _decode(message).split("\0")
    if len(parts) != 3 or not parts[1] or not parts[2]:
        raise SaslError("malformed-request")
    authzid, username, password = parts
    for part in (
        authzid,
        username,
    ):  # SASLprep may make a password ten times as long: it has the rest of the message
        if len(part.encode()) > MAX_BYTES:
            raise SaslError("malformed-request", f"more than {MAX_BYTES} bytes")
    return authzid, username, password


def _decode(message: bytes) -> str:
    if len(message) > MAX_MESSAGE:
        raise SaslError("malformed-request", "too long")
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise SaslError("malformed-request", "not UTF-8") from None


def _split(message: str) -> tuple[str, str, str]:
    """The channel binding flag, "a=..." or "", and the client-first-message-bare."""
    parts = message.split(",", 2)
    if len(parts) != 3 or not (parts[0] in ("n", "y") or re.fullmatch(r"p=[A-Za-z0-9.-]+", parts[0])):
        raise SaslError("malformed-request", "invalid GS2 header")
    return parts[0], parts[1], parts[2]


def _saslname(text: str, prefix: str) -> str:
    name = text[len(prefix) :]
    if not text.startswith(prefix) or not _saslname_ok(name) or len(name.encode()) > MAX_BYTES:
        raise SaslError("malformed-request", "invalid-username-encoding")
    return name.replace("=2C", ",").replace("=3D", "=")


def _unbase64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SaslError("malformed-request", "invalid-encoding") from None
