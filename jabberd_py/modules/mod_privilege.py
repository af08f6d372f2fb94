"""XEP-0356: Privileged Entity: what a component may do in the name of users, if the configuration grants it."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import gevent

from ..hooks import HANDLED, Module, Option, on
from ..instance import Instance
from ..jsm.session import Session
from ..net.turns import fairly
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.ns import CLIENT, FORWARD, ROSTER
from ..xmpp.protocols import XEP
from ..xmpp.syntax import check

NS = "urn:xmpp:privilege:2"
OLD = "urn:xmpp:privilege:1"
SUBSCRIPTIONS = frozenset(("none", "to", "from", "both"))


class Privilege(Module):
    """Lets components read and change rosters, send messages and IQs in users' names, and see presence. Each may do what its
    entry in ``components`` grants, for the users of this host."""

    protocols = (XEP(356, "0.4.1", "Privileged Entity"),)
    needs = ("roster",)
    requests = Option(int, 500, "IQs in users' names that may wait for their answers at a time", min=1)
    remembered = Option(int, 10_000, "presences remembered so that a component gets each once", min=0)

    def __init__(self, host: Instance, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.components: dict[str, Any] = {}  # domain -> a component that was told what it may do
        self.seen: OrderedDict[tuple[str, str], tuple[str | None, bytes]] = OrderedDict()
        self.waiting = 0

    def _grants(self, jid: JID | None) -> Any:
        """What the component with this address may do here; None: nothing. An address with a node is no component's."""
        if jid is None or jid.node is not None:
            return None
        instance = self.host.router.instances.get(jid.domain)
        grants = None if instance is None else instance.grants
        return grants if grants is not None and grants.concerns(self.host.domain) else None

    def _watching(self, *presence: str) -> Iterator[str]:
        """The connected components that are granted one of these accesses to presence."""
        for domain, each in list(self.components.items()):
            if each.connected and each.grants.presence in presence and each.grants.concerns(self.host.domain):
                yield domain

    # -- a component has connected ---------------------------------------------------------------

    @on("component")
    def advertise(self, component: Any) -> None:
        domain, grants = component.domain, component.grants
        for key in [key for key in self.seen if key[0] == domain]:
            del self.seen[key]
        self.components[domain] = component
        for namespace in (NS, OLD):
            perms = list(_perms(grants, namespace))
            if perms:
                self._send(domain, Element("privilege", namespace, *perms))
        if grants.presence != "none":
            gevent.spawn(self._catch_up, domain, grants.presence == "roster")

    @on("component_gone")
    def forget(self, component: Any) -> None:
        self.components.pop(component.domain, None)

    def _send(self, domain: str, payload: Element) -> None:
        message = Element(
            "message", CLIENT, payload, from_=self.host.domain, to=domain, id=secrets.token_hex(6)
        )
        self.host.router.deliver(message)

    def _catch_up(self, domain: str, contacts: bool) -> None:
        """Sends the component the presence that it has missed. For contacts elsewhere each one is probed once."""
        probed: set[str] = set()
        for session in fairly(self.host.sessions):
            if session.presence is None:
                continue
            self._show(domain, session.presence.copy(from_=session.full))
            for jid in fairly(self.host["roster"].subscriptions(session.user) if contacts else ()):
                if jid not in probed and parse(jid).domain != self.host.domain:
                    probed.add(jid)
                    probe = Element("presence", CLIENT, from_=session.user, to=jid, type="probe")
                    if self.host.lets_out(session, probe):
                        self.host.router.deliver(probe)

    # -- rosters ------------------------------------------------------------------------------------

    @on("deliver", kind="iq")
    def take(self, stanza: Element) -> bool | None:
        """IQs of components for accounts."""
        to = stanza.to
        if to.node is None or to.resource is not None:
            return None
        if stanza.type not in ("get", "set") or len(stanza.kids) != 1:
            return None
        namespace, _, name = stanza.kids[0].rpartition(" ")
        if (namespace, name) == (ROSTER, "query"):
            grants = self._grants(stanza.from_)
            if grants is None:
                return None  # mod_roster forbids it
            self._roster(grants, stanza)
            return HANDLED
        if name == "privileged_iq" and namespace in (NS, OLD):
            self._iq(self._grants(stanza.from_), stanza)
            return HANDLED
        return None

    def _roster(self, grants: Any, stanza: Element) -> None:
        if grants.roster not in (stanza.type, "both"):
            raise StanzaError("forbidden")
        user = str(stanza.to)
        if not self.host.users.exists(user):
            raise StanzaError("item-not-found")
        result = self.host.iqs["self", stanza.type, ROSTER, "query"](stanza.copy(from_=user))
        if stanza.type == "set":
            self._subscribe(user, stanza)
        self.host.router.reply(stanza.reply(result))

    def _subscribe(self, user: str, stanza: Element) -> None:
        """A component may set the subscription of contacts on its own domain, because it speaks for both sides. The
        subscription of other contacts needs their consent."""
        item = stanza.payload.child("item", ROSTER)
        jid, subscription = parse(item.attrs["jid"]).bare, item.attrs.get("subscription")
        component = self.host.router.instances[stanza.from_.domain]
        if subscription not in SUBSCRIPTIONS or jid.domain not in component.domains:
            return
        roster = self.host["roster"]
        old = roster.state(user, str(jid))
        new = replace(old, subscription=subscription)
        new = replace(new, ask=new.ask and not new.to, pending_in=new.pending_in and not new.from_)
        roster.set_state(user, str(jid), new)
        if old.from_ != new.from_:
            roster.share(user, str(jid), new.from_)

    @on("roster_push")
    def push(self, user: str, query: Element) -> None:
        for domain, each in list(self.components.items()):
            grants = each.grants
            if grants.roster_push and grants.roster in ("get", "both") and each.connected:
                if not grants.concerns(self.host.domain):
                    continue
                iq = Element("iq", CLIENT, query, from_=user, to=domain, type="set", id=secrets.token_hex(6))
                self.host.router.deliver(iq)

    # -- messages -------------------------------------------------------------------------------------

    @on("server", kind="message")
    def speak(self, stanza: Element) -> bool | None:
        if stanza.type == "error":
            return None
        namespace = next((each for each in (NS, OLD) if stanza.has("privilege", each)), None)
        if namespace is None:
            return None
        grants = self._grants(stanza.from_)
        if grants is None or grants.message != "outgoing":
            raise StanzaError("forbidden")
        forwarded = stanza.child("privilege", namespace).child("forwarded", FORWARD)
        message = None if forwarded is None else forwarded.child("message", CLIENT)
        if message is None or message.to is None:
            raise StanzaError("bad-request", "no forwarded message with 'to'")
        sender = message.from_
        if sender is None or sender.domain != self.host.domain or sender.resource is not None:
            raise StanzaError("forbidden", "not a bare address of this host")
        if sender.node is not None and not self.host.users.exists(str(sender)):
            raise StanzaError("forbidden", "no user of this host")
        self.host.say(message.copy())
        return HANDLED

    # -- IQs --------------------------------------------------------------------------------------------

    def _iq(self, grants: Any, stanza: Element) -> None:
        user, inner = str(stanza.to), stanza.payload.child("iq", CLIENT)
        if grants is None or inner is None or not self.host.users.exists(user):
            raise StanzaError("forbidden")
        payload, sender = inner.payload, inner.from_
        if inner.type != stanza.type or payload is None or (sender is not None and str(sender) != user):
            raise StanzaError("forbidden")
        if grants.iq.get(payload.ns) not in (inner.type, "both"):
            raise StanzaError("forbidden")
        check(inner)
        if self.waiting >= self.requests:
            raise StanzaError("resource-constraint", "too many requests wait for answers")
        self.waiting += 1
        gevent.spawn(self._ask, stanza, inner, user)

    def _ask(self, stanza: Element, inner: Element, user: str) -> None:
        try:
            answer = self.host.ask(inner.copy(from_=user, to=inner.to or user))
            answer.attrs["id"] = inner.attrs["id"]
            forwarded = Element("forwarded", FORWARD, answer)
            payload = Element("privilege", stanza.payload.ns, forwarded)
            self.host.router.reply(stanza.reply(payload))
        except StanzaError as error:
            self.host.router.bounce(stanza, error)
        finally:
            self.waiting -= 1

    # -- presence -----------------------------------------------------------------------------------------

    @on("shown")
    def shown(self, session: Session, stanza: Element) -> None:
        for domain in self._watching("managed_entity", "roster"):
            self._show(domain, stanza.copy(from_=session.full))

    @on("presence")
    def heard(self, user: str, stanza: Element) -> None:
        """Presence that a user gets from a contact."""
        if not self.components or stanza.type not in (None, "unavailable"):
            return
        for domain in self._watching("roster"):
            sender = stanza.from_
            if sender.domain != domain and self.host["roster"].state(user, sender.user).to:
                self._show(domain, stanza)

    def _show(self, domain: str, stanza: Element) -> None:
        """Sends a presence to the component, but only once, even if many users have got it."""
        key, said = (domain, stanza.attrs["from"]), (stanza.type, stanza.inner)
        if self.seen.get(key) == said:
            return
        self.seen[key] = said
        self.seen.move_to_end(key)
        while len(self.seen) > self.remembered:
            self.seen.popitem(last=False)
        self.host.router.deliver(stanza.copy(to=domain))


def _perms(grants: Any, namespace: str) -> Iterator[Element]:
    """The <perm/>s that tell a component what it may do. The older namespace has fewer."""
    if grants.roster != "none":
        push = grants.roster_push and grants.roster != "set"
        extra = {"push": "true" if push else "false"} if namespace == NS else {}
        yield Element("perm", namespace, access="roster", type=grants.roster, **extra)
    if grants.message != "none":
        yield Element("perm", namespace, access="message", type=grants.message)
    allowed = {uri: type for uri, type in grants.iq.items() if type != "none"}
    if allowed and namespace == NS:
        each = (Element("namespace", NS, ns=uri, type=type) for uri, type in allowed.items())
        yield Element("perm", NS, *each, access="iq")
    if grants.presence != "none":
        yield Element("perm", namespace, access="presence", type=grants.presence)
