"""XEP-0060: Publish-Subscribe, as a service on a domain of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..hooks import Option, iq, on, size
from ..net.karma import Karma
from ..net.turns import fairly
from ..service import Service
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.ns import DISCO_INFO, STANZAS
from . import discovery, people, publishing
from .approval import Approval
from .bounces import Bounces
from .commands import ServiceCommands
from .config import ACCESS_MODELS, Config
from .expiry import Expiry
from .names import FILTER, GET_PENDING, NS, OWNER
from .notify import Outbox, Readers
from .present import GREETED, Presence
from .readers import readers
from .store import Node, nodes_of
from .tables import TABLES

GONE = ("item-not-found", "gone")
AWAY = ("remote-server-not-found", "remote-server-timeout")


class PubSub(ServiceCommands, Presence, Approval, Expiry, Service):
    """Nodes that anybody can subscribe to, and the host's users make."""

    name = "pubsub"
    category, type, title = "pubsub", "service", "Publish-Subscribe"
    prefix = Option(
        str, "pubsub", "label before the host's name that makes its address, unless 'address' says otherwise"
    )
    create = Option(str, "users", "who may make nodes", choices=["users", "admins", "anyone"])
    max_nodes = Option(int, 10_000, "nodes of the service", min=1)
    max_nodes_each = Option(int, 1000, "nodes that one address has made", min=1)
    max_bytes = Option(size, "1 GiB", "payloads of all items of the service")
    max_bytes_each = Option(size, "64 MiB", "payloads of all items in nodes that one address has made")
    max_people = Option(
        int,
        200_000,
        "subscriptions to all nodes of the service, and affiliations; a long address counts more",
        min=1,
    )
    max_people_each = Option(
        int, 20_000, "subscriptions and affiliations to the nodes that one address has made", min=1
    )
    max_subscriptions = Option(int, 10_000, "addresses that are subscribed to one node", min=1)

    defaults = Config(publish_node_full="retract-oldest", send_last_published_item="on_sub_and_presence")
    access_models = ACCESS_MODELS
    tables = TABLES
    features = (*discovery.features(discovery.SERVICE, access_models), FILTER)

    def __init__(
        self, router: Any, host: Any, domain: str, settings: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(router, host, domain, settings)
        self.outbox = Outbox(self.router)
        self.seen, self.bounces = {}, Bounces()
        self.greeted = Karma(GREETED / 60, GREETED)
        self.dialogues[GET_PENDING] = self.pending

    @on("start")
    def begin(self) -> None:
        """The nodes of a service stay in memory: everybody asks for them."""
        publishing.begin()
        nodes_of.pin(self.domain)

    @iq("get", NS, "pubsub")
    @iq("set", NS, "pubsub")
    @iq("get", OWNER, "pubsub")
    @iq("set", OWNER, "pubsub")
    def ask_service(self, request: Element) -> Any:
        return self.respond(self.domain, request)

    @on("server", kind="message")
    def hear(self, stanza: Element) -> bool | None:
        """Owners answer who may subscribe; notifications come back."""
        sender: Any = stanza.from_
        if stanza.type == "error":
            self.returned(sender, stanza)
            return True
        x = stanza.child("x", forms.NS) if stanza.has("x", forms.NS) else None
        return True if x is not None and self.decided(self.domain, sender, x) else None

    def returned(self, sender: JID, stanza: Element) -> None:
        """Section 12.3: whoever is gone for good, or cannot be reached for very long, is subscribed no longer."""
        error = stanza.child("error")
        if error is None:
            return
        if not any(error.child(name, STANZAS) for name in GONE) and not (
            any(error.child(name, STANZAS) for name in AWAY) and self.bounces.add(str(sender))
        ):
            return
        nodes, jid = self.nodes(self.domain), str(sender)
        for name in fairly(sorted(nodes.of.get(sender.user, ()))):
            node = nodes.find(name)
            mine = () if node is None else node.subscriptions.get(sender.user, ())
            gone = [each for each in mine if each.jid == jid]
            if gone:
                people.unsubscribe(self.domain, name, gone)

    # -- whom it knows ------------------------------------------------------------------------------

    def has(self, owner: str) -> bool:
        return owner == self.domain

    def rules(self, owner: str, jid: JID) -> bool:
        return False

    def may_create(self, owner: str, jid: JID) -> bool:
        if self._guest(jid):
            return False
        if self.create == "users" and jid.node is not None and jid.domain == self.host.domain:
            return True
        return self.create == "anyone" or self.is_admin(jid)

    def _guest(self, jid: JID) -> bool:
        """Nobody owns what a guest has made once he is gone."""
        host: Any = self.router.instances.get(jid.domain)
        return jid.node is not None and bool(getattr(getattr(host, "options", None), "anonymous", False))

    def limits(self) -> tuple[int, int]:
        return self.max_nodes, self.max_nodes_each

    def room(self) -> tuple[int, int]:
        return self.max_bytes, self.max_bytes_each

    def crowd(self) -> tuple[int, int]:
        return self.max_people, self.max_people_each

    def sees(self, owner: str, node: Node, user: str) -> bool:
        """That is known of owners who have an account here."""
        return any(roster.state(jid, user).from_ for jid, roster in self._rosters(node, user))

    def in_groups(self, owner: str, node: Node, user: str) -> bool:
        groups = set(node.config.roster_groups_allowed)
        for jid, roster in self._rosters(node, user):
            item = roster.item(jid, user)
            if item is not None and roster.state(jid, user).from_ and not groups.isdisjoint(item.groups):
                return True
        return False

    def _rosters(self, node: Node, user: str) -> Iterator[tuple[str, Any]]:
        """Of the owners who have not blocked that bare address."""
        for jid in node.owners[: people.OWNERS]:
            host: Any = self.router.instances.get(parse(jid).domain)
            if host is None or "roster" not in host.modules or not host.users.exists(jid):
                continue
            if "pep" not in host.modules or not host["pep"].hides(jid, user):
                yield jid, host["roster"]

    def missing(self, owner: str, jid: JID) -> StanzaError:
        return StanzaError("item-not-found")

    def audience(self, owner: str, node: Node, about: str) -> Iterator[Readers]:
        return readers(self, owner, node, about)

    # -- discovery --------------------------------------------------------------------------------

    def disco_page(self, request: Element) -> Element | None:
        """The nodes that the asker may see, in the order in which they were made."""
        wanted, root = discovery.wanted(request.payload), self.nodes(self.domain).root
        return discovery.nodes_in(self, self.domain, root, request, wanted)

    def disco_node(self, request: Element, name: str) -> Element | None:
        node, asker = self.nodes(self.domain).get(name), request.from_
        if node is None or asker is None:
            return None
        reads = self.reads(self.domain, node, asker)
        if request.payload.ns == DISCO_INFO:
            return discovery.node_info(self, self.domain, node) if reads else discovery.closed_info(node)
        return discovery.node_items(self, self.domain, node, request) if reads else None
