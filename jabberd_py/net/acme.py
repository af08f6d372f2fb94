"""A client of ACME (RFC 8555): orders a certificate, and proves by HTTP-01 (section 8.3) that the names are ours.

The work is done by the libraries `acme` and `josepy`; both use `requests`, which gevent makes cooperative. They are imported
when they are first needed, since most servers never do.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .. import __version__, log
from ..xmpp.protocols import RFC

PROTOCOLS = (
    RFC(
        8555, "Automatic Certificate Management Environment (ACME)", missing="DNS-01, TLS-ALPN-01, revocation"
    ),
    RFC(9773, "ACME Renewal Information (ARI) Extension", missing="the field `replaces` of an order"),
)
logger = log.get(__name__)

TIMEOUT = 30
"""Seconds for one request."""
PATIENCE = datetime.timedelta(seconds=90)
"""Time for the authority to look at our answers, and again for the certificate."""
NONCES = 4
"""Times that a request is sent again because the authority did not like its nonce."""
WRONG = 3600.0
"""Seconds between the authority's clock and ours that are told as the reason of a failure."""


class ACMEError(Exception):
    """``str()`` is one line for a person.

    names  name -> why the authority could not verify it
    wait   seconds after which the authority wants to be asked again; None: it has not said
    """

    def __init__(self, message: str, names: dict[str, str] | None = None, wait: float | None = None) -> None:
        super().__init__(" ".join(message.split())[:500])
        self.names, self.wait = names or {}, wait


class Authority:
    """``directory``: its URL. ``account``: the file of our account there, which is made. ``ca``: file of the authorities that
    may sign the directory's own certificate; None: the system's. ``show``: a function of (token, content): the web server
    answers /.well-known/acme-challenge/TOKEN with it, or no longer, if the content is None."""

    def __init__(
        self,
        directory: str,
        account: Path,
        email: str | None,
        ca: str | None,
        show: Callable[[str, bytes | None], None],
    ) -> None:
        self.directory, self.account, self.email, self.ca, self.show = directory, account, email, ca, show
        self.net: Any = None

    def order(self, names: Sequence[str], key: bytes) -> bytes:
        """A chain of certificates (PEM) for the names (A-labels) and the private key (PEM). Blocks, for minutes perhaps. Raises
        ACMEError."""
        import josepy
        import requests
        from acme import errors, messages

        try:
            try:
                return self._order(names, key)
            except messages.Error as error:
                if error.code != "accountDoesNotExist":
                    raise
                logger.warning("the authority does not know our account any more", directory=self.directory)
                self._forget()
                return self._order(names, key)
        except errors.ValidationError as error:
            found = dict(map(_failed, error.failed_authzrs))
            text = "; ".join(f"{name}: {found[name]}" for name in names if name in found)
            raise ACMEError(f"the authority cannot reach us: {text}", found, self._wait()) from None
        except messages.Error as error:
            found = {
                each.identifier.value: str(each.detail) for each in error.subproblems or () if each.identifier
            }
            raise ACMEError(f"the authority says: {error.detail or error.typ}", found, self._wait()) from None
        except errors.TimeoutError:
            raise ACMEError("the authority did not come to an end in time") from None
        except errors.IssuanceError as error:
            raise ACMEError(
                f"the authority has not issued it: {error.error.detail}", wait=self._wait()
            ) from None
        except requests.exceptions.SSLError as error:
            raise ACMEError(
                f"{self.directory}: its certificate cannot be trusted ({_reason(error)}); is our clock right?"
            ) from None
        except requests.exceptions.RequestException as error:
            raise ACMEError(f"{self.directory} cannot be reached: {_reason(error)}") from None
        except (errors.Error, josepy.errors.Error, ValueError, KeyError, AttributeError, TypeError) as error:
            status = getattr(getattr(error, "args", [None])[0], "status_code", None)
            said = (
                f"it answers with status {status}"
                if status
                else f"its answer makes no sense ({type(error).__name__}: {error})"
            )
            raise ACMEError(f"{self.directory}: {said}", wait=self._wait()) from None

    def _order(self, names: Sequence[str], key: bytes) -> bytes:
        from acme import challenges, crypto_util

        client = self._client()
        order = client.new_order(crypto_util.make_csr(key, list(names)))
        shown = []
        try:
            for each in order.authorizations:
                if each.body.status.name == "valid":
                    continue
                ours = next(
                    (some for some in each.body.challenges if isinstance(some.chall, challenges.HTTP01)), None
                )
                if ours is None:
                    raise ACMEError(f"the authority does not offer HTTP-01 for {each.body.identifier.value}")
                token = ours.chall.path.rpartition("/")[2]
                response, content = ours.response_and_validation(self.net.key)
                self.show(token, content.encode())
                shown.append(token)
                client.answer_challenge(ours, response)
            # The library's deadlines are naive local time.
            order = client.poll_authorizations(order, datetime.datetime.now() + PATIENCE)
            order = client.finalize_order(order, datetime.datetime.now() + PATIENCE)
        finally:
            for token in shown:
                self.show(token, None)
        chain = order.fullchain_pem.encode()
        self._check(chain, names, key)
        return chain

    def _check(self, chain: bytes, names: Sequence[str], key: bytes) -> None:
        """Is it what we wanted?"""
        cert = x509.load_pem_x509_certificates(chain)[0]
        private = serialization.load_pem_private_key(key, None)
        if cert.public_key() != private.public_key():
            raise ACMEError("the authority has issued a certificate for another key")
        found = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        missing = set(names) - set(found.get_values_for_type(x509.DNSName))
        if missing:
            raise ACMEError(f"the certificate that was issued lacks {', '.join(sorted(missing))}")
        ahead = (cert.not_valid_before_utc - datetime.datetime.now(datetime.UTC)).total_seconds()
        if ahead > 0:
            when = f"{cert.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
            raise ACMEError(f"what was issued is not valid before {when}: the clock of this machine is wrong")

    def renewal(self, chain: bytes) -> tuple[float | None, float]:
        """When the authority would like to see the certificate (PEM) renewed, somewhere in the window that it tells (RFC 9773
        section 4.2; None: it tells none), and when to ask it again. Seconds since 1970. Blocks. Raises ACMEError."""
        from acme import client

        try:
            net = self._net(self._kept()["key"])
            made = client.ClientV2(client.ClientV2.get_directory(self.directory, net), net)
            when, again = made.renewal_time(chain)
            return None if when is None else when.timestamp(), again.timestamp()
        except Exception as error:  # the library raises whatever a strange answer leads to
            raise ACMEError(f"{self.directory}: no renewal information: {_reason(error)}") from None

    # -- the account ------------------------------------------------------------------------------------

    def _client(self) -> Any:
        """With an account (section 7.3)."""
        from acme import client, errors, messages

        kept = self._kept()
        self.net = self._net(kept["key"])
        made = client.ClientV2(client.ClientV2.get_directory(self.directory, self.net), self.net)
        if kept.get("uri") is None:
            wanted = messages.NewRegistration.from_data(email=self.email, terms_of_service_agreed=True)
            try:
                kept["uri"] = made.new_account(wanted).uri
            except errors.ConflictError as error:  # we were cut off before we could note it
                kept["uri"] = error.location
            self._keep(kept)
        self.net.account = messages.RegistrationResource(uri=kept["uri"], body=messages.Registration())
        return made

    def _net(self, key: dict[str, Any]) -> Any:
        """For the key of the account, as JSON."""
        import josepy

        made = josepy.JWKEC.from_json(key)
        agent = f"jabberd_py/{__version__}"
        return _network()(
            made, alg=josepy.ES256, verify_ssl=self.ca or True, timeout=TIMEOUT, user_agent=agent
        )

    def _kept(self) -> dict[str, Any]:
        import josepy

        with suppress(OSError, ValueError, KeyError, TypeError, josepy.errors.Error):
            found = json.loads(self.account.read_bytes())
            if found["directory"] == self.directory:
                josepy.JWKEC.from_json(found["key"])
                return dict(found)
        key = josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
        made = {"directory": self.directory, "key": key.to_json(), "uri": None}
        self._keep(made)
        return made

    def _keep(self, account: dict[str, Any]) -> None:
        write(self.account, json.dumps(account).encode())

    def _forget(self) -> None:
        self.account.unlink(missing_ok=True)

    # -- what the last answer said ----------------------------------------------------------------------

    def _wait(self) -> float | None:
        """Seconds, as Retry-After says (RFC 9110 section 10.2.3)."""
        text = "" if self.net is None else self.net.headers.get("Retry-After", "")
        with suppress(ValueError, TypeError, OverflowError):
            return max(
                0.0, float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - time.time()
            )
        return None

    @property
    def clock(self) -> float:
        """Seconds by which our clock is ahead of the authority's, as its last answer tells."""
        text = "" if self.net is None else self.net.headers.get("Date", "")
        with suppress(ValueError, TypeError, OverflowError):
            return time.time() - parsedate_to_datetime(text).timestamp()
        return 0.0


def _network() -> Any:
    from acme import messages
    from acme.client import ClientNetwork

    class Network(ClientNetwork):
        """Remembers the head of the last answer: the library throws away that of an error."""

        headers: Any = {}

        def _send_request(self, *args: Any, **options: Any) -> Any:
            response = super()._send_request(*args, **options)
            self.headers = response.headers
            return response

        def post(self, *args: Any, **options: Any) -> Any:
            """RFC 8555 section 6.5: an authority may refuse any nonce. The library tries once more only."""
            for _ in range(NONCES):
                try:
                    return super().post(*args, **options)
                except messages.Error as error:
                    if error.code != "badNonce":
                        raise
            return super().post(*args, **options)

    return Network


def _failed(authorization: Any) -> tuple[str, str]:
    """(name, why it could not be verified)"""
    reasons = [str(each.error.detail) for each in authorization.body.challenges if each.error is not None]
    return authorization.body.identifier.value, "; ".join(reasons) or "no reason was given"


def _reason(error: BaseException) -> str:
    """The innermost of the reasons that are wrapped in each other."""
    inner: Any = error
    while next_ := getattr(inner, "reason", None) or next(
        (a for a in inner.args if isinstance(a, BaseException)), None
    ):
        if not isinstance(next_, BaseException):
            break
        inner = next_
    text = str(inner.args[-1] if inner.args else inner)
    return text.rpartition(">: ")[2] or type(inner).__name__


def write(file: Path, data: bytes) -> None:
    """Writes a file that only the server may read, whole or not at all. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    half = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)
