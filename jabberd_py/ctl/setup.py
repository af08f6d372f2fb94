"""Set-up: domain, certificate, database and the first administrator, in one go. `jabberctl setup` and the pages in the browser
(web/setup.py) both use it. Nothing is restarted: while there is no account, even the database can be changed."""

from __future__ import annotations

import hmac
import json
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import gevent
from gevent.lock import BoundedSemaphore

from .. import log
from ..arguments import Password, Private, domain
from ..commands import Caller, CommandError, Conflict, Failed, NotAllowed, WrongArgument, outcome
from ..config import Config, ConfigError
from ..config.write import get_key, rename_key, set_key
from ..hooks import command
from ..jsm.users import Account
from ..net.acme import write
from ..net.karma import Karma, neighbourhood
from ..net.networks import reached_at
from .advice import try_database
from .answers import CHALLENGES, admin_of, check_acme, domain_of, files_of, strength, strong
from .configuration import Configuration, in_thread
from .zone import records

if TYPE_CHECKING:
    from ..server import Server

logger = log.get(__name__)
audit = log.get("audit")
CALLER = Caller("set-up", "server", operator=True)
TLS = Literal["self-signed", "files", "acme"]
SHORTEST = 8
"""Characters of the first administrator's password."""
HOUR = 3600.0
"""Seconds that the link is valid."""
GUESSES = 20
"""Wrong tokens of one neighbourhood within the hour; then it is not listened to."""


class Setup:
    """Of a `Server`. ``token``: of the link; None: there is none. ``session``: of the browser that has opened it. ``done``: the
    domain that was set up."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.token: str | None = None
        self.session: str | None = None
        self.until = 0.0
        self.tries = Karma(GUESSES / HOUR, GUESSES)
        self.done: str | None = None
        self.turn = BoundedSemaphore(1)
        self.ordering: gevent.Greenlet | None = None
        self.answers: dict[str, Any] = {}
        """What was said on the pages so far."""
        server.router.setup = self

    # -- the link ------------------------------------------------------------------------------------------

    def open(self) -> str:
        """Makes a link that can be opened once, within an hour. Returns its token."""
        self.token, self.session = secrets.token_urlsafe(16), None
        self.until, self.tries = time.monotonic() + HOUR, Karma(GUESSES / HOUR, GUESSES)
        return self.token

    def right(self, token: str, address: str) -> bool:
        """Is it the link's token, from a browser at that IP address? After too many wrong ones from there, the right one is
        refused, too. Guesses close nothing."""
        place = neighbourhood(address)
        if not self.usable or self.token is None or self.tries.left(place) < 1:
            return False
        if hmac.compare_digest(token.encode(), self.token.encode()):
            return True
        self.tries.spend(place)
        audit.info("set-up", by="", via="browser", where=address, result="wrong token")
        return False

    def enter(self, token: str, address: str) -> str | None:
        """Opens the link for a browser at that IP address, and for no other one. Returns what the browser has to show from now
        on; None: it may not enter, see `right`."""
        if not self.right(token, address):
            return None
        self.token, self.session = None, secrets.token_urlsafe(24)
        audit.info("set-up", by="", via="browser", where=address, result="link opened")
        return self.session

    def knows(self, session: str) -> bool:
        """Is it the browser that has opened the link?"""
        return (
            self.session is not None
            and time.monotonic() < self.until
            and hmac.compare_digest(session.encode(), self.session.encode())
        )

    @property
    def usable(self) -> bool:
        """Is there a link that was not opened yet, or a browser that has opened it?"""
        return (
            (self.token or self.session) is not None
            and time.monotonic() < self.until
            and (self.done is not None or not any_account())
        )

    @property
    def shortest(self) -> int:
        """Characters that the first administrator's password has at least."""
        host = next(iter(self.server.config.hosts.values()))
        said = host.modules.get("passwords", {}).get("shortest", 0)  # what the configuration says
        return max(SHORTEST, int(said))

    def close(self) -> None:
        """For good."""
        self.token = self.session = None
        self.answers.clear()

    # -- commands ------------------------------------------------------------------------------------------

    @command("setup link", changes=True, secret=True, rights=True)
    def link(self, caller: Caller) -> list[str]:
        """A new link for the set-up in the browser, valid for an hour and for one browser."""
        self._check(caller)
        return self.links(self.open())

    def links(self, token: str) -> list[str]:
        """Where to open it: on this machine, and from elsewhere."""
        found = []
        for name, address, port in self.server.listening():
            host = {"http": "localhost", "https": reached_at(address)}.get(name)
            if host:
                found.append(f"{name}://{host}:{port}/setup/{token}")
        return list(dict.fromkeys(found))

    @command("setup database", secret=True)
    def database(self, url: Private, caller: Caller) -> str:
        """Can the server keep its data in the database with that URL? Connects to it, makes a table and removes it."""
        self._check(caller)
        return self.try_database(url)

    @command("setup dns")
    def dns(self, name: str, caller: Caller) -> list[dict[str, Any]]:
        """The records that a domain and its services need in DNS: which are there, what for, what is missing."""
        return records(self.server, domain(name))

    @command("setup", changes=True, needs="config")
    def setup(
        self, caller: Caller, password: Password, domain: str = "", admin: str = "", tls: TLS = "self-signed",
        certificate: str = "", key: str = "", email: str = "", directory: str = "", database: Private = "",
        non_interactive: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """Set up a new server: its domain, the certificate (self-signed; files: --certificate and --key; acme: --email,
        --directory), the URL of the database, and the first administrator. All is in use at once."""
        if not self.turn.acquire(blocking=False):
            raise Conflict("somebody else is setting up the server right now")
        try:
            self._check(caller)
            return self._apply(
                caller, domain, admin, password, tls, certificate, key, email, directory, database
            )
        finally:
            self.turn.release()

    @command("certificates order", changes=True, needs="config", rights=True)
    def order_for(self, caller: Caller, name: str, email: str = "", directory: str = "") -> dict[str, Any]:
        """Let an authority (ACME) give the host of that name its certificate, and renew it: Let's Encrypt, or the one whose
        directory is given. By it you agree to its terms of service. The domain must lead here, and the authority asks on
        port 80."""
        name = self.domain(name)
        if name not in self.server.config.hosts:
            raise WrongArgument(f"name: {name} is not served here", "name")
        self.acme(name, directory)
        changes: dict[str, Any] = {f"hosts.{name}.modules.acme.directory": directory or "letsencrypt"}
        if email:
            changes[f"hosts.{name}.modules.acme.email"] = email
        if self.server.config["http"].challenge_port is None:
            changes["http.challenge_port"] = CHALLENGES
        answer: dict[str, Any] = outcome(
            self.server.router.commands.run(
                caller, "config apply", {"changes": json.dumps(changes, ensure_ascii=False)}
            )
        )
        if self.server.store is not None:
            gevent.spawn(self._order, name)
        return answer | {
            "next": "the certificate is being ordered; certificates show (the page Certificates) tells what comes of it"
        }

    # -- how it is done -------------------------------------------------------------------------------

    def _check(self, caller: Caller) -> None:
        if not caller.operator:
            raise NotAllowed("only the server's own user may set it up")
        if self.server.store is not None and any_account():
            raise Conflict(
                "the server is set up already: there are accounts; change it by jabberctl config set"
            )

    def _apply(
        self, caller: Caller, name: str, admin: str, password: str, tls: str, certificate: str, key: str, email: str,
        directory: str, database: str,
    ) -> dict[str, Any]:  # fmt: skip
        name = self.domain(name)
        chief = self.admin(admin, name)
        strong(password, chief, self.shortest)
        files = self.files(certificate, key, name) if tls == "files" else None
        if tls == "acme":
            self.acme(name, directory)
        if database and database != self._database():
            self.try_database(database)
        configuration: Configuration = self.server.router.commands.top["config set"].method.__self__  # type: ignore[attr-defined]
        with configuration.lock:
            text = before = configuration._text()
            for path, value in self.changes(before, name, chief, tls, email, directory, database):
                text = (
                    rename_key(text, path, value)
                    if path == ("hosts", "localhost")
                    else set_key(text, path, value)
                )
            try:
                fresh = in_thread(self.server.settings, text)
            except ConfigError as error:
                raise Failed(str(error)) from None
            if name not in fresh.hosts:
                raise Failed(
                    f"{name} is not among the hosts then: does the environment or --set say otherwise?"
                )
            if self.server.store is None:
                self._check_stopped(fresh)
            undo = [] if files is None else self._put(files, name)
            try:
                if database and database != self._database() and self.server.store is not None:
                    self.server.switch_store(fresh)
                configuration._use(before, text, f"set up {name}", caller)
            except BaseException:
                for file, content in undo:
                    file.unlink(missing_ok=True) if content is None else write(file, content)
                raise
        self._account(caller, fresh, chief, password)
        self.done = name
        if tls == "acme":
            self.order()
        return {"domain": name, "administrator": chief, "file": str(self.server.settings.file)}

    def changes(
        self, text: str, name: str, chief: str, tls: str, email: str, directory: str, database: str
    ) -> list[tuple[tuple[str, ...], Any]]:
        """What the file has to say: (path, value). A new name for the host `localhost` comes first."""
        hosts = get_key(text, ("hosts",))
        found: list[tuple[tuple[str, ...], Any]] = []
        if isinstance(hosts, dict) and "localhost" in hosts and name not in hosts:
            found.append((("hosts", "localhost"), name))
        found.append((("hosts", name, "admins"), [chief]))
        if database:
            found.append((("database",), database))
        if tls == "acme":
            found.append((("modules", "acme", "directory"), directory or "letsencrypt"))
            if email:
                found.append((("modules", "acme", "email"), email))
            if self.server.config["http"].challenge_port is None:
                found.append((("http", "challenge_port"), CHALLENGES))
        return found

    def _account(self, caller: Caller, fresh: Config, chief: str, password: str) -> None:
        args = {"jid": chief, "password": password}
        if self.server.store is not None:
            outcome(self.server.router.commands.run(caller, "accounts add", args))
            return
        from .alone import Alone  # not at the top: it has a Setup of its own

        for _ in Alone(fresh, "").ask("accounts add", args):
            pass

    def _check_stopped(self, fresh: Config) -> None:
        """Like `_check`, for the store of a stopped server."""
        from .alone import Alone

        with Alone(fresh, "").opened():
            if any_account():
                raise Conflict("the server is set up already: there are accounts")

    def _database(self) -> str:
        return self.server.config.top.database or "sqlite:///jabberd.sqlite"  # type: ignore[attr-defined]

    def _put(self, files: tuple[bytes, bytes], name: str) -> list[tuple[Path, bytes | None]]:
        """Copies certificate and key to their folder. Returns what was there."""
        folder = self.server.certificates.folder
        before = []
        for file, content in zip((folder / f"{name}.pem", folder / f"{name}.key"), files, strict=True):
            before.append((file, file.read_bytes() if file.exists() else None))
            write(file, content)
        return before

    # -- the first certificate of an authority --------------------------------------------------------------

    def order(self) -> None:
        """Asks the authority for the certificate of the new domain. Returns at once; see `certificate`."""
        if self.server.store is not None and self.ordering is None:
            self.ordering = gevent.spawn(self._order, self.done)

    def _order(self, name: str | None) -> None:
        try:
            self._run("certificates renew", name)
        except CommandError as error:
            logger.warning("no certificate yet", reason=str(error))
        finally:
            if name == self.done:
                self.ordering = None

    def certificate(self) -> dict[str, Any]:
        """The row of `certificates show`; ``last_order`` is ``under way``, ``done`` or ``failed``."""
        row: dict[str, Any] = next(
            each for each in self._run("certificates show", self.done) if each["domain"] == self.done
        )
        if self.ordering is not None or not row["last_order"]:
            row["last_order"] = "under way"
        return row

    def _run(self, command: str, name: str | None) -> Any:
        return outcome(self.server.router.commands.run(CALLER, command, {"host": name}))

    # -- each answer alone: the pages ask one after the other ---------------------------------------------

    domain = staticmethod(domain_of)
    admin = staticmethod(admin_of)
    files = staticmethod(files_of)
    strength = staticmethod(strength)

    def acme(self, name: str, directory: str) -> None:
        """See `check_acme`."""
        check_acme(name, directory, self.server.config["http"].challenge_port)

    def try_database(self, url: str) -> str:
        """See advice.py."""
        return try_database(url, str(self.server.data))

    def records(self, name: str) -> list[dict[str, Any]]:
        """See `records`."""
        return records(self.server, name)


def any_account() -> bool:
    return bool(Account.select(Account.owner).limit(1))
