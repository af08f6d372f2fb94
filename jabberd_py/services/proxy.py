"""SOCKS5 Bytestreams (XEP-0065): a proxy for clients that cannot connect to each other."""

from __future__ import annotations

import hashlib

from ..hooks import Option, iq, list_of
from ..service import Service
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.protocols import XEP
from .bytestreams import bytestreams

NS = "http://jabber.org/protocol/bytestreams"


def whom(text: str) -> str:
    """An address or a domain, prepared; ``*`` is anybody."""
    if text == "*":
        return text
    try:
        return str(parse(text).bare)
    except ValueError:
        raise ValueError(f"must be a domain, an address or '*', not {text[:60]!r}") from None


class Proxy(Service):
    """Passes on what two clients send each other, if they cannot connect directly (XEP-0065). Its port: `bytestreams.port`."""

    name = "proxy"
    category, type, title = "proxy", "bytestreams", "File transfer"
    protocols = (XEP(65, "1.8.2", "SOCKS5 Bytestreams", missing="UDP"),)

    prefix = Option(
        str, "proxy", "label before the host's name that makes its address, unless 'address' says otherwise"
    )
    allow = Option[list[str]](
        list_of(whom),
        [],
        "who may send by it beside the accounts of its host: domains, addresses, '*' for anybody",
    )
    deny = Option[list[str]](list_of(whom), [], "who may not send by it: domains, addresses")

    def shown_on(self, host: str) -> bool:
        """Only if it has a port."""
        return super().shown_on(host) and bool(bytestreams.places(host))

    @iq("get", NS, "query")
    def where(self, request: Element) -> Element:
        """Section "Discovering Proxies"."""
        self._admit(request.from_)
        places = bytestreams.places(self.host.domain)
        if not places:
            raise StanzaError("not-allowed", "the proxy has no port")
        hosts = (
            Element("streamhost", NS, jid=self.domain, host=name, port=str(port)) for name, port in places
        )
        assert request.payload is not None
        return Element("query", NS, *hosts, sid=request.payload.attrs.get("sid"))

    @iq("set", NS, "query")
    def activate(self, request: Element) -> None:
        """Section "Activation of Bytestream"."""
        sender, query = request.from_, request.payload
        assert sender is not None and query is not None
        self._admit(sender)
        sid, named = query.attrs.get("sid"), query.text_of("activate", NS)
        if not sid or not named:
            raise StanzaError("bad-request", "a bytestream has a sid and a target")
        try:
            target = parse(named.strip())
        except ValueError:
            raise StanzaError("jid-malformed", "the target is no address") from None
        digest = hashlib.sha1(f"{sid}{sender}{target}".encode(), usedforsecurity=False).hexdigest()
        bytestreams.activate(digest, sender.user)

    def _admit(self, sender: JID | None) -> None:
        """Raises StanzaError."""
        assert sender is not None
        names = {sender.user, sender.domain}
        here = sender.domain == self.host.domain and sender.node is not None
        if names & set(self.deny) or not (here or names & set(self.allow) or "*" in self.allow):
            raise StanzaError("forbidden", f"only for accounts of {self.host.domain}")
