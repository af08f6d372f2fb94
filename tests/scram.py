"""The client's half of SCRAM (RFC 5802, 7677), written without a look at the server's half. For tests and loadtest."""

import functools
import hashlib
import hmac
import os
from base64 import b64decode, b64encode

from cryptography import x509


class Scram:
    """One login: `first()`, then `final(challenge)`, then `verify(success)`.

    Names and passwords go out as given (no SASLprep): a test that wants odd ones prepares them itself.
    `binding`: (type, data) for a -PLUS mechanism. `flag`: the gs2 flag without binding, "n" or "y".
    """

    def __init__(
        self,
        mechanism: str,
        user: str,
        password: str,
        *,
        binding: tuple[str, bytes] | None = None,
        flag: str = "n",
        authzid: str = "",
    ) -> None:
        self.hash = mechanism.removeprefix("SCRAM-").removesuffix("-PLUS").replace("-", "").lower()
        self.password = password.encode()
        kind, self.binding = binding or ("", b"")
        authzid = f"a={_escape(authzid)}" if authzid else ""
        self.gs2 = f"{f'p={kind}' if binding else flag},{authzid},"
        self.nonce = b64encode(os.urandom(18)).decode()
        self.bare = f"n={_escape(user)},r={self.nonce}"
        self.signature = b""

    def first(self) -> bytes:
        return (self.gs2 + self.bare).encode()

    def final(self, challenge: bytes) -> bytes:
        said = dict(part.split("=", 1) for part in challenge.decode().split(","))
        assert said["r"].startswith(self.nonce) and said["r"] != self.nonce, f"no new nonce: {said['r']}"
        salted = _salted(self.hash, self.password, b64decode(said["s"]), int(said["i"]))
        bound = b64encode(self.gs2.encode() + self.binding).decode()
        proofless = f"c={bound},r={said['r']}"
        message = f"{self.bare},{challenge.decode()},{proofless}".encode()
        key = self._mac(salted, b"Client Key")
        stored = hashlib.new(self.hash, key).digest()
        proof = bytes(a ^ b for a, b in zip(key, self._mac(stored, message), strict=True))
        self.signature = self._mac(self._mac(salted, b"Server Key"), message)
        return f"{proofless},p={b64encode(proof).decode()}".encode()

    def verify(self, success: bytes) -> None:
        """The server knows the password too, or it is an AssertionError."""
        assert success == b"v=" + b64encode(self.signature), f"the server's signature: {success!r}"

    def _mac(self, key: bytes, text: bytes) -> bytes:
        return hmac.digest(key, text, self.hash)


@functools.lru_cache(20_000)
def _salted(hash_name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
    """Kept, so that a second login of thousands costs nothing."""
    return hashlib.pbkdf2_hmac(hash_name, password, salt, iterations)


def server_end_point(certificate: bytes) -> bytes:
    """tls-server-end-point (RFC 5929, section 4) of a DER certificate: MD5 and SHA-1 become SHA-256."""
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    assert algorithm is not None, "the signature has no hash of its own: the binding is undefined"
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    return hashlib.new(name, certificate).digest()


def _escape(name: str) -> str:
    return name.replace("=", "=3D").replace(",", "=2C")
