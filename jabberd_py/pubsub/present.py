"""Whether subscribers are there (XEP-0060 sections 12.4 and 12.5). Those on other servers say it, if the service asks them."""

from __future__ import annotations

import gevent

from ..hooks import on
from ..net.karma import Karma
from ..net.turns import fairly
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.jid import JID
from ..xmpp.ns import CLIENT
from . import people
from .options import SHOWS, Subscription
from .owners import Owners
from .store import Node

MOST = 10_000
"""Users of other servers whose presence is known."""
CLIENTS = 20
"""Clients of one of them."""
NODES = 100
"""Nodes whose last item one presence brings."""
GREETED = 256 << 10
"""Characters of large last items that the clients of one address get because they have come: so many each minute."""
LARGE = 4096
"""Characters of a large item."""
ROOM = GREETED // 4
"""With less than that left there is no next one: an item may be so large, or three times as large."""


class Presence(Owners):
    """For a service. ``seen``: bare address -> full address -> show. ``greeted``: how much each bare address has got of
    `GREETED`."""

    seen: dict[str, dict[str, str]]
    greeted: Karma

    def shows(self, jid: str) -> list[str] | None:
        known = super().shows(jid)
        if known is not None:
            return known
        clients = self.seen.get(people.user_of(jid))
        if clients is None:
            return None
        return [show for full, show in clients.items() if jid in (full, people.user_of(full))]

    def has_subscribed(self, owner: str, node: Node, one: Subscription) -> None:
        super().has_subscribed(owner, node, one)
        self.options_changed(owner, node, one)

    def options_changed(self, owner: str, node: Node, one: Subscription) -> None:
        """Asks for the presence of a subscriber on another server, if it matters."""
        matters = (
            one.options.temporary or one.options.show_values != SHOWS or node.config.presence_based_delivery
        )
        user = people.user_of(one.jid)
        if matters and user not in self.seen and super().shows(one.jid) is None and len(self.seen) < MOST:
            wish = Element("presence", CLIENT, type="subscribe", to=user)
            wish.attrs["from"] = owner
            self.outbox.send(wish)

    @on("server", kind="presence")
    def presence(self, stanza: Element) -> bool:
        """Of those who are subscribed to something here."""
        sender, type = stanza.from_, stanza.type
        assert sender is not None
        owner, full = str(stanza.attrs["to"]), str(sender)
        if type == "subscribe":
            refusal = Element("presence", CLIENT, type="unsubscribed", to=sender.user)
            refusal.attrs["from"] = owner
            self.outbox.send(refusal)  # a service has no presence to show
        elif type in (None, "unavailable") and super().shows(full) is None:
            if type is None:
                self._here(owner, sender, stanza.text_of("show") or "online")
            else:
                self._gone(sender)
        return True

    def _here(self, owner: str, sender: JID, show: str) -> None:
        user, full = sender.user, str(sender)
        if user not in self.nodes(owner).of or (user not in self.seen and len(self.seen) >= MOST):
            return
        clients = self.seen.setdefault(user, {})
        new = full not in clients
        if not new or len(clients) < CLIENTS:
            clients[full] = show
            if new:
                self.greet(owner, sender)

    def _gone(self, sender: JID) -> None:
        user, full = sender.user, str(sender)
        clients = self.seen.get(user, {})
        clients.pop(full, None)
        if not clients:
            self.seen.pop(user, None)
        if user in people.temporary:
            people.left(full, bool(clients))

    def contact_changed(self, owner: str, user: str, jid: str) -> None:
        """What the user's roster says of that bare address is different now: so may be what they may read of the user's
        nodes."""
        nodes = self.nodes(owner)
        for name in sorted(nodes.of.get(jid, ())):
            node = nodes.get(name)
            by_roster = node is not None and node.config.access_model in ("presence", "roster")
            if node is not None and by_roster and node.affiliations.get(user) == "owner":
                self.recheck(owner, node)

    def greet(self, owner: str, client: JID) -> None:
        """A client of a subscriber has come: it gets the last items of what wants to be sent then. Does not wait for that."""
        if client.user in self.nodes(owner).of:
            gevent.spawn(self._greet, owner, client)

    def _greet(self, owner: str, client: JID) -> None:
        nodes, full, left = self.nodes(owner), str(client), NODES
        names = sorted(nodes.of.get(client.user, ()))
        with xdb.unit():
            for name in fairly(names):
                node = nodes.find(name)
                if node is None or node.config.send_last_published_item != "on_sub_and_presence":
                    continue
                wants = any(
                    one.state == "subscribed"
                    and one.options.deliver
                    and one.jid in (full, client.user)
                    and not one.over
                    for one in node.subscriptions.get(client.user, ())
                )
                if wants and node.config.deliver_notifications and self.reads(owner, node, client):
                    room = self.greeted.left(client.user)
                    if room < ROOM or not left:
                        return
                    size = self.send_last(owner, node, full)
                    if size > LARGE:
                        self.greeted.spend(client.user, min(size, room))
                    left -= 1
