"""SASL mechanisms (RFC 4422): a table, and a small class for each kind.

An exchange handles the messages of a mechanism and knows nothing of XML. `negotiate.py` puts them into the elements of RFC 6120
section 6.
"""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple, NoReturn, Protocol

import gevent

from ..jsm.host import Host
from ..net.guard import Guard
from ..net.stream import Stream
from ..net.tls import Certificates, client_names
from ..xdb import xdb
from ..xmpp import sasl
from ..xmpp.jid import parse
from ..xmpp.protocols import RFC, XEP
from ..xmpp.sasl import SaslError, ScramKeys

PROTOCOLS = (
    RFC(4422, "SASL"),
    RFC(4505, "SASL ANONYMOUS"),
    XEP(178, "1.2", "SASL EXTERNAL with Certificates"),
)


class Settings(Protocol):
    """Options of `C2S`. ``mechanisms``: the names that may be offered, best first."""

    @property
    def mechanisms(self) -> list[str]: ...


class Shared(Protocol):
    """What all streams share: a `Service`."""

    guard: Guard
    certificates: Certificates

    @property
    def options(self) -> Settings: ...


class Applicant(Protocol):
    """What a login needs of a client's stream: a `Client`.

    id       names the stream in the log
    host     the host of the stream header
    private  may passwords be sent here?
    """

    id: str
    address: str
    host: Host | None
    stream: Stream

    @property
    def service(self) -> Shared: ...
    @property
    def private(self) -> bool: ...


class Success(NamedTuple):
    """The client has proven who it is.

    user   the bare address of the account
    data   the last message for the client; None if there is none
    guest  True if there is no account (SASL ANONYMOUS)
    ticket True if it has shown no password, but a ticket of the web page (jsm/tickets.py)
    """

    user: str
    data: bytes | None = None
    guest: bool = False
    ticket: bool = False


class Exchange:
    """One client's attempt with one mechanism. ``account``: the bare address of the account that it wants; None until it has
    said that, and if what it said is no address."""

    def __init__(self, client: Applicant, name: str) -> None:
        assert client.host is not None
        self.client, self.name = client, name
        self.host: Host = client.host
        self.account: str | None = None

    @classmethod
    def fits(cls, client: Applicant) -> bool:
        """May it be offered on this stream, as it is now?"""
        return True

    def step(self, message: bytes) -> bytes | Success:
        """Takes a message of the client. Returns the next challenge, or the success. Blocks. Raises SaslError."""
        raise NotImplementedError

    def _claims(self, username: str) -> None:
        """The client says that it is this user. May it try a password? Blocks until it is its turn. Raises SaslError."""
        try:
            self.account = str(self.host.users.jid(f"{username}@{self.host.domain}"))
        except ValueError:
            self.account = None
        self._check_guard()
        wait = self.client.service.guard.wait(self.account, self.client.address)
        if wait is None:
            self._refuse()
        if wait:
            xdb.release()
            gevent.sleep(wait)
            self._check_guard()

    def _check_guard(self) -> None:
        if self.client.service.guard.refuses(self.account, self.client.address):
            self._refuse()

    def _refuse(self) -> NoReturn:
        raise SaslError("temporary-auth-failure", "too many attempts, try again later")

    def _acts_for(self, authzid: str | None) -> None:
        """Raises SaslError if ``authzid`` is another account: nobody may act for another."""
        if not authzid:
            return
        try:
            same = str(parse(authzid)) == self.account
        except ValueError:
            same = False
        if not same:
            raise SaslError("invalid-authzid", "one account cannot act for another")

    def _user(self) -> str:
        """The account, once the password was right. Raises SaslError."""
        if self.account is None:
            raise SaslError("not-authorized")
        return self.account


class Scram(Exchange):
    """SCRAM without channel binding (RFC 5802)."""

    plus = False

    def __init__(self, client: Applicant, name: str) -> None:
        super().__init__(client, name)
        self.hash = HASHES[name.removesuffix("-PLUS")]
        self.scram: sasl.Scram | None = None
        self.kept: list[Any] | None = None

    def step(self, message: bytes) -> bytes | Success:
        if self.scram is None:
            bindings = self.client.stream.bindings if self.plus else {}
            offered = ScramPlus.fits(self.client) and any(
                name.endswith("-PLUS") for name in offers(self.client)
            )
            self.scram = sasl.Scram(self.hash, self.plus, bindings, offered, self._keys)
            challenge = self.scram.first(message)
            self._acts_for(self.scram.authzid)
            return challenge
        self._check_guard()  # many exchanges may have begun before the first one failed
        said = self.scram.final(message)
        if self.kept != self.host.users.row(self.account):
            raise SaslError("not-authorized")  # the password was changed, or the account has gone
        return Success(self._user(), said)

    def _keys(self, username: str) -> ScramKeys:
        self._claims(username)
        self.kept = self.host.users.row(self.account)
        return self.host.users.keys(self.account, self.hash)


class ScramPlus(Scram):
    """SCRAM with channel binding: the proof is bound to the TLS channel."""

    plus = True

    @classmethod
    def fits(cls, client: Applicant) -> bool:
        return bool(client.stream.bindings)


class Plain(Exchange):
    """PLAIN (RFC 4616), only on an encrypted stream."""

    @classmethod
    def fits(cls, client: Applicant) -> bool:
        return client.stream.secure

    def step(self, message: bytes) -> Success:
        authzid, username, password = sasl.plain(message)
        self._claims(username)
        users = self.host.users
        ticket = users.tickets.take(self.account, password)
        if not ticket and not users.verify(self.account, password):
            raise SaslError("not-authorized")
        self._acts_for(authzid)
        return Success(self._user(), ticket=ticket)


class External(Exchange):
    """The client's TLS certificate says who it is (XEP-0178)."""

    @classmethod
    def fits(cls, client: Applicant) -> bool:
        return bool(_certified(client))

    def step(self, message: bytes) -> Success:
        names = _certified(self.client)
        if not message and len(names) != 1:
            raise SaslError("not-authorized")  # the certificate is for several accounts, or for none
        try:
            self.account = str(parse(message.decode())) if message else names[0]
        except ValueError:
            self.account = None
        if self.account not in names:
            raise SaslError("invalid-authzid")
        return Success(self._user())


class Anonymous(Exchange):
    """ANONYMOUS (RFC 4505): a guest, for whom we make a name."""

    def step(self, message: bytes) -> Success:
        return Success(f"{secrets.token_hex(12)}@{self.host.domain}", guest=True)


HASHES = {"SCRAM-SHA-512": "sha512", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
GUESTS: dict[str, type[Exchange]] = {"ANONYMOUS": Anonymous}
"""The mechanisms of a host without accounts."""
MECHANISMS: dict[str, type[Exchange]] = {
    "SCRAM-SHA-512-PLUS": ScramPlus,
    "SCRAM-SHA-256-PLUS": ScramPlus,
    "SCRAM-SHA-1-PLUS": ScramPlus,
    "EXTERNAL": External,
    "SCRAM-SHA-512": Scram,
    "SCRAM-SHA-256": Scram,
    "SCRAM-SHA-1": Scram,
    "PLAIN": Plain,
}
"""Best first."""


def offers(client: Applicant) -> dict[str, type[Exchange]]:
    """The mechanisms that this stream may use now, best first."""
    assert client.host is not None
    if client.host.options.anonymous:
        return GUESTS
    names = client.service.options.mechanisms
    return {name: MECHANISMS[name] for name in names if MECHANISMS[name].fits(client)}


def _certified(client: Applicant) -> list[str]:
    """The addresses on this host that are in the client's verified certificate."""
    if not client.service.certificates.options.client_ca or client.stream.certificate is None:
        return []
    assert client.host is not None
    return [
        name for name in client_names(client.stream.certificate) if parse(name).domain == client.host.domain
    ]
