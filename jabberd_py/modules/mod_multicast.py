"""XEP-0033: Extended Stanza Addressing. The host is a multicast service: one stanza goes to all addresses that it names.

Each copy takes the way of a stanza that its sender has sent alone: filters, archive, carbons, and the list of those who have
seen directed presence know it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gevent

from ..hooks import HANDLED, Module, Option, on
from ..net.turns import fairly
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.large import unfold
from ..xmpp.protocols import XEP

NS = "http://jabber.org/protocol/address"
RECIPIENTS = ("to", "cc", "bcc")
TYPES = (*RECIPIENTS, "replyto", "replyroom", "noreply", "ofrom")


@dataclass(frozen=True)
class Address:
    """One <address/>. ``jid``: whom the stanza still has to go to; None: nobody."""

    element: Element
    jid: JID | None

    @property
    def hidden(self) -> bool:
        return self.element.type == "bcc"

    def shown(self) -> Element:
        """As the recipients see it."""
        if self.jid is None or self.hidden:
            return self.element
        element = self.element.copy()
        element.attrs["delivered"] = "true"
        return element


class Multicast(Module):
    """Sends one message or presence to all addresses that it names in <addresses/>. Users of this host may name any address,
    others only users of this host."""

    protocols = (
        XEP(
            33,
            "1.2.1",
            "Extended Stanza Addressing",
            missing="URIs; one stanza for several of another server",
        ),
    )
    features = (NS,)
    limit = Option(int, 50, "addresses that one stanza may name", min=1)

    @on("server", kind="message")
    @on("server", kind="presence")
    def passes(self, stanza: Element) -> bool | None:
        """A stanza for the domain. Blocks until all have their copy, so what its sender sends next does not overtake it."""
        to, sender = stanza.to, stanza.from_
        if not stanza.has("addresses", NS) or stanza.type == "error" or to is None or sender is None:
            return None
        if to.resource is not None:
            return None
        unfold(stanza, fairly)
        addresses = self._read(stanza)
        recipients: dict[JID, Address] = {}
        for each in sorted(
            addresses, key=lambda address: address.hidden
        ):  # who is named openly is not hidden
            if each.jid is not None:
                recipients.setdefault(each.jid, each)
        if not recipients:
            return None
        self._check(stanza, sender, list(recipients))
        job = gevent.spawn(self._send_all, stanza, sender, addresses, list(recipients.values()))
        xdb.release()
        job.join()
        return HANDLED

    def _read(self, stanza: Element) -> list[Address]:
        """The addresses. Raises StanzaError."""
        headers = stanza.all("addresses", NS)
        if len(headers) != 1:
            raise StanzaError("bad-request", "more than one <addresses/>")
        elements = headers[0].all("address", NS)
        if len(elements) > self.limit:
            raise StanzaError("not-acceptable", f"a stanza may name {self.limit} addresses")
        return [Address(each, self._recipient(each)) for each in elements]

    def _recipient(self, address: Element) -> JID | None:
        """Whom the stanza has to go to for this address. Raises StanzaError."""
        attrs = address.attrs
        if attrs.get("type") not in TYPES:
            raise StanzaError("bad-request", "an address of no known type")
        if "uri" in attrs:
            if "jid" in attrs or "node" in attrs:
                raise StanzaError("bad-request", "an address with 'uri' and another")
            raise StanzaError("jid-malformed", "URIs are not supported")
        if attrs["type"] not in RECIPIENTS or attrs.get("delivered") == "true":
            return None
        if "jid" not in attrs:
            raise StanzaError("bad-request", "an address lacks 'jid'")
        try:
            return parse(attrs["jid"])
        except ValueError as error:
            raise StanzaError("jid-malformed", str(error)) from None

    def _check(self, stanza: Element, sender: JID, recipients: list[JID]) -> None:
        """Raises StanzaError: the sender may not do this. Then nobody gets the stanza."""
        domain = self.host.domain
        if any(jid.node is None and jid.domain == domain for jid in recipients):
            raise StanzaError("forbidden", f"{domain} cannot be one of the addresses")
        ours = sender.domain == domain and sender.node is not None
        if stanza.name == "presence" and (not ours or stanza.type not in (None, "unavailable")):
            raise StanzaError(
                "forbidden", "only users of this server may show themselves, or hide, in this way"
            )
        if not ours and any(jid.domain != domain for jid in recipients):
            raise StanzaError("forbidden", "this server does not pass on what others say to others")

    def _send_all(
        self, stanza: Element, sender: JID, addresses: list[Address], recipients: list[Address]
    ) -> None:
        session = self.host.sessions.find(sender) if sender.domain == self.host.domain else None
        if session is not None:
            session.work += len(recipients) * (
                1 + len(stanza.inner) // 5000
            )  # karma: a long one costs as many short ones
        shown = [each.shown() for each in addresses if not each.hidden]
        rest = _without(stanza)  # serialised once for all
        plain = _with(rest, shown)
        with xdb.unit():
            for each in fairly(recipients):
                copy = _with(rest, [*shown, each.element]) if each.hidden else plain
                self._send(session, sender, copy.copy(to=each.jid))

    def _send(self, session: Any, sender: JID, copy: Element) -> None:
        if session is not None:
            self.host.send(session, copy)
        elif sender.domain != self.host.domain:
            self.host.router.deliver(copy)
        else:  # a component speaks in the user's name
            try:
                self.host.say(copy)
            except StanzaError as error:
                self.host.router.bounce(copy, error)


def _without(stanza: Element) -> Element:
    """The stanza without <addresses/>."""
    rest = Element(stanza.name, stanza.ns)
    rest.attrs = dict(stanza.attrs)
    rest.append(*(
        child
        for child in stanza.children
        if not isinstance(child, Element) or (child.name, child.ns) != ("addresses", NS)
    ))  # fmt: skip
    return rest


def _with(rest: Element, addresses: list[Element]) -> Element:
    """The stanza with these addresses; without any, it has no <addresses/>."""
    if not addresses:
        return rest
    header = Element("addresses", NS, *addresses)
    return Element.raw(
        rest.name, rest.ns, rest.attrs, header.to_bytes() + rest.inner, [f"{NS} addresses", *rest.kids]
    )
