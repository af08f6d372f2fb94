"""Commands about accounts and sessions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import xmltodict

from ..arguments import AccountAddress, Password, SessionAddress
from ..hooks import Module, Progress, command
from ..jsm import standing
from ..jsm.session import Session
from ..jsm.users import Account
from ..net.turns import fairly
from ..options import brief
from ..xdb import xdb
from ..xmpp.errors import StanzaError
from ..xmpp.stamp import utc

MOST = 1_000_000
"""At most this many accounts one command makes."""


class Admin(Module):
    """Accounts and sessions, as an administrator sees them."""

    @command("accounts add", changes=True, needs="store")
    def add(self, jid: AccountAddress, password: Password, count: int = 1) -> Iterator[Any]:
        """Make an account; with a count, that many: name1@domain, name2@domain..."""
        if not 1 <= count <= MOST:
            raise ValueError(f"count: must be from 1 to {MOST}")
        if count == 1:
            self.host.users.create(jid.user, password)
            yield {"jid": jid.user}
            return
        for number in range(1, count + 1):
            name = f"{jid.node}{number}@{jid.domain}"
            self.host.users.create(name, password)
            yield Progress(number, count, name)
        yield {"created": count}

    @command("accounts passwd", changes=True, needs="store")
    def passwd(self, jid: AccountAddress, password: Password) -> None:
        """Set another password."""
        self.host.users.set_password(jid.user, password)

    @command("accounts disable", changes=True, needs="store")
    def disable(self, jid: AccountAddress) -> None:
        """Keep an account, but let nobody log in to it; its sessions end."""
        self.host.users.disable(jid.user)

    @command("accounts kick", changes=True)
    def kick(self, jid: SessionAddress, reason: str = "") -> dict[str, int]:
        """End all sessions of an account, or the one of romeo@example.org/garden."""
        found = self.host.sessions.of(jid.user)
        if jid.resource is not None:
            found = [each for each in found if each.jid == jid]
        for each in found:
            each.transport.kick("policy-violation", reason or None)
        if not found:
            raise StanzaError("item-not-found", f"{brief(str(jid))} is not connected")
        return {"sessions": len(found)}

    @command("accounts list", needs="store")
    def everybody(self) -> list[dict[str, Any]]:
        """All accounts."""
        rows: list[dict[str, Any]] = []
        for page in self.host.users.pages():
            last = self._last([account.owner for account in page])
            rows += [self._row(account, last) for account in page]
        return rows

    @command("accounts show", needs="store")
    def show(self, jid: AccountAddress) -> dict[str, Any]:
        """One account with its sessions and its vCard."""
        user = jid.user
        account = Account.select().where(Account.owner == user).first()
        if account is None:
            raise StanzaError("item-not-found", "there is no such account")
        vcard = xdb.get(user, "vcard-temp")
        sessions = [self._session(each) for each in self.host.sessions.of(user)]
        why = standing.of(user)
        suspended = {} if why is None else {
            "suspended": utc(why.since), "reason": why.reason, "until": why.until and utc(why.until),
            "deletion": why.deletion and utc(why.deletion),
        }  # fmt: skip
        return (
            self._row(account, self._last([user]))
            | suspended
            | {
                "sessions": sessions,
                "vcard": xmltodict.parse(vcard).get("vCard") if vcard else None,
            }
        )

    @command("sessions list")
    def sessions(self) -> list[dict[str, Any]]:
        """Everybody who is connected."""
        return [self._session(session) for session in fairly(list(self.host.sessions))]

    def _last(self, users: list[str]) -> dict[str, tuple[float, str]]:
        """The last login of each: when, and from where."""
        logins = self.host.modules.get("logins")
        found: dict[str, tuple[float, str]] = {} if logins is None else logins.last(users)
        return found

    def _row(self, account: Account, last: dict[str, tuple[float, str]]) -> dict[str, Any]:
        seen = last.get(account.owner)
        return {
            "jid": account.owner,
            "created": utc(account.created),
            "last_login": None if seen is None else utc(seen[0]),
            "disabled": account.disabled,
            "sessions": len(self.host.sessions.of(account.owner)),
        }

    def _session(self, session: Session) -> dict[str, Any]:
        presence = session.presence
        show = None if presence is None else presence.text_of("show") or "available"
        return {
            "jid": session.full,
            "presence": show,
            "priority": session.priority,
            "seconds": round(time.time() - session.began_at),
        } | session.transport.info
