"""XEP-0401: invitations. A link lets somebody make an account here, or become a user's contact (XEP-0379), or both.

`links.py` keeps the links. `mod_preauth.py` takes their tokens from clients, and the web page /invite from browsers; both let
`mod_arrivals.py` make the account.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

from ..adhoc import Dialogue, Values
from ..arguments import AccountAddress, Duration
from ..commands import Caller, CommandError, outcome
from ..hooks import Module, Option, command, duration, every
from ..instance import Instance
from ..net import turns
from ..xdb import spoilt, xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.forms import Form, boolean
from ..xmpp.jid import parse
from ..xmpp.prep import nodeprep
from ..xmpp.protocols import XEP
from ..xmpp.stamp import utc
from . import links
from .links import INVITATION, NOTE, Link
from .mod_register import reserved

INVITE, CREATE = "urn:xmpp:invite#invite", "urn:xmpp:invite#create-account"
FORM = "urn:xmpp:invite#invitation"
IN_ALL = 10_000
"""Open invitations of a host; its administrators may make more."""
ARRIVED = "jabberd_py:arrived"
"""The document of an account that a user has invited: when it was made."""
USES, LATEST = 1000, 366 * 86400.0
ROOMS = 20
OURSELVES = Caller("invitation", "invites", operator=True)


class Invites(Module):
    """Invitations to make an account, or to become somebody's contact."""

    protocols = (XEP(401, "0.6.0", "Ad-hoc Account Invitation Generation"),)
    needs = ("roster",)
    tables = (Link,)
    users = Option(
        str,
        "contacts",
        "whom users may invite: nobody, contacts who have an account somewhere, or people who make an account here",
        choices=["nobody", "contacts", "accounts"],
    )
    lifetime = Option(
        duration, "7d", "time after which an invitation ends, if its maker says no other", min=60
    )
    most = Option(int, 20, "open invitations that one user may have", min=1)
    per_day = Option(int, 20, "invitations that one user may make within a day", min=1)
    settle = Option(
        duration,
        "3d",
        "time after which somebody whom a user has invited may invite people who make accounts",
        min=0,
    )
    uses = Option(int, 5, "how often an invitation of a user may be used", min=1, max=USES)

    def __init__(self, host: Instance, settings: Any = None) -> None:
        super().__init__(host, settings)
        self.last: float | None = None
        """When the last invitation expires with which an account could be made; None: that is not known."""
        host.dialogues |= {INVITE: self._invite, CREATE: self._create}
        self.host.users.names.append(self._check_name)

    # -- making and ending them -----------------------------------------------------------------------

    @command("invites add", changes=True, secret=True)
    def add(
        self,
        caller: Caller,
        name: str = "",
        uses: int = 1,
        lifetime: Duration | None = None,
        group: str = "",
        rooms: str = "",
        note: str = "",
    ) -> dict[str, Any]:
        """Make a link with which somebody makes an account here; with a name, that one. The account joins the group of the
        roster, and the rooms of this host (names or addresses, separated by spaces). The link is shown once."""
        return self._make(self.host.domain, None, uses, lifetime, registers=True, name=self._name(name, uses, caller),
                          team=self._group(group), rooms=self._rooms(rooms), note=note)  # fmt: skip

    @command("invites account", access="owner", changes=True, secret=True)
    def account(
        self,
        jid: AccountAddress,
        caller: Caller,
        name: str = "",
        contact: bool = True,
        lifetime: Duration | None = None,
    ) -> dict[str, Any]:
        """Make a link in the name of an account, with which somebody makes an account here; both become contacts of each
        other. The link is shown once."""
        self._check_maker(jid.user, caller, accounts=True)
        return self._make(jid.user, caller, 1, lifetime, registers=True, name=self._name(name, 1, caller),
                          contact=jid.user if contact else "")  # fmt: skip

    @command("invites contact", access="owner", changes=True, secret=True)
    def contact(
        self,
        jid: AccountAddress,
        caller: Caller,
        uses: int = 1,
        lifetime: Duration | None = None,
        registers: bool = True,
    ) -> dict[str, Any]:
        """Make a link with which somebody becomes a contact of an account; who has no account yet may make one here, unless the
        server or the link does not allow that. The link is shown once."""
        self._check_maker(jid.user, caller)
        may = self._is_admin(caller) or (self.users == "accounts" and not self._new(jid.user))
        return self._make(jid.user, caller, uses, lifetime, contact=jid.user, asks=True,
                          registers=may and registers)  # fmt: skip

    @command("invites list", access="owner")
    def show(self, jid: AccountAddress | None = None, limit: int = 10_000) -> list[dict[str, Any]]:
        """The newest invitations of all accounts, or of one. Those that are over stay for a day."""
        mine = (Link.domain == self.host.domain) & (Link.kind == INVITATION)
        if jid is not None:
            mine &= Link.owner == jid.user
        rows = list(Link.select().where(mine).order_by(Link.id.desc()).limit(max(limit, 1)))
        return [
            {"id": row.key, "by": row.owner, "for": "an account" if row.registers and not row.asks else "a contact",
             "state": row.state, "name": row.name, "contact": row.contact, "group": row.team, "rooms": row.room_list(),
             "left": max(row.left, 0), "uses": row.uses, "made": utc(row.made), "expires": utc(row.expires), "note": row.note}
            for row in turns.fairly(reversed(rows))
        ]  # fmt: skip

    @command("invites revoke", access="owner", changes=True)
    def revoke(self, id: str, jid: AccountAddress | None = None) -> None:
        """End an invitation: nobody can use it any more. A user gives the own address, too."""
        wanted = (Link.key == id) & (Link.kind == INVITATION)
        wanted &= (Link.domain == self.host.domain) if jid is None else (Link.owner == jid.user)
        self.last = None
        if not xdb.save(links.withdraw, wanted) and not (jid is None and self._elsewhere(id)):
            raise StanzaError("item-not-found", "there is no such invitation, or it is over")

    def _elsewhere(self, id: str) -> bool:
        """Does another host have that invitation?"""
        return bool(Link.select().where(Link.key == id, Link.domain != self.host.domain).exists())

    def _make(
        self,
        owner: str,
        caller: Caller | None,
        uses: int,
        lifetime: float | None,
        note: str = "",
        **values: Any,
    ) -> dict[str, Any]:
        free = caller is None or self._is_admin(caller)
        most = USES if free else self.uses
        if not 1 <= uses <= most:
            raise ValueError(f"uses: must be from 1 to {most}")
        longest = LATEST if free else self.lifetime
        lifetime = min(self.lifetime, longest) if lifetime is None else lifetime
        if not 60 <= lifetime <= longest:
            raise ValueError(f"lifetime: must be from 60 to {longest:.0f} seconds")
        if len(note) > NOTE:
            raise ValueError(f"note: at most {NOTE} characters")
        if self.host.options.anonymous:
            raise StanzaError("not-allowed", "a host for guests has no accounts")

        def check() -> None:
            if free:
                return
            if links.count_made(Link.domain == self.host.domain)[0] >= IN_ALL:
                raise StanzaError("resource-constraint", f"there are {IN_ALL} open invitations")
            open, today = links.count_made(Link.owner == owner)
            if open >= self.most:
                raise StanzaError(
                    "resource-constraint", f"you have {open} open invitations: revoke one first"
                )
            if today >= self.per_day:
                raise StanzaError(
                    "resource-constraint", f"you have made {today} invitations today: wait", type="wait"
                )

        link, token = links.make(
            owner, self.host.domain, INVITATION, lifetime, uses, check=check, note=note, **values
        )
        self.last = None
        return {
            "id": link.key,
            "uri": self.uri(link, token),
            "landing_url": self.page(token),
            "expires": utc(link.expires),
        }

    def _name(self, name: str, uses: int, caller: Caller) -> str:
        """Raises ValueError, StanzaError."""
        if not name:
            return ""
        if uses != 1:
            raise ValueError("uses: one name can be taken once")
        node = nodeprep(name)
        user = str(self.host.users.jid(f"{node}@{self.host.domain}"))
        if self.host.users.exists(user):
            raise StanzaError("conflict", "that account exists")
        if not caller.operator:
            self.host.users.check_stranger(user, () if self._is_admin(caller) else reserved(self.host))
        self._check_name(user)
        return node

    def _group(self, group: str) -> str:
        group = group.strip()
        if len(group) > 200 or (group and "groups" not in self.host.modules):
            raise ValueError("group: a name of at most 200 characters; module 'groups' must be on")
        return group

    def _rooms(self, rooms: str) -> str:
        """A name alone is one of the host's service for rooms. Raises ValueError: they are none of this host, or not there; who
        entered such a room would be its owner."""
        services = [place.domain for place in self.host.router.everybody
                    if "rooms show" in place.commands and getattr(place, "host", None) is self.host]  # fmt: skip
        near = f"@{services[0]}" if services else ""
        said = rooms.replace(",", " ").split()
        names = {each for each in said if "@" not in each and each not in self.host.router.instances}
        found = [str(parse(each + near if each in names else each).bare) for each in said]
        if len(found) > ROOMS or not all(ours(self.host, each) for each in found):
            raise ValueError(
                f"rooms: at most {ROOMS} addresses of this host, such as room@conference.{self.host.domain}"
            )
        for each in found:
            try:
                outcome(self.host.router.commands.run(OURSELVES, "rooms show", {"room": each}))
            except CommandError as error:
                raise ValueError(f"rooms: {each}: {error}; make it first") from None
        return json.dumps(list(dict.fromkeys(found)))

    def _is_admin(self, caller: Caller) -> bool:
        return caller.operator or (caller.jid is not None and self.host.is_admin(caller.jid))

    def _check_maker(self, user: str, caller: Caller, accounts: bool = False) -> None:
        """Raises StanzaError: there is no such account, or it may not invite."""
        if not self.host.users.has_account(user):
            raise StanzaError("item-not-found", "there is no such account")
        if not self._is_admin(caller) and self.users not in (
            ("accounts",) if accounts else ("contacts", "accounts")
        ):
            raise StanzaError(
                "not-allowed", "users cannot invite " + ("new accounts" if accounts else "anybody")
            )
        if accounts and not self._is_admin(caller) and self._new(user):
            raise StanzaError("not-allowed", "your account is too new to invite people who make accounts")

    def arrived(self, user: str, maker: str) -> None:
        """That account was made by an invitation of ``maker``. Blocks. Raises StoreError."""
        if "@" in maker and not self.host.is_admin(parse(maker)):
            xdb.set(user, ARRIVED, str(time.time()))

    def _new(self, user: str) -> bool:
        """Has a user invited them, a short time ago? Blocks."""
        text = xdb.get(user, ARRIVED)
        try:
            return text is not None and float(text) > time.time() - self.settle
        except ValueError as error:
            spoilt("arrival", user, error)
            return False

    @every(3600)
    def sweep(self) -> None:
        xdb.save(links.sweep, self.host.domain)
        self.last = None

    # -- what a link is ---------------------------------------------------------------------------------

    def uri(self, link: Link, token: str) -> str:
        """XEP-0445 section 2."""
        if link.asks:
            ibr = ";ibr=y" if link.registers else ""
            return f"xmpp:{quote(link.contact, safe='@')}?roster;preauth={token}{ibr}"
        node = quote(link.name, safe="") + "@" if link.name else ""
        return f"xmpp:{node}{quote(self.host.domain, safe='[:]')}?register;preauth={token}"

    def page(self, token: str) -> str | None:
        """The landing page; None: there is no web server."""
        try:
            return f"{self.host.router.base(self.host.domain)}/invite/{token}"
        except StanzaError:
            return None

    @property
    def open(self) -> bool:
        """May somebody who was invited make an account now? Blocks once in a while."""
        if self.last is None:
            self.last = links.last_expiry(self.host.domain)
        return self.last > time.time() and not self.host.options.anonymous

    def _check_name(self, user: str) -> None:
        """A name that an invitation has belongs to that. Raises StanzaError."""
        if self.open and links.holder(self.host.domain, parse(user).node or "") is not None:
            raise StanzaError("conflict", "that name is kept for somebody who was invited")

    # -- by clients: XEP-0401 ---------------------------------------------------------------------------

    def _invite(self, request: Element) -> Dialogue | None:
        caller = self._caller(request)
        if caller is None or (self.users == "nobody" and not self._is_admin(caller)):
            return None
        return Dialogue("Invite user", lambda values: self._run(caller, request, "invites contact", {}), ())

    def _create(self, request: Element) -> Dialogue | None:
        caller = self._caller(request)
        if caller is None or (self.users != "accounts" and not self._is_admin(caller)):
            return None

        def page(values: Values) -> Form:
            form = Form(
                "form", "Create account", "Whom do you invite? Without a name, the new user takes one."
            )
            form.field("username", "text-single", "Username", values.get("username"))
            return form.field(
                "roster-subscription", "boolean", "Roster subscription", values.get("roster-subscription")
            )

        def run(values: Values) -> list[Element]:
            try:
                friends = boolean(values.get("roster-subscription") or ["0"])
            except ValueError as error:
                raise StanzaError("bad-request", str(error)) from None
            name = (values.get("username") or [""])[0]
            return self._run(caller, request, "invites account", {"name": name, "contact": friends})

        return Dialogue("Create account", run, (page,))

    def _caller(self, request: Element) -> Caller | None:
        """Who asks, if that is an account of this host."""
        sender, session = request.from_, request.session
        if sender.node is None or sender.domain != self.host.domain or self.host.options.anonymous:
            return None
        where = "" if session is None else str(session.transport.info.get("address", ""))
        return Caller(str(sender), "ad-hoc", where, sender)

    def _run(self, caller: Caller, request: Element, name: str, args: dict[str, Any]) -> list[Element]:
        """Raises StanzaError."""
        if request.session is not None and not request.session.transport.private:
            raise StanzaError("not-authorized", "the stream is not encrypted", type="modify")
        try:
            made = outcome(self.host.router.commands.run(caller, name, {"jid": request.from_.user, **args}))
        except CommandError as error:
            raise StanzaError(error.condition or "undefined-condition", str(error)) from None
        form = Form("result", None, None, FORM).field("uri", "text-single", "Link for a client", made["uri"])
        if made["landing_url"] is not None:
            form.field("landing-url", "text-single", "Link for a browser", made["landing_url"])
        return [form.field("expire", "text-single", "Ends", made["expires"]).element()]


def ours(host: Any, room: str) -> bool:
    """Is that the address of a room of a service of that host? Others are not for this host's administrators to open."""
    node, _, domain = room.rpartition("@")
    return bool(node) and getattr(host.router.instances.get(domain), "host", None) is host
