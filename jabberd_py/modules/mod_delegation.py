"""XEP-0355: Namespace Delegation (admin mode): a component answers the IQs of a namespace instead of this host."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import gevent

from ..hooks import HANDLED, Module, Option, duration, on
from ..instance import Instance
from ..jsm.session import Session
from ..xdb import xdb
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.ns import CLIENT, DISCO_INFO, DISCO_ITEMS, FORWARD
from ..xmpp.protocols import XEP

NS = "urn:xmpp:delegation:2"
OLD = "urn:xmpp:delegation:1"
BARE_INFO = f"{NS}:bare:disco#info:*"
BARE_ITEMS = f"{NS}:bare:disco#items:*"


class Delegation(Module):
    """Forwards IQs to the component to which their namespace is delegated (``delegate`` of a component in the configuration).
    In service discovery shows what the component can do with these namespaces.

    managers  namespace -> the component that answers
    spoken    domain of a component -> the version of this protocol that it uses
    nested    ("::" for the host or ":bare:" for accounts, namespace) -> the component's answer to service discovery
    waiting   how many forwarded requests wait for an answer
    """

    protocols = (XEP(355, "0.5", "Namespace Delegation", missing="client mode"),)
    features = (NS,)
    requests = Option(int, 500, "forwarded requests that may wait for their answers at a time", min=1)
    timeout = Option(duration, "30s", "time that a component has to answer in", min=1)

    def __init__(self, host: Instance, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.managers: dict[str, Any] = {}
        self.spoken: dict[str, str] = {}
        self.nested: dict[tuple[str, str], list[Element]] = {}
        self.waiting = 0

    # -- which component ---------------------------------------------------------------------------

    @on("start", "reload", "component")
    def look(self, component: Any = None) -> None:
        self.managers = {
            namespace: instance
            for instance in self.host.router.instances.values()
            if instance.grants is not None and instance.grants.concerns(self.host.domain)
            for namespace in instance.grants.delegate
        }
        self.nested = {key: info for key, info in self.nested.items() if key[1] in self.managers}

    @on("component")
    def advertise(self, component: Any) -> None:
        if not component.grants.delegate:
            return
        for version in (NS, OLD):
            delegated = [
                Element("delegated", version, *(Element("attribute", version, name=name) for name in names),
                        namespace=namespace)
                for namespace, names in component.grants.delegate.items()
                if version == NS or not namespace.startswith(NS)
            ]  # fmt: skip
            if delegated:
                payload = Element("delegation", version, *delegated)
                message = Element("message", CLIENT, payload, from_=self.host.domain, to=component.domain,
                                  id=secrets.token_hex(6))  # fmt: skip
                self.host.router.deliver(message)
        gevent.spawn(self._discover, component)

    @on("component_gone")
    def forget(self, component: Any) -> None:
        for namespace, manager in self.managers.items():
            if manager is component:
                for kind in ("::", ":bare:"):
                    self.nested.pop((kind, namespace), None)
        self._changed()

    # -- requests -------------------------------------------------------------------------------------

    @on("out", kind="iq")
    def to_nobody(self, session: Session, stanza: Element) -> bool | None:
        """A client's request without ``to`` is for its account or the host."""
        if stanza.to is not None or not self.managers:
            return None
        return self._delegate(stanza)

    @on("deliver", kind="iq")
    def to_us(self, stanza: Element) -> bool | None:
        """A request for the host or for a bare address."""
        to = stanza.to
        if to.resource is not None or not self.managers:
            return None
        return self._delegate(stanza)

    def _delegate(self, stanza: Element) -> bool | None:
        if stanza.type not in ("get", "set") or len(stanza.kids) != 1:
            return None
        to, sender = stanza.to, stanza.from_
        manager = self._manager(stanza)
        if manager is None or sender.domain in manager.domains:
            return None
        if to is not None and to.node is not None:
            if not self.host.users.exists(str(to)):
                return None
            if to.bare != sender.bare and self.host.hooks.call("filter_in", str(to), stanza) is HANDLED:
                return HANDLED
        if not manager.connected:
            raise StanzaError("service-unavailable")
        if self.waiting >= self.requests:
            raise StanzaError("resource-constraint", "too many requests wait for answers")
        self.waiting += 1
        gevent.spawn(self._forward, stanza, manager)
        return HANDLED

    def _manager(self, stanza: Element) -> Any:
        """The component that answers the request; None: this host does."""
        namespace = stanza.kids[0].rpartition(" ")[0]
        manager = self.managers.get(namespace)
        if manager is not None and all(
            name in stanza.payload.attrs for name in manager.grants.delegate[namespace]
        ):
            return manager
        if namespace not in (DISCO_INFO, DISCO_ITEMS) or stanza.to is None or stanza.to.node is None:
            return None
        node = stanza.payload.attrs.get("node")
        if namespace == DISCO_ITEMS:
            return self.managers.get(BARE_ITEMS) if self._unknown(stanza, node) else None
        return self.managers.get(BARE_INFO) if node is not None and self._unknown(stanza, node) else None

    def _unknown(self, stanza: Element, node: str | None) -> bool:
        """Does no module of this host have that node?"""
        if node is None:
            return True
        return all(module.account_node(stanza, node) is None for module in self.host.modules.values())

    def _forward(self, stanza: Element, manager: Any) -> None:
        try:
            with xdb.unit():
                version = self.spoken.get(manager.domain, NS)
                payload = Element("delegation", version, Element("forwarded", FORWARD, stanza.copy()))
                answer = self._ask(manager, "set", payload)
                inner = _forwarded(answer, version)
                if inner is None or not _fits(inner, stanza):
                    raise StanzaError("service-unavailable")
                self.host.router.reply(stanza.reply(*inner.elements()))
        except StanzaError:
            self.host.router.bounce(stanza, StanzaError("service-unavailable"))
        finally:
            self.waiting -= 1

    def _ask(self, manager: Any, type: str, payload: Element) -> Element:
        iq = Element("iq", CLIENT, payload, from_=self.host.domain, to=manager.domain, type=type)
        answer: Element = self.host.ask(iq, self.timeout)
        return answer

    # -- service discovery ------------------------------------------------------------------------------

    def _discover(self, component: Any) -> None:
        """Asks the component what it can do with each of its namespaces. This is done once for each connection."""
        with xdb.unit():
            for namespace in list(component.grants.delegate):
                if namespace.startswith(NS):
                    continue
                for kind in ("::", ":bare:"):
                    info = self._nested(component, kind, namespace)
                    if info is not None and self.managers.get(namespace) is component:
                        self.nested[kind, namespace] = info
            self._changed()

    def _nested(self, component: Any, kind: str, namespace: str) -> list[Element] | None:
        for version in (NS, OLD):
            query = Element("query", DISCO_INFO, node=f"{version}{kind}{namespace}")
            try:
                answer = self._ask(component, "get", query)
            except StanzaError:
                return None
            found = answer.child("query", DISCO_INFO)
            if answer.type == "result" and found is not None:
                self.spoken[component.domain] = version
                return list(found.elements())
        return None

    def _changed(self) -> None:
        caps = self.host.modules.get("caps")
        if caps is not None:
            caps.changed()

    def _all(self, kind: str, name: str, namespace: str = DISCO_INFO) -> list[Element]:
        return [
            element
            for (each, _), info in self.nested.items()
            if each == kind
            for element in info
            if (element.name, element.ns) == (name, namespace)
        ]

    @property
    def withdrawn(self) -> list[str]:
        """The namespaces for which the host shows no features of its own."""
        return [each for each in self.managers if not each.startswith(NS)]

    def nested_info(
        self, account: bool
    ) -> tuple[list[tuple[str, str, str | None]], list[str], list[Element]]:
        """Identities, features and forms of the components, for the host or for its accounts."""
        kind = ":bare:" if account else "::"
        identities = [
            (each.attrs.get("category", ""), each.attrs.get("type", ""), each.attrs.get("name"))
            for each in self._all(kind, "identity")
        ]
        features = [each.attrs["var"] for each in self._all(kind, "feature") if "var" in each.attrs]
        return identities, features, self._all(kind, "x", forms.NS)


def _forwarded(answer: Element, version: str) -> Element | None:
    """The IQ in the component's answer."""
    payload = answer.child("delegation", version) if answer.type == "result" else None
    forwarded = None if payload is None else payload.child("forwarded", FORWARD)
    return None if forwarded is None else forwarded.child("iq", CLIENT)


def _fits(inner: Element, request: Element) -> bool:
    """Is ``inner`` the answer to this request? It may lack ``from``."""
    try:
        to, sender = inner.to, inner.from_
    except ValueError:
        return False
    same = inner.type == "result" and inner.attrs.get("id") == request.attrs.get("id")
    return same and to == request.from_ and sender in (None, request.to)
