"""The router gives each stanza to the Instance of its domain, else to the uplink, and turns failures into error replies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet

from . import log
from .commands import Registry
from .instance import Instance
from .net.turns import Pace, share
from .xdb import StoreError
from .xmpp.element import Element
from .xmpp.errors import StanzaError, error_reply
from .xmpp.jid import JID, parse

if TYPE_CHECKING:
    from .fanout import Copies

logger = log.get(__name__)


class NoUplink(Instance):
    """The Instance for all domains that are not ours, where there is no federation: nobody is there."""

    def deliver(self, stanza: Element, to: JID) -> None:
        raise StanzaError("remote-server-not-found", "this server does not talk to other servers")


class Router:
    """Never recurses: what a handler sends while its greenlet delivers a stanza goes to the end of that greenlet's queue.
    The outermost call works the queue off, in order.

    instances  domain -> the Instance that answers for it
    uplink     the Instance for all other domains
    queues     greenlet that delivers a stanza -> its queue of (stanza, is it an answer?)
    commands   the commands of all instances
    certificates  those of all domains (net/tls.py)
    setup      the set-up in the browser (ctl/setup.py)
    base       what the addresses on the web of that host's pages begin with
    """

    def __init__(self) -> None:
        self.instances: dict[str, Instance] = {}
        self.uplink: Instance = NoUplink(self, "")
        self.queues: dict[greenlet, list[tuple[Element, bool]]] = {}
        self.commands = Registry(self)
        self.base: Callable[[str], str] = _no_web
        self.certificates: Any = None
        self.setup: Any = None

    @property
    def everybody(self) -> list[Instance]:
        """All instances, the uplink last."""
        return [*self.instances.values(), self.uplink]

    def add(self, instance: Instance) -> None:
        """Raises ValueError where the domain is taken."""
        if instance.domain in self.instances:
            raise ValueError(f"two instances answer for {instance.domain}")
        self.instances[instance.domain] = instance

    def remove(self, domain: str) -> None:
        self.instances.pop(domain, None)

    def is_admin(self, jid: JID) -> bool:
        """May that address administer the whole server? It may if it administers every host."""
        hosts = [each.admins for each in self.instances.values() if each.admins is not None]
        return bool(hosts) and all(jid.user in admins for admins in hosts)

    def administered(self, jid: JID) -> set[str]:
        """The hosts that the address administers."""
        return {
            domain
            for domain, each in self.instances.items()
            if each.admins is not None and jid.user in each.admins
        }

    def deliver(self, stanza: Element, answer: bool = False) -> None:
        """Delivers a stanza with valid ``from`` and ``to``. Never raises: the sender gets an error. Returns when the stanza
        and all that it has caused is done; called from a handler, it only queues and returns at once. Blocks if a handler
        does. ``answer``: see `reply`."""
        me = getcurrent()
        if me in self.queues:
            self.queues[me].append((stanza, answer))
            return
        queue = self.queues[me] = [(stanza, answer)]
        began = 0.0
        try:
            # one loop, no calls: every message comes through here
            for stanza, answer in queue:  # it grows meanwhile
                try:
                    to = stanza.to
                    if to is None:
                        continue  # an answer to nobody
                    instance = self.instances.get(to.domain, self.uplink)
                    if answer:
                        instance.deliver_reply(stanza, to)
                    else:
                        instance.deliver(stanza, to)
                except StanzaError as error:
                    if not answer:
                        self.bounce(stanza, error)
                except Exception as error:
                    if answer:
                        logger.exception("an answer failed", to=stanza.attrs.get("to"))
                    else:
                        self.bounce(stanza, unexpected(error))
                if len(queue) > 1:
                    began = share(began)
        finally:
            del self.queues[me]

    def deliver_presence(self, copies: Copies, to: str) -> None:
        """Delivers the next copy of an account's presence to that contact. Does what `deliver` does, with fewer steps for
        contacts at our own hosts."""
        me = getcurrent()
        try:
            jid = parse(to)
        except ValueError:
            jid = None
        if jid is None or me in self.queues:
            self.deliver(copies.element(to))
            return
        queue: list[tuple[Element, bool]] = []
        self.queues[me] = queue
        try:
            self.instances.get(jid.domain, self.uplink).deliver_presence(copies, jid)
        finally:
            del self.queues[me]
        for stanza, answer in queue:
            self.deliver(stanza, answer)

    def has_session(self, jid: JID) -> bool | None:
        """Has that full address a session? None: this process does not know, as of users of other servers. Does not block."""
        return self.instances.get(jid.domain, self.uplink).has_session(jid)

    def presence_of(self, jid: JID) -> list[str] | None:
        """The presence of each available session of that bare or full address: "online", or <show/>. None: this process does
        not know. Does not block."""
        return self.instances.get(jid.domain, self.uplink).presence_of(jid)

    def pace(self, jid: JID) -> Pace:
        """How to go through many items and send each to that full address: a session here is sent no more than it takes, all
        others get theirs in turns with all other work. What is returned takes an iterable and yields its items; it blocks."""
        return self.instances.get(jid.domain, self.uplink).pace(jid)

    def bounce(self, stanza: Element, error: StanzaError) -> None:
        """Sends the error reply, if the stanza is of a kind that gets one."""
        answer = error_reply(stanza, error)
        if answer is not None and answer.to is not None:
            self.reply(answer)

    def reply(self, stanza: Element) -> None:
        """Like `deliver`, for an answer that this server has made itself. Never raises; nobody gets an error for it."""
        self.deliver(stanza, True)


def unexpected(error: Exception) -> StanzaError:
    """The stanza error for an unexpected exception. It tells no details; they are logged."""
    if isinstance(error, StoreError):
        logger.debug("the store failed", error=str(error))  # it says so itself, once
        return StanzaError("resource-constraint", "the server cannot store this now", type="wait")
    logger.exception("a stanza made a handler fail", exc_info=error)
    return StanzaError("internal-server-error")


def _no_web(host: str) -> str:
    raise StanzaError("service-unavailable", "there is no web server here")
