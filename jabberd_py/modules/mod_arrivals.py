"""Accounts of people who were invited: they are made, and what the invitation says of contacts, groups and rooms is done."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from peewee import CharField, TextField

from .. import log
from ..commands import CommandError, outcome
from ..hooks import Module, on
from ..instance import Instance
from ..net.karma import Karma, neighbourhood
from ..xdb import OWNER_LENGTH, Table, spoilt, xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.forms import Form
from ..xmpp.ns import CLIENT
from ..xmpp.subscription import SubscriptionState
from . import links
from .links import Link
from .mod_invites import OURSELVES, ours
from .mod_register import name_of, reserved

logger = log.get(__name__)
PUBSUB, BOOKMARKS = "http://jabber.org/protocol/pubsub", "urn:xmpp:bookmarks:1"
PRIVATE = {
    "persist_items": "true",
    "max_items": "max",
    "send_last_published_item": "never",
    "access_model": "whitelist",
}
"""The node of bookmarks (XEP-0402 section 3.1)."""
TRIES, FORGIVEN = 20, 0.1
"""So many times in a row invitations may be tried from one address, and so many more a second."""


class Arrival(Table):
    """The account ``owner`` was made by an invitation, and what the invitation says is not done yet; see `Link`."""

    owner = CharField(max_length=OWNER_LENGTH, unique=True)
    contact = CharField(max_length=OWNER_LENGTH)
    team = CharField(max_length=200)
    rooms = TextField()


class Arrivals(Module):
    """Makes the accounts of people who were invited."""

    needs = ("roster", "invites")
    tables = (Arrival,)

    def __init__(self, host: Instance, settings: Any = None) -> None:
        super().__init__(host, settings)
        self.tries = Karma(FORGIVEN, TRIES)

    def find(self, token: str, address: str) -> Link | None:
        """The invitation of that token, if it can be used now. Wrong ones count. Blocks. Raises StanzaError: too many have been
        tried from that address."""
        self._check(address)
        link = links.find(self.host.domain, token)
        if link is None:
            self.tries.spend(neighbourhood(address))
        return link

    def _check(self, address: str) -> None:
        if self.tries.left(neighbourhood(address)) < 1:
            logger.warning("too many uses of invitations", address=address)
            raise StanzaError(
                "resource-constraint", "too many attempts from your address, try again later", type="wait"
            )

    def accept(self, link: Link, username: str, password: str, address: str) -> str:
        """Makes the account of who was invited; its address. Blocks. Raises ValueError, StanzaError, StoreError."""
        if not link.registers:
            raise StanzaError("not-allowed", "with this invitation you cannot make an account here")
        node = name_of(username or link.name)
        if link.name and node != link.name:
            raise StanzaError("not-acceptable", f"the invitation is for the name {link.name}")
        self.host.users.check_password(password)
        self._check(address)
        self.tries.spend(neighbourhood(address))
        user = str(self.host.users.jid(f"{node}@{self.host.domain}"))
        if not link.name:  # who made the link was asked about that name
            self.host.users.check_stranger(user, reserved(self.host))
        other = links.holder(self.host.domain, node)
        if other is not None and other.hash != link.hash:
            raise StanzaError("conflict", "that name is kept for somebody else")

        def enter(user: str) -> None:
            links.take(link.hash)
            if link.shares:
                Arrival.insert(owner=user, contact=link.contact, team=link.team, rooms=link.rooms).execute()

        self.host.users.create(user, password, enter)
        self.host["invites"].last = None
        self.host["invites"].arrived(user, link.owner)
        logger.info(
            "registered by invitation", user=user, invitation=link.key, by=link.owner, address=address
        )
        self.host.hooks.tell("registered", user, address)
        self._settle(user)
        return user

    def join(self, link: Link, user: str) -> None:
        """The owner of an account here, who is signed in, takes the invitation for it: contact, group and rooms. Blocks. Raises
        StanzaError, StoreError."""
        if not link.shares or user in (link.contact, link.owner):
            raise StanzaError("not-allowed", "this invitation gives nothing to your account")
        self._settle(user)  # what an earlier one has left undone

        def enter() -> None:
            links.take(link.hash)
            Arrival.insert(owner=user, contact=link.contact, team=link.team, rooms=link.rooms).execute()

        xdb.save(enter)
        self.host["invites"].last = None
        logger.info("joined by invitation", user=user, invitation=link.key, by=link.owner)
        self._settle(user)

    @on("restored")
    def settle(self) -> None:
        """Does what a crash has left undone."""
        mine = Arrival.owner.endswith("@" + self.host.domain)
        for row in list(Arrival.select(Arrival.owner).where(mine)):
            self._settle(row.owner)
        xdb.release()

    def _settle(self, user: str) -> None:
        """Does what the invitation says of the new account. A second time does no harm."""
        row = Arrival.select().where(Arrival.owner == user).first()
        if row is None:
            return
        if row.contact and self.host.users.has_account(row.contact):
            self.befriend(row.contact, user)
        if row.team:
            self._do(user, "groups add", group=row.team, jid=user)
        try:
            rooms = json.loads(row.rooms)
        except ValueError as error:
            spoilt("arrival", user, error)
            rooms = []
        for room in rooms:
            if not ours(self.host, str(room)):
                logger.warning("an invitation names a room of another host", user=user, room=room)
                continue
            if self._do(
                user, "rooms affiliation", room=str(room), jid=user, affiliation="member", invite=False
            ):
                self._bookmark(user, str(room))
        xdb.save(lambda: Arrival.delete().where(Arrival.owner == user).execute())

    def befriend(self, one: str, other: str) -> None:
        """Makes two accounts of this host contacts of each other, and tells their clients. Blocks."""
        for user, jid in ((one, other), (other, one)):
            old, _ = self.host["roster"].amend(user, jid, _both, _nothing)
            if not old.state.from_:
                self.host["roster"].share(user, jid, True)

    def _do(self, user: str, name: str, **args: Any) -> bool:
        """Runs a command for the new account; what fails is in the log."""
        try:
            outcome(self.host.router.commands.run(OURSELVES, name, args))
        except CommandError as error:
            logger.warning("an invitation could not be kept", user=user, command=name, reason=str(error))
            return False
        return True

    def _bookmark(self, user: str, room: str) -> None:
        """The account's clients find the room and enter it (XEP-0402). Blocks."""
        nick = Element("nick", BOOKMARKS, user.partition("@")[0])
        item = Element("item", PUBSUB, Element("conference", BOOKMARKS, nick, autojoin="true"), id=room)
        options = Form("submit", form_type=f"{PUBSUB}#publish-options")
        for name, value in PRIVATE.items():
            options.field(f"pubsub#{name}", value=value)
        publish = Element("publish", PUBSUB, item, node=BOOKMARKS)
        payload = Element("pubsub", PUBSUB, publish, Element("publish-options", PUBSUB, options.element()))
        try:
            answer = self.host.ask(Element("iq", CLIENT, payload, type="set", from_=user, to=user))
            if answer.type == "error":
                logger.warning("a room is no bookmark", user=user, room=room)
        except StanzaError as error:
            logger.warning("a room is no bookmark", user=user, room=room, reason=str(error))


def _both(item: Any) -> Any:
    return replace(item, listed=True, state=SubscriptionState("both"))


def _nothing() -> None:
    pass
