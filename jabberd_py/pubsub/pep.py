"""XEP-0163: Personal Eventing Protocol, publish-subscribe of every account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import gevent

from .. import log
from ..hooks import HANDLED, Module, iq, on
from ..jsm.notes import CAPS
from ..jsm.session import Nobody, Session
from ..net.turns import fairly
from ..xdb import xdb
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.ns import CLIENT, DISCO_INFO, DISCO_ITEMS
from ..xmpp.protocols import XEP
from . import discovery, people, publishing, store
from .audience import NOTHING, Audience, Latest, Seen, seen_with
from .commands import AccountCommands
from .config import Config
from .consent import question
from .expiry import Expiry
from .greeting import Greeting
from .names import NS, OWNER
from .notify import Outbox, Readers
from .onbehalf import OnBehalf
from .options import Subscription
from .present import Presence
from .readers import readers
from .store import Node
from .tables import TABLES

logger = log.get(__name__)


class Pep(AccountCommands, OnBehalf, Greeting, Expiry, Module):
    """Keeps what clients publish for their user's other clients and contacts: avatars, bookmarks, encryption keys, moods."""

    name = "pep"
    protocols = (
        XEP(
            60,
            "1.30.0",
            "Publish-Subscribe",
            missing="digests, message bodies, tempsub, purge_offline; get-pending of accounts",
        ),
        XEP(
            248,
            "0.5.0",
            "PubSub Collection Nodes",
            missing="items of a collection; accounts have no collections",
        ),
        XEP(413, "0.2.1", "Order-By", missing="in archives"),
        XEP(462, "0.1.1", "PubSub Type Filtering", missing="of accounts"),
        XEP(163, "1.2.2", "Personal Eventing Protocol"),
        XEP(222, "1.0.1", "Persistent Storage of Public Data via PubSub"),
        XEP(223, "1.1.1", "Persistent Storage of Private Data via PubSub"),
    )
    needs = ("roster", "disco", "caps")
    tables = TABLES

    defaults = Config(access_model="presence", max_items=1, send_last_published_item="on_sub_and_presence")
    access_models = ("open", "presence", "roster", "whitelist", "authorize")
    auto_create = True

    def __init__(self, host: Any, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.outbox = Outbox(host.router, self._lets)
        self.present = Audience()
        self.checks, self.usual = {}, {}
        self.listening = False
        self.last = Latest([], "", None)

    # -- requests ---------------------------------------------------------------------------------

    @iq("get", NS, "pubsub", to="self")
    @iq("set", NS, "pubsub", to="self")
    @iq("get", OWNER, "pubsub", to="self")
    @iq("set", OWNER, "pubsub", to="self")
    def own(self, request: Element) -> Any:
        return self._answer(request.from_.user, request)

    @iq("get", NS, "pubsub", to="user")
    @iq("set", NS, "pubsub", to="user")
    @iq("get", OWNER, "pubsub", to="user")
    @iq("set", OWNER, "pubsub", to="user")
    def other(self, request: Element) -> Any:
        return self._answer(request.to.user, request)

    def _answer(self, owner: str, request: Element) -> Any:
        if self.host.options.anonymous or not self.host.users.exists(owner):
            raise StanzaError("service-unavailable")
        return self.respond(owner, request)

    def rules(self, owner: str, jid: JID) -> bool:
        return jid.user == owner

    def may_create(self, owner: str, jid: JID) -> bool:
        return jid.user == owner

    def has(self, owner: str) -> bool:
        return owner.endswith("@" + self.host.domain)

    def limits(self) -> tuple[int, int]:
        return self.max_nodes, self.max_nodes

    def sees(self, owner: str, node: Node, user: str) -> bool:
        return self.shown_to(owner, user)

    def shown_to(self, owner: str, user: str) -> bool:
        """Does that bare address see the account's presence?"""
        return bool(self.host["roster"].state(owner, user).from_)

    def in_groups(self, owner: str, node: Node, user: str) -> bool:
        item = self.host["roster"].item(owner, user)
        return item is not None and not set(node.config.roster_groups_allowed).isdisjoint(item.groups)

    def missing(self, owner: str, jid: JID) -> StanzaError:
        """A stranger does not even learn that there is such an account."""
        known = jid.user == owner or self.shown_to(owner, jid.user)
        return StanzaError("item-not-found" if known else "service-unavailable")

    def forbidden(self, owner: str, asker: JID) -> StanzaError:
        return StanzaError("forbidden" if self.shown_to(owner, asker.user) else "service-unavailable")

    def untouchable(self, owner: str, node: Node, wanted: dict[str, str]) -> list[str]:
        """The account owns its nodes, and nobody else does."""
        return [user for user, each in wanted.items() if (each == "owner") != (user == owner)]

    def changed(self, owner: str, node: Node) -> None:
        super().changed(owner, node)
        self.host.hooks.tell("pep", owner, node.name)

    # -- who may subscribe (access model authorize) -------------------------------------------------

    def ask_owners(self, owner: str, node: Node, one: Subscription) -> None:
        if not self.listening:  # no account has been asked yet: messages do without the call
            self.listening = True
            self.host.hooks.add("out", self.answered, "message")
        self.outbox.send(question(owner, node, one).copy(to=owner))

    def answered(self, session: Session, stanza: Element) -> bool | None:
        """Event ``out``: the owner answers, with a message to the own account."""
        if not stanza.has("x", forms.NS) or stanza.to not in (None, session.jid.bare):
            return None
        x = stanza.child("x", forms.NS)
        return HANDLED if x is not None and self.decided(session.user, session.jid, x) else None

    @on("initial")
    def ask_again(self, session: Session) -> None:
        """Whoever was not there is asked when he comes."""
        pending = [
            (node, one)
            for node in store.nodes_of(session.user).values()
            if node.config.access_model == "authorize"
            for mine in node.subscriptions.values()
            for one in mine
            if one.state == "pending"
        ]
        if pending:
            gevent.spawn(self._ask_all, session, pending)

    def _ask_all(self, session: Session, pending: list[tuple[Node, Subscription]]) -> None:
        """As fast as the client takes it."""
        with xdb.unit(), suppress(StanzaError):
            for node, one in session.pace(pending):
                self.ask_owners(session.user, node, one)

    # -- who hears --------------------------------------------------------------------------------

    def audience(self, owner: str, node: Node, about: str) -> Iterator[Readers]:
        """Section 4.3: clients that want to know, and who has subscribed without showing any."""
        name, told, clients = node.name, Counter[str](), list[JID]()
        may: dict[str, bool] = {owner: True}
        for full, seen in fairly(self.present.clients(owner)):
            if seen.wants and name in seen.wants:
                bare = full.partition("/")[0]
                if bare not in may:
                    may[bare] = self.shown_to(owner, bare) and self.reads(owner, node, parse(bare))
                if may[bare]:
                    told.update((full, bare))
                    clients.append(parse(full))
        if clients:
            yield (), clients
        for headers, jids in readers(self, owner, node, about):
            yield headers, [jid for jid in jids if self._misses(jid, told)] if told else jids

    def _misses(self, jid: JID, told: Counter[str]) -> bool:
        """Has that subscriber, or a client of his here, not been told? ``told``: full addresses, and how many of each bare one.
        Of clients elsewhere only those are known that show what they want."""
        number = told[jid.full]
        if not number or jid.resource is not None:
            return not number
        shown = self.host.router.presence_of(jid)
        return shown is not None and len(shown) > number

    def hearers(self, owner: str, node: Node) -> int:
        return len(self.present.of.get(owner, ())) + super().hearers(owner, node)

    def _lets(self, stanza: Element) -> bool:
        """Has the account not blocked the address?"""
        session = Session(self.host, parse(stanza.attrs["from"]), Nobody(), "", 0)
        return self.host.lets_out(session, stanza)

    # -- who is there -----------------------------------------------------------------------------

    @on("caps")
    def own_client(self, session: Session, features: frozenset[str]) -> None:
        if session.presence is not None:
            self._learned(session.user, session.full, session.note(CAPS)[0], features)

    @on("initial")
    def subscriber_came(self, session: Session) -> None:
        """Services send last items to those who come online."""
        for domain, each in list(self.host.router.instances.items()):
            if isinstance(each, Presence):
                each.greet(domain, session.jid)

    @on("shown")
    def own_client_hidden(self, session: Session, stanza: Element) -> None:
        if stanza.type == "unavailable":
            self.present.remove(session.user, session.full)
            if session.user in people.temporary:
                others = any(each is not session for each in self.host.sessions.available(session.user))
                people.left(session.full, others)

    @on("presence")
    def contact(self, user: str, stanza: Element) -> None:
        """A contact's client comes, changes or goes."""
        attrs = stanza.attrs
        type, full = attrs.get("type"), attrs["from"]
        if type is not None:
            if type == "unavailable":
                self.present.remove(user, full)
            return
        last, kids = self.last, stanza.kids
        if kids is not last.kids or full != last.full:  # the copies of a presence share them: it is read once
            last = self.last = Latest(kids, full, self.host["caps"].shown(stanza))
        key, clients = last.key, self.present.of.get(user)
        old = None if clients is None else clients.get(full)
        if key is None if old is None else old.key == key:
            return
        bare = parse(full).user
        if bare == user:
            return
        state = self.host["roster"].state(user, bare)
        if key is None or not (state.from_ or state.to):
            self.present.remove(user, full)
            return
        if not state.from_:
            self.present.early.setdefault(user, set()).add(bare)
        self._ask(user, full, key, last.node, old)

    def _ask(self, user: str, full: str, key: tuple[str, ...], node: str, old: Seen | None) -> None:
        features = self.host["caps"].features_of(key)
        if features is not None:
            self._learned(user, full, key, features, old)
            return
        asked = Seen(key)
        if not self.present.put(user, full, asked):
            return

        def current() -> bool:
            return self.present.find(user, full) is asked

        def told(features: frozenset[str] | None) -> None:
            if current():
                if features is None:
                    self.present.remove(user, full)
                else:
                    self._learned(user, full, key, features, old)

        if not self.host["caps"].learn_of(user, full, key, node, current, told):
            self.present.remove(user, full)  # its next presence tries again

    def _learned(
        self, user: str, full: str, key: tuple[str, ...], features: frozenset[str], old: Seen | None = None
    ) -> None:
        old = old or self.present.find(user, full)
        seen = seen_with(key, features)
        if self.present.put(user, full, seen):
            self.greet(user, full, (seen.wants or NOTHING) - ((old and old.wants) or NOTHING))

    # -- what changes about contacts --------------------------------------------------------------

    @on("roster")
    def contact_changed(self, user: str, jid: str) -> None:
        """Access follows at once (section 8.1)."""
        early = self.present.early.get(user)
        if early is not None and jid in early and self.shown_to(user, jid):
            early.discard(jid)
            for full, seen in self.present.clients_of(user, jid):
                self.greet(user, full, seen.wants or NOTHING)
        state = self.host["roster"].state(user, jid)
        if not state.from_ and self.present.of.get(user):
            self._apart(user, jid, state.to)
        for node in fairly(list(store.nodes_of(user).values())):
            if jid in node.subscriptions:
                self.recheck(user, node)
        for domain, each in list(self.host.router.instances.items()):
            if isinstance(each, Presence):
                each.contact_changed(domain, user, jid)

    @on("blocked", "unblocked")
    def contacts_blocked(self, user: str, jids: list[str]) -> None:
        """Whom a user blocks may no longer read what his contacts may read at services."""
        for jid in fairly(jids):
            for domain, each in list(self.host.router.instances.items()):
                if isinstance(each, Presence):
                    each.contact_changed(domain, user, people.user_of(jid))

    def hides(self, owner: str, user: str) -> bool:
        """Has the account blocked that bare address?"""
        presence = Element("presence", CLIENT, to=user)
        presence.attrs["from"] = owner
        return not self._lets(presence)

    def _apart(self, user: str, jid: str, shown: bool) -> None:
        """The contact may no longer see the account's events; we may still see that they are there."""
        clients = self.present.clients_of(user, jid)
        if shown and clients:
            self.present.early.setdefault(user, set()).add(jid)
        else:
            for full, _ in clients:
                self.present.remove(user, full)

    @on("deleting")
    def gone(self, user: str) -> None:
        self.present.forget(user)
        for owner, name in people.forget(user):
            service = self.host.router.instances.get(owner)
            if isinstance(service, Presence):
                service.orphaned(owner, name)

    # -- discovery --------------------------------------------------------------------------------

    @on("start")
    def begin(self) -> None:
        publishing.begin()
        people.begin()

    def account_works(self) -> bool:
        return not self.host.options.anonymous

    @on("start", "reload")
    def announce(self) -> None:
        """Guests keep nothing here."""
        if not self.host.options.anonymous:
            self.account_identities = (("pubsub", "pep", None),)
            # Accounts offer this; clients such as Smack ask the server, as the first versions of XEP-0163 said.
            self.features = self.account_features = discovery.features(discovery.PEP, self.access_models)

    def account_page(self, request: Element, sessions: list[Element]) -> Element | None:
        asker: Any = request.from_
        owner = asker.user if request.to is None else request.to.user
        return discovery.nodes_of(self, owner, request, list(store.nodes_of(owner).values()), sessions)

    def account_node(self, request: Element, name: str) -> Element | None:
        asker: Any = request.from_
        owner = asker.user if request.to is None else request.to.user
        node = store.nodes_of(owner).get(name)
        if node is None or not self.reads(owner, node, asker):
            return None
        if request.payload.ns == DISCO_INFO:
            return discovery.node_info(self, owner, node)
        assert request.payload.ns == DISCO_ITEMS
        return discovery.node_items(self, owner, node, request)
