"""What the server prints at its start: what it has made, where it listens, warnings, how to make the first account."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import log
from .ctl.place import find
from .jsm.users import Account
from .ready import notify

if TYPE_CHECKING:
    from .config import HostConfig
    from .server import Server

logger = log.get(__name__)
MOST = 10_000
"""Accounts of domains that are no hosts, which are counted at a start."""


def say_hello(server: Server, file: str | None, overrides: Sequence[str]) -> None:
    """Prints it, and tells systemd. Where the log is JSON it goes there, too, and there only if both go to one place.
    ``file``: the configuration; ``overrides``: what was said by ``--set``."""
    json, apart = log.is_json(), not _one_place()
    for line in [*_lines(server), *_forgotten(file, overrides), "ready"]:
        if json:
            logger.info(line)
        if apart or not json:
            print(line, flush=True)
    notify(f"READY=1\nSTATUS=serving {', '.join(server.config.hosts)}")


def _one_place() -> bool:
    """Do standard output and standard error end in the same file, pipe or journal?"""
    with suppress(OSError, ValueError):
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    return False


def _lines(server: Server) -> Iterator[str]:
    hosts = server.config.hosts
    if server.fresh is not None:
        yield f"made the data folder: {server.data}"
    if server.store is not None and server.store.migrated:
        yield f"made the database ready: {server.store.where} ({', '.join(server.store.migrated)})"
    for path in server.certificates.made:
        yield f"made a self-signed certificate: {path}"
    for name, address, port in server.listening():
        yield f"listening {name} {address} {port}"
    yield f"hosts: {', '.join(hosts)}"
    if opened := [domain for domain, host in hosts.items() if _open(host)]:
        yield f"registration is open: anybody may make an account on {', '.join(opened)} (modules.register)"
    for name in dict.fromkeys(name for host in hosts.values() for name in host.idle):
        yield f"modules.{name} has options but is off: 'enabled: true' among them switches it on"
    for domain, count in _elsewhere(list(hosts)).items():
        known = ", ".join(hosts)
        yield f"there are {count} accounts of {domain}, which is no host now ({known}): nobody can log in to them"
    if (setup := server.router.setup) is not None and setup.token is not None:
        for link in setup.links(setup.token):
            where = (
                "on this machine"
                if link.startswith("http:")
                else "from elsewhere; it warns of our own certificate"
            )
            yield f"set up this server in the browser, within an hour, {where}: {link}"
    if not _any_account(list(hosts)):
        yield f"there is no account yet; make the first one: {_jabberctl(server)} accounts add you@{next(iter(hosts))}"


def _open(host: HostConfig) -> bool:
    """May strangers make accounts there?"""
    strangers = host.modules.get("register", {}).get("strangers", True)
    return "register" in host.enabled and strangers and not getattr(host.section, "anonymous", False)


def _forgotten(file: str | None, overrides: Sequence[str]) -> Iterator[str]:
    if overrides:
        names = ", ".join(each.partition("=")[0] for each in overrides)
        yield f"--set is for this run only ({names}): what is to stay goes into {file or 'conf/jabberd.yaml'}"


def _jabberctl(server: Server) -> str:
    """How to call it for this server, as it is installed here."""
    script, beside = Path(__file__).parents[1] / "jabberctl", Path(sys.executable).with_name("jabberctl")
    if script.exists():  # a clone
        command = ["./jabberctl" if script.parent == Path.cwd() else str(script)]
    elif beside.exists():
        command = ["jabberctl" if shutil.which("jabberctl") else str(beside)]
    else:
        command = [sys.executable, "-m", "jabberd_py.ctl"]
    socket = server.control.path.absolute()
    return shlex.join(
        command if Path(find(None, {}).socket) == socket else [*command, "--socket", str(socket)]
    )


def _any_account(domains: list[str]) -> bool:
    here = reduce(or_, (Account.owner.endswith("@" + each) for each in domains))
    return bool(Account.select(Account.owner).where(here).limit(1))


def _elsewhere(domains: list[str]) -> Counter[str]:
    """How many accounts there are of domains that are not among these, by domain."""
    here = reduce(or_, (Account.owner.endswith("@" + each) for each in domains))
    rows: Any = Account.select(Account.owner).where(~here).limit(MOST).tuples()
    return Counter(owner.rpartition("@")[2] for (owner,) in rows)
