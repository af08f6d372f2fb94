"""Small pages of the server itself: its health, how clients find WebSocket and BOSH (XEP-0156, XEP-0487), whom to tell of a
hole (RFC 9116)."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from ..instance import Instance
from ..pages import Answer, Page, Refusal, Request
from ..router import Router
from ..xdb import xdb
from ..xmpp.protocols import RFC, XEP

if TYPE_CHECKING:
    from .listener import Web

PROTOCOLS = (
    XEP(156, "1.4.0", "Discovering Alternative XMPP Connection Methods"),
    XEP(
        487,
        "0.1.0",
        "Host Meta 2",
        missing="addresses (`ips`), pins, QUIC and servers' streams: DNS tells those",
    ),
    RFC(9116, "security.txt"),
)

WEBSOCKET, BOSH = "/xmpp-websocket", "/http-bind"
KINDS = {
    "urn:xmpp:alt-connections:websocket": WEBSOCKET,
    "urn:xmpp:alt-connections:xbosh": BOSH,
}
DAYS = 90
"""How long security.txt says that it is true."""


class WellKnown:
    """The pages; ``web`` knows where the server is reached."""

    def __init__(self, web: Web, router: Router) -> None:
        self.web, self.router = web, router
        add = web.routes.add
        add(Page("/health"), self.health, quiet=True)
        add(Page("/.well-known/host-meta", cors=True), self.host_meta)
        add(Page("/.well-known/host-meta.json", cors=True), self.host_meta_json)
        add(Page("/.well-known/security.txt"), self.security)

    def health(self, request: Request) -> Answer:
        """200 while the server serves, and its store can read and write."""
        store = xdb.store
        trouble = store is None or store.trouble is not None
        return Answer(503 if trouble else 200, b"trouble\n" if trouble else b"ok\n", {
            "Content-Type": "text/plain", "Cache-Control": "no-store",
        })  # fmt: skip

    def _host(self, request: Request) -> Instance:
        """Of whom the request wants to know. Raises Refusal."""
        named = self.router.instances.get(request.host)
        if named is not None:
            return named
        hosts = [each for each in self.router.instances.values() if not hasattr(each, "host")]
        if len(hosts) == 1:  # behind a proxy with a name of its own
            return hosts[0]
        raise Refusal(404)

    def _links(self, request: Request) -> list[dict[str, Any]]:
        base = self.web.base(self._host(request).domain)
        return [
            {"rel": kind, "href": ("ws" + base.removeprefix("http") if path == WEBSOCKET else base) + path}
            for kind, path in KINDS.items()
            if path in self.web.routes.own
        ]

    def host_meta(self, request: Request) -> Answer:
        """XEP-0156 section 2.2."""
        links = "".join(
            f"<Link rel={quoteattr(each['rel'])} href={quoteattr(each['href'])}/>"
            for each in self._links(request)
        )
        text = f"<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>{links}</XRD>"
        return Answer(body=text.encode(), headers={"Content-Type": "application/xrd+xml; charset=utf-8"})

    def host_meta_json(self, request: Request) -> Answer:
        """XEP-0156 section 2.3."""
        text = json.dumps({"links": self._links(request)})
        return Answer(body=text.encode(), headers={"Content-Type": "application/json"})

    def security(self, request: Request) -> Answer:
        """RFC 9116."""
        contacts = self.web.options.security_contact
        if not contacts:
            raise Refusal(404)
        end = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() + DAYS * 86400))
        lines = [*(f"Contact: {each}" for each in contacts), f"Expires: {end}"]
        return Answer(body="".join(f"{line}\r\n" for line in lines).encode(), headers={
            "Content-Type": "text/plain; charset=utf-8",
        })  # fmt: skip
