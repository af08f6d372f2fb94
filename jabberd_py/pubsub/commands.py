"""What an administrator can say about nodes: `jabberctl nodes ...` of services, `jabberctl pep ...` of accounts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..arguments import AccountAddress
from ..hooks import command
from ..net.turns import fairly
from ..options import nearest
from ..xmpp.errors import StanzaError
from ..xmpp.stamp import utc
from . import counting
from .owners import Owners
from .store import Node


class Inspection(Owners):
    """What the commands of both faces do."""

    def listed(self, owner: str, text: str = "", after: str = "", limit: int = 0) -> list[dict[str, Any]]:
        items, wanted = counting.counts(owner), text.casefold()
        found = [
            node
            for name, node in fairly(list(self.nodes(owner).items()))
            if name > after and (wanted in name.casefold() or wanted in (node.config.title or "").casefold())
        ]
        found.sort(key=lambda each: each.name)
        return [
            {
                "node": node.name,
                "title": node.config.title,
                "type": node.config.node_type,
                "access": node.config.access_model,
                "items": items.get(node.name, 0),
                "subscribers": len(node.subscriptions),
            }
            for node in fairly(found[:limit] if limit else found)
        ]

    def described(self, owner: str, name: str) -> dict[str, Any]:
        node = self.known_node(owner, name)
        hidden = self.hidden(node.config)
        settings = asdict(self.shown(owner, node))
        return {
            "node": node.name,
            "owner": owner,
            "created": utc(node.created),
            "creator": node.creator or owner,
            "items": counting.counts(owner).get(name, 0),
            "settings": {key: value for key, value in settings.items() if key not in hidden},
            "affiliations": dict(node.affiliations),
            "subscriptions": [
                {"jid": each.jid, "state": each.state, "subid": each.subid}
                for mine in list(node.subscriptions.values())
                for each in mine
            ],
        }

    def known_node(self, owner: str, name: str) -> Node:
        """Raises StanzaError."""
        nodes = self.nodes(owner)
        if name not in nodes:
            raise StanzaError("item-not-found", f"there is no such node{nearest(name, nodes)}")
        return nodes[name]


class ServiceCommands(Inspection):
    """Of a service; ``--host`` is its domain, if there are several."""

    domain: str

    @command("nodes list")
    def list_nodes(self, text: str = "", after: str = "", limit: int = 0) -> list[dict[str, Any]]:
        """All nodes of the pubsub services, by name; with a text, those that have it in the name or the title. `after`: the
        last one that you have seen; `limit`: so many at most."""
        return self.listed(self.domain, text, after, limit)

    @command("nodes show")
    def show_node(self, node: str) -> dict[str, Any]:
        """One node: its settings, affiliations and subscriptions."""
        return self.described(self.domain, node)

    @command("nodes purge", changes=True)
    def purge_items(self, node: str) -> None:
        """Remove all items of a node."""
        self.purged(self.domain, self.known_node(self.domain, node))

    @command("nodes delete", changes=True)
    def remove_node(self, node: str) -> None:
        """Remove a node with all that it keeps; its subscribers are told."""
        self.deleted(self.domain, self.known_node(self.domain, node))


class AccountCommands(Inspection):
    """Of accounts."""

    @command("pep list", access="owner")
    def list_own(self, jid: AccountAddress) -> list[dict[str, Any]]:
        """All nodes of an account: avatar, bookmarks, encryption keys..."""
        return self.listed(self._account(jid))

    @command("pep show", access="owner")
    def show_own(self, jid: AccountAddress, node: str) -> dict[str, Any]:
        """One node of an account: its settings, affiliations and subscriptions."""
        return self.described(self._account(jid), node)

    @command("pep purge", access="owner", changes=True)
    def purge_own(self, jid: AccountAddress, node: str) -> None:
        """Remove all items of an account's node."""
        user = self._account(jid)
        self.purged(user, self.known_node(user, node))

    @command("pep delete", access="owner", changes=True)
    def remove_own(self, jid: AccountAddress, node: str) -> None:
        """Remove a node of an account with all that it keeps."""
        user = self._account(jid)
        self.deleted(user, self.known_node(user, node))

    def _account(self, jid: Any) -> str:
        user = str(jid.user)
        if not self.host.users.exists(user):
            raise StanzaError("item-not-found", "there is no such account")
        return user
