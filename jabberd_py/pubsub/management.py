"""What owners do about other people: subscriptions and affiliations (XEP-0060 sections 8.8 and 8.9)."""

from __future__ import annotations

import secrets
from typing import Any

from ..hooks import LATER
from ..net.turns import fairly
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError, error_reply
from ..xmpp.jid import JID, parse
from . import people
from .daily import Domains
from .engine import AFFILIATIONS, ROWS
from .names import OWNER, refusal
from .options import Subscription
from .owners import Owners
from .pages import page
from .store import Node
from .subscribing import subscription_element

STATES = frozenset(("subscribed", "none"))
"""What an owner can make of a subscription."""


domains = Domains()


class Management(Owners):
    """Lists of people, and changes to them. Where some of several changes cannot be, the others are made all the same, and the
    error has those that were not, as they are."""

    # -- affiliations -----------------------------------------------------------------------------

    def affiliated(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 8.9.1."""
        node = self.own_node(owner, verb.attrs.get("node"), asker)
        all_ = (
            dict(node.affiliations) if not self.rules(owner, asker) else {owner: "owner", **node.affiliations}
        )
        rows, more = page(
            self, request, list(all_),
            lambda jid: Element("affiliation", OWNER, jid=jid, affiliation=all_[jid]),
        )  # fmt: skip
        return self._list(Element("affiliations", OWNER, *rows, node=node.name), more)

    def affiliate(self, owner: str, asker: JID, verb: Element, request: Element) -> Any:
        """Section 8.9.2: only what changes."""
        node = self.own_node(owner, verb.attrs.get("node"), asker)
        wanted: dict[str, str] = {}
        for each in fairly(verb.all("affiliation", OWNER)):
            affiliation = each.attrs.get("affiliation")
            if affiliation is None:
                continue
            if affiliation not in AFFILIATIONS:
                raise StanzaError("bad-request", "no such affiliation")
            user = self._address(each).user
            if user in wanted:
                raise StanzaError("bad-request", "an address is there twice")
            wanted[user] = affiliation
        stay = self.untouchable(owner, node, wanted)
        wanted = {
            user: each
            for user, each in wanted.items()
            if user not in stay and each != node.affiliations.get(user, "none")
        }
        self.charge(request, len(wanted) // ROWS)
        more = sum((each != "none") - (user in node.affiliations) for user, each in wanted.items())
        if more > 0 and self.crowded(owner, node, more):
            raise StanzaError("policy-violation", "there are too many subscriptions and affiliations")
        if wanted:
            try:
                if not people.affiliate(owner, node.name, wanted, bool(node.owners), self.max_affiliations):
                    raise StanzaError("item-not-found")
            except people.Crowded as error:
                raise StanzaError("policy-violation", str(error)) from None
            except people.Unowned:  # another owner was taken out at the same time
                raise StanzaError("not-acceptable", "somebody has to own the node") from None
            self.recheck(owner, node)
        if not stay:
            return None
        rows = (
            Element("affiliation", OWNER, jid=jid, affiliation=self.affiliation(owner, node, parse(jid)))
            for jid in stay
        )
        return self._partly(request, Element("affiliations", OWNER, *rows, node=node.name))

    def untouchable(self, owner: str, node: Node, wanted: dict[str, str]) -> list[str]:
        """Whose affiliations cannot become what is wanted: somebody has to own the node."""
        if "owner" in {**node.affiliations, **wanted}.values():
            return []
        return [user for user in wanted if node.affiliations.get(user) == "owner"][:1]

    def _partly(self, request: Element, left: Element) -> Any:
        """The answer where some changes were not made: ``left`` has them, as they are."""
        answer = error_reply(request, StanzaError("not-acceptable"))
        assert answer is not None
        error = answer.child("error")
        assert error is not None
        answer.remove(error)
        self.host.router.reply(answer.append(Element("pubsub", OWNER, left), error))
        return LATER

    # -- subscriptions ----------------------------------------------------------------------------

    def subscribers(self, owner: str, asker: JID, verb: Element, request: Element) -> Element:
        """Section 8.8.1."""
        node = self.own_node(owner, verb.attrs.get("node"), asker)
        all_ = {
            each.subid: each
            for mine in fairly(list(node.subscriptions.values()))
            for each in mine
            if each.state == "subscribed" and not each.over
        }
        rows, more = page(self, request, list(all_), lambda subid: subscription_element(OWNER, all_[subid]))
        return self._list(Element("subscriptions", OWNER, *rows, node=node.name), more)

    def set_subscribers(self, owner: str, asker: JID, verb: Element, request: Element) -> Any:
        """Section 8.8.2: only what changes; who is concerned is told."""
        node = self.own_node(owner, verb.attrs.get("node"), asker)
        made, gone, wrong = list[Subscription](), list[Subscription](), list[Subscription]()
        new = set[str]()
        for each in fairly(verb.all("subscription", OWNER)):
            state, subid = each.attrs.get("subscription"), each.attrs.get("subid")
            if state is None:
                continue
            jid = self._address(each)
            mine = [one for one in node.subscriptions.get(jid.user, ()) if one.jid == str(jid)]
            meant = [one for one in mine if subid in (None, one.subid)]
            if state not in STATES or subid is not None and not meant:
                wrong += mine or [Subscription(str(jid), subid or "", "none")]
            elif state == "none":
                gone += meant
            elif meant:
                made += [one for one in meant if one.state == "pending"]
            elif not self._may_be_subscribed(owner, node, jid, asker):
                wrong.append(Subscription(str(jid), "", "none"))
            else:
                made.append(Subscription(str(jid), secrets.token_hex(8), "subscribed"))
                new.add(jid.user)
        self.charge(request, (len(made) + len(gone)) // ROWS)
        new -= node.subscriptions.keys() | node.coming.keys()
        more = sum(each.state == "subscribed" for each in made)
        if new and node.addresses + len(new) > self.max_subscriptions or self.crowded(owner, node, more):
            raise refusal("policy-violation", "too-many-subscriptions", type="wait")
        self.set_subscriptions(owner, node, made, gone)
        if not wrong:
            return None
        rows = (subscription_element(OWNER, each) for each in wrong)
        return self._partly(request, Element("subscriptions", OWNER, *rows, node=node.name))

    def _list(self, people: Element, more: Element | None) -> Element:
        answer = Element("pubsub", OWNER, people)
        if more is not None:
            answer.append(more)
        answer.serialise(fairly)
        return answer

    def _may_be_subscribed(self, owner: str, node: Node, jid: JID, asker: JID) -> bool:
        """May an owner subscribe them? Whom the node is not for is no subscriber, whoever says so."""
        if jid.domain not in self.host.router.instances and not domains.takes(asker.user, jid.domain):
            return False
        refused = self.closed(owner, node, jid)
        return refused is None or (
            node.config.access_model == "authorize" and refused.condition == "not-authorized"
        )

    def _address(self, element: Element) -> JID:
        try:
            return parse(element.attrs["jid"])
        except KeyError:
            raise refusal("bad-request", "jid-required") from None
        except ValueError as error:
            raise StanzaError("jid-malformed", str(error)) from None
