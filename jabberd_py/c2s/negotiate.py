"""Stream features of the core: STARTTLS, SASL, resource binding (RFC 6120 sections 5 to 7)."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, NoReturn

import gevent

from .. import log
from ..jsm.host import Host, check
from ..net.channel import Channel
from ..net.tls import client_names, end_point
from ..xdb import StoreError, xdb
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError, StreamError, error_reply
from ..xmpp.jid import parse
from ..xmpp.protocols import XEP
from ..xmpp.sasl import SaslError, Scram, ScramKeys, plain
from ..xmpp.sm import SM

if TYPE_CHECKING:
    from .client import Client

PROTOCOLS = (
    XEP(178, "1.2", "SASL EXTERNAL with Certificates"),
    XEP(440, "1.0.0", "SASL Channel-Binding Type Capability"),
)

logger = log.get(__name__)

CHANNEL_BINDING = "urn:xmpp:sasl-cb:0"
END_POINT = "tls-server-end-point"
ATTEMPTS = 5
HASH = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}


class Negotiation:
    """What a stream remembers only until its session begins."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.scram: Scram | None = None
        self.mechanism = ""
        self.account: str | None = None
        self.failures = 0

    def features(self) -> list[Element]:
        client = self.client
        o = client.service.options
        if client.user is not None:
            bind = Element("bind", ns.BIND)
            session = Element("session", ns.SESSION, Element("optional", ns.SESSION))
            return [bind, session, Element("sm", SM)]
        found = []
        if not client.secure and o.tls:
            found.append(Element("starttls", ns.TLS, Element("required", ns.TLS) if o.require_tls else None))
        if client.private:
            mechanisms = self.mechanisms()
            found.append(
                Element("mechanisms", ns.SASL, *(Element("mechanism", ns.SASL, m) for m in mechanisms))
            )
            if any(m.endswith("-PLUS") for m in mechanisms):
                cb = Element("channel-binding", CHANNEL_BINDING, type=END_POINT)  # XEP-0440
                found.append(Element("sasl-channel-binding", CHANNEL_BINDING, cb))
        return found

    def mechanisms(self) -> list[str]:
        """What may be used on this stream as it is now."""
        client = self.client
        host = client.host
        assert host is not None
        if host.options.anonymous:
            return ["ANONYMOUS"]
        found = []
        for name in client.service.options.mechanisms:
            fits = (
                name in HASH or name == "PLAIN" and client.secure or name.endswith("-PLUS") and client.secure
            )
            if fits or name == "EXTERNAL" and self._certified():
                found.append(name)
        return found

    def take(self, element: Element) -> bool:
        """True if the element was ours. Raises StreamError."""
        client = self.client
        if client.host is None:
            raise StreamError("not-authorized")
        if element.ns == ns.TLS and element.name == "starttls":
            self._starttls()
        elif element.ns == ns.SASL and client.user is None:
            try:
                self._sasl(element)
            except SaslError as error:
                self._fail(error)
            except StoreError:
                self._fail(SaslError("temporary-auth-failure", "the server cannot look up accounts now"))
        elif element.ns == ns.CLIENT and element.name == "iq" and client.user is not None:
            self._iq(element)
        else:
            return False
        return True

    # -- TLS --------------------------------------------------------------------------------

    def _starttls(self) -> None:
        client = self.client
        if client.secure or client.user is not None or not client.service.options.tls:
            client.stream.close(b"<failure xmlns='%b'/></stream:stream>" % ns.TLS.encode())
            return
        if client.stream.drop_input():
            raise StreamError("policy-violation", "data behind <starttls/>, before TLS began")
        assert client.host is not None
        context = client.service.certificates.contexts.get(client.host.domain)
        if context is None:
            raise StreamError("host-gone")  # a reload took it out of the configuration
        client.stream.send(b"<proceed xmlns='%b'/>" % ns.TLS.encode())
        client.restart()  # before: the new stream header may come with the last bytes of the handshake
        client.stream.start_tls(Channel(context))
        client.secure = True

    # -- SASL -------------------------------------------------------------------------------

    def _sasl(self, element: Element) -> None:
        name = element.name
        if name == "auth":
            if not self.client.secure and self.client.service.options.require_tls:
                raise SaslError("encryption-required")
            self.scram = None
            self.mechanism = element.attrs.get("mechanism", "")
            if self.mechanism not in self.mechanisms():
                raise SaslError("invalid-mechanism")
            message = _decode(element.text)
            if message is None:
                self._say("challenge", b"")  # the initial response comes in the next message
            else:
                self._step(message)
        elif name == "response" and self.mechanism:
            self._step(_decode(element.text) or b"")
        elif name == "abort":
            raise SaslError("aborted")
        else:
            raise SaslError("malformed-request")

    def _step(self, message: bytes) -> None:
        if self.mechanism == "PLAIN":
            self._plain(message)
        elif self.mechanism == "EXTERNAL":
            self._external(message)
        elif self.mechanism == "ANONYMOUS":
            self._anonymous()
        elif self.scram is None:
            base = self.mechanism.removesuffix("-PLUS")
            plus = self.mechanism != base
            tls = self.client.stream.tls
            bindings = {END_POINT: end_point(tls.context)} if tls is not None else {}
            offered = any(m.endswith("-PLUS") for m in self.mechanisms())
            self.scram = Scram(HASH[base], plus, bindings if plus else {}, offered, self._lookup)
            challenge = self.scram.first(message)
            self._check_authzid(self.scram.authzid)
            self._say("challenge", challenge)
        else:
            self._check_guard()  # many exchanges may have begun before the first one failed
            said = self.scram.final(message)
            self._succeed(self.account, said)

    def _lookup(self, username: str) -> ScramKeys:
        self.account = self._address(username)
        self._admit()
        mechanism = self.mechanism.removesuffix("-PLUS")
        return self._host.users.keys(self.account, HASH[mechanism])

    def _plain(self, message: bytes) -> None:
        authzid, username, password = plain(message)
        self.account = self._address(username)
        self._admit()
        if not self._host.users.verify(self.account, password):
            raise SaslError("not-authorized")
        self._check_authzid(authzid)
        self._succeed(self.account)

    def _external(self, message: bytes) -> None:
        names = self._certified()
        if not message and len(names) != 1:
            raise SaslError("not-authorized")
        try:
            wanted = str(parse(message.decode())) if message else names[0]
        except ValueError:
            wanted = ""
        if wanted not in names:
            raise SaslError("invalid-authzid")
        self.account = wanted
        self._succeed(wanted)

    def _certified(self) -> list[str]:
        """Addresses on this host that the client's verified certificate is for (XEP-0178)."""
        tls = self.client.stream.tls
        der = (
            tls.getpeercert(True)
            if tls is not None and self.client.service.certificates.options.client_ca
            else None
        )
        return [name for name in client_names(der) if parse(name).domain == self._host.domain] if der else []

    def _anonymous(self) -> None:
        self._succeed(f"{secrets.token_hex(12)}@{self._host.domain}", anonymous=True)

    @property
    def _host(self) -> Host:
        assert self.client.host is not None
        return self.client.host

    def _address(self, username: str) -> str | None:
        try:
            return str(self._host.users.jid(f"{username}@{self._host.domain}"))
        except ValueError:
            return None

    def _check_authzid(self, authzid: str | None) -> None:
        if authzid:
            try:
                same = str(parse(authzid)) == self.account
            except ValueError:
                same = False
            if not same:
                raise SaslError("invalid-authzid", "one account cannot act for another")

    def _admit(self) -> None:
        """May this password be tried? Blocks while others come first. Raises SaslError."""
        guard, address = self.client.service.guard, self.client.address
        self._check_guard()
        wait = guard.wait(self.account, address)
        if wait:
            xdb.release()
            gevent.sleep(wait)
            self._check_guard()
        if wait is None:
            self._refuse()

    def _check_guard(self) -> None:
        if self.client.service.guard.refuses(self.account, self.client.address):
            self._refuse()

    def _refuse(self) -> NoReturn:
        raise SaslError("temporary-auth-failure", "too many attempts, try again later")

    def _succeed(self, user: str | None, said: bytes | None = None, anonymous: bool = False) -> None:
        users = self._host.users
        if user is None or not anonymous and not users.exists(user):
            raise SaslError("not-authorized")  # somebody found the fake keys' password: never
        if not anonymous and users.disabled(user):
            raise SaslError("account-disabled", users.why_disabled(user))
        if not anonymous:
            self.client.service.guard.succeeded(user, self.client.address)
        self._say("success", said)
        self.client.authenticated(user, self.mechanism)
        self.scram = None

    def _say(self, name: str, data: bytes | None) -> None:
        text = "" if data is None else b64encode(data).decode() or ("=" if name == "success" else "")
        self.client.stream.send(Element(name, ns.SASL, *([text] if text else [])).to_bytes())

    def _fail(self, error: SaslError) -> None:
        client = self.client
        self.failures += 1
        mechanism = self.mechanism
        self.scram = None
        self.mechanism = ""
        if error.condition == "not-authorized":
            client.service.guard.failed(self.account, client.address)
            xdb.release()
            gevent.sleep(secrets.randbelow(50) / 1000)  # blurs what timing could still tell
        # the text of a wrong proof says nothing about the account
        text = Element("text", ns.SASL, error.text) if error.text else None
        client.stream.send(Element("failure", ns.SASL, Element(error.condition, ns.SASL), text).to_bytes())
        logger.warning("login failed", session=client.id, address=client.address, user=self.account,
                       mechanism=mechanism, reason=self._reason(error))  # fmt: skip
        self.account = None
        if self.failures >= ATTEMPTS:
            raise StreamError("policy-violation", "too many failed attempts to log in")

    def _reason(self, error: SaslError) -> str:
        """For the log: more than the client is told."""
        if error.condition == "not-authorized" and not error.text and self.account is not None:
            return "wrong password" if self._host.users.exists(self.account) else "no such account"
        return f"{error.condition}: {error.text}" if error.text else error.condition

    # -- resource binding ---------------------------------------------------------------------

    def _iq(self, request: Element) -> None:
        client = self.client
        try:
            check(request)
            payload = request.payload
            if (
                request.type == "set"
                and payload is not None
                and payload.ns == ns.BIND
                and payload.name == "bind"
            ):
                self._bind(request, payload)
                return
        except StanzaError as error:
            answer = error_reply(request, error)
            if answer is not None:
                client.stream.send(answer.to_bytes())
            return
        raise StreamError("not-authorized", "bind a resource first")

    def _bind(self, request: Element, payload: Element) -> None:
        client = self.client
        assert client.user is not None
        node = parse(client.user).node
        assert node is not None
        session = self._host.bind(node, payload.text_of("resource", ns.BIND) or None, client, client.id)
        client.negotiation = None
        client.bound(session)
        client.stream.send(
            request.reply(Element("bind", ns.BIND, Element("jid", ns.BIND, session.full))).to_bytes()
        )


def _decode(text: str) -> bytes | None:
    """The message behind base64; None if there is none, empty for ``=``."""
    text = text.strip()
    if not text:
        return None
    if text == "=":
        return b""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise SaslError("incorrect-encoding") from None
