"""The pages of a host in one Flask application (app.py). It is made for the first request, since Flask and what it needs cost
memory and time. So files with a Module in them do not import Flask; files with views do."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import gevent
from gevent.lock import RLock

from .. import log
from ..arguments import AccountAddress, Private
from ..commands import Caller
from ..hooks import Answer, Module, Option, Refusal, Request, command, duration, every, http, list_of
from ..net.channel import Channel
from ..net.guard import Guard
from ..words import clean
from ..xdb import xdb
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from ..xmpp.prep import domainprep
from . import names, totp
from .browsers import Browsers

PER_ACCOUNT, PER_ADDRESS, IN_ALL = 6, 20, 20
"""Wrong passwords: for one account from one address, from one address, for one account from everywhere (net/guard.py)."""

ALARM = 6
"""The owner is told when fewer wrong codes are left than so many."""
MANY = "Somebody gives wrong codes of your authenticator app. If that was not you, somebody knows your password: change it."
audit = log.get("audit")


def _guard() -> Guard:
    guard = Guard()
    guard.limit(PER_ACCOUNT, PER_ADDRESS, IN_ALL)
    return guard


GUARD = _guard()
"""One for the sites of all hosts: each lets in the accounts of all."""


class Web(Module):
    """Pages for people, in a browser: the console of administrators (/console), one's own account (/account), invitations."""

    name = "web"
    tables = (totp.SecondFactor,)

    console = Option(bool, True, "the console for administrators, at /console")
    idle = Option(duration, "30m", "time without a request after which a browser is signed out", min=60)
    longest = Option(duration, "12h", "time after which a browser has to sign in again", min=60)

    names = Option[list[str]](
        list_of(domainprep),
        [],
        "other names under which people open the pages, beside those of the hosts, of `http.url`, and addresses",
    )
    confirm = Option(
        duration,
        "10m",
        "time after the sign-in in which what gives lasting rights does not ask for the password again; 0s: it always does",
        min=0,
    )

    def __init__(self, host: Any, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.browsers = Browsers()
        self.secret = secrets.token_bytes(32)
        self.guard = GUARD
        self._app: Any = None
        self._making = RLock()
        self.configure(self.settings)

    def configure(self, settings: Mapping[str, Any]) -> None:
        super().configure(settings)
        self.browsers.idle, self.browsers.longest = self.idle, self.longest

    @http("/")
    @http("/web", below=True)
    @http("/sign-in", "GET", "POST")
    @http("/sign-out", "GET", "POST")
    @http("/kept", below=True)
    @http("/account", "GET", "POST", below=True)
    @http("/invite", "GET", "POST", below=True)
    @http("/password", "GET", "POST", below=True)
    @http("/register", "GET", "POST")
    @http("/console", "GET", "POST", below=True)
    @http("/setup", "GET", "POST", below=True)
    def answer(self, request: Request) -> Answer:
        """Asks the application. Other Modules of this package hand their requests on to it. Blocks. Raises Refusal."""
        channel = request.environ["jabberd.handler"].connection.channel
        shown = channel.names if isinstance(channel, Channel) else ()
        if not names.ours(request.host, self.host.router, self.names, shown):
            raise Refusal(421, names.FOREIGN.format(clean(request.host[:100]), self.host.domain))
        if request.path.startswith("/console") and not self.console:
            raise Refusal(404)
        setup = self.host.router.setup
        if request.path.startswith("/setup") and (setup is None or not setup.usable):
            raise Refusal(404)
        if self._app is None:
            self._make()
        answer: Answer = import_module(".app", __package__).answer(self._app, request)
        return answer

    def _make(self) -> None:
        with self._making:
            if self._app is None:
                made = gevent.get_hub().threadpool.apply(import_module, (".app", __package__))
                self._app = made.make(self)

    @every(60)
    def sweep(self) -> None:
        """Forgets browsers whose time is over."""
        self.browsers.sweep()

    # -- the second factor ------------------------------------------------------------------------------

    @command("totp show", access="owner")
    def show(self, jid: AccountAddress) -> dict[str, bool]:
        """Does a sign-in of the account by browser want a code of an authenticator app, too?"""
        self._check(jid)
        return {"on": totp.has(jid.user)}

    @command("totp set", access="owner", changes=True, rights=True)
    def set(self, jid: AccountAddress, caller: Caller, secret: Private, code: Private) -> None:
        """From now on a sign-in of the account by browser wants a code of an authenticator app, too. The code shows that the
        app has the secret (base32). Who has set one up already has to remove it first."""
        self._check(jid)
        if totp.has(jid.user):
            raise StanzaError("conflict", "the account has a second factor already")
        if not totp.keep(jid.user, secret.strip().upper(), code):
            raise ValueError("code: is not one of this secret; is the clock of the device right?")
        for void in self.host.users.voids:  # a link to a new password would take the factor off
            xdb.save(void, jid.user)

    @command("totp remove", access="owner", changes=True, rights=True)
    def remove(self, jid: AccountAddress, caller: Caller, code: Private = "") -> None:
        """A sign-in of the account by browser wants the password only. The owner has to show a code. An administrator removes
        it without, for who has lost the device."""
        self._check(jid)
        own = not caller.operator and caller.jid is not None and caller.jid.user == jid.user
        if not totp.has(jid.user):
            raise StanzaError("item-not-found", "the account has no second factor")
        if own and not self.passes(jid.user, code):
            raise ValueError("code: is not right, or was used already")
        totp.remove(jid.user)

    def drop(self, user: str) -> int:
        """Removes the second factor of an account. For the writer."""
        return totp.drop(user)

    def passes(self, user: str, code: str) -> bool:
        """Is it a right code of the account (`totp.passes`)? Some wrong ones in a row are told to its owner. Blocks."""
        before = totp.WRONG.left(user)
        right = totp.passes(user, code)
        if before >= ALARM > totp.WRONG.left(user):
            audit.info("many wrong codes", by="", account=user)
            body = Element("body", ns.CLIENT, MANY)
            self.host.router.deliver(Element("message", ns.CLIENT, body, from_=parse(user).domain, to=user))
        return right

    def _check(self, jid: Any) -> None:
        if not self.host.users.exists(jid.user):
            raise StanzaError("item-not-found", "there is no such account")
