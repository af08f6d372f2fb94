"""RFC 6121 section 3: who may see whose presence. The rules themselves are in xmpp/subscription.py."""

from __future__ import annotations

from ..hooks import HANDLED, Module, Option, on, size
from ..jsm.notes import INTERESTED
from ..jsm.session import Session
from ..jsm.stream import ClientStream
from ..xdb import spoilt
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError
from ..xmpp.ns import CLIENT
from ..xmpp.protocols import RFC
from ..xmpp.subscription import TYPES, SubscriptionState, inbound, outbound
from .mod_roster import roster

PRE_APPROVAL = "urn:xmpp:features:pre-approval"
ENDING = frozenset(("unsubscribe", "unsubscribed"))


class Subscription(Module):
    """Asks for, grants and ends subscriptions. Keeps requests until they are answered."""

    protocols = (RFC(6121, "XMPP: instant messaging and presence"),)
    needs = ("roster",)
    requests = Option(int, 200, "requests that may wait for one user's answer; more are refused", min=0)
    request_size = Option(size, 8 << 10, "a longer request is kept without its text")

    @on("features")
    def offer(self, stream: ClientStream, features: Element) -> None:
        if stream.user is not None:
            features.append(Element("sub", PRE_APPROVAL))

    # -- sent by a user ---------------------------------------------------------------------------

    @on("out", kind="presence")
    def sent(self, session: Session, stanza: Element) -> bool | None:
        type = stanza.type
        if type not in TYPES:
            return None
        if stanza.to is None:
            raise StanzaError("bad-request", "to whom?")
        user, jid = session.user, stanza.to.user
        if jid == user:
            raise StanzaError("not-allowed", "everybody sees his own presence anyway")
        if type in ENDING:
            self.host["roster"].check_free(user, jid)
        roster(user)  # fills the cache, and may block; from here to `set_state` nothing blocks
        old = self.host["roster"].state(user, jid)
        new, route = outbound(old, type)
        self.host["roster"].set_state(user, jid, new, push=False)
        self._push(user, jid, old, new)  # before the answer to the stanza can be there
        if route:
            stanza.attrs |= {"from": user, "to": jid}
            self.host.router.deliver(stanza)
        self._share(user, jid, old, new)
        return HANDLED

    # -- received for a user ------------------------------------------------------------------------

    @on("presence")
    def received(self, user: str, stanza: Element) -> bool | None:
        type = stanza.attrs.get("type")
        if type not in TYPES:
            return None
        jid = stanza.from_.user
        if jid == user:
            return HANDLED
        if not self.host.users.exists(user):
            return HANDLED  # section 8.5.1: in silence
        contacts = roster(user)  # may block; from here to `set_state` nothing blocks
        old = self.host["roster"].state(user, jid)
        new, deliver, answer = inbound(old, type)
        stanza = stanza.copy(to=user, from_=jid)
        request = None
        if new.pending_in and not old.pending_in:
            if sum(item.state.pending_in for item in contacts.values()) >= self.requests:
                raise StanzaError("resource-constraint", "too many wait for an answer already")
            request = self._record(stanza)
        self.host["roster"].set_state(user, jid, new, request, push=False)
        if deliver:
            for session in self.host.sessions.of(user):
                if session.presence is not None or (type != "subscribe" and session.note(INTERESTED)):
                    self.host.deliver_to(session, stanza)
        self._push(user, jid, old, new)
        if answer is not None:
            self.host.router.deliver(Element("presence", CLIENT, from_=user, to=jid, type=answer))
        self._share(user, jid, old, new)
        return HANDLED

    def _record(self, stanza: Element) -> str:
        text = str(stanza)
        if len(text) <= self.request_size:
            return text
        return str(Element("presence", CLIENT, from_=stanza.from_, to=stanza.to, type="subscribe"))

    def _push(self, user: str, jid: str, old: SubscriptionState, new: SubscriptionState) -> None:
        """Pushes the item to the user's resources, if they see a change."""
        item = self.host["roster"].item(user, jid)
        if item is not None and _shown(old) != _shown(new):
            self.host["roster"].push(user, jid, item)

    def _share(self, user: str, jid: str, old: SubscriptionState, new: SubscriptionState) -> None:
        """Shows or hides the user's presence, if the contact has won or lost the right to see it. This comes after the stanza
        that tells the contact so."""
        if old.from_ != new.from_:
            self.host["roster"].share(user, jid, new.from_)

    # -- a resource becomes available -----------------------------------------------------------------

    @on("initial")
    def remind(self, session: Session) -> None:
        """Section 3.1.3: requests come again with every new available resource until they are answered."""
        for jid, text in self.host["roster"].requests(session.user):
            try:
                stanza = from_text(text) if text else None
            except ValueError as error:
                spoilt("roster_item", session.user, error)
                stanza = None
            if stanza is None:  # the request came with an import
                stanza = Element("presence", CLIENT, from_=jid, to=session.user, type="subscribe")
            self.host.deliver_to(session, stanza)


def _shown(state: SubscriptionState) -> tuple[str, bool, bool]:
    """The part of the state that clients see in a roster item."""
    return state.subscription, state.ask, state.approved
