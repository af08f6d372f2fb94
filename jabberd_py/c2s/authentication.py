"""Authentication of a client: SASL exchanges, one after the other, until one succeeds or too many have failed."""

from __future__ import annotations

import secrets

import gevent

from .. import log
from ..xdb import StoreError, xdb
from ..xmpp.sasl import SaslError
from .mechanisms import Applicant, Exchange, Success, offers

logger = log.get(__name__)

ATTEMPTS = 5
"""Failed exchanges after which the stream ends."""
BLUR = 0.05
"""At most this many seconds the answer to a wrong password is delayed, at random, so that its time tells nothing."""


class Authentication:
    """The attempts of one client.

    exchange   the exchange that is under way, or None
    mechanism  the name of its mechanism, or of the last one
    failures   exchanges that have failed

    `begin` and `go_on` take a message from the client and return the answer: bytes are a challenge, `Success` is the end. They
    block. If they raise SaslError, the caller must call `failed`, send the error, and call `report`."""

    def __init__(self, client: Applicant) -> None:
        self.client = client
        self.exchange: Exchange | None = None
        self.mechanism = ""
        self.failures = 0

    def begin(self, mechanism: str, message: bytes | None) -> bytes | Success:
        """The client has chosen a mechanism. ``message``: its initial response, or None if it sends none."""
        client = self.client
        if not client.private:
            raise SaslError("encryption-required")
        mechanism_class = offers(client).get(mechanism)
        if mechanism_class is None:
            raise SaslError("invalid-mechanism")
        self.mechanism = mechanism
        self.exchange = mechanism_class(client, mechanism)
        return b"" if message is None else self.go_on(message)

    def go_on(self, message: bytes) -> bytes | Success:
        """The client has answered a challenge."""
        exchange = self.exchange
        if exchange is None:
            raise SaslError("malformed-request")
        try:
            said = exchange.step(message)
            if isinstance(said, Success):
                self._check(exchange, said)
        except StoreError:
            raise SaslError("temporary-auth-failure", "the server cannot look up accounts now") from None
        if isinstance(said, Success):
            self.exchange = None
        return said

    def _check(self, exchange: Exchange, success: Success) -> None:
        """The proof is good. May this user log in? Raises SaslError if not."""
        if success.guest:
            return
        users = exchange.host.users
        if not users.exists(success.user):
            raise SaslError("not-authorized")
        if users.disabled(success.user):
            raise SaslError("account-disabled", users.why_disabled(success.user))
        self.client.service.guard.succeeded(success.user, self.client.address)

    def failed(self, error: SaslError) -> None:
        """Counts a failed attempt. To be called before the client is told. Blocks for a moment."""
        self.failures += 1
        if error.condition == "not-authorized":
            self.client.service.guard.failed(self._account, self.client.address)
            xdb.release()
            gevent.sleep(BLUR * secrets.randbelow(1000) / 1000)

    def report(self, error: SaslError) -> None:
        """Writes the reason to the log. To be called after the client was told: the look-up of the account takes time, which a
        stranger could measure."""
        client, account, host = self.client, self._account, self.client.host
        reason = f"{error.condition}: {error.text}" if error.text else error.condition
        if (
            error.condition == "not-authorized"
            and not error.text
            and account is not None
            and host is not None
        ):
            reason = "wrong password" if host.users.exists(account) else "no such account"
        logger.warning("login failed", session=client.id, address=client.address, user=account,
                       mechanism=self.mechanism, reason=reason)  # fmt: skip
        self.exchange = None
        self.mechanism = ""

    @property
    def _account(self) -> str | None:
        return None if self.exchange is None else self.exchange.account

    @property
    def exhausted(self) -> bool:
        """Was that the last attempt on this stream?"""
        return self.failures >= ATTEMPTS
