"""XEP-0191: Blocking Command, an easy way to edit one's default privacy list (mod_privacy filters)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..arguments import AccountAddress, Address
from ..hooks import Module, command, iq, on
from ..jsm.notes import BLOCKING
from ..net.turns import fairly
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from ..xmpp.protocols import XEP
from .mod_privacy import lists_of

NS = "urn:xmpp:blocking"


class Blocking(Module):
    """Keeps a list of addresses that can neither reach a user nor be reached."""

    protocols = (XEP(191, "1.3", "Blocking Command"),)
    features = (NS,)
    needs = ("privacy",)

    def __init__(self, host: Any, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.forgiving: set[str] = set()  # users who are just unblocking everybody: that push names nobody

    @iq("get", NS, "blocklist", to="self")
    def show(self, request: Element) -> Element:
        session = self.host.sessions.find(request.from_)
        if session is not None:
            session.notes[BLOCKING] = True
        lists = lists_of(request.from_.user)
        return _listing("blocklist", lists.blocked if lists else [])

    @iq("set", NS, "block", to="self")
    def block(self, request: Element) -> None:
        user, items = request.from_.user, list(request.payload.elements())
        if not items:
            raise StanzaError("bad-request", "whom?")
        most = self.host["privacy"].max_items
        if len(items) > most:
            raise StanzaError("not-acceptable", f"at most {most} addresses can be blocked")
        jids = [_jid(item) for item in fairly(items)]
        self.host["privacy"].block(user, lambda old: [*dict.fromkeys([*old, *jids])])
        for item, jid in zip(items, jids, strict=True):
            for report in item.elements():
                self.host.hooks.tell("reported", user, jid, report)

    @iq("set", NS, "unblock", to="self")
    def unblock(self, request: Element) -> None:
        user, gone = request.from_.user, {_jid(item) for item in fairly(request.payload.elements())}
        if gone:
            self.host["privacy"].block(user, lambda old: [jid for jid in old if jid not in gone])
            return
        self.forgiving.add(user)
        try:
            self.host["privacy"].block(user, lambda old: [])
        finally:
            self.forgiving.discard(user)

    # -- by commands ------------------------------------------------------------------------------------

    @command("blocked list", access="owner")
    def blocked(self, jid: AccountAddress) -> list[str]:
        """The addresses that an account has blocked."""
        self._check(jid)
        lists = lists_of(jid.user)
        return list(lists.blocked) if lists else []

    @command("blocked add", access="owner", changes=True)
    def block_address(self, jid: AccountAddress, address: Address) -> None:
        """Block an address for an account: neither reaches the other."""
        self._check(jid)
        if str(address) == jid.user:
            raise StanzaError("not-allowed", "nobody blocks the own account")
        self.host["privacy"].block(jid.user, lambda old: [*dict.fromkeys([*old, str(address)])])

    @command("blocked remove", access="owner", changes=True)
    def unblock_address(self, jid: AccountAddress, address: Address) -> None:
        """Let an address reach an account again."""
        self._check(jid)
        self.host["privacy"].block(jid.user, lambda old: [each for each in old if each != str(address)])

    def _check(self, jid: Any) -> None:
        if not self.host.users.has_account(jid.user):
            raise StanzaError("item-not-found", "there is no such account")

    @on("blocked")
    def push_block(self, user: str, jids: list[str]) -> None:
        self._push(user, _listing("block", jids))

    @on("unblocked")
    def push_unblock(self, user: str, jids: list[str]) -> None:
        self._push(user, _listing("unblock", [] if user in self.forgiving else jids))

    def _push(self, user: str, payload: Element) -> None:
        for session in self.host.sessions.of(user):
            if session.note(BLOCKING):
                self.host.push(session, "set", payload)


def _listing(name: str, jids: list[str]) -> Element:
    """There may be many: made in turns with what others do."""
    listing = Element(name, NS, *(Element("item", NS, jid=jid) for jid in fairly(jids)))
    listing.serialise(fairly)
    return listing


def _jid(item: Element) -> str:
    if item.name != "item" or "jid" not in item.attrs:
        raise StanzaError("bad-request")
    try:
        return str(parse(item.attrs["jid"]))
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None
