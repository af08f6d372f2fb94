"""Subscribing, and the options of subscriptions (XEP-0060 sections 5.6, 6.1 to 6.4)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from ..net.turns import fairly
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from . import notify, people, store
from .daily import Asked
from .engine import READERS
from .items import Items, form_of
from .names import NS, SUBSCRIBE_OPTIONS, refusal, unsupported
from .options import PLAIN, Options, Subscription
from .store import Node

asked = Asked()


class Subscribing(Items):
    """What subscribers do."""

    def any_node(self, owner: str, name: str | None, asker: JID) -> Node:
        """With the root of all nodes, which has no name (XEP-0248 section 8.1)."""
        return self.nodes(owner).root if self.collections and not name else self.node(owner, name, asker)

    # -- coming and going ---------------------------------------------------------------------------

    def subscribe(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 6.1."""
        node = self.any_node(owner, verb.attrs.get("node"), asker)
        jid = self._subscriber(verb)
        if jid.user != asker.user:
            raise refusal("bad-request", "invalid-jid")
        assert request.payload is not None
        form, options = self._given(request.payload, node)
        pending = self._admit(owner, node, asker)
        if not node.config.subscribe:
            raise unsupported("subscribe")
        one = self._known(owner, node, jid, options)
        if one is None:
            one = Subscription(
                str(jid), secrets.token_hex(8), "pending" if pending else "subscribed", options
            )
            if not people.subscribe(owner, node.name, [one]):
                raise StanzaError("item-not-found")
            one = self._stayed(owner, node, asker, one)
        answer = Element("pubsub", NS, subscription_element(NS, one, node.name))
        if form is not None:
            shown = one.options.form("result", SUBSCRIBE_OPTIONS, self.hidden_options(node)).element()
            answer.append(Element("options", NS, shown))
        return answer

    def _admit(self, owner: str, node: Node, asker: JID) -> bool:
        """True: an owner has to approve first. Raises StanzaError: they may not subscribe."""
        refused = self.closed(owner, node, asker)
        if refused is None:
            return False
        if node.config.access_model == "authorize" and refused.condition == "not-authorized":
            return True
        raise refused

    def _stayed(self, owner: str, node: Node, asker: JID, one: Subscription) -> Subscription:
        """The new subscription, after what was changed of the node until it was committed. Raises StanzaError: it is over."""
        node = self.nodes(owner).find(node.name) or node  # nodes may have been read anew meanwhile
        self.recheck(owner, node, asker.user)
        mine = node.subscriptions.get(asker.user, ())
        found = next((each for each in mine if each.subid == one.subid), None)
        if found is None:
            raise self.closed(owner, node, asker) or StanzaError("item-not-found")
        if found.state == one.state:
            self.has_subscribed(owner, node, found)
        return found

    def _known(self, owner: str, node: Node, jid: JID, options: Options) -> Subscription | None:
        """A subscription that there is already, and that will do; None: one more is to be made. Raises StanzaError."""
        mine = node.all_of(jid.user)
        theirs = [each for each in mine if each.jid == str(jid)]
        if any(each.state == "pending" for each in theirs):
            raise refusal("not-authorized", "pending-subscription")
        there = [each for each in node.subscriptions.get(jid.user, ()) if each.jid == str(jid)]
        same = next((each for each in there if each.options == options), None)
        if node.config.is_collection:
            if same is not None:
                return same
            types, new = {each.options.subscription_type for each in theirs}, options.subscription_type
            if types and (new in types or "all" in types | {new}):
                raise StanzaError("conflict", "there is a subscription of that type")
        if len(mine) >= self.max_subscriptions_each:
            if same is None:
                raise refusal("policy-violation", "too-many-subscriptions", type="wait")
            return same
        if not mine and node.addresses >= self.max_subscriptions or self.crowded(owner, node, 1):
            raise refusal("policy-violation", "too-many-subscriptions", type="wait")
        return None

    def has_subscribed(self, owner: str, node: Node, one: Subscription) -> None:
        """There is a new subscription, or a pending one was approved."""
        config = node.config
        if one.state == "pending":
            if asked.first(f"{owner} {one.jid} {node.name}"):
                self.ask_owners(owner, node, one)
            return
        if config.send_last_published_item != "never" and not config.is_collection and one.options.deliver:
            self.send_last(owner, node, one.jid)
        self.tell_owners(owner, node, one, one.state)

    def ask_owners(self, owner: str, node: Node, one: Subscription) -> None:
        """Section 8.6: may they subscribe?"""

    def tell_owners(self, owner: str, node: Node, one: Subscription, state: str) -> None:
        """Those who want to know hear that somebody is subscribed, or no longer is."""
        if node.config.notify_sub:
            event = notify.subscription_event(owner, node.name, one, state)
            for jid in node.owners or [owner]:
                self.outbox.send(event.copy(to=jid))

    def send_last(self, owner: str, node: Node, to: str) -> int:
        """The last item of the node, if there is one. Returns how many characters it has."""
        config, size = node.config, 0
        while config.keeps:
            turn = node.turn
            newest = store.newest(owner, node.name, 1)
            if node.turn != turn:
                continue  # another one was published while the database was asked
            if newest and newest[0].published > self.since(node):
                size = len(newest[0].payload)
                self.outbox.send(notify.last_event(
                    owner, node.name, config.notification_type, newest[0], config.deliver_payloads, self.reply_to(owner, node)
                ).copy(to=to))  # fmt: skip
            break
        return size

    def unsubscribe(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 6.2."""
        node = self.any_node(owner, verb.attrs.get("node"), asker)
        one = self._meant(node, verb, asker, "cancel")
        people.unsubscribe(owner, node.name, [one])
        self.tell_owners(owner, node, one, "none")
        gone = subscription_element(NS, one._replace(state="none"), node.name)
        return Element("pubsub", NS, gone)

    def _subscriber(self, verb: Element) -> JID:
        try:
            return parse(verb.attrs["jid"])
        except KeyError:
            raise refusal("bad-request", "jid-required") from None
        except ValueError:
            raise refusal("bad-request", "invalid-jid") from None

    def _meant(self, node: Node, verb: Element, asker: JID, type: str) -> Subscription:
        """The asker's subscription that a request is about. ``type``: of the error that says that there is none. Raises
        StanzaError."""
        jid = self._subscriber(verb)
        if jid.user != asker.user:
            raise StanzaError("forbidden")
        theirs = [each for each in node.subscriptions.get(jid.user, ()) if each.jid == str(jid)]
        if not theirs:
            raise refusal("unexpected-request", "not-subscribed", type=type)
        subid = verb.attrs.get("subid")
        if subid is None:
            if len(theirs) > 1:
                raise refusal("bad-request", "subid-required")
            return theirs[0]
        found = next((each for each in theirs if each.subid == subid), None)
        if found is None:
            raise refusal("not-acceptable", "invalid-subid")
        return found

    # -- after a change -------------------------------------------------------------------------------

    def recheck(self, owner: str, node: Node, only: str | None = None) -> None:
        """Who may no longer read the node is no longer subscribed; who need not wait for an owner's word any longer is. They
        hear of it. ``only``: this user."""
        approved, gone = list[Subscription](), list[Subscription]()
        all_ = node.subscriptions
        users = list(all_.items()) if only is None else [(only, all_.get(only, ()))]
        for user, mine in fairly(users):
            jid = parse(user)
            refused = self.closed(owner, node, jid)
            reader = self.affiliation(owner, node, jid) in READERS
            for each in mine:
                if each.state == "pending":
                    if refused is None and (reader or node.config.access_model != "authorize"):
                        approved.append(each)
                    elif refused is not None and refused.condition != "not-authorized":
                        gone.append(each)
                elif refused is not None:
                    gone.append(each)
        self.set_subscriptions(owner, node, approved, gone)

    def set_subscriptions(
        self,
        owner: str,
        node: Node,
        made: list[Subscription],
        gone: list[Subscription],
        ended: float | None = None,
    ) -> None:
        """Without their asking, these are subscribed from now on, and those no longer. They hear of it. ``made``: new ones, and
        pending ones, which are approved; ``ended`` as of `people.unsubscribe`."""
        new = [each for each in made if each.state == "subscribed"]
        if not people.subscribe(owner, node.name, new):
            raise StanzaError("item-not-found")
        approved = people.approve(owner, node.name, [each for each in made if each.state == "pending"])
        gone = people.unsubscribe(owner, node.name, gone, ended)
        for each in fairly(new + approved):
            self.outbox.send(notify.subscription_event(owner, node.name, each))
            self.has_subscribed(owner, node, each)
        for each in fairly(gone):
            self.outbox.send(notify.subscription_event(owner, node.name, each, "none"))
            self.tell_owners(owner, node, each, "none")

    # -- options ------------------------------------------------------------------------------------

    def _given(self, payload: Element, node: Node) -> tuple[Element | None, Options]:
        """Section 6.3.7: the form behind <subscribe/>, and what it says. Raises StanzaError."""
        options = payload.child("options", NS)
        if options is None:
            return None, PLAIN
        if options.attrs.keys() & {"node", "jid"} or next(payload.elements()) is options:
            raise StanzaError("bad-request")
        return options, self._options_of(PLAIN, options, node)

    def _options_of(self, old: Options, parent: Element, node: Node) -> Options:
        """Raises StanzaError."""
        form = form_of(parent)
        if form is None or form.type not in ("submit", "cancel"):
            raise refusal("bad-request", "invalid-options", "a data form, submitted or cancelled")
        if form.type == "cancel":
            return old
        try:
            new = old.changed(forms.read(form, SUBSCRIBE_OPTIONS))
            if any(getattr(new, name) != getattr(old, name) for name in self.hidden_options(node)):
                raise ValueError("the node is no collection")
        except ValueError as error:
            raise refusal("bad-request", "invalid-options", str(error)) from None
        return new

    def show_options(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 6.3.2."""
        node = self.any_node(owner, verb.attrs.get("node"), asker)
        one = self._meant(node, verb, asker, "modify")
        form = one.options.form("form", SUBSCRIBE_OPTIONS, self.hidden_options(node)).element()
        attrs = {key: verb.attrs.get(key) for key in ("node", "jid", "subid")}
        return Element("pubsub", NS, Element("options", NS, form, **attrs))

    def set_options(self, owner: str, asker: JID, verb: Element, request: Element) -> None:
        """Section 6.3.5."""
        node = self.any_node(owner, verb.attrs.get("node"), asker)
        one = self._meant(node, verb, asker, "modify")
        one = one._replace(options=self._options_of(one.options, verb, node))
        if not people.set_options(owner, node.name, one):
            raise refusal("unexpected-request", "not-subscribed", type="modify")
        self.options_changed(owner, node, one)

    def options_changed(self, owner: str, node: Node, one: Subscription) -> None:
        """A subscriber wants something else."""

    def default_options(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 6.4: of a node, or of leaf nodes in general."""
        name = verb.attrs.get("node")
        node = None if name is None else self.any_node(owner, name, asker)
        form = PLAIN.form("result", SUBSCRIBE_OPTIONS, self.hidden_options(node)).element()
        return Element("pubsub", NS, Element("default", NS, form, node=name))

    # -- one's own ----------------------------------------------------------------------------------

    def subscriptions(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 5.6: the asker's own, of one node or of all."""
        nodes, name = self.nodes(owner), verb.attrs.get("node")
        if name is None:
            names = sorted(nodes.of.get(asker.user, ()))
            found = [node for each in names if (node := nodes.find(each)) is not None]
        else:
            found = [self.any_node(owner, name, asker)]
        rows = [
            subscription_element(NS, each, node.name)
            for node in fairly(found)
            for each in node.subscriptions.get(asker.user, ())
            if not each.over
        ]
        return Element("pubsub", NS, Element("subscriptions", NS, *rows, node=name))

    def affiliations(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 5.7: the asker's own, of one node or of all."""
        rows = (
            Element("affiliation", NS, node=node.name, affiliation=affiliation)
            for node in self._asked(owner, asker, verb)
            if (affiliation := self.affiliation(owner, node, asker)) != "none"
        )
        return Element("pubsub", NS, Element("affiliations", NS, *rows, node=verb.attrs.get("node")))

    def _asked(self, owner: str, asker: JID, verb: Element) -> Iterator[Node]:
        name = verb.attrs.get("node")
        if name is not None:
            return iter((self.node(owner, name, asker),))
        return fairly(list(self.nodes(owner).values()))


def subscription_element(ns: str, one: Subscription, node: str | None = None) -> Element:
    return Element("subscription", ns, node=node, jid=one.jid, subid=one.subid, subscription=one.state)
