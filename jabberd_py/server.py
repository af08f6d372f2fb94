"""Builds, wires, reloads and stops everything."""

from __future__ import annotations

import os
import signal
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

from . import __version__, config, log, modules
from .c2s.listener import C2S, Service
from .c2s.sm import ResumableStream
from .config import Config, ConfigError, Schema
from .heartbeat import heartbeat
from .hooks import Option, Section, optional
from .jsm.host import Host, HostOptions
from .jsm import spool
from .jsm.users import Account
from .net.tls import Certificates, TLSOptions
from .router import Router
from .xdb import Store, StoreError, Table, xdb
from .xmpp.prep import domainprep

logger = log.get(__name__)
GRACE = 8.0
"""Seconds that streams have to end in when the server stops."""


class Top(Section):
    """The server as a whole."""

    data = Option(str, "./data", "folder of the database, the certificates and the control socket")
    database = Option(
        optional(str), None, "URL of the database: sqlite:///FILE, mysql://..., postgresql://...; by default SQLite in data"
    )


class LogOptions(Section):
    """What the log says, on standard error."""

    level = Option(str, "info", "how much", choices=["debug", "info", "warning", "error"])
    format = Option(str, "text", "for a person, or one JSON object a line", choices=["text", "json"])


class ControlOptions(Section):
    """The socket of jabberctl; only the server's own user may connect."""

    socket = Option(optional(str), None, "path; by default 'jabberctl.sock' in the data folder")


def schema() -> Schema:
    """All that the configuration may say."""
    return Schema(
        top=Top,
        sections={"log": LogOptions, "c2s": C2S, "tls": TLSOptions, "ctl": ControlOptions},
        modules=modules.load_all(),
        host=HostOptions,
        domain=domainprep,
    )


def tables() -> list[type[Table]]:
    """Every table of the server, whether its module is on or not."""
    return [Account, *spool.tables(), ResumableStream, *(table for kind in modules.load_all().values() for table in kind.tables)]


class Server:
    """``settings`` gives the configuration, again at each reload. Raises ConfigError, StoreError, OSError, ValueError:
    one line says why the server cannot start, and nothing is left half made."""

    def __init__(self, settings: Callable[[], Config]) -> None:
        self.settings = settings
        self.config = settings()
        self.started = time.time()
        self.router = Router()
        self.jobs: list[Callable[[], None]] = []
        self.stopping = Event()
        self.data = Path(self.config.top.data)  # type: ignore[attr-defined]
        try:
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreError(f"data folder {error.filename}: {error.strerror}") from None
        self.certificates = Certificates(self.config["tls"], self.data / "certificates")
        self.c2s = Service(self.config["c2s"], self.router, self.certificates)
        self.store: Store | None = None
        self.control: Any = None
        try:
            self.c2s.open()
            database = self.config.top.database or f"sqlite:///{self.data / 'jabberd.sqlite'}"  # type: ignore[attr-defined]
            self.store = xdb.open(database, tables(), str(self.data))
            spool.start()
            self.certificates.load(self.config.hosts)
            for domain in self.config.hosts:
                self._add_host(domain)
        except BaseException:
            self._close()
            raise

    def _add_host(self, domain: str) -> None:
        settings = self.config.hosts[domain]
        assert isinstance(settings.section, HostOptions)
        host = Host(self.router, domain, settings.section)
        kinds = modules.load_all()
        for name in settings.enabled:
            host.load(kinds[name], settings.modules[name])
        self.router.add(host)
        for seconds, job in host.jobs:
            self.jobs.append(heartbeat.every(seconds, job))
        self.jobs.append(heartbeat.every(1, host.spool.save_marks))
        self.c2s.adopt(host)
        host.hooks.tell("start")

    @property
    def hosts(self) -> list[Host]:
        return [i for i in self.router.instances.values() if isinstance(i, Host)]

    def start(self) -> None:
        """Begins to serve; returns at once."""
        from .ctl.control import Control

        heartbeat.start()
        path = self.config["ctl"].socket or str(self.data / "jabberctl.sock")
        self.control = Control(self, path)
        self.control.start()
        self.c2s.start()
        logger.info("serving", version=__version__, hosts=" ".join(self.config.hosts))

    def reload(self) -> None:
        """Reads the configuration, the certificates and the log level again; on a mistake everything stays as it was.
        Raises ConfigError, ValueError, OSError."""
        fresh = self.settings()
        self.certificates.options = fresh["tls"]
        self.certificates.load(fresh.hosts)
        self.config = fresh
        log.setup(fresh["log"].level, fresh["log"].format)
        self.c2s.configure(fresh["c2s"])
        for host in self.hosts:
            settings = fresh.hosts.get(host.domain)
            if settings is None:
                continue  # a host goes, or comes, with a restart
            assert isinstance(settings.section, HostOptions)
            host.options = settings.section
            for name, module in host.modules.items():
                module.configure(settings.modules.get(name, {}))
            host.hooks.tell("reload")
        for domain in fresh.hosts:
            if domain not in self.router.instances:
                self._add_host(domain)
        logger.info("configuration read again")

    def stop(self) -> None:
        """Streams are closed with ``system-shutdown``, what is written is committed, then everything is closed."""
        logger.info("stopping")
        self.c2s.stop()
        deadline = time.monotonic() + GRACE
        while self.c2s.clients and time.monotonic() < deadline:
            gevent.sleep(0.02)
        for host in self.hosts:
            host.hooks.tell("stop")
            host.spool.save_marks()
        self._close()
        logger.info("stopped")
        self.stopping.set()

    def _close(self) -> None:
        for stop in self.jobs:
            stop()
        for listener in self.c2s.listeners:
            listener.close()
        if self.control is not None:
            self.control.stop()
        heartbeat.stop()
        if self.store is not None:
            self.store.close()

    # -- the process -----------------------------------------------------------------------

    def listening(self) -> list[tuple[str, str, int]]:
        """(kind, address, port) of every listener."""
        return [(each.kind, *each.bound) for each in self.c2s.listeners]


def run(path: str | None, overrides: list[str]) -> int:
    """Serves until SIGTERM or SIGINT; the exit code."""

    def settings() -> Config:
        return config.load(path, overrides, os.environ, schema=schema())

    try:
        first = settings()
        log.setup(first["log"].level, first["log"].format)
        server = Server(settings)
        server.start()
    except (ConfigError, StoreError, OSError, ValueError, ssl.SSLError) as error:
        print(f"jabberd: {_one_line(error)}", file=sys.stderr)
        return 1

    def reload() -> None:
        try:
            server.reload()
        except (ConfigError, OSError, ValueError, ssl.SSLError) as error:
            logger.error("nothing changed, the new configuration is wrong", error=_one_line(error))

    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, lambda: gevent.spawn(server.stop))
    gevent.signal_handler(signal.SIGHUP, lambda: gevent.spawn(reload))
    _say_hello(server)
    server.stopping.wait()
    return 0


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _say_hello(server: Server) -> None:
    for path in server.certificates.made:
        print(f"made a self-signed certificate: {path}")
    for kind, address, port in server.listening():
        print(f"listening {kind} {address} {port}")
    print(f"hosts: {', '.join(server.config.hosts)}")
    domain = next(iter(server.config.hosts))
    if not any(host.users.all() for host in server.hosts):
        print(f"there is no account yet; make the first one: jabberctl accounts add you@{domain}")
    print("ready", flush=True)
