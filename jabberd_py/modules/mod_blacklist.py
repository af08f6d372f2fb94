"""Blacklist and whitelist of a domain (XEP-0133 sections 4.11 and 4.12): with whom it has no dealings, and with whom only."""

from __future__ import annotations

from typing import Any

from ..arguments import Address, Lines, address
from ..hooks import Module, command, on
from ..jsm.session import Session
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID

STORED = {"black": "jabberd_py:blacklist", "white": "jabberd_py:whitelist"}
MOST = 10_000
"""Addresses of one list."""


class Blacklist(Module):
    """Bans addresses and servers: stops all stanzas from and to those on the blacklist that administrators make; if there is
    a whitelist, also of those elsewhere who are not on it. Administrators are never locked out."""

    anywhere = True

    @on("start")
    def start(self) -> None:
        self.lists = {
            name: frozenset((xdb.get(self.host.domain, key) or "").split("\n")) - {""}
            for name, key in STORED.items()
        }
        self._hook()

    def _hook(self) -> None:
        """Listens while there is a list: else a message costs nothing."""
        wanted = any(self.lists.values())
        for event, handler in (("deliver", self.arrives), ("filter_out", self.leaves)):
            chain = self.host.hooks.chains[event]
            if wanted:
                chain.add_first(handler)
            else:
                chain.remove(handler)

    def arrives(self, stanza: Element) -> None:
        """Event `deliver`."""
        sender = stanza.from_
        if sender is not None and self._stops(sender):
            raise StanzaError("forbidden", "this server does not deal with you")

    def leaves(self, session: Session, stanza: Element) -> None:
        """Event `filter_out`."""
        to = stanza.to
        if to is not None and self._stops(to) and not self.host.is_admin(session.jid):
            raise StanzaError("forbidden", "this server does not deal with that address")

    def _stops(self, jid: JID) -> bool:
        forms = {str(jid), jid.user, jid.domain}
        if jid.resource is not None:
            forms.add(f"{jid.domain}/{jid.resource}")
        black, white = self.lists["black"], self.lists["white"]
        if forms.isdisjoint(black) and (not white or not forms.isdisjoint(white)):
            return False
        own = jid.domain in self.host.router.instances
        if own and (jid.node is None or forms.isdisjoint(black)):
            return False
        return not self.host.is_admin(jid)

    # -- commands ----------------------------------------------------------------------------------

    @command("blacklist show")
    def show_black(self) -> dict[str, list[str]]:
        """The addresses and domains that a host or a service has no dealings with."""
        return {"jids": sorted(self.lists["black"])}

    @command("blacklist set", changes=True)
    def set_black(self, jids: Lines) -> None:
        """Set the addresses and domains that a host or a service has no dealings with, one a line; empty: none."""
        self._set("black", jids)

    @command("blacklist add", changes=True)
    def add_black(self, address: Address) -> dict[str, list[str]]:
        """Have no dealings any more with an address or a whole domain (that domain alone, not those below it)."""
        return self._change({str(address)}, set())

    @command("blacklist remove", changes=True)
    def remove_black(self, address: Address) -> dict[str, list[str]]:
        """Have dealings again with an address or a domain that is on the blacklist."""
        return self._change(set(), {str(address)})

    def _change(self, more: set[str], less: set[str]) -> dict[str, list[str]]:
        self._set("black", "\n".join((self.lists["black"] | more) - less))
        return self.show_black()

    @command("whitelist show")
    def show_white(self) -> dict[str, list[str]]:
        """The addresses and domains of other servers that a host or a service has dealings with; none: with all."""
        return {"jids": sorted(self.lists["white"])}

    @command("whitelist set", changes=True)
    def set_white(self, jids: Lines) -> None:
        """Set the addresses and domains of other servers that a host or a service has dealings with, one a line. All others are
        shut out then; empty: all are let in."""
        self._set("white", jids)

    def _set(self, name: str, text: str) -> None:
        jids = listed(text)
        xdb.set(self.host.domain, STORED[name], "\n".join(jids) or None)
        self.lists[name] = frozenset(jids)
        self._hook()


def listed(text: str) -> list[str]:
    """The addresses that stand in a text, one a line, each once. Raises ValueError."""
    jids: dict[Any, None] = dict.fromkeys(
        str(address(line.strip())) for line in text.split("\n") if line.strip()
    )
    if len(jids) > MOST:
        raise ValueError(f"jids: at most {MOST}")
    return sorted(jids)
