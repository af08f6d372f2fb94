"""Adds, changes and removes hosts and their services, at the start and at every reload."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent

from . import log, modules
from .c2s.listener import Service as C2SService
from .cluster import cluster
from .component.instance import Component
from .config import HostConfig, ServiceConfig
from .heartbeat import heartbeat
from .instance import Instance
from .jsm.host import Host, HostOptions
from .router import Router
from .s2s.uplink import Uplink
from .service import Service
from .xdb import xdb

logger = log.get(__name__)
FAREWELL = 5.0
"""Seconds that the streams of a host have to end in when it goes."""


class Hosting:
    """``jobs``: domain -> functions that stop its periodic jobs."""

    def __init__(self, router: Router, c2s: C2SService) -> None:
        self.router = router
        self.c2s = c2s
        self.jobs: dict[str, list[Callable[[], None]]] = {}
        self.serving = False

    @property
    def hosts(self) -> list[Host]:
        return [each for each in self.router.instances.values() if isinstance(each, Host)]

    def services(self, host: Host) -> list[Service]:
        """What that host has beside itself."""
        found = (each for each in self.router.instances.values() if isinstance(each, Service))
        return [each for each in found if each.host is host]

    def configure(self, wanted: Mapping[str, HostConfig]) -> None:
        """Makes hosts and services as ``wanted``, which was checked. A host that goes is removed later, in a greenlet of its
        own, when its streams have ended."""
        for host in self.hosts:
            settings = wanted.get(host.domain)
            if settings is None:
                self._leave(host)
            elif not host.ending:
                self._change(host, settings)
        for settings in wanted.values():
            if settings.domain not in self.router.instances:
                self._add_host(settings)

    # -- they come -------------------------------------------------------------------------

    def _add_host(self, settings: HostConfig) -> None:
        assert isinstance(settings.section, HostOptions)
        host = Host(self.router, settings.domain, settings.section)
        classes = modules.load_all()
        for name in settings.enabled:
            host.load(classes[name], settings.modules[name])
        self._add(host)
        self.jobs[host.domain].append(heartbeat.every(1, host.marks.save))
        for service in settings.services.values():
            self._add_service(host, service)
        for each in list(self.router.instances.values()):
            if isinstance(each, Component) and each.connected and each.options.concerns(host.domain):
                host.hooks.tell("component", each)  # of a host that comes it knows nothing yet

    def _add_service(self, host: Host, settings: ServiceConfig) -> None:
        """A service gets its own modules, and those of the host that any Instance may have."""
        cls = modules.load_services()[settings.name]
        service = cls(self.router, host, settings.domain, settings.settings)
        for module in host.modules.values():
            if module.anywhere:
                service.load(type(module), module.settings)
        own = cls.own_modules()
        for name in settings.enabled:
            service.load(own[name], settings.modules[name])
        self._add(service)

    def _add(self, instance: Instance) -> None:
        """It begins to serve."""
        self.router.add(instance)
        self.jobs[instance.domain] = [
            heartbeat.every(seconds, _at_home(instance, job)) for seconds, job in instance.jobs
        ]
        instance.hooks.tell("start")
        if self.serving:
            instance.hooks.tell("restored")

    def restored(self) -> None:
        """To be called when the sessions of the last process are there again."""
        self.serving = True
        for instance in self.router.everybody:
            instance.hooks.tell("restored")

    # -- they change -----------------------------------------------------------------------

    def _change(self, host: Host, settings: HostConfig) -> None:
        assert isinstance(settings.section, HostOptions)
        host.options = settings.section
        _configure(host, settings.modules)
        host.hooks.tell("reload")
        wanted = {each.domain: each for each in settings.services.values()}
        for service in self.services(host):
            now = wanted.get(service.domain)
            if now is None or now.name != service.name:
                self._remove(service)
                continue
            service.configure(now.settings)
            _configure(service, {**settings.modules, **now.modules})
            service.hooks.tell("reload")
        for domain, each in wanted.items():
            if domain not in self.router.instances:
                self._add_service(host, each)

    # -- they go ---------------------------------------------------------------------------

    def _leave(self, host: Host) -> None:
        if not host.ending:
            host.ending = True
            gevent.spawn(self._end, host)

    def _end(self, host: Host) -> None:
        deadline = time.monotonic() + FAREWELL
        with xdb.unit():
            while not self.c2s.leave(host) and time.monotonic() < deadline:
                xdb.release()
                gevent.sleep(0.05)
            services = self.services(host)
            if isinstance(self.router.uplink, Uplink):
                for each in (*services, host):
                    self.router.uplink.leave(each.domain)
            for service in services:
                self._remove(service)
            self._remove(host)
            host.marks.save(last=True)
        logger.info("a host is gone", host=host.domain)

    def clear(self) -> None:
        """Removes all hosts and services at once."""
        for host in self.hosts:
            for each in (*self.services(host), host):
                self._remove(each)

    def _remove(self, instance: Instance) -> None:
        instance.ending = True
        instance.hooks.tell("stop")
        for stop in self.jobs.pop(instance.domain, ()):
            stop()
        self.router.remove(instance.domain)

    def stop(self) -> None:
        """The server stops: tells all instances, and saves sessions and marks."""
        for instance in self.router.everybody:
            instance.hooks.tell("stop")
        self.c2s.save()
        for host in self.hosts:
            host.marks.save(last=True)

    def close(self) -> None:
        """No more jobs."""
        for jobs in self.jobs.values():
            for stop in jobs:
                stop()
        self.jobs.clear()


def _at_home(instance: Instance, job: Callable[[], object]) -> Callable[[], object]:
    """In a cluster a job of a host or a service runs where that is at home, and nowhere else."""
    return lambda: job() if cluster.here(instance.domain) else None


def _configure(instance: Instance, settings: Mapping[str, dict[str, Any]]) -> None:
    for name, module in instance.modules.items():
        module.configure(settings.get(name, {}))


def fixed(old: Mapping[str, HostConfig], new: Mapping[str, HostConfig]) -> list[str]:
    """What the next start will change, and a reload cannot: modules that were switched on or off."""
    found = []
    for domain in old.keys() & new.keys():
        before, after = old[domain], new[domain]
        found += [f"hosts.{domain}.modules.{name}" for name in set(before.enabled) ^ set(after.enabled)]
        for name in before.services.keys() & after.services.keys():
            switched = set(before.services[name].enabled) ^ set(after.services[name].enabled)
            found += [f"hosts.{domain}.services.{name}.modules.{each}" for each in switched]
    return sorted(found)
