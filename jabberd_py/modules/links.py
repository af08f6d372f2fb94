"""Links that can be used a fixed number of times: invitations, and links to a new password. The store has their hashes only.

A link is used in the writer's transaction that does what it is for (`take`). So of two who use the last turn at the same time
one fails, and a crash leaves either both or nothing.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from base64 import b32encode
from collections.abc import Callable
from typing import Any

from peewee import BooleanField, CharField, FloatField, IntegerField, TextField

from ..jsm.users import Account
from ..xdb import OWNER_LENGTH, Table, spoilt, xdb
from ..xmpp.errors import StanzaError

DAY = 86400.0
NOTE = 200
INVITATION, PASSWORD = "invitation", "password"
LONGEST = 64
"""Characters of a token that is looked up at all."""


class Link(Table):
    """
    owner      who made it, an account or the host; of a new password the account that gets it
    domain     the host
    key        names it in lists
    hash       SHA-256 of the token
    kind       INVITATION or PASSWORD
    uses       how often it could be used; ``left``: how often it can be used still
    registers  may it make an account? Then ``name`` is the only one that it makes; empty: any
    contact    the account that becomes a contact of who uses it; empty: none
    asks       may an account anywhere ask for that with it (XEP-0379)?
    team       the group of the roster that the new account joins; ``rooms``: JSON, the rooms that it joins
    """

    owner = CharField(max_length=OWNER_LENGTH)
    domain = CharField(max_length=255, index=True)
    key = CharField(max_length=16, unique=True)
    hash = CharField(max_length=64, unique=True)
    kind = CharField(max_length=16)
    made = FloatField()
    expires = FloatField()
    uses = IntegerField()
    left = IntegerField()
    registers = BooleanField(default=False)
    name = CharField(max_length=OWNER_LENGTH, default="")
    contact = CharField(max_length=OWNER_LENGTH, default="")
    asks = BooleanField(default=False)
    team = CharField(max_length=200, default="")
    rooms = TextField(default="[]")
    note = CharField(max_length=NOTE, default="")

    @property
    def open(self) -> bool:
        """Can it be used now?"""
        return self.left > 0 and self.expires > time.time()

    @property
    def shares(self) -> bool:
        """Does it give more than an account: a contact, a group, rooms?"""
        return bool(self.contact or self.team or self.rooms != "[]")

    @property
    def state(self) -> str:
        """For people: "open", "used", "withdrawn" or "expired"."""
        if self.left < 0:
            return "withdrawn"
        return "open" if self.open else "used" if self.left == 0 else "expired"

    def room_list(self) -> list[str]:
        try:
            return [str(each) for each in json.loads(self.rooms)]
        except (ValueError, TypeError) as error:
            spoilt("link", self.owner, error)
            return []


def make(
    owner: str,
    domain: str,
    kind: str,
    lifetime: float,
    uses: int = 1,
    *,
    check: Callable[[], None],
    **values: Any,
) -> tuple[Link, str]:
    """A new link and its token: 32 letters and digits, 160 bits of chance. ``check`` runs in the same transaction, and raises
    StanzaError where there are too many already. Blocks until it is stored. Raises StoreError."""
    token = b32encode(secrets.token_bytes(20)).decode().lower()
    now = time.time()
    row = {"owner": owner, "domain": domain, "kind": kind, "made": now, "expires": now + lifetime, "uses": uses,
           "left": uses, "key": secrets.token_hex(6), "hash": hashed(token), **values}  # fmt: skip

    def store() -> Link:
        check()
        link: Link = Link.create(**row)
        return link

    return xdb.save(store), token


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def find(domain: str, token: str, kind: str = INVITATION) -> Link | None:
    """The link of that token, if it can be used now. Blocks."""
    if not (token.isascii() and token.isalnum() and len(token) <= LONGEST):
        return None
    mine = (Link.hash == hashed(token.lower())) & (Link.domain == domain) & (Link.kind == kind)
    found: Link | None = Link.select().where(mine).first()
    return found if found is not None and found.open and not _void(found) else None


def last_expiry(domain: str) -> float:
    """When the last of the links expires with which an account could be made now; 0: there is none."""
    mine = (Link.domain == domain) & (Link.left > 0) & Link.registers
    expiries = [row.expires for row in Link.select(Link.expires).where(mine)]
    return max(expiries, default=0.0)


def holder(domain: str, name: str) -> Link | None:
    """The link for which that name of an account is reserved. Blocks."""
    mine = (Link.domain == domain) & (Link.name == name) & (Link.left > 0) & (Link.expires > time.time())
    found: Link | None = Link.select().where(mine).first()
    return found


# -- in the writer ---------------------------------------------------------------------------------------


def count_made(wanted: Any, kind: str = INVITATION) -> tuple[int, int]:
    """How many of these are open, and how many were made within a day."""
    now, mine = time.time(), Link.select().where(wanted, Link.kind == kind)
    open = mine.where(Link.left > 0, Link.expires > now).count()
    return open, mine.where(Link.made > now - DAY).count()


def take(hash: str) -> None:
    """Uses a link once. The expiry does not count: who began in time may go on (XEP-0445 section 4). Raises StanzaError if it
    is over; that undoes the transaction."""
    link = Link.get_or_none(Link.hash == hash)
    if link is None or _void(link) or not (
        Link.update(left=Link.left - 1).where(Link.hash == hash, Link.left > 0).execute()
    ):  # fmt: skip
        raise StanzaError("item-not-found", "the invitation is used up")


def _void(link: Link) -> bool:
    """Is it the invitation of an account that is disabled?"""
    maker = Account.select(Account.disabled).where(Account.owner == link.owner).first()
    return link.kind == INVITATION and maker is not None and bool(maker.disabled)


def withdraw(wanted: Any) -> int:
    """Lets nobody use these links any more. Their rows stay, since the number of links that somebody makes is bounded."""
    count: int = Link.update(left=-1).where(wanted, Link.left > 0).execute()
    return count


def sweep(domain: str) -> None:
    """Removes links that have been over for a day."""
    Link.delete().where(Link.domain == domain, Link.expires < time.time() - DAY).execute()
