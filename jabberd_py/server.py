"""Builds, wires, reloads and stops everything."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import signal
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

from . import __version__, config, log, modules, outbox
from .c2s.listener import Service
from .component.service import Components, Conflict
from .config import Config, ConfigError, ServiceConfig
from .figures import figures
from .heartbeat import heartbeat
from .hello import say_hello
from .http.metrics import Figure, Metrics
from .instance import Instance
from .jsm import messages
from .jsm.host import Host, HostOptions
from .net import certfiles
from .net.accept import Listener
from .net.dnsrv import Resolver
from .net.stream import Stream
from .net.tls import Certificates
from .options import OptionError
from .router import Router
from .s2s.uplink import Uplink
from .schema import schema, tables
from .xdb import Store, StoreError, StoreInUse, xdb

logger = log.get(__name__)
GRACE = 8.0
"""Seconds that streams have to end in when the server stops."""
LINGER = 1.0
"""Seconds that a peer has then to close its side, too."""


class Server:
    """``settings`` gives the configuration, again at each reload. Raises ConfigError, StoreError, OSError, ValueError:
    one line says why the server cannot start, and nothing is left half made."""

    def __init__(self, settings: Callable[[], Config]) -> None:
        self.settings = settings
        self.config = settings()
        self.started = time.time()
        self.router = Router()
        self.jobs: list[Callable[[], None]] = []
        self.ending = False
        self.stopping = Event()
        self.data = Path(self.config.top.data)  # type: ignore[attr-defined]
        self.fresh: Path | None = None
        """The topmost folder that this start had to make for its data."""
        self.certificates = Certificates(self.config["tls"], self.data / "certificates")
        self.c2s = Service(self.config["c2s"], self.router, self.certificates)
        self.uplink: Uplink | None = None
        if self.config["s2s"].enabled:
            self._make_uplink()
        self.components = Components(self.router)
        self.metrics: Metrics | None = None
        self.store: Store | None = None
        self.control: Any = None
        try:
            self._take_ports()  # first: what most often goes wrong leaves nothing behind
            self._make_data()
            database = self.config.top.database or "sqlite:///jabberd.sqlite"  # type: ignore[attr-defined]
            try:
                self.store = xdb.open(database, tables(), str(self.data), options=self.config["store"])
            except StoreInUse:
                raise
            except StoreError as error:
                where = "database" if self.config.top.database else "data"  # type: ignore[attr-defined]
                raise self.config.error(str(error), where) from None
            messages.start()
            self._load_certificates(self.config)
            self.components.configure(self.config.components)  # type: ignore[arg-type]
            for domain in self.config.hosts:
                self._add_host(domain)
        except BaseException as error:
            self._undo(error)
            raise

    def _make_uplink(self) -> None:
        resolver = Resolver(self.config["dns"])
        try:
            self.uplink = Uplink(self.router, self.config["s2s"], resolver, self.certificates)
        except OptionError as error:
            raise self.config.error(str(error), "s2s", error.option) from None
        self.router.uplink = self.uplink

    def _take_ports(self) -> None:
        section = "c2s"
        try:
            self.c2s.open()
            section = "s2s"
            if self.uplink is not None:
                self.uplink.open()
            section = "metrics"
            if self.config["metrics"].port is not None:
                self.metrics = Metrics(self.config["metrics"], self.figures)
        except OptionError as error:
            raise self.config.error(str(error), section, error.option) from None
        self._await_components(self.config)

    def _await_components(self, settings: Config) -> None:
        wanted: Any = settings.components
        try:
            self.components.check(wanted, settings.hosts)
            self.components.open(settings["component"], wanted)
        except Conflict as error:
            raise settings.error(str(error), "components", error.component, error.option) from None
        except OptionError as error:
            raise settings.error(str(error), "component", error.option) from None

    def _make_data(self) -> None:
        missing = [each for each in (self.data, *self.data.parents) if not each.exists()]
        try:
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        except FileExistsError:
            raise self.config.error(f"{self.data} is no folder", "data") from None
        except OSError as error:
            raise self.config.error(f"cannot make {error.filename}: {error.strerror}", "data") from None
        if not os.access(self.data, os.R_OK | os.W_OK | os.X_OK):
            reason = certfiles.unusable(self.data, PermissionError(errno.EACCES, "Permission denied"))
            raise self.config.error(reason, "data")
        self.fresh = missing[-1] if missing else None

    def _load_certificates(self, settings: Config) -> None:
        before, self.certificates.options = self.certificates.options, settings["tls"]
        try:
            self.certificates.load(
                {
                    domain: [each.domain for each in host.services.values()]
                    for domain, host in settings.hosts.items()
                }
            )
        except BaseException as error:
            self.certificates.options = before
            if isinstance(error, OptionError):
                raise settings.error(str(error), "tls", error.option) from None
            raise

    def _undo(self, error: BaseException) -> None:
        """The start failed: what it made goes again, except where another server has moved in meanwhile."""
        self._close()
        if self.fresh is not None and not isinstance(error, StoreInUse):
            shutil.rmtree(self.fresh, ignore_errors=True)

    def _add_host(self, domain: str) -> None:
        settings = self.config.hosts[domain]
        assert isinstance(settings.section, HostOptions)
        host = Host(self.router, domain, settings.section)
        kinds = modules.load_all()
        for name in settings.enabled:
            host.load(kinds[name], settings.modules[name])
        self._add(host)
        self.jobs.append(heartbeat.every(1, host.spool.save_marks))
        for service in settings.services.values():
            self._add_service(host, service)

    def _add_service(self, host: Host, settings: ServiceConfig) -> None:
        """Beside its own modules it has those of the host that are for any Instance."""
        kind = modules.load_services()[settings.name]
        service = kind(self.router, host, settings.domain, settings.settings)
        for module in host.modules.values():
            if module.anywhere:
                service.load(type(module), module.settings)
        kinds = kind.kinds()
        for name in settings.enabled:
            service.load(kinds[name], settings.modules[name])
        self._add(service)

    def _add(self, instance: Instance) -> None:
        """It begins to serve."""
        self.router.add(instance)
        self.jobs += [heartbeat.every(seconds, job) for seconds, job in instance.jobs]
        instance.hooks.tell("start")

    @property
    def hosts(self) -> list[Host]:
        return [i for i in self.router.instances.values() if isinstance(i, Host)]

    def start(self) -> None:
        """Begins to serve; returns at once. Raises ValueError where the control socket cannot be had."""
        from .ctl.control import Control

        heartbeat.start()
        self.jobs.append(heartbeat.every(24 * 3600, self.certificates.warn))
        self.control = Control(self, self.config["ctl"].socket or str(self.data / "jabberctl.sock"))
        try:
            self.control.start()
        except BaseException as error:
            self._undo(error)
            raise
        left = outbox.left()
        self.c2s.start()
        outbox.start(self.router, left)
        if self.uplink is not None:
            self.jobs += [heartbeat.every(seconds, job) for seconds, job in self.uplink.jobs]
            self.uplink.start()
        self.components.start()
        if self.metrics is not None:
            self.metrics.start()
        logger.info("serving", version=__version__, hosts=" ".join(self.config.hosts))

    def reload(self) -> None:
        """Reads the configuration, the certificates and the log level again; on a mistake everything stays as it was.
        Raises ConfigError, ValueError, OSError."""
        fresh = self.settings()
        try:
            self.c2s.check(fresh["c2s"])
        except OptionError as error:
            raise fresh.error(str(error), "c2s", error.option) from None
        if self.uplink is not None:
            try:
                self.uplink.check(fresh["s2s"])
            except OptionError as error:
                raise fresh.error(str(error), "s2s", error.option) from None
        self._await_components(fresh)
        self._load_certificates(fresh)
        self.config = fresh
        log.setup(fresh["log"].level, fresh["log"].format)
        self.c2s.configure(fresh["c2s"])
        if self.uplink is not None:
            self.uplink.configure(fresh["s2s"])
        self.components.configure(fresh.components)  # type: ignore[arg-type]
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
        if self.ending:
            return  # the second signal: make passes on what a terminal has sent to all
        self.ending = True
        Stream.linger = LINGER
        logger.info("stopping")
        self.c2s.stop()
        self.components.stop()
        deadline = time.monotonic() + GRACE
        while (self.c2s.clients or self.components.links) and time.monotonic() < deadline:
            gevent.sleep(0.02)
        self.components.save()
        if self.uplink is not None:
            self.uplink.stop(deadline)
        outbox.flush()
        for instance in self.router.everybody:
            instance.hooks.tell("stop")
        self.c2s.save()
        for host in self.hosts:
            host.spool.save_marks(last=True)
        self._close()
        logger.info("stopped")
        self.stopping.set()

    def _close(self) -> None:
        for stop in self.jobs:
            stop()
        for listener in self.listeners:
            listener.close()
        if self.metrics is not None:
            self.metrics.close()
        if self.control is not None:
            self.control.stop()
        heartbeat.stop()
        if self.store is not None:
            self.store.close()

    def figures(self) -> list[Figure]:
        """For the metrics."""
        return figures(self)

    # -- the process -----------------------------------------------------------------------

    def listening(self) -> list[tuple[str, str, int]]:
        """(kind, address, port) of every listener."""
        metrics: list[Any] = self.metrics.listeners if self.metrics is not None else []
        return [(each.kind, *each.bound) for each in [*self.listeners, *metrics]]

    @property
    def listeners(self) -> list[Listener]:
        s2s = self.uplink.listeners if self.uplink is not None else ()
        return [*self.c2s.listeners, *s2s, *self.components.listeners]


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
    # What was loaded by now stays: the collector need not look at it again. And it looks seldom: a queue of messages on
    # their way to the disk is no garbage, but counts as such and cost a third of every archived message.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    say_hello(server)
    server.stopping.wait()
    return 0


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
