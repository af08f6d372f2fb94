"""An Instance answers for a domain: a host with users, a service such as rooms, a component, the uplink."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import AsyncResult

from .adhoc import Dialogue
from .events import Event
from .hooks import HANDLED, LATER, Command, Hooks, Module
from .net.turns import Pace, fairly
from .pages import Handler as PageHandler
from .pages import Page
from .xdb import spoilt, xdb
from .xmpp.element import Element
from .xmpp.errors import StanzaError
from .xmpp.jid import JID
from .xmpp.large import unfold, verbatim

if TYPE_CHECKING:
    from .fanout import Bundle, Copies
    from .outbox import Entry
    from .router import Router

ModuleClass = type[Module]
Handler = Callable[[Element], "Element | None"]
Key = tuple[str, str, str, str]
"""The key of an IQ handler: (target, type, namespace of the payload, name of the payload)."""


PATIENCE = 30.0
"""Seconds that `Instance.ask` waits."""


class Instance:
    """Answers for one domain. Subclasses say what happens to a stanza for an address with a node in it."""

    category, type, title = "server", "im", "jabberd_py"
    """The identity that service discovery shows (XEP-0030)."""
    targets: tuple[str, ...] = ("server",)
    """The targets of IQs that its handlers may answer, as in `@iq(to=...)`."""
    events: tuple[Event, ...] = ()
    """Events that its modules can hook beside `EVENTS`."""
    has_users = False
    """Do accounts live here?"""
    ending = False
    """True when it is about to be removed: no new streams are accepted for it."""
    grants: Any = None
    """What an external service may do with users' data (XEP-0355, XEP-0356)."""

    def __init__(self, router: Router, domain: str) -> None:
        self.router = router
        self.domain = domain
        self.hooks = Hooks(self.events)
        self.iqs: dict[Key, Handler] = {}
        self._namespaces: set[tuple[str, str, str]] = set()
        self.commands: dict[str, tuple[Command, Callable[..., Any]]] = {}
        self.jobs: list[tuple[float, Callable[[], Any]]] = []
        self.pages: dict[str, tuple[Page, PageHandler]] = {}
        self.dialogues: dict[str, Callable[[Element], Dialogue | None]] = {}
        """Ad-hoc commands (XEP-0050) in addition to `commands`: node -> a function of the request, None: not for who asks."""
        self.modules: dict[str, Module] = {}
        self.asked: dict[str, tuple[JID | None, JID | None, Any]] = {}

    def __getitem__(self, name: str) -> Any:
        """The module of that name. A module that declares it in `Module.needs` may rely on it."""
        return self.modules[name]

    @property
    def parts(self) -> list[Any]:
        """What answers service discovery for this instance: its modules; of a service, the service, too."""
        return list(self.modules.values())

    def load(self, cls: ModuleClass, settings: dict[str, Any]) -> Module:
        """Makes a module and adds it. Raises ValueError if a module that it needs is missing."""
        missing = [need for need in cls.needs if need not in self.modules]
        if missing:
            raise ValueError(f"{self.domain}: module '{cls.name}' needs module '{missing[0]}'")
        module = self.modules[cls.name] = cls(self, settings)
        return module

    def add_iq(self, key: Key, handler: Handler) -> None:
        """Adds a handler of IQs. Raises ValueError: there is no such target, or another handler has the key."""
        if key[0] not in self.targets:
            raise ValueError(
                f"{handler.__qualname__}: @iq(to={key[0]!r}); here there are {', '.join(self.targets)}"
            )
        if key in self.iqs:
            raise ValueError(f"{handler.__qualname__}: {self.iqs[key].__qualname__} answers {key} already")
        self.iqs[key] = handler
        self._namespaces.add(key[:3])

    @property
    def admins(self) -> list[str] | None:
        """Bare addresses of its administrators. None: they are those of the server as a whole."""
        return None

    def is_admin(self, jid: JID) -> bool:
        """May that address administer this instance?"""
        return self.router.is_admin(jid) if self.admins is None else jid.user in self.admins

    def shown_on(self, host: str) -> bool:
        """Does that host show this domain among its services?"""
        return self.domain.endswith("." + host)

    # -- stanzas -------------------------------------------------------------------

    def deliver(self, stanza: Element, to: JID) -> None:
        """A stanza for this domain; ``to`` is its address. Raises StanzaError, which the router sends back."""
        for handler in self.hooks.chains["deliver"][stanza.name]:
            if handler(stanza) is HANDLED:
                return
        if to.node is not None:
            self.deliver_node(stanza, to)
        elif stanza.name == "iq":
            self.answer("server", stanza)
        elif self.hooks.call("server", stanza) is not HANDLED and stanza.name == "message":
            raise StanzaError("service-unavailable")

    def deliver_copies(self, bundle: Bundle, to: JID) -> None:
        """Copies of stanzas that many get (`Fan`), for that address of this domain, in order. Never raises StanzaError: the
        sender gets an error."""
        for copies in bundle:
            self.router.deliver(copies.element(to.full))

    def deliver_presence(self, copies: Copies, to: JID) -> None:
        """A copy of an account's presence for one of its contacts, at that address of this domain. Never raises StanzaError:
        the sender gets an error."""
        self.router.deliver(copies.element(to.full))

    def has_session(self, jid: JID) -> bool | None:
        """Has that full address of this domain a session? None: this process does not know. Does not block."""
        return None

    def presence_of(self, jid: JID) -> list[str] | None:
        """The presence of each available session of that bare or full address of this domain: "online", or <show/> (RFC 6121
        section 4.7.2.1). None: this process does not know. Does not block."""
        return None

    def shuns(self, remote: str) -> bool:
        """Does it refuse streams with that server?"""
        return False

    def links(self, domain: str) -> dict[str, list[str]]:
        """Of the uplink: the servers with which that domain of ours has streams -> the direction of each: incoming, outgoing,
        bidi."""
        return {}

    def pace(self, jid: JID) -> Pace:
        """How to go through many items and send each to that full address. By default in turns with all other work."""
        return fairly

    def deliver_node(self, stanza: Element, to: JID) -> None:
        """A stanza for an address with a node."""
        raise StanzaError("item-not-found")

    def requeue(self, entry: Entry, to: JID) -> bool:
        """Queues a message from the outbox that the last process had not sent. False: this Instance has no queue. Raises
        StanzaError."""
        return False

    def deliver_reply(self, stanza: Element, to: JID) -> None:
        """Delivers an answer that this server has made itself, to an address of this domain. The filters of users do not
        apply."""
        self.deliver(stanza, to)

    def answer_stored(self, request: Element, table: str, owner: str, xml: str, none: Element) -> Any:
        """Answers a request with stored XML as it is: it may be large. Returns what a handler of IQs returns. ``none``: the
        payload if the row of ``table`` is damaged."""
        try:
            answer = verbatim(request, xml)
        except ValueError as error:
            spoilt(table, owner, error)
            return none
        self.router.reply(answer)
        return LATER

    def answer(self, target: str, request: Element) -> None:
        """Finds the handler of an IQ for us, and replies. Raises StanzaError: service-unavailable (a namespace that
        ``target`` does not know, RFC 6120 section 8.4), bad-request (its namespace has no such element)."""
        type = request.type
        if type not in ("get", "set"):
            self.answered(request)
            return
        namespace, _, name = request.kids[0].rpartition(" ")
        handler = self.iqs.get((target, type, namespace, name))
        if handler is None:
            if self.knows(target, type, namespace):
                raise StanzaError("bad-request", f"no such element in {namespace}")
            raise StanzaError("service-unavailable")
        unfold(request, fairly)
        result = handler(request)
        if result is not LATER:
            self.router.reply(request.reply(result))

    def knows(self, target: str, type: str, namespace: str) -> bool:
        """Is any payload of that namespace answered there?"""
        return (target, type, namespace) in self._namespaces

    # -- IQs of our own --------------------------------------------------------------

    def ask(self, request: Element, timeout: float = PATIENCE) -> Element:
        """Sends an IQ in the name of this domain, or of an account's bare address, and waits for the answer: a result
        or an error. Blocks this greenlet; ``id`` is set here. How many ask at a time is for the callers to bound.
        Raises StanzaError (remote-server-timeout)."""
        id = request.attrs["id"] = secrets.token_hex(8)
        answer: Any = AsyncResult()
        self.asked[id] = (request.to, request.from_, answer)
        try:
            gevent.spawn(self._send, request)  # the queue of a greenlet that waits would wait, too
            xdb.release()
            reply: Element = answer.get(timeout=timeout)
            return reply
        except gevent.Timeout:
            raise StanzaError("remote-server-timeout", "no answer in time") from None
        finally:
            del self.asked[id]

    def _send(self, request: Element) -> None:
        with xdb.unit():
            self.router.deliver(request)

    def answered(self, stanza: Element) -> None:
        """Gives an IQ result or error for this domain or a bare address to the caller of `ask`."""
        asked = self.asked.get(stanza.attrs.get("id", ""))
        if asked is not None and asked[:2] == (stanza.from_, stanza.to):
            asked[2].set(stanza)
