"""XEP-0445 and XEP-0379: clients show the tokens of invitations, before login for an account, after it for a contact."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from .. import log
from ..hooks import HANDLED, Module, on
from ..jsm.notes import INVITED, REGISTERED
from ..jsm.stream import ClientStream
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.protocols import XEP
from ..xmpp.subscription import outbound
from . import links
from .links import Link
from .mod_register import FEATURE, NS, answer_early

logger = log.get(__name__)

PARS = "urn:xmpp:pars:0"
TOKENS = "urn:xmpp:ibr-token:0"
OLDER = "urn:xmpp:invite"
"""The feature in XEP-0401 before 0.4; many clients look for this one."""


class PreAuth(Module):
    """Takes invitations from clients: for a new account, or for a contact."""

    name = "preauth"
    needs = ("roster", "invites", "arrivals")
    protocols = (
        XEP(379, "0.3.3", "Pre-Authenticated Roster Subscription"),
        XEP(445, "0.2.0", "Pre-Authenticated In-Band Registration"),
    )

    # -- an account: XEP-0445 ---------------------------------------------------------------------------

    @on("features")
    def offer(self, stream: ClientStream, features: Element) -> None:
        if stream.user is None and stream.private and self.host["invites"].open:
            features.append(
                Element("register", TOKENS), Element("register", OLDER), Element("register", FEATURE)
            )

    @on("negotiate")
    def meet(self, stream: ClientStream, request: Element) -> bool | None:
        """A token, or the registration of who has shown one, on a stream that has not logged in."""
        if stream.user is not None or (request.name, request.ns) != ("iq", ns.CLIENT):
            return None
        if not self._for_us(request) or self.host.options.anonymous:
            return None
        if request.has("preauth", PARS):
            answer_early(stream, request, self._preauth)
        elif request.has("query", NS) and (INVITED in stream.notes or self._alone):
            answer_early(stream, request, self._register)
        else:
            return None
        return HANDLED

    @property
    def _alone(self) -> bool:
        """Is an invitation the only way to an account?"""
        register: Any = self.host.modules.get("register")
        return bool(self.host["invites"].open) and (register is None or not register.strangers)

    def _for_us(self, request: Element) -> bool:
        try:
            return request.to in (None, self.host.jid)
        except ValueError:
            return False

    def _preauth(self, stream: ClientStream, request: Element) -> None:
        """Section 4. Raises StanzaError."""
        if request.type != "set":
            raise StanzaError("bad-request", "a token is set")
        if not stream.private:
            raise StanzaError("not-authorized", "start TLS first", type="modify")
        link = self.host["arrivals"].find(request.payload.attrs.get("token", ""), stream.address)
        if link is None or not link.registers:
            raise StanzaError("item-not-found", "The provided token is invalid or expired")
        stream.notes[INVITED] = link

    def _register(self, stream: ClientStream, request: Element) -> Element | None:
        """XEP-0077 section 3.1, for who was invited. Raises StanzaError, ValueError (no good name)."""
        link: Link | None = stream.notes.get(INVITED)
        if link is None or not stream.private:
            raise StanzaError("not-allowed", "accounts are made by invitation here")
        query = request.payload
        if request.type == "get":
            text = (
                "You were invited. Choose a password."
                if link.name
                else "You were invited. Choose a name and a password."
            )
            name = Element("username", NS, link.name or None)
            return Element("query", NS, Element("instructions", NS, text), name, Element("password", NS))
        if query.child("remove", NS) is not None:
            raise StanzaError("unexpected-request", "log in first")
        username, password = query.text_of("username", NS) or "", query.text_of("password", NS) or ""
        if not username or not password:
            raise StanzaError("not-acceptable", "a username and a password are needed")
        self.host["arrivals"].accept(link, username, password, stream.address)
        del stream.notes[INVITED]
        stream.notes[REGISTERED] = stream.notes.get(REGISTERED, 0) + 1
        return None

    # -- a contact: XEP-0379 ----------------------------------------------------------------------------

    @on("presence", kind="presence")
    def subscribe(self, user: str, stanza: Element) -> bool | None:
        """Section 3.5: who has the user's token is in the roster at once, both ways."""
        if stanza.attrs.get("type") != "subscribe" or not stanza.has("preauth", PARS):
            return None
        subscription: Any = self.host.modules.get("subscription")
        sender, token = stanza.from_.user, stanza.child("preauth", PARS).attrs.get("token", "")
        if subscription is None or sender == user or self.host["roster"].state(user, sender).from_:
            return None
        link = links.find(self.host.domain, token)
        if link is None or not link.asks or link.contact != user:
            return None
        try:
            self._approve(user, sender, partial(links.take, link.hash))
        except StanzaError:  # another one was faster
            return None
        logger.info("contact by invitation", user=user, contact=sender, invitation=link.key)
        if self.host.users.has_account(sender):  # who shows a token wants the other to be a contact, too
            self._approve(sender, user, int)
        subscription.received(user, stanza)
        state, route = outbound(replace(self.host["roster"].state(user, sender), approved=False), "subscribe")
        self.host["roster"].set_state(user, sender, state)
        if route:
            self.host.router.deliver(Element("presence", ns.CLIENT, from_=user, to=sender, type="subscribe"))
        return HANDLED

    def _approve(self, user: str, jid: str, also: Any) -> None:
        """What that address asks of the user is granted beforehand."""

        def change(item: Any) -> Any:
            return replace(item, listed=True, state=replace(item.state, approved=True, pending_in=False))

        self.host["roster"].amend(user, jid, change, also)
