"""Commands about accounts and sessions, for the command line and whoever else runs commands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import xmltodict

from ..hooks import Module, Progress, command
from ..jsm.session import Session
from ..jsm.users import Account
from ..xdb import xdb
from ..xmpp.errors import StanzaError
from ..xmpp.stamp import utc


class Admin(Module):
    """Accounts and sessions, as an administrator sees them."""

    @command("accounts add")
    def add(self, jid: str, password: str, count: int = 1) -> Iterator[Any]:
        """Make an account; with a count, that many: name1@domain, name2@domain..."""
        user = self.host.users.jid(jid)
        if not 1 <= count <= 1_000_000:
            raise ValueError("the count must be from 1 to 1000000")
        if count == 1:
            self.host.users.create(str(user), password)
            yield {"jid": str(user)}
            return
        for number in range(1, count + 1):
            name = f"{user.node}{number}@{user.domain}"
            self.host.users.create(name, password)
            yield Progress(number, count, name)
        yield {"created": count}

    @command("accounts passwd")
    def passwd(self, jid: str, password: str) -> None:
        """Set another password."""
        self.host.users.set_password(self._user(jid), password)

    @command("accounts delete")
    def delete(self, jid: str) -> None:
        """Remove an account and all its data; its sessions end."""
        self.host.users.delete(self._user(jid))

    @command("accounts disable")
    def disable(self, jid: str) -> None:
        """Keep an account, but let nobody log in to it; its sessions end."""
        self.host.users.disable(self._user(jid))

    @command("accounts enable")
    def enable(self, jid: str) -> None:
        """Let a disabled account log in again."""
        self.host.users.disable(self._user(jid), False)

    @command("accounts kick")
    def kick(self, jid: str, reason: str = "") -> dict[str, int]:
        """End all sessions of an account."""
        return {"sessions": self.host.kick(self._user(jid), "policy-violation", reason or None)}

    @command("accounts list")
    def everybody(self) -> list[dict[str, Any]]:
        """All accounts."""
        return [self._row(account) for account in self.host.users.all()]

    @command("accounts show")
    def show(self, jid: str) -> dict[str, Any]:
        """One account with its sessions and its vCard."""
        user = self._user(jid)
        account = Account.select().where(Account.owner == user).first()
        if account is None:
            raise StanzaError("item-not-found", "there is no such account")
        vcard = xdb.get(user, "vcard-temp")
        sessions = [self._session(each) for each in self.host.sessions.of(user)]
        return self._row(account) | {
            "sessions": sessions,
            "vcard": xmltodict.parse(vcard).get("vCard") if vcard else None,
        }

    @command("sessions list")
    def sessions(self) -> list[dict[str, Any]]:
        """Everybody who is connected."""
        return [self._session(session) for session in self.host.sessions]

    def _user(self, jid: str) -> str:
        return str(self.host.users.jid(jid))

    def _row(self, account: Account) -> dict[str, Any]:
        return {
            "jid": account.owner,
            "created": utc(account.created),
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
            "seconds": round(time.time() - session.since),
        } | session.transport.info
