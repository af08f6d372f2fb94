"""Forgotten passwords: an administrator makes a link with which the owner of an account sets another one."""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import log
from ..arguments import AccountAddress, Duration
from ..hooks import Module, Option, command, duration
from ..net.karma import Karma, neighbourhood
from ..xdb import xdb
from ..xmpp.errors import StanzaError
from ..xmpp.stamp import utc
from . import links
from .links import PASSWORD, Link

audit = log.get("audit")
LATEST = 30 * 86400.0
TRIES, FORGIVEN = 20, 0.1
"""So many times in a row wrong links may be tried from one address, and so many more a second."""


class Forgotten(Module):
    """Links to a new password."""

    tables = (Link,)
    lifetime = Option(duration, "1d", "time after which a link to a new password ends", min=60, max=LATEST)

    def __init__(self, host: Any, settings: Any = None) -> None:
        super().__init__(host, settings)
        self.tries = Karma(FORGIVEN, TRIES)
        self.host.users.voids.append(withdraw)

    @command("accounts reset", changes=True, secret=True, rights=True)
    def reset(self, jid: AccountAddress, lifetime: Duration | None = None) -> dict[str, str]:
        """Make a link with which the owner of an account sets another password, once. An older link to it ends. The link is
        shown once; give it to the owner in a safe way."""
        user, seconds = jid.user, self.lifetime if lifetime is None else lifetime
        if not self.host.users.has_account(user):
            raise StanzaError("item-not-found", "there is no such account")
        if not 60 <= seconds <= LATEST:
            raise ValueError(f"lifetime: must be from 60 to {LATEST:.0f} seconds")
        base = self.host.router.base(self.host.domain)
        link, token = links.make(user, self.host.domain, PASSWORD, seconds, check=partial(withdraw, user))
        return {"jid": user, "url": f"{base}/password/{token}", "expires": utc(link.expires)}

    def find(self, token: str, address: str) -> Link | None:
        """The link of that token, if it can be used now. Wrong ones count. Blocks. Raises StanzaError: too many have been tried
        from that address."""
        if self.tries.left(neighbourhood(address)) < 1:
            raise StanzaError(
                "resource-constraint", "too many attempts from your address, try again later", type="wait"
            )
        link = links.find(self.host.domain, token, PASSWORD)
        if link is None or not self.host.users.has_account(link.owner):
            self.tries.spend(neighbourhood(address))
            return None
        return link

    def use(self, link: Link, password: str, address: str) -> None:
        """Sets the password, ends all sessions of the account, and removes its tokens and its second factor: whoever else had
        the account keeps nothing. Blocks. Raises ValueError, StanzaError, StoreError."""
        others = [self.host.modules[name] for name in ("tokens", "web") if name in self.host.modules]

        def take() -> None:
            links.take(link.hash)
            for module in others:
                module.drop(link.owner)

        self.host.users.set_password(link.owner, password, take)
        xdb.release()
        self.host.kick(link.owner, "not-authorized", "the password is another one now")
        audit.info("password", by=link.owner, via="link", where=address, result="done", link=link.key)


def withdraw(user: str) -> None:
    """Ends the links of an account: it has another one, or another password. For the writer."""
    links.withdraw((Link.owner == user) & (Link.kind == PASSWORD))
