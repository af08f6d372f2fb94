"""Registrations that wait for an administrator: nobody can log in to the account until it is approved."""

from __future__ import annotations

import time
from typing import Any

from peewee import CharField, FloatField, TextField

from .. import log
from ..arguments import AccountAddress, text
from ..hooks import Module, Option, command, duration
from ..jsm import standing
from ..jsm.users import Account, forget
from ..xdb import OWNER_LENGTH, Table, xdb
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.stamp import utc

logger = log.get(__name__)
WAITS = "an administrator has to approve the account first"
LONGEST = 1000
"""Characters of what somebody says of himself."""
TOLD = 20
"""Administrators who are told."""


class Applicant(Table):
    """The account ``owner`` was registered from that address, for that reason, and waits to be approved."""

    owner = CharField(max_length=OWNER_LENGTH, unique=True)
    reason = TextField()
    address = TextField()
    time = FloatField()


class Approval(Module):
    """Lets administrators approve accounts that strangers have registered (modules.register.approval)."""

    tables = (Applicant,)
    most = Option(int, 100, "registrations that may wait; more are refused", min=1)
    within = Option(
        duration, "14d", "a registration that is not approved within this time is removed", min=60
    )

    # -- for who registers an account -----------------------------------------------------------------

    def check(self, reason: str) -> str:
        """The reason, as it is kept: administrators get it in a message. Raises StanzaError."""
        try:
            reason = " ".join(text(reason).split())
        except ValueError as error:
            raise StanzaError("not-acceptable", f"the reason {error}") from None
        if not reason:
            raise StanzaError("not-acceptable", "say why you would like an account here")
        if len(reason) > LONGEST:
            raise StanzaError("not-acceptable", f"a reason of more than {LONGEST} characters")
        return reason

    def enter(self, user: str, reason: str, address: str) -> None:
        """The account is made, disabled; it waits from now on. In the writer. Raises StanzaError: too many wait."""
        now = time.time()
        mine = Applicant.owner.endswith("@" + self.host.domain)
        if Applicant.select().where(mine).count() >= self.most:
            raise StanzaError(
                "resource-constraint", "too many registrations wait to be approved, try again later"
            )
        Applicant.insert(owner=user, reason=reason, address=address, time=now).execute()
        standing.enter(user, WAITS, deletion=now + self.within)

    def ask(self, user: str, reason: str, address: str) -> None:
        """Tells the administrators."""
        told = (
            f"{user} asks for an account, from {address}: {reason}\n"
            f"Approve it in the console (Registrations), or with the command 'registrations approve'."
        )
        for each in self.host.admins[:TOLD]:
            body = Element("body", ns.CLIENT, told)
            self.host.router.deliver(Element("message", ns.CLIENT, body, from_=self.host.domain, to=each))

    # -- for administrators ---------------------------------------------------------------------------

    @command("registrations list")
    def show(self) -> list[dict[str, Any]]:
        """The accounts that wait to be approved, the oldest first."""
        mine = Applicant.owner.endswith("@" + self.host.domain)
        return [
            {"jid": row.owner, "reason": row.reason, "address": row.address, "time": utc(row.time)}
            for row in Applicant.select().where(mine).order_by(Applicant.id)
        ]

    @command("registrations approve", changes=True)
    def approve(self, jid: AccountAddress) -> None:
        """Let a registered account log in. If it was suspended meanwhile, that is not undone."""
        self._find(jid.user)
        xdb.save(_approve, jid.user)
        forget(jid.user)

    @command("registrations refuse", changes=True)
    def refuse(self, jid: AccountAddress, reason: str = "") -> None:
        """Remove a registered account that waits to be approved. The reason stands in the audit."""
        self._find(jid.user)
        row = standing.of(jid.user)
        if row is None or row.reason != WAITS:
            raise StanzaError(
                "not-allowed", "the account is in use or suspended: 'accounts delete' removes it"
            )
        self.host.users.delete(jid.user)

    def drop(self, user: str) -> None:
        """The account waits no longer. In the writer."""
        Applicant.delete().where(Applicant.owner == user).execute()

    def _find(self, user: str) -> Applicant:
        found: Applicant | None = Applicant.select().where(Applicant.owner == user).first()
        if found is None:
            raise StanzaError("item-not-found", "that account does not wait to be approved")
        return found


def _approve(user: str) -> None:
    """In the writer. Raises StanzaError: the account is suspended, or enabled already."""
    Applicant.delete().where(Applicant.owner == user).execute()
    standing.end(user, standing.Standing.reason == WAITS)
    Account.update(disabled=False).where(Account.owner == user).execute()
