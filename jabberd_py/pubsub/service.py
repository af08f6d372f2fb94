"""XEP-0060: Publish-Subscribe, as a service on a domain of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..hooks import Option, iq, on
from ..net.turns import fairly
from ..service import Service
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from ..xmpp.ns import DISCO_INFO, DISCO_ITEMS
from . import discovery, publishing
from .config import Config
from .names import FILTER, NS, OWNER
from .notify import Outbox, Reader
from .readers import readers
from .requests import Requests
from .store import Node
from .tables import TABLES


class PubSub(Requests, Service):
    """Nodes that anybody can subscribe to, and the host's users make."""

    name = "pubsub"
    category, type, title = "pubsub", "service", "Publish-Subscribe"
    prefix = Option(
        str, "pubsub", "its address is this label before the host's, unless 'address' says otherwise"
    )
    create = Option(str, "users", "who may make nodes", choices=["users", "admins", "anyone"])
    max_nodes = Option(int, 10_000, "nodes of the service", min=1)
    max_nodes_each = Option(int, 1000, "nodes that one address has made", min=1)
    max_subscriptions = Option(int, 10_000, "addresses that are subscribed to one node", min=1)

    defaults = Config(publish_node_full="retract-oldest", send_last_published_item="on_sub")
    access_models = ("open", "whitelist")
    tables = TABLES
    features = (*discovery.features(discovery.BOTH, access_models), FILTER)

    def __init__(
        self, router: Any, host: Any, domain: str, settings: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(router, host, domain, settings)
        self.outbox = Outbox(self.router)

    @on("start")
    def begin(self) -> None:
        publishing.begin()

    @iq("get", NS, "pubsub")
    @iq("set", NS, "pubsub")
    @iq("get", OWNER, "pubsub")
    @iq("set", OWNER, "pubsub")
    def ask_service(self, request: Element) -> Any:
        return self.respond(self.domain, request)

    @on("server", kind="message")
    def returned(self, stanza: Element) -> bool | None:
        """An event that came back, and other messages: nobody reads them."""
        if stanza.type == "error":
            return True
        return None

    def rules(self, owner: str, jid: JID) -> bool:
        return False

    def may_create(self, owner: str, jid: JID) -> bool:
        if self.create == "users" and jid.node is not None and jid.domain == self.host.domain:
            return True
        return self.create == "anyone" or self.is_admin(jid)

    def limits(self) -> tuple[int, int]:
        return self.max_nodes, self.max_nodes_each

    def sees(self, owner: str, node: Node, user: str) -> bool:
        return False

    def in_groups(self, owner: str, node: Node, user: str) -> bool:
        return False

    def missing(self, owner: str, jid: JID) -> StanzaError:
        return StanzaError("item-not-found")

    def audience(self, owner: str, node: Node, about: str) -> Iterator[Reader]:
        return readers(self, owner, node, about)

    # -- discovery --------------------------------------------------------------------------------

    def disco_page(self, request: Element) -> Element | None:
        """The nodes that the asker may see, in the order in which they were made."""
        asker: Any = request.from_
        wanted = discovery.wanted(request.payload)
        nodes = list(self.nodes(self.domain).values())
        rows = [
            discovery.node_item(self.domain, node)
            for node in fairly(nodes)
            if wanted(node) and self.reads(self.domain, node, asker)
        ]
        query = Element("query", DISCO_ITEMS, *rows)
        query.serialise(fairly)
        return query

    def disco_node(self, request: Element, name: str) -> Element | None:
        node, asker = self.nodes(self.domain).get(name), request.from_
        if node is None or asker is None or not self.reads(self.domain, node, asker):
            return None
        if request.payload.ns == DISCO_INFO:
            return discovery.node_info(self, self.domain, node)
        return discovery.node_items(self, self.domain, node)
