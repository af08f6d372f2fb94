"""Accounts that are suspended for a while, or deleted after a grace period."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from .. import log
from ..arguments import AccountAddress, Duration
from ..hooks import Module, Option, command, duration, every, on
from ..jsm import standing
from ..jsm.standing import LEFT, Standing
from ..xdb import xdb
from ..xmpp.errors import StanzaError
from ..xmpp.stamp import utc

logger = log.get(__name__)


class Standings(Module):
    """Suspends accounts with a reason that their owners read, and deletes accounts after a grace period."""

    name = "standing"
    tables = (Standing,)
    grace = Option(
        duration,
        "7d",
        "time in which somebody who has deleted an account on the web page can undo that",
        min=0,
    )

    @command("accounts suspend", changes=True, needs="store")
    def suspend(
        self, jid: AccountAddress, reason: str = "", duration: Duration | None = None
    ) -> dict[str, Any]:
        """Let nobody log in to an account, for some time or until `accounts enable`; its owner reads the reason."""
        until = None if duration is None else time.time() + duration
        return self._stop(jid.user, reason or "the account is suspended", until, None)

    @command("accounts delete", changes=True, needs="store", rights=True)
    def delete(self, jid: AccountAddress, after: Duration | None = None) -> dict[str, Any] | None:
        """Remove an account and all its data; its sessions end. With --after it is suspended at once and goes later, unless
        `accounts enable` brings it back."""
        if after is None:
            self.host.users.delete(jid.user)
            return None
        return self._stop(jid.user, "the account will be deleted", None, time.time() + after)

    @command("accounts leave", access="owner", changes=True)
    def leave(self, jid: AccountAddress) -> dict[str, Any]:
        """Delete one's own account: nobody can log in from now on, and after some days all its data goes. Until then its owner
        can undo that by signing in on the web page."""
        return self._stop(jid.user, LEFT, None, time.time() + self.grace)

    def left(self, user: str) -> bool:
        """Has the owner deleted the account, and can undo that? Blocks."""
        row = standing.of(user)
        return row is not None and row.deletion is not None and row.reason == LEFT

    def stay(self, user: str) -> None:
        """The owner undoes that. Blocks. Raises StanzaError (an administrator has suspended or disabled the account meanwhile),
        StoreError."""
        self.host.users.disable(user, False, partial(standing.end, user, Standing.reason == LEFT))
        logger.info("account kept by its user", user=user)

    def _stop(self, user: str, reason: str, until: float | None, deletion: float | None) -> dict[str, Any]:
        if not self.host.users.has_account(user):
            raise StanzaError("item-not-found", "there is no such account")
        self.host.users.check_admin_stays(user)
        times = {"until": until, "deletion": deletion}
        shown = {key: utc(when) for key, when in times.items() if when is not None}
        standing.put(user, reason, until, deletion)  # first, so that the sessions that end now are told why
        self.host.users.disable(user)
        return {"jid": user, "reason": reason} | shown

    @command("accounts enable", changes=True, needs="store")
    def enable(self, jid: AccountAddress) -> None:
        """Let a disabled or suspended account log in again; it is not deleted then, and does not wait to be approved."""
        approval: Any = self.host.modules.get("approval")

        def also() -> None:
            Standing.delete().where(Standing.owner == jid.user).execute()
            if approval is not None:
                approval.drop(jid.user)

        self.host.users.disable(jid.user, False, also)

    @on("start")
    @every(60)
    def work_off(self) -> None:
        """Ends suspensions and deletes accounts whose time has come."""
        for row in standing.due(self.host.domain):
            latest = standing.of(row.owner)  # those before it took their time
            if latest is None or (latest.until, latest.deletion) != (row.until, row.deletion):
                continue
            try:
                if row.deletion is not None and row.deletion <= time.time():
                    self.host.users.delete(row.owner)
                    logger.info("account deleted, its grace period is over", user=row.owner)
                else:
                    over = Standing.until <= time.time()
                    self.host.users.disable(row.owner, False, partial(standing.end, row.owner, over))
                    logger.info("account enabled, its suspension is over", user=row.owner)
            except StanzaError as error:
                logger.warning("an account cannot be deleted or enabled", user=row.owner, reason=error.text)
                if row.deletion is not None:
                    standing.clear(row.owner)
        xdb.release()
