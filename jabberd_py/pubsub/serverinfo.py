"""XEP-0485: PubSub Server Information. The host tells on a node with which other servers it has streams.

Who announces this feature agrees to be named by others. All others are only counted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import gevent
from gevent.pool import Pool

from .. import log
from ..hooks import Module, every, on
from ..xdb import StoreError, xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.ns import CLIENT, DISCO_INFO
from ..xmpp.protocols import XEP
from .config import Config
from .service import PubSub
from .store import Item

logger = log.get(__name__)
NS = "urn:xmpp:serverinfo:0"
NODE, ITEM, FIELD = "serverinfo", "current", "serverinfo-pubsub-node"
CONFIG = Config(
    access_model="open", max_items=1, title="Server information", send_last_published_item="on_sub"
)
ASKED = 10
"""This many servers are asked at a time whether they may be named."""
PATIENCE = 20.0
KNOWN = 3600.0
"""Seconds for which an answer holds."""


class ServerInfo(Module):
    """Publishes which software this is, and with which servers it has streams, on node 'serverinfo' of the host's pubsub
    service. Only servers that publish the same are named. To switch it on is to agree that others name this server."""

    name = "serverinfo"
    default = False
    protocols = (XEP(485, "1.0.0", "PubSub Server Information"),)
    needs = ("disco", "contact")

    def __init__(self, host: Any, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.said = ""
        self.agreed: dict[str, tuple[float, bool]] = {}  # domain -> (when it was asked, may it be named?)

    @property
    def service(self) -> PubSub | None:
        found = (each for each in self.host.router.instances.values() if isinstance(each, PubSub))
        return next((each for each in found if each.host is self.host), None)

    @on("restored", "reload")
    def begin(self) -> None:
        gevent.spawn(self._begin)  # behind the start of the service

    def _begin(self) -> None:
        with xdb.unit():
            self.publish()
            if self.service is None:
                logger.warning("server information needs the pubsub service", host=self.host.domain)

    @every(300)
    def publish(self) -> None:
        """Publishes what has changed. Blocks while other servers are asked."""
        service = self.service
        if service is None:
            return
        owner, jid, more = service.domain, self.host.jid, self.host["contact"].more
        try:
            node = service.nodes(owner).get(NODE)
            if node is None:
                node, self.said = service.make(owner, jid, NODE, CONFIG), ""
            if service.affiliation(owner, node, jid) != "owner":
                self.features = ()
                more.pop(FIELD, None)
                logger.warning(
                    "the node of the server information is somebody else's", service=owner, node=NODE
                )
                return
            self.features = (NS,)
            more[FIELD] = f"xmpp:{quote(service.domain)}?;node={NODE}"
            text = str(self.describe())
            if text == self.said:
                return
            service.put(owner, node, [Item(ITEM, str(jid), time.time(), text)])
        except (StanzaError, StoreError) as error:
            logger.warning("the server information cannot be published", service=owner, reason=str(error))
            return
        self.said = text

    def describe(self) -> Element:
        """<serverinfo/>. Blocks while other servers are asked."""
        links: dict[str, list[str]] = self.host.router.uplink.links(self.host.domain)
        self._ask(links)
        named, counted = list[Element](), list[Element]()
        for remote, directions in sorted(links.items()):
            streams = [Element("connection", NS, type=each) for each in sorted(directions)]
            agreed = self.agreed.get(remote, (0.0, False))[1]
            (named if agreed else counted).append(
                Element("remote-domain", NS, *streams, name=remote if agreed else None)
            )
        counted.sort(key=str)  # the order of names would tell something about them
        federation = Element("federation", NS, *named, *counted) if links else None
        version = self.host.modules.get("version")
        return Element(
            "serverinfo", NS,
            Element("domain", NS, federation, name=self.host.domain),
            None if version is None else version.describe(),
        )  # fmt: skip

    # -- who may be named ---------------------------------------------------------------------------

    def _ask(self, links: Mapping[str, Any]) -> None:
        for gone in self.agreed.keys() - links.keys():
            del self.agreed[gone]
        old = time.monotonic() - KNOWN
        pool = Pool(ASKED)
        for remote in links:
            if self.agreed.get(remote, (old, False))[0] <= old:
                pool.spawn(self._agrees, remote)
        xdb.release()
        pool.join()

    def _agrees(self, remote: str) -> None:
        request = Element(
            "iq", CLIENT, Element("query", DISCO_INFO), type="get", from_=self.host.domain, to=remote
        )
        agreed = False
        with xdb.unit():
            try:
                query = self.host.ask(request, PATIENCE).child("query", DISCO_INFO)
            except StanzaError:
                query = None
            if query is not None:
                agreed = any(each.attrs.get("var") == NS for each in query.all("feature", DISCO_INFO))
        self.agreed[remote] = time.monotonic(), agreed
