"""The last login of every account."""

from __future__ import annotations

import time
from typing import Any

from peewee import CharField, FloatField, TextField

from ..arguments import Duration
from ..hooks import Module, command, every, on
from ..jsm.session import Session
from ..jsm.users import Account
from ..xdb import OWNER_LENGTH, Table, xdb
from ..xmpp.stamp import utc

ROWS = 200
"""Rows that one statement writes."""


class Login(Table):
    """The last login of ``owner``: a Unix time, and the IP address."""

    owner = CharField(max_length=OWNER_LENGTH)
    time = FloatField()
    address = TextField()

    class Meta:
        indexes = ((("owner",), True),)


class Logins(Module):
    """Remembers the last login of every account. It is written every ten seconds; a crash loses what came since."""

    tables = (Login,)

    @on("start")
    def start(self) -> None:
        self.fresh: dict[str, tuple[float, str]] = {}

    @on("session")
    def note(self, session: Session) -> None:
        if not self.host.options.anonymous:
            self.fresh[session.user] = (session.began_at, str(session.transport.info.get("address", "")))

    @on("deleting")
    def forget(self, user: str) -> None:
        self.fresh.pop(user, None)

    @every(10)
    @on("stop")
    def keep(self) -> None:
        """Does not wait for the store."""
        fresh, self.fresh = self.fresh, {}
        rows = [(owner, *rest) for owner, rest in fresh.items()]
        for at in range(0, len(rows), ROWS):
            xdb.write(_keep, rows[at : at + ROWS])

    def last(self, users: list[str]) -> dict[str, tuple[float, str]]:
        """User -> the last login (Unix time, IP address), for those of the users who have ever logged in."""
        found = {row.owner: (row.time, row.address) for row in Login.select().where(Login.owner.in_(users))}
        return found | {user: self.fresh[user] for user in users if user in self.fresh}

    @command("accounts inactive", needs="store")
    def inactive(self, days: int = 90, longer: Duration | None = None) -> list[dict[str, Any]]:
        """Accounts that nobody has logged in to for so many days, the longest first."""
        before = time.time() - (longer if longer is not None else days * 86400)
        found: list[tuple[float, Account]] = []
        for page in self.host.users.pages():
            last = self.last([account.owner for account in page])
            for account in page:
                seen = last[account.owner][0] if account.owner in last else 0.0
                if max(seen, account.created) < before and account.owner not in self.host.sessions.users:
                    found.append((seen, account))
        found.sort(key=lambda each: (each[0], each[1].created))
        return [
            {
                "jid": account.owner,
                "last login": utc(seen) if seen else None,
                "created": utc(account.created),
                "disabled": account.disabled,
            }
            for seen, account in found
        ]


def _keep(rows: list[tuple[str, float, str]]) -> None:
    """Writes the rows of accounts that still exist. Runs in the writer."""
    found: Any = Account.select(Account.owner).where(Account.owner.in_([row[0] for row in rows])).tuples()
    known = {name for (name,) in found}
    Login.delete().where(Login.owner.in_(list(known))).execute()
    mine = [row for row in rows if row[0] in known]
    if mine:
        Login.insert_many(mine, fields=[Login.owner, Login.time, Login.address]).execute()
