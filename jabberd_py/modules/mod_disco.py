"""XEP-0030: Service Discovery, and XEP-0128: Service Discovery Extensions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..archive.stamps import SID
from ..discovery import Identity
from ..hooks import Module, Option, iq, list_of
from ..jsm.host import Host
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.ns import DISCO_INFO, DISCO_ITEMS
from ..xmpp.protocols import XEP
from .trust import may_see


class Disco(Module):
    """Tells what a domain and its accounts can do. The answers are made from what the loaded modules declare
    (`Discoverable`)."""

    protocols = (
        XEP(30, "2.5.0", "Service Discovery", missing="clients cannot publish items"),
        XEP(128, "1.0.1", "Service Discovery Extensions"),
    )
    anywhere = True
    features = (DISCO_INFO, DISCO_ITEMS)
    account_features = (DISCO_INFO, DISCO_ITEMS, SID)
    items = Option[list[str]](list_of(str), [], "services on other servers that are shown as ours: addresses")
    title = Option(str, "", "the server's name as people see it; by default the software's")

    # -- the domain --------------------------------------------------------------------

    @iq("get", DISCO_INFO, "query")
    def info(self, request: Element) -> Element:
        node = request.payload.attrs.get("node")
        return self.describe() if node is None else self._node("disco_node", request, node)

    @iq("get", DISCO_ITEMS, "query")
    def show_items(self, request: Element) -> Element:
        node = request.payload.attrs.get("node")
        if node is not None:
            return self._node("disco_node", request, node)
        for part in self.host.parts:
            page: Element | None = part.disco_page(request)
            if page is not None:
                return page
        return Element("query", DISCO_ITEMS, *self._services(), *self._ask("disco_items"))

    def describe(self) -> Element:
        """The domain's information, without a node."""
        host = self.host
        title = self.title if isinstance(host, Host) and self.title else host.title
        return self._with_nested(
            False,
            [(host.category, host.type, title), *self._all("identities")],
            [*self._all("features"), *(ns for to, _, ns, _ in host.iqs if to == "server")],
            self._ask("disco_forms"),
        )

    def _with_nested(
        self, account: bool, identities: list[Identity], features: list[str], forms: list[Element]
    ) -> Element:
        """Adds what mod_delegation declares, and takes away namespaces that are delegated to a component (XEP-0355)."""
        delegation = self.host.modules.get("delegation")
        if delegation is None or not delegation.withdrawn:
            return _info(identities, features, forms)
        more, others, theirs = delegation.nested_info(account)
        gone = tuple(delegation.withdrawn)
        own = [each for each in features if each.partition("#")[0] not in gone and each not in gone]
        return _info([*identities, *more], [*own, *others], [*forms, *theirs])

    def _services(self) -> Iterator[Element]:
        """The services of this host, and components; other hosts with users are no part of it."""
        if not isinstance(self.host, Host):
            return
        for domain, instance in sorted(self.host.router.instances.items()):
            if not isinstance(instance, Host) and instance.shown_on(self.host.domain):
                yield Element("item", DISCO_ITEMS, jid=domain, name=instance.title or None)
        for jid in self.items:
            yield Element("item", DISCO_ITEMS, jid=jid)

    # -- accounts ----------------------------------------------------------------------

    @iq("get", DISCO_INFO, "query", to="self")
    @iq("get", DISCO_INFO, "query", to="user")
    def show_account(self, request: Element) -> Element:
        node = request.payload.attrs.get("node")
        if node is not None:
            return self._node("account_node", request, node)
        user, own = self._account(request)
        if not self._trusted(request, user):
            raise StanzaError("service-unavailable")
        type = "anonymous" if self.host.options.anonymous else "registered"
        parts = [part for part in self.host.parts if part.account_works()]
        answered = [
            ns
            for (to, _, ns, _), handler in self.host.iqs.items()
            if own and to == "self" and getattr(handler, "__self__", parts[0]) in parts
        ]
        return self._with_nested(
            True,
            [("account", type, None), *(each for part in parts for each in part.account_identities)],
            [*(each for part in parts for each in part.account_features), *answered],
            [],
        )

    @iq("get", DISCO_ITEMS, "query", to="self")
    @iq("get", DISCO_ITEMS, "query", to="user")
    def show_account_items(self, request: Element) -> Element:
        node = request.payload.attrs.get("node")
        if node is not None:
            return self._node("account_node", request, node)
        user, _ = self._account(request)
        sessions = list[Element]()
        if self._trusted(request, user):  # section 8: else nobody learns whether there is such an account
            sessions += (Element("item", DISCO_ITEMS, jid=s.full) for s in self.host.sessions.available(user))
        for part in self.host.parts:
            page: Element | None = part.account_page(request, sessions)
            if page is not None:
                return page
        return Element("query", DISCO_ITEMS, *sessions)

    def _account(self, request: Element) -> tuple[str, bool]:
        """(the account that is asked about, does its owner ask?)"""
        asker = request.from_.bare
        owner = asker if request.to is None else request.to.bare
        return str(owner), owner == asker

    def _trusted(self, request: Element, user: str) -> bool:
        return may_see(self.host, user, request.from_) and self.host.users.exists(user)

    # -- from the modules ----------------------------------------------------------------

    def _node(self, method: str, request: Element, node: str) -> Element:
        """Asks each module for the node. Raises StanzaError (item-not-found) if none has it."""
        for module in self.host.parts:
            query = getattr(module, method)(request, node)
            if query is not None:
                query.attrs.setdefault("node", node)
                return query
        if method == "account_node" and not self._trusted(request, self._account(request)[0]):
            if request.payload.ns == DISCO_ITEMS:
                return Element("query", DISCO_ITEMS, node=node)
            raise StanzaError("service-unavailable")
        raise StanzaError("item-not-found")

    def _all(self, attribute: str) -> list[Any]:
        return [each for module in self.host.parts for each in getattr(module, attribute)]

    def _ask(self, method: str, *args: Any) -> list[Element]:
        return [element for module in self.host.parts for element in getattr(module, method)(*args)]


def _info(identities: list[Identity], features: list[str], forms: Iterable[Element] = ()) -> Element:
    """<query/> with each identity and feature once, in an order that does not change."""
    query = Element("query", DISCO_INFO)
    for category, type, name in dict.fromkeys(identities):
        query.append(Element("identity", DISCO_INFO, category=category, type=type, name=name))
    query.append(*(Element("feature", DISCO_INFO, var=var) for var in sorted(set(features))))
    return query.append(*forms)
