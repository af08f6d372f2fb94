"""Commands without a server: its hosts and modules in this process, on the store of the stopped server."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from .. import modules
from ..archive import messages
from ..commands import Caller, CommandError
from ..config import Config
from ..hooks import Progress
from ..jsm.host import Host
from ..net.tls import Certificates, owners_of
from ..router import Router
from ..schema import tables
from ..settings import Settings
from ..xdb import StoreError, xdb
from .control import OWNERS
from .link import Answer, Failed


class Alone:
    """Has of a `Server` what a command may use that needs no running one. ``away``: why the server cannot be asked."""

    def __init__(self, settings: Config, away: str, file: str | None = None) -> None:
        """``file``: the configuration; None: there is none yet."""
        self.config, self.away = settings, away
        self.settings = Settings(file)
        self.data = Path(settings.top.data)  # type: ignore[attr-defined]
        self.certificates = Certificates(settings["tls"], self.data / "certificates")
        self.certificates.owners = owners_of(settings.domains)
        self.store: Any = None
        self.router = Router()
        kinds = modules.load_all()
        for domain, each in settings.hosts.items():
            host = Host(self.router, domain, each.section)  # type: ignore[arg-type]
            for name in each.enabled:
                host.load(kinds[name], each.modules[name])
            self.router.add(host)
        for owner in OWNERS:
            self.router.commands.add(owner(self))  # type: ignore[arg-type]
        self.caller = Caller(
            getpass.getuser(), "jabberctl", f"process {os.getpid()}, no server", operator=True
        )

    @property
    def hosts(self) -> list[Host]:
        return [each for each in self.router.instances.values() if isinstance(each, Host)]

    def describe(self) -> list[dict[str, Any]]:
        return self.router.commands.describe(self.caller)

    def ask(self, name: str, args: dict[str, Any]) -> Iterator[Answer]:
        """Like `Link.ask`."""
        needs = self.router.commands.find(name)[0].command.needs
        try:
            with self.opened() if needs == "store" else nullcontext():
                result = None
                for item in self.router.commands.run(self.caller, name, args):
                    if isinstance(item, Progress):
                        yield {"progress": list(item)}
                    else:
                        result = item
        except CommandError as error:
            raise Failed(str(error)) from None
        yield {"result": result}

    @contextmanager
    def opened(self) -> Iterator[None]:
        """The store, for one command."""
        url = self.config.top.database or "sqlite:///jabberd.sqlite"  # type: ignore[attr-defined]
        try:
            self._become_owner()
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.store = xdb.open(url, tables(), str(self.data), options=self.config["store"])
        except StoreError as error:
            raise Failed(str(error)) from None
        except OSError as error:
            raise Failed(f"{error.filename}: {error.strerror}; {self.away}") from None
        try:
            messages.start()
            for host in self.hosts:
                host.hooks.tell("start")
            with xdb.unit():
                yield
            for host in self.hosts:
                host.hooks.tell("stop")
        finally:
            store, self.store = self.store, None
            store.close()

    def _become_owner(self) -> None:
        """Root works on as the user whose store it is: what it makes must be the server's."""
        if os.geteuid() == 0 and self.data.exists() and (owner := self.data.stat()).st_uid != 0:
            os.initgroups(_name(owner.st_uid), owner.st_gid)
            os.setgid(owner.st_gid)
            os.setuid(owner.st_uid)


def _name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "nobody"
