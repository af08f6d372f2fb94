"""Commands about accounts and sessions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from ..archive import messages
from ..arguments import AccountAddress, Password, SessionAddress
from ..commands import Caller
from ..hooks import Module, Progress, command, on
from ..jsm import standing
from ..jsm.session import Session
from ..jsm.users import Account
from ..net import turns
from ..net.turns import fairly
from ..options import brief
from ..xdb import xdb
from ..xdb.plain import plain
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from ..xmpp.stamp import utc
from .mod_roster import roster

VCARD = "vcard-temp"
MOST = 1_000_000
"""At most this many accounts one command makes."""
PAGE, FEW = 200, 500
"""Accounts of a page; addresses that one query names."""
WINDOW, MINUTE = 5_000, 60.0
COUNTED = 100_000
"""Messages that are counted of one account."""


State = Literal["registered", "disabled", "online", "active", "idle"]


class Admin(Module):
    """Accounts and sessions, as an administrator sees them."""

    @command("accounts add", changes=True, needs="store", rights=True)
    def add(
        self,
        jid: AccountAddress,
        password: Password,
        caller: Caller,
        count: int = 1,
        email: str = "",
        given_name: str = "",
        surname: str = "",
    ) -> Iterator[Any]:
        """Make an account; with a count, that many: name1@domain, name2@domain... Names and the e-mail address stand in the
        vCard of one account."""
        if not 1 <= count <= MOST:
            raise ValueError(f"count: must be from 1 to {MOST}")
        card = vcard(email, given_name, surname)
        if count == 1:
            self.host.users.create(jid.user, password, free=caller.operator)
            if card is not None and "vcard" in self.host.modules:
                self.host["vcard"].keep(jid.user, card, str(card))
            yield {"jid": jid.user}
            return
        for number in range(1, count + 1):
            name = f"{jid.node}{number}@{jid.domain}"
            if self.host.router.administered(
                parse(name)
            ):  # who makes one may not administer all that it does
                raise StanzaError("not-allowed", f"{name} is an administrator: make that account by itself")
            self.host.users.create(name, password, free=caller.operator)
            yield Progress(number, count, name)
        yield {"created": count}

    @command("accounts passwd", access="owner", changes=True, needs="store", rights=True)
    def passwd(self, jid: AccountAddress, password: Password, caller: Caller) -> dict[str, int] | None:
        """Set another password. If an administrator does it, the tokens of the account end."""
        own = caller.jid is not None and caller.jid.user == jid.user
        tokens, removed = None if own else self.host.modules.get("tokens"), list[int]()

        def drop() -> None:
            removed.append(tokens.drop(jid.user))

        self.host.users.set_password(jid.user, password, None if tokens is None else drop, caller.operator)
        return {"tokens_removed": removed[-1]} if removed and removed[-1] else None

    @command("accounts disable", changes=True, needs="store")
    def disable(self, jid: AccountAddress) -> None:
        """Keep an account, but let nobody log in to it; its sessions end."""
        self.host.users.disable(jid.user, also=partial(standing.settle, jid.user))

    @command("accounts kick", access="owner", changes=True)
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
    def everybody(self, state: State = "registered", first: int = 0) -> list[dict[str, Any]]:
        """All accounts, or only those that are disabled, online, active or idle. Active and idle accounts are online; idle ones
        are away at all clients, or have sent no presence. ``first``: list so many of them; 0 lists all."""
        if first < 0:
            raise ValueError("first: cannot be negative")
        rows: list[dict[str, Any]] = []
        for page in self.host.users.pages():
            chosen = [account for account in page if self._is(account, state)]
            last = self._last([account.owner for account in chosen]) if chosen else {}
            rows += [self._row(account, last) for account in chosen]
            if first and len(rows) >= first:
                return rows[:first]
        return rows

    @command("accounts find", needs="store")
    def find(
        self, text: str = "", state: Literal["", "disabled", "online"] = "", after: str = "", limit: int = 50
    ) -> list[dict[str, Any]]:
        """A page of the accounts, by address. ``text``: only those with it in the name; ``after``: only those behind it."""
        if not 1 <= limit <= PAGE:
            raise ValueError(f"limit: from 1 to {PAGE}")
        end = "@" + self.host.domain
        chosen = Account.owner.endswith(end)
        if text:
            chosen &= Account.owner.contains(text.strip().casefold().removesuffix(end))
        if state == "disabled":
            chosen &= Account.disabled == True  # noqa: E712
        elif state == "online":
            chosen &= Account.owner.in_(
                sorted(each for each in self.host.sessions.users if each > after)[:FEW]
            )
        rows = self._page(chosen, after, limit, bool(text or state))
        last = self._last([account.owner for account in rows]) if rows else {}
        return [self._row(account, last) for account in rows]

    def _page(self, chosen: Any, after: str, limit: int, rare: bool) -> list[Account]:
        """The first so many accounts behind that address which fit, by address. If those are ``rare``, looks at `WINDOW`
        accounts at a time, in turns with others. Blocks."""
        fields = Account.owner, Account.created, Account.disabled
        everybody, rows = Account.select(*fields).order_by(Account.owner), list[Account]()
        for window in self._windows(after) if rare else (Account.owner > after,):
            rows += list(everybody.where(chosen, window).limit(limit - len(rows)))
            if len(rows) == limit:
                break
        return rows

    def _windows(self, after: str = "") -> Iterator[Any]:
        """Conditions that choose `WINDOW` accounts of the store each, by address. Others have turns in between. Blocks."""
        while True:
            behind = Account.owner > after
            last = Account.select(Account.owner).where(behind).order_by(Account.owner).offset(WINDOW).limit(1)
            end = last.scalar()
            yield behind if end is None else behind & (Account.owner <= end)
            if end is None:
                return
            after = end
            xdb.release()
            turns.pause()

    def _counted(self, *chosen: Any) -> int:
        """How many accounts of this host there are. Blocks."""
        mine = Account.owner.endswith("@" + self.host.domain), *chosen
        return sum(Account.select().where(*mine, window).count() for window in self._windows())

    @command("accounts usage", access="owner")
    def usage(self, jid: AccountAddress) -> dict[str, Any]:
        """What an account has stored: messages of its archive (counted up to 100,000), contacts, nodes."""
        if not self.host.users.has_account(jid.user):
            raise StanzaError("item-not-found", "there is no such account")
        messages.readable()
        some = (
            messages.Message.select(messages.Message.id)
            .where(messages.Message.owner == jid.user)
            .limit(COUNTED)
        )
        return {"messages": some.count(), "contacts": sum(1 for _ in roster(jid.user).listed())}

    @command("hosts show")
    def hosts(self) -> list[dict[str, Any]]:
        """Each host: its accounts, who is connected, its administrators, and the services beside it."""
        router = self.host.router
        services = [
            domain for domain, each in router.instances.items() if getattr(each, "host", None) is self.host
        ]
        return [{
            "host": self.host.domain, "accounts": self._count(), "sessions": self.host.sessions.count,
            "administrators": list(self.host.admins), "services": services, "modules": list(self.host.modules),
        }]  # fmt: skip

    @command("accounts count")
    def count(self) -> dict[str, int]:
        """How many accounts there are, and how many are disabled, online, active and idle."""
        users = list(self.host.sessions.users)
        active = sum(self._active(user) for user in fairly(users))
        return {
            "registered": self._counted(), "disabled": self._counted(Account.disabled == True),  # noqa: E712
            "online": len(users), "active": active, "idle": len(users) - active,
        }  # fmt: skip

    @command("accounts stats")
    def stats(self, jid: AccountAddress) -> dict[str, Any]:
        """What an account uses: its sessions, their IP addresses, the number of its contacts."""
        if not self.host.users.exists(jid.user):
            raise StanzaError("item-not-found", "there is no such account")
        sessions = self.host.sessions.of(jid.user)
        addresses = (str(each.transport.info.get("address", "")) for each in sessions)
        return {
            "addresses": list(dict.fromkeys(filter(None, addresses))),
            "contacts": sum(1 for _ in roster(jid.user).listed()),
            "resources": [each.jid.resource for each in sessions],
        }

    @command("accounts roster", access="owner")
    def contacts(self, jid: AccountAddress) -> list[dict[str, Any]]:
        """The contacts of an account."""
        if not self.host.users.exists(jid.user):
            raise StanzaError("item-not-found", "there is no such account")
        return [
            {"jid": contact, "name": item.name, "subscription": item.subscription,
             "ask": "subscribe" if item.state.ask else "", "groups": list(item.groups)}
            for contact, item in fairly(sorted(roster(jid.user).listed()))
        ]  # fmt: skip

    def _is(self, account: Account, state: str) -> bool:
        user = account.owner
        match state:
            case "disabled":
                return bool(account.disabled)
            case "registered":
                return True
        online = user in self.host.sessions.users
        return online and (state == "online" or (state == "active") == self._active(user))

    def _active(self, user: str) -> bool:
        """Is the user at one of the sessions?"""
        presences = (each.presence for each in self.host.sessions.of(user))
        return any(each is not None and each.text_of("show") not in ("away", "xa") for each in presences)

    @command("accounts show", access="owner", needs="store")
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
                "vcard": (plain("document", user, vcard) or {}).get("vCard") if vcard else None,
            }
        )

    @command("sessions list")
    def sessions(self) -> list[dict[str, Any]]:
        """Everybody who is connected."""
        return [self._session(session) for session in fairly(list(self.host.sessions))]

    @command("sessions show", access="owner")
    def own_sessions(self, jid: AccountAddress) -> list[dict[str, Any]]:
        """The sessions of an account."""
        return [self._session(session) for session in self.host.sessions.of(jid.user)]

    @on("created", "deleting")
    def recount(self, user: str) -> None:
        self.counted = (0, 0.0)

    def _count(self) -> int:
        """The accounts of this host. They are counted once a minute, since that takes time, and when one comes or goes."""
        count, until = getattr(self, "counted", (0, 0.0))
        if time.monotonic() > until:
            count = self._counted()
            self.counted = (count, time.monotonic() + MINUTE)
        return count

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
        about = session.transport.info
        if "expires" in about:  # a lost stream: until then it may be resumed
            about = about | {"expires": utc(about["expires"])}
        return {
            "jid": session.full,
            "presence": show,
            "priority": session.priority,
            "seconds": round(time.time() - session.began_at),
        } | about


def vcard(email: str, given_name: str, surname: str) -> Element | None:
    """A vCard (XEP-0054) with what is known of a user. None: nothing is known."""
    if not (email or given_name or surname):
        return None
    name = Element("N", VCARD, Element("FAMILY", VCARD, surname), Element("GIVEN", VCARD, given_name))
    full = Element("FN", VCARD, f"{given_name} {surname}".strip())
    mail = Element("EMAIL", VCARD, Element("USERID", VCARD, email)) if email else None
    return Element("vCard", VCARD, full, name, mail)
