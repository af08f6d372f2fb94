"""Checks the plain data of a `Source` and converts it by the declared options. The result is a `Config`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..options import Option, OptionError, Schema, Section, brief, convert_settings, nearest, options_of
from .source import DOMAINS, ConfigError, Path, Place, Source, place_of

Level = dict[str, tuple[bool | None, dict[str, Any]]]
"""The modules in one place of the configuration: name -> (True: on, False: off, None: not said; settings)."""


@dataclass(frozen=True)
class ServiceConfig:
    """A service of a host: its domain, its settings and those of its modules, converted."""

    name: str
    domain: str
    settings: dict[str, Any]
    modules: dict[str, dict[str, Any]]
    enabled: list[str]  # names of its modules to load, in order


@dataclass(frozen=True)
class HostConfig:
    """One host.

    section   its own options
    modules   name -> settings, for every known module. The host's own settings win over the global ones
    services  name -> service
    """

    domain: str
    section: Section
    modules: dict[str, dict[str, Any]]
    enabled: list[str]  # names of modules to load, in the order of Schema.modules
    idle: list[str] = field(default_factory=list)  # modules with options that nobody has switched on or off
    services: dict[str, ServiceConfig] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """``config["c2s"]`` is that section, ``config.top`` holds the options outside all sections."""

    top: Section
    sections: dict[str, Section]
    hosts: dict[str, HostConfig]
    components: dict[str, Section] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict, compare=False)

    @property
    def domains(self) -> dict[str, list[str]]:
        """Host -> the domains of its services."""
        return {name: [each.domain for each in host.services.values()] for name, host in self.hosts.items()}

    def error(self, message: str, *path: str) -> ConfigError:
        """An error for an option whose value is valid, but does not work."""
        file, line = place_of(self.places, path)
        return ConfigError(file, line, f"{'.'.join(path)}: {message}")

    def __getitem__(self, name: str) -> Any:
        return self.sections[name]


class Checker:
    """Turns plain data into a Config. Every method raises ConfigError with the place of a mistake."""

    def __init__(self, source: Source, schema: Schema) -> None:
        self.source, self.schema = source, schema

    def config(self) -> Config:
        schema, data = self.schema, dict(self.source.data)
        hosts = data.pop("hosts", None)
        shared = self.modules((), data.pop("modules", None)), self.services((), data.pop("services", None))
        sections = {
            name: self.section(each, (name,), data.pop(name, None)) for name, each in schema.sections.items()
        }
        written = data.pop("components", None)
        top = self.section(schema.top, (), data, [*schema.sections, *DOMAINS, "modules", "services"])
        found = self.hosts(hosts, *shared)
        components = self.components(written, found)
        self.place_services(found, components)
        return Config(top, sections, found, components, self.source.places)

    def mapping(self, path: Path, data: Any) -> dict[str, Any]:
        if data is None:
            return {}
        if not isinstance(data, dict):
            self.source.fail(path, f"must be a mapping of options to values, not {brief(data)}")
        return data

    def settings(self, owner: type[Any], path: Path, data: Any, others: Iterable[str] = ()) -> dict[str, Any]:
        """Converts settings. ``others``: more names that can be proposed for an unknown option."""
        settings = self.mapping(path, data)
        for name in settings:
            if name not in (known := options_of(owner)):
                self.source.fail((*path, name), "no such option" + nearest(name, [*known, *others]))
        try:
            return convert_settings(owner, settings)
        except OptionError as error:
            self.source.fail((*path, error.option), str(error))

    def section(self, owner: type[Section], path: Path, data: Any, others: Iterable[str] = ()) -> Section:
        return owner(self.settings(owner, path, data, others))

    def modules(self, path: Path, data: Any, known: Mapping[str, type[Any]] | None = None) -> Level:
        """The `Level` of the modules that are mentioned. ``known``: the modules of a service; by default those of hosts."""
        found: Level = {}
        known = self.schema.modules if known is None else known
        path = (*path, "modules")
        for name, value in self.mapping(path, data).items():
            if name not in known:
                self.source.fail((*path, name), "no such module" + nearest(name, known))
            if value is not None and not isinstance(value, dict):
                self.source.fail(
                    (*path, name), f"must be yes, no or a mapping of options, not {brief(value)}"
                )
            options = dict(value or {})
            switch = options.pop("enabled", None)
            settings = self.settings(known[name], (*path, name), options, ["enabled"])
            found[name] = (self.switch((*path, name), switch), settings)
        return found

    def services(self, path: Path, data: Any) -> dict[str, tuple[Level, Level]]:
        """Name -> (Level of the service alone, Level of its modules), for each service that is mentioned."""
        found = {}
        known = self.schema.services
        for name, value in self.mapping((*path, "services"), data).items():
            where = (*path, "services", name)
            if name not in known:
                self.source.fail(where, "no such service" + nearest(name, known))
            if value is not None and not isinstance(value, dict):
                self.source.fail(where, f"must be yes, no or a mapping of options, not {brief(value)}")
            options = dict(value or {})
            own = self.modules(where, options.pop("modules", None), known[name].own_modules())
            switch = options.pop("enabled", None)
            settings = self.settings(known[name], where, options, ["enabled", "modules"])
            found[name] = {name: (self.switch(where, switch), settings)}, own
        return found

    def place_services(self, hosts: dict[str, HostConfig], components: Mapping[str, Section]) -> None:
        """Gives each service of each host its domain. If the domain is taken by a host or a component, a service that the
        configuration does not mention is left out."""
        taken = {**dict.fromkeys(hosts, "a host"), **dict.fromkeys(components, "a component")}
        for host in hosts.values():
            for name, service in list(host.services.items()):
                path = ("hosts", host.domain, "services", name)
                try:
                    domain = self.schema.services[name].domain_for(host.domain, service.settings)
                except ValueError as error:
                    self.source.fail(path, str(error))
                if domain in taken and (service.settings or path in self.source.places):
                    self.source.fail(path, f"{domain} is {taken[domain]}")
                elif domain in taken:
                    del host.services[name]
                else:
                    taken[domain] = f"the service '{name}' of {host.domain}"
                    host.services[name] = replace(service, domain=domain)

    def switch(self, path: Path, value: Any) -> bool | None:
        if value is None:
            return None
        try:
            return Option(bool, False, "").convert(value)
        except ValueError as error:
            self.source.fail((*path, "enabled"), str(error))

    def hosts(
        self, data: Any, modules: Level, services: dict[str, tuple[Level, Level]]
    ) -> dict[str, HostConfig]:
        found: dict[str, HostConfig] = {}
        written = dict.fromkeys(self.schema.default_hosts) if data is None else self.mapping(("hosts",), data)
        if not written:
            self.source.fail(("hosts",), "at least one domain is wanted")
        for name, value in written.items():
            path = ("hosts", name)
            domain = self.domain(path, found)
            options = dict(self.mapping(path, value))
            own = self.modules(path, options.pop("modules", None))
            beside = self.services(path, options.pop("services", None))
            section = self.section(self.schema.host, path, options, ["modules", "services"])
            merged = _merged(self.schema.modules, modules, own)
            found[domain] = HostConfig(domain, section, *merged, self.beside(services, beside))
        return found

    def components(self, data: Any, hosts: Mapping[str, Any]) -> dict[str, Section]:
        found: dict[str, Section] = {}
        for name, value in self.mapping(("components",), data).items():
            path = ("components", name)
            domain = self.domain(path, found)
            if domain in hosts:
                self.source.fail(path, f"{domain} is a host")
            found[domain] = self.section(self.schema.component, path, value)
        return found

    def domain(self, path: Path, taken: Mapping[str, Any]) -> str:
        """The last word of the path, prepared as a domain."""
        try:
            domain = self.schema.domain(path[-1])
        except ValueError as error:
            self.source.fail(path, str(error))
        if domain in taken:
            self.source.fail(path, f"the same domain as {domain}")
        return domain

    def beside(self, *levels: dict[str, tuple[Level, Level]]) -> dict[str, ServiceConfig]:
        """The services that are on. A later level overrides an earlier one."""
        found = {}
        for name, cls in self.schema.services.items():
            said = [level[name] for level in levels if name in level]
            settings, on, _ = _merged({name: cls}, *(own for own, _ in said))
            if on:
                modules = _merged(cls.own_modules(), *(own for _, own in said))
                found[name] = ServiceConfig(name, "", settings[name], *modules[:2])
        return found


def _merged(
    known: Mapping[str, type[Any]], *levels: Level
) -> tuple[dict[str, dict[str, Any]], list[str], list[str]]:
    """Returns three things: the settings by name; the names of the modules that are on; the names of modules that are
    off, although the configuration sets options of theirs and does not switch them off. A later level overrides an earlier one.
    What is on by default goes off with a module that it needs."""
    settings: dict[str, dict[str, Any]] = {}
    enabled, idle = [], []
    for name, cls in known.items():
        on, settings[name], said = bool(cls.default), {}, False
        for level in levels:
            switch, options = level.get(name, (None, {}))
            on, said = (on, said) if switch is None else (switch, True)
            settings[name] |= options
        missing = not said and any(
            need in known and need not in enabled for need in getattr(cls, "needs", ())
        )
        if on and not missing:
            enabled.append(name)
        elif settings[name] and not said:
            idle.append(name)
    return settings, enabled, idle
