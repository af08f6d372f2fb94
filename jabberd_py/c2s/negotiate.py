"""Stream features of the core: STARTTLS, SASL, resource binding (RFC 6120 sections 5 to 7)."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

from ..jsm.tickets import TICKET
from ..net.channel import Channel
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError, StreamError, error_reply
from ..xmpp.jid import parse
from ..xmpp.protocols import XEP
from ..xmpp.sasl import SaslError
from ..xmpp.sm import SM
from ..xmpp.syntax import check
from .authentication import Authentication
from .mechanisms import Success, offers

if TYPE_CHECKING:
    from .client import Client

PROTOCOLS = (XEP(440, "1.0.0", "SASL Channel-Binding Type Capability"),)
CHANNEL_BINDING = "urn:xmpp:sasl-cb:0"


class Negotiation:
    """What a stream remembers only until its session begins."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.authentication = Authentication(client)

    def features(self) -> list[Element]:
        client = self.client
        o = client.service.options
        if client.user is not None:
            bind = Element("bind", ns.BIND)
            session = Element("session", ns.SESSION, Element("optional", ns.SESSION))
            return [bind, session, Element("sm", SM)]
        found = []
        if not client.secure and o.tls and client.stream.frame.starttls:
            found.append(Element("starttls", ns.TLS, Element("required", ns.TLS) if o.require_tls else None))
        if client.private:
            mechanisms = offers(client)
            found.append(
                Element("mechanisms", ns.SASL, *(Element("mechanism", ns.SASL, m) for m in mechanisms))
            )
            if any(m.endswith("-PLUS") for m in mechanisms):  # XEP-0440
                bindings = [
                    Element("channel-binding", CHANNEL_BINDING, type=each) for each in client.stream.bindings
                ]
                found.append(Element("sasl-channel-binding", CHANNEL_BINDING, *bindings))
        return found

    def take(self, element: Element) -> bool:
        """True if the element was ours. Raises StreamError."""
        client = self.client
        if client.host is None:
            raise StreamError("not-authorized")
        if element.ns == ns.TLS and element.name == "starttls":
            self._starttls()
        elif element.ns == ns.SASL and client.user is None:
            self._sasl(element)
        elif element.ns == ns.CLIENT and element.name == "iq" and element.type in ("get", "set"):
            self._iq(element)
        else:
            return False
        return True

    # -- TLS --------------------------------------------------------------------------------

    def _starttls(self) -> None:
        client = self.client
        possible = client.service.options.tls and client.stream.frame.starttls
        if client.secure or client.user is not None or not possible:
            client.say(Element("failure", ns.TLS))
            client.goodbye()
            return
        if client.stream.drop_input():
            raise StreamError("policy-violation", "data behind <starttls/>, before TLS began")
        assert client.host is not None
        context = client.service.certificates.contexts.get(client.host.domain)
        if context is None:
            raise StreamError("host-gone")  # a reload took it out of the configuration
        client.say(Element("proceed", ns.TLS))
        client.restart()  # before: the new stream header may come with the last bytes of the handshake
        client.stream.start_tls(Channel(context))

    # -- SASL, in the elements of RFC 6120 section 6 -------------------------------------------

    def _sasl(self, element: Element) -> None:
        client, authentication = self.client, self.authentication
        try:
            said = self._step(element)
        except SaslError as error:
            authentication.failed(error)
            # the text of a wrong proof says nothing about the account
            text = Element("text", ns.SASL, error.text) if error.text else None
            client.say(Element("failure", ns.SASL, Element(error.condition, ns.SASL), text))
            authentication.report(error)
            if authentication.exhausted:
                raise StreamError("policy-violation", "too many failed attempts to log in") from None
            return
        if not isinstance(said, Success):
            client.say(Element("challenge", ns.SASL, b64encode(said).decode()))
            return
        data = None if said.data is None else b64encode(said.data).decode() or "="
        client.say(Element("success", ns.SASL, data))
        client.authenticated(said.user, TICKET if said.ticket else authentication.mechanism)
        client.restart()

    def _step(self, element: Element) -> bytes | Success:
        name = element.name
        if name == "auth":
            return self.authentication.begin(element.attrs.get("mechanism", ""), _decode(element.text))
        if name == "response":
            return self.authentication.go_on(_decode(element.text) or b"")
        raise SaslError("aborted" if name == "abort" else "malformed-request")

    # -- resource binding ---------------------------------------------------------------------

    def _iq(self, request: Element) -> None:
        """Binds the resource. Any other request to the server or to one's own account gets an error, and the stream goes on. A
        request to anybody else ends the stream (RFC 6120 section 7.1)."""
        client = self.client
        answer: Element | None
        try:
            check(request)
            payload: Any = request.payload  # `check` has seen to it
            binds = request.type == "set" and (payload.name, payload.ns) == ("bind", ns.BIND)
            if client.user is not None and binds:
                answer = request.reply(bind(client, payload.text_of("resource", ns.BIND) or None))
            elif request.to is None or str(request.to) in (client.host and client.host.domain, client.user):
                raise StanzaError(
                    "not-authorized", "bind a resource first" if client.user else "log in first"
                )
            else:
                raise StreamError("not-authorized")
        except StanzaError as error:
            answer = error_reply(request, error)
        if answer is not None:
            client.say(answer)


def bind(client: Client, resource: str | None) -> Element:
    """A session for who has logged in; ``<bind/>`` with its address. It has to be sent at once: from here on the session gets
    stanzas. Raises StanzaError."""
    assert client.user is not None and client.host is not None
    node = parse(client.user).node
    assert node is not None
    session = client.host.bind(node, resource, client, client.id)
    client.bound(session)
    return Element("bind", ns.BIND, Element("jid", ns.BIND, session.full))


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
