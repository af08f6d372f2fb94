"""Everything with a domain is an Instance: a host with users, a room service, uploads, a component, the uplink."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .hooks import HANDLED, LATER, Hooks, Module
from .xmpp.element import Element
from .xmpp.errors import StanzaError

if TYPE_CHECKING:
    from .router import Router

Kind = type[Module]
Handler = Callable[[Element], "Element | None"]


class Instance:
    """Answers for one domain. Subclasses say what happens to a stanza for an address with a node in it."""

    category, type, title = "server", "im", "jabberd_py"
    """The identity that service discovery shows (XEP-0030)."""

    def __init__(self, router: Router, domain: str) -> None:
        self.router = router
        self.domain = domain
        self.hooks = Hooks()
        self.iqs: dict[tuple[str, str, str], Handler] = {}
        self.commands: dict[str, tuple[Callable[..., Any], str]] = {}
        self.jobs: list[tuple[float, Callable[[], Any]]] = []
        self.pages: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {}
        self.modules: dict[str, Module] = {}
        self.lasting: list[str] = []

    def __getitem__(self, name: str) -> Any:
        """The module of that name; one that `Module.needs` it may count on it."""
        return self.modules[name]

    def load(self, kind: Kind, settings: dict[str, Any]) -> Module:
        """Raises ValueError where what the module needs is not there."""
        missing = [need for need in kind.needs if need not in self.modules]
        if missing:
            raise ValueError(f"{self.domain}: module '{kind.name}' needs module '{missing[0]}'")
        module = self.modules[kind.name] = kind(self, settings)
        self.lasting += module.lasting
        return module

    # -- stanzas -------------------------------------------------------------------

    def deliver(self, stanza: Element) -> None:
        """A stanza for this domain. Raises StanzaError, which the router sends back."""
        if self.hooks.call("deliver", stanza) is HANDLED:
            return
        to = stanza.to
        assert to is not None
        if to.node is not None:
            self.deliver_node(stanza)
        elif stanza.name == "iq":
            self.answer("server", stanza)
        elif self.hooks.call("server", stanza) is not HANDLED and stanza.name == "message":
            raise StanzaError("service-unavailable")

    def deliver_node(self, stanza: Element) -> None:
        """A stanza for an address with a node."""
        raise StanzaError("item-not-found")

    def reach(self, stanza: Element) -> None:
        """An answer of this server's own for an address of this domain: filters of users do not apply."""
        self.deliver(stanza)

    def answer(self, kind: str, request: Element) -> None:
        """Finds the handler of an IQ for us, and replies. Raises StanzaError."""
        type = request.type
        if type not in ("get", "set"):
            return  # an answer to nothing that we asked
        namespace, _, _ = request.kids[0].rpartition(" ")
        handler = self.iqs.get((kind, type, namespace))
        if handler is None:
            raise StanzaError("service-unavailable")
        result = handler(request)
        if result is not LATER:
            self.router.reply(request.reply(result))
