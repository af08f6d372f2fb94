"""Tokens, by which programs use the API in the name of an account. The store has their hashes only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import Any

from peewee import CharField, FloatField

from ..arguments import AccountAddress, Duration
from ..commands import Bound, Caller
from ..hooks import Module, command, every
from ..jsm.users import Account
from ..xdb import OWNER_LENGTH, Table, xdb
from ..xmpp.errors import StanzaError
from ..xmpp.stamp import utc

BEGIN = "jabberd"
EACH = 50
"""Tokens of one account."""
DAY = 86400.0
LATEST = 3650 * DAY
NOTE = 200


class Token(Table):
    """A token of ``owner``. The program has ``key`` and a secret; ``hash`` is of the secret."""

    owner = CharField(max_length=OWNER_LENGTH)
    key = CharField(max_length=16, unique=True)
    hash = CharField(max_length=64)
    scopes = CharField(max_length=500)
    note = CharField(max_length=NOTE)
    made = FloatField()
    expires = FloatField()


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def find(text: str) -> Token | None:
    """The token that a program shows; None if there is none, or if its time is over. Blocks."""
    begin, _, rest = text.partition("_")
    key, _, secret = rest.partition("_")
    if begin != BEGIN or not (len(key) == 16 and key.isascii() and key.isalnum()) or not secret.isascii():
        return None
    row: Token | None = Token.get_or_none(Token.key == key)
    right = hmac.compare_digest(hashed(secret), row.hash if row is not None else hashed(""))
    return row if row is not None and right and row.expires > time.time() else None


def allows(scopes: str, bound: Bound) -> bool:
    """Do the scopes of a token cover that command? One that makes or shows tokens needs the scope ``*``. So does one that gives
    rights, unless that is about one account: see `Api._beyond`."""
    if whole(scopes):
        return True
    name, changes = bound.command.name, bound.command.changes
    group = name.split()[0]
    if group == "tokens" or (bound.command.rights and bound.account is None):
        return False
    for each in scopes.split():
        wanted, _, only = each.partition(":")
        if wanted in ("*", group) and not (only and changes):
            return True
    return False


def whole(scopes: str) -> bool:
    """May the token do everything that its account may?"""
    return "*" in scopes.split()


class Tokens(Module):
    """Makes and removes tokens for the API."""

    tables = (Token,)

    @command("tokens add", access="owner", changes=True, needs="store", secret=True, rights=True)
    def add(
        self,
        jid: AccountAddress,
        caller: Caller,
        scopes: str = "*:read",
        expires: Duration = 90 * DAY,
        note: str = "",
    ) -> dict[str, Any]:
        """Make a token for the API, which acts in the name of an account. Scopes, separated by spaces: * is everything that the
        account may do, *:read what changes nothing, accounts (or rooms...) these commands, accounts:read those of them that
        change nothing. The token is shown once."""
        wanted = self._scopes(scopes)
        if not self.host.users.exists(jid.user):
            raise StanzaError("item-not-found", "there is no such account")
        if not 0 < expires <= LATEST:
            raise ValueError("expires: must be within ten years")
        if len(note) > NOTE:
            raise ValueError(f"note: at most {NOTE} characters")
        if Token.select().where(Token.owner == jid.user).count() >= EACH:
            raise StanzaError("resource-constraint", f"an account may have {EACH} tokens")
        key, secret, now = secrets.token_hex(8), secrets.token_urlsafe(32), time.time()
        row = {
            "owner": jid.user,
            "key": key,
            "hash": hashed(secret),
            "scopes": wanted,
            "note": note,
            "made": now,
        }
        if not xdb.save(_keep, {**row, "expires": now + expires}):
            raise StanzaError("item-not-found", "there is no such account")
        return {
            "id": key,
            "token": f"{BEGIN}_{key}_{secret}",
            "scopes": wanted,
            "expires": utc(now + expires),
        }

    def _scopes(self, text: str) -> str:
        """Raises ValueError."""
        found = text.replace(",", " ").split()
        groups = {"*", *(name.split()[0] for name in self.host.router.commands.names())}
        for each in found:
            group, colon, only = each.partition(":")
            if group not in groups or (colon and only != "read"):
                raise ValueError(f"scopes: there is no scope {each[:40]!r}")
        if not found or len(" ".join(found)) > 500:
            raise ValueError("scopes: which?")
        return " ".join(dict.fromkeys(found))

    @command("tokens list", access="owner", needs="store")
    def show(self, jid: AccountAddress | None = None) -> list[dict[str, Any]]:
        """The tokens of all accounts, or of one."""
        mine = Token.owner.endswith("@" + self.host.domain) if jid is None else Token.owner == jid.user
        return [
            {"id": row.key, "jid": row.owner, "scopes": row.scopes, "note": row.note, "made": utc(row.made),
             "expires": utc(row.expires)}
            for row in Token.select().where(mine).order_by(Token.owner, Token.id)
        ]  # fmt: skip

    @command("tokens remove", access="owner", changes=True, needs="store")
    def remove(self, jid: AccountAddress, id: str) -> None:
        """Remove a token of an account: nobody can use it any more."""
        mine = (Token.owner == jid.user) & (Token.key == id)
        if not xdb.save(lambda: Token.delete().where(mine).execute()):
            raise StanzaError("item-not-found", "the account has no such token")

    def drop(self, user: str) -> int:
        """Removes all tokens of an account; how many there were. For the writer."""
        count: int = Token.delete().where(Token.owner == user).execute()
        return count

    @every(3600)
    def sweep(self) -> None:
        """Removes the tokens whose time is over."""
        old = (Token.expires < time.time()) & Token.owner.endswith("@" + self.host.domain)
        xdb.save(lambda: Token.delete().where(old).execute())


def _keep(row: dict[str, Any]) -> bool:
    """Keeps a token, unless its account has gone meanwhile. For the writer."""
    if not Account.select(Account.id).where(Account.owner == row["owner"]).exists():
        return False
    Token.insert(**row).execute()
    return True
