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
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

from . import __version__, log, outbox, plugins
from .archive import messages
from .c2s.listener import Service
from .c2s.restore import restore
from .component.service import Components, Conflict
from .config import Config, ConfigError
from .figures import figures
from .heartbeat import heartbeat
from .hello import say_hello
from .hosting import Hosting, fixed
from .http.bosh import Bosh
from .http.listener import Web
from .http.metrics import Figure, Metrics, listening_on, page
from .http.websocket import Door
from .jsm.host import Host
from .net import certfiles
from .net.accept import Listener
from .net.dnsrv import Resolver
from .net.stream import Stream
from .net.tls import Certificates
from .options import OptionError
from .pages import Page
from .ready import notify
from .router import Router
from .s2s.commands import Federation
from .s2s.uplink import Uplink
from .schema import tables
from .services.bytestreams import bytestreams
from .settings import Settings
from .xdb import Store, StoreError, StoreInUse, numbers, xdb

logger = log.get(__name__)
RESTART = ("data", "database", "plugins", "store", "ctl", "metrics", "s2s.enabled")
"""What a reload does not change: options, and sections."""
GRACE = 8.0
"""Seconds that streams have to end in when the server stops."""
LINGER = 1.0
"""Seconds that a peer has then to close its side, too."""


class Server:
    """``settings`` gives the configuration, again at each reload. Raises ConfigError, StoreError, OSError, ValueError:
    one line says why the server cannot start, and nothing is left half made."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.config = settings()
        self.started = time.time()
        self.router = Router()
        self.jobs: list[Callable[[], None]] = []
        self.ending = self.again = False
        self.stopping = Event()
        self.data = Path(self.config.top.data)  # type: ignore[attr-defined]
        self.fresh: Path | None = None
        """The topmost folder that this start had to make for its data."""
        self.certificates = Certificates(self.config["tls"], self.data / "certificates")
        self.router.certificates = self.certificates
        self.c2s = Service(self.config["c2s"], self.router, self.certificates)
        self.hosting = Hosting(self.router, self.c2s)
        self.uplink: Uplink | None = None
        if self.config["s2s"].enabled:
            self.uplink = Uplink(self.router, Resolver(self.config["dns"]), self.certificates)
            self.uplink.load(Federation, {})
            self.router.uplink = self.uplink
        self.components = Components(self.router)
        self.web = Web(self.config["http"], self.router, self.certificates)
        self.router.base = self.web.base
        self.web.clients = self.c2s
        Door(self.web, self.c2s)
        Bosh(self.web, self.c2s)
        self.metrics: Metrics | None = None
        self.store: Store | None = None
        self.control: Any = None
        try:
            with ExitStack() as undo:
                # first: what most often goes wrong leaves nothing behind
                switch = self._prepare_ports(self.config, undo)
                undo.pop_all()
            switch()
            if self.config["metrics"].port is not None:
                self._make_metrics()
            if self.config["metrics"].token:
                metrics = page(self.config["metrics"].token, self.figures)
                self.web.routes.add(Page("/metrics"), metrics, quiet=True)
            self._make_data()
            self._open_store(self.config)
            self._prepare_certificates(self.config)()
            self.components.configure(self.config.components)  # type: ignore[arg-type]
            self.hosting.configure(self.config.hosts)
        except BaseException as error:
            self._undo(error)
            raise

    def _make_metrics(self) -> None:
        try:
            self.metrics = Metrics(self.config["metrics"], self.figures)
        except OptionError as error:
            raise self.config.error(str(error), "metrics", error.option) from None

    def _try_metrics(self, wanted: Any) -> None:
        """That port is taken by the next start: can it be? Raises OptionError."""
        now: Any = self.config["metrics"]
        for address in wanted.address if wanted.port is not None else ():
            ours = self.metrics is not None and wanted.port == now.port and address in now.address
            if not ours:
                listening_on(address, wanted.port).close()

    def _prepare_ports(self, settings: Config, undo: ExitStack) -> Callable[[], None]:
        """The first step of a change of listeners and their options. Raises ConfigError. Returns the second step."""
        steps, section = [], "c2s"
        wanted: Any = settings.components
        try:
            steps.append(self.c2s.prepare(settings["c2s"], undo))
            section = "s2s"
            if self.uplink is not None:
                steps.append(self.uplink.prepare(settings["s2s"], undo))
            section = "component"
            steps.append(self.components.prepare(settings["component"], wanted, settings.hosts, undo))
            section = "http"
            steps.append(self.web.prepare(settings["http"], undo))
            section = "bytestreams"
            steps.append(bytestreams.prepare(settings["bytestreams"], undo))
            section = "metrics"
            self._try_metrics(settings["metrics"])
        except Conflict as error:
            raise settings.error(str(error), "components", error.component, error.option) from None
        except OptionError as error:
            raise settings.error(str(error), section, error.option) from None

        def switch() -> None:
            for step in steps:
                step()

        return switch

    def _make_data(self) -> None:
        missing = [each for each in (self.data, *self.data.parents) if not each.exists()]
        try:
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        except FileExistsError:
            raise self.config.error(f"{self.data} is no folder", "data") from None
        except OSError as error:
            raise self.config.error(f"cannot make {error.filename}: {error.strerror}", "data") from None
        if not os.access(self.data, os.R_OK | os.W_OK | os.X_OK):
            read_only = os.statvfs(self.data).f_flag & os.ST_RDONLY
            number = errno.EROFS if read_only else errno.EACCES
            reason = certfiles.unusable(self.data, OSError(number, os.strerror(number)))
            raise self.config.error(reason, "data")
        self.fresh = missing[-1] if missing else None

    def _open_store(self, settings: Config) -> None:
        """Raises ConfigError, StoreInUse."""
        database = settings.top.database or "sqlite:///jabberd.sqlite"  # type: ignore[attr-defined]
        try:
            self.store = xdb.open(database, tables(), str(self.data), options=settings["store"])
        except StoreInUse:
            raise
        except StoreError as error:
            where = "database" if settings.top.database else "data"  # type: ignore[attr-defined]
            raise settings.error(str(error), where) from None
        messages.start()

    def switch_store(self, fresh: Config) -> None:
        """Goes on with the database of ``fresh``, while nothing is in the store that somebody would miss. Hosts are made anew.
        Blocks. Raises ConfigError; then the old one is used again."""
        assert self.store is not None
        self.hosting.clear()
        self.store.close()
        try:
            self._open_store(fresh)
            self.config.top.settings["database"] = fresh.top.database  # type: ignore[attr-defined]
        except BaseException:
            self._open_store(self.config)
            raise
        finally:
            self.hosting.configure(self.config.hosts)

    def _prepare_certificates(self, settings: Config) -> Callable[[], None]:
        """The first step of a change of certificates. Raises ConfigError, OSError, ValueError. Returns the second step."""
        try:
            return self.certificates.prepare(settings["tls"], settings.domains)
        except OptionError as error:
            raise settings.error(str(error), "tls", error.option) from None

    def _undo(self, error: BaseException) -> None:
        """The start failed: what it made goes again, except where another server has moved in meanwhile."""
        self._close()
        if self.fresh is not None and not isinstance(error, StoreInUse):
            shutil.rmtree(self.fresh, ignore_errors=True)

    @property
    def hosts(self) -> list[Host]:
        return self.hosting.hosts

    def start(self) -> None:
        """Begins to serve; returns at once. Raises ValueError where the control socket cannot be had."""
        from .ctl.control import Control
        from .ctl.setup import any_account

        heartbeat.start()
        self.jobs.append(heartbeat.every(10, numbers.watch))
        self.jobs.append(heartbeat.every(24 * 3600, self.certificates.warn))
        self.control = Control(self, self.config["ctl"].socket or str(self.data / "jabberctl.sock"))
        try:
            self.control.start()
        except BaseException as error:
            self._undo(error)
            raise
        if self.settings.missing and not any_account():
            self.router.setup.open()
        left = outbox.left()
        restore(self.c2s)
        self.c2s.start()
        self.hosting.restored()
        outbox.start(self.router, left)
        if self.uplink is not None:
            self.jobs += [heartbeat.every(seconds, job) for seconds, job in self.uplink.jobs]
            self.uplink.start()
        self.components.start()
        self.web.start()
        bytestreams.start()
        if self.metrics is not None:
            self.metrics.start()
        logger.info("serving", version=__version__, hosts=" ".join(self.config.hosts))

    def check(self, fresh: Config) -> None:
        """Could a server begin with this configuration? Raises ValueError, OSError, as `reload`."""
        with ExitStack() as undo:
            self._prepare_ports(fresh, undo)
            self._prepare_certificates(fresh)

    def reload(self, fresh: Config | None = None) -> list[str]:
        """Reads the configuration and the certificates again, in two phases: all is checked and prepared, then all is
        switched. On a mistake everything stays as it was. ``fresh``: the configuration, if it was read already. Returns the
        options that have changed and need a restart. Raises ConfigError, ValueError, OSError."""
        fresh = fresh or self.settings()
        with ExitStack() as undo:
            steps = [self._prepare_ports(fresh, undo), self._prepare_certificates(fresh)]
            undo.pop_all()  # from here on nothing can fail
        before, self.config = self.config, fresh
        log.setup(fresh["log"].level, fresh["log"].format)
        for step in steps:
            step()
        if self.uplink is not None and fresh["dns"].settings != before["dns"].settings:
            self.uplink.resolver = Resolver(fresh["dns"])
        self.components.configure(fresh.components)  # type: ignore[arg-type]
        self.hosting.configure(fresh.hosts)
        restart = [*changed(before, fresh, RESTART), *fixed(before.hosts, fresh.hosts)]
        logger.info("configuration read again")
        if restart:
            logger.warning("these options change with the next start", options=" ".join(restart))
        return restart

    def stop(self, again: bool = False) -> None:
        """Streams are closed with ``system-shutdown``, what is written is committed, then everything is closed. ``again``: the
        process starts anew then (`run`)."""
        if self.ending:
            return  # the second signal: make passes on what a terminal has sent to all
        self.ending, self.again = True, again
        Stream.linger = LINGER
        logger.info("stopping")
        notify("RELOADING=1" if again else "STOPPING=1")
        self.web.ports.close()
        self.c2s.stop()
        self.components.stop()
        deadline = time.monotonic() + GRACE
        while (self.c2s.clients or self.components.connections) and time.monotonic() < deadline:
            gevent.sleep(0.02)
        self.web.stop()
        bytestreams.stop()
        self.components.save()
        if self.uplink is not None:
            self.uplink.stop(deadline)
        outbox.flush()
        self.hosting.stop()
        self._close()
        logger.info("stopped")
        self.stopping.set()

    def _close(self) -> None:
        for stop in self.jobs:
            stop()
        self.hosting.close()
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
        """(name, address, port) of every listener."""
        metrics: list[Any] = self.metrics.listeners if self.metrics is not None else []
        return [(each.name, *each.bound) for each in [*self.listeners, *metrics]]

    @property
    def listeners(self) -> list[Listener]:
        ports = [self.c2s.ports, self.components.ports, self.web.ports, bytestreams.ports]
        if self.uplink is not None:
            ports.insert(1, self.uplink.ports)
        return [listener for each in ports for listener in each.listeners.values()]


AGAIN = -1
"""What `run` returns if the process is to start anew."""


def run(path: str | None, overrides: list[str]) -> int:
    """Serves until SIGTERM, SIGINT or a command; the exit code, or `AGAIN`. ``path``: the configuration; None: `USUAL`,
    if it is there."""
    settings = Settings(path, overrides)
    try:
        first = settings()
        log.setup(first["log"].level, first["log"].format)
        server = Server(settings)
        server.start()
        plugins.seal()
    except (ConfigError, StoreError, OSError, ValueError, ssl.SSLError) as error:
        if log.is_json():
            logger.error("cannot start", reason=_one_line(error))
        else:
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
    say_hello(server, path, overrides)
    server.stopping.wait()
    return AGAIN if server.again else 0


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def changed(old: Config, new: Config, names: Iterable[str]) -> list[str]:
    """Which of these options, and options of these sections, differ: as ``section.option``."""
    found = []
    for name in names:
        section, _, option = name.partition(".")
        before, after = (each.sections.get(section, each.top) for each in (old, new))
        wanted = [option] if option else before.options() if section in old.sections else [section]
        prefix = f"{section}." if section in old.sections else ""
        found += [prefix + each for each in wanted if getattr(before, each) != getattr(after, each)]
    return found
