"""The configuration: a YAML file, then environment variables, then ``--set``; the last one wins.

    data: ./data                                    # options of Schema.top
    c2s: {address: "::", port: 5222}                # one of Schema.sections
    modules: {register: true, offline: {limit: 9}}  # for all hosts
    services: {rooms: {prefix: chat}}               # likewise
    hosts:
      localhost:
      example.org:
        admins: [romeo@example.org]                 # options of Schema.host
        modules: {register: false, motd: {enabled: true, text: hi}}
    components:
      irc.example.org: {secret: s3cret}             # options of Schema.component

Every scalar is read as text and converted by its option, so ``no``, ``0123`` and ``12:30`` are what they look
like where text is wanted. Relative paths in values are relative to the working directory.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import yaml

from .configdoc import ENVIRONMENT, options_markdown, sample
from .options import (
    Kind,
    Option,
    OptionError,
    Schema,
    Section,
    brief,
    convert_settings,
    duration,
    list_of,
    mapping_of,
    nearest,
    optional,
    options_of,
    size,
)

__all__ = ["Config", "ConfigError", "HostConfig", "load", "options_markdown", "sample"]
__all__ += ["Kind", "Option", "OptionError", "Schema", "Section", "convert_settings", "options_of"]
__all__ += ["duration", "list_of", "mapping_of", "optional", "size"]  # for those who declare options

Path = tuple[str, ...]
Level = dict[str, tuple[bool | None, dict[str, Any]]]
"""What one place of the configuration says of modules: name -> (on, off or nothing said; settings)."""
Place = tuple[str, int | None]  # file (or where else) and line
FILE = ENVIRONMENT + "CONFIG"
"""The variable that names the file."""
DEEPEST = 16  # levels of nesting; aliases can make YAML endless
DOMAINS = ("hosts", "components")  # mappings of domains to what is said of them
SWITCHES = {"true", "yes", "on", "false", "no", "off"}


class ConfigError(Exception):
    """The configuration is wrong; ``str()`` is one line that says where and what."""

    def __init__(self, file: str, line: int | None, message: str) -> None:
        super().__init__(file, line, message)
        self.file, self.line, self.message = file, line, message

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"
        return "".join(each if each.isprintable() else " " for each in " ".join(text.split()))


@dataclass(frozen=True)
class ServiceConfig:
    """A service of a host: where it is, its own settings and those of its modules, converted."""

    name: str
    domain: str
    settings: dict[str, Any]
    modules: dict[str, dict[str, Any]]
    enabled: list[str]  # names of its modules to load, in order


@dataclass(frozen=True)
class HostConfig:
    """One domain: its own options, and for every known module its settings, converted (the host's win). ``services``: what
    it has beside itself, by name."""

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

    def error(self, message: str, *path: str) -> ConfigError:
        """The option has a fine value that turned out not to work."""
        file, line = _place(self.places, path)
        return ConfigError(file, line, f"{'.'.join(path)}: {message}")

    def __getitem__(self, name: str) -> Any:
        return self.sections[name]


def _place(places: Mapping[Path, Place], path: Path) -> Place:
    """Where that was written, or what it belongs to."""
    found = (places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in places)
    return next(found, ("configuration", None))


def load(
    path: str | None,
    overrides: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
    *,
    schema: Schema,
) -> Config:
    """Read and check everything. ``path`` None: no file. ``overrides`` are ``path.to.option=value``,
    ``environ`` is searched for ``JABBERD_PATH__TO__OPTION``. ConfigError on anything wrong."""
    source = _Source(schema)
    if path is not None:
        source.read(path)
    for name in sorted(environ or ()):  # sorted: a whole key comes before its parts
        if name.startswith(ENVIRONMENT) and name != FILE:
            source.set_variable(name, (environ or {})[name])
    for override in overrides:
        source.set_path(override)
    return _Checker(source, schema).config()


class _Source:
    """Plain data (dicts, lists, text, None) from all places, and where each key of it was written."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.data: dict[str, Any] = {}
        self.places: dict[Path, Place] = {}

    def fail(self, path: Path, message: str) -> NoReturn:
        file, line = _place(self.places, path)
        raise ConfigError(file, line, f"{'.'.join(path)}: {message}")

    # -- the file ----------------------------------------------------------------------------------------

    def read(self, file: str) -> None:
        try:
            with open(file, encoding="utf-8-sig") as stream:
                root = yaml.compose(stream, Loader=yaml.SafeLoader)
        except OSError as error:
            raise ConfigError(file, None, f"cannot read: {error.strerror or error}") from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem = error.problem or error.context or "not YAML"
            raise ConfigError(file, mark.line + 1 if mark else None, f"not YAML: {problem}") from None
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(file, None, f"not YAML: {getattr(error, 'reason', error)}") from None
        data = self.plain(root, (), file)
        if data is not None and not isinstance(data, dict):
            raise ConfigError(file, 1, f"must be a mapping, not {brief(data)}")
        self.data = data or {}
        self.tidy()

    def plain(self, node: yaml.Node | None, path: Path, file: str) -> Any:
        """The node as dicts, lists, text and None; remembers the line of every key."""
        if node is None:
            return None
        line = node.start_mark.line + 1
        if len(path) > DEEPEST:
            raise ConfigError(file, line, "nested too deeply")
        if isinstance(node, yaml.ScalarNode):
            return None if node.tag == "tag:yaml.org,2002:null" else node.value
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item, (*path, str(n)), file) for n, item in enumerate(node.value)]
        mapping: dict[str, Any] = {}
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(file, line, "a name is wanted before the colon")
            key = str(key_node.value)
            if key in mapping:
                earlier = self.places[*path, key][1]
                where = ".".join((*path, key))
                raise ConfigError(file, line, f"{where}: given twice (first on line {earlier})")
            self.places[*path, key] = (file, line)
            mapping[key] = self.plain(value, (*path, key), file)
        return mapping

    def tidy(self) -> None:
        """Long forms for short ones: a list of hosts, ``module: true``."""
        hosts = self.data.get("hosts")
        if isinstance(hosts, str):
            self.fail(("hosts",), f"must be a list of domains: write [{brief(hosts, quoted=False)}]")
        if isinstance(hosts, list) and all(isinstance(host, str) for host in hosts):
            if len(set(hosts)) < len(hosts):
                self.fail(("hosts",), "the same domain twice")
            hosts = self.data["hosts"] = dict.fromkeys(hosts)
        for owner in (self.data, *(hosts.values() if isinstance(hosts, dict) else ())):
            self.tidy_switches(owner)

    def tidy_switches(self, owner: Any) -> None:
        """``name: true`` below ``modules`` and ``services`` becomes ``name: {enabled: true}``."""
        for group in ("modules", "services"):
            entries: Any = owner.get(group) if isinstance(owner, dict) else None
            for name, value in entries.items() if isinstance(entries, dict) else ():
                if isinstance(value, str) and value.strip().lower() in SWITCHES:
                    entries[name] = {"enabled": value}
                elif group == "services":
                    self.tidy_switches(value)

    # -- what overrides it -------------------------------------------------------------------------------

    def set_path(self, override: str) -> None:
        name, equals, text = override.partition("=")
        path = tuple(name.strip().split("."))
        if not equals or not all(path):
            raise ConfigError("--set", None, f"{brief(override)} is not of the form path.to.option=value")
        value = self.value(text, "--set", name)
        if path[0] in DOMAINS and len(path) > 1:
            path = self.domain_path(path[0], path[1:], value)
        self.set(path, value, "--set")

    def domain_path(self, kind: str, words: Path, value: Any) -> Path:
        """Where the domain ends: its dots look like those between levels, so match from the right."""
        owner = self.schema.host if kind == "hosts" else self.schema.component
        tail = 0
        groups = [n for n in range(2, min(len(words), 6)) if words[-n] in ("modules", "services")]
        if kind == "hosts" and groups:  # services.NAME.modules.NAME.option is the longest tail
            tail = groups[-1]
        elif len(words) > 1 and (words[-1] in {*options_of(owner), "modules", "services"}):
            tail = 1
        elif len(words) > 1 and not (value is None or isinstance(value, dict)):
            tail = 1  # a value is for an option: one that does not exist, as will be found
        end = len(words) - tail
        return (kind, ".".join(words[:end]), *words[end:])

    def set_variable(self, name: str, text: str) -> None:
        path = tuple(name.removeprefix(ENVIRONMENT).lower().split("__"))
        if path[0] not in (known := self.tops()):
            raise ConfigError(name, None, f"{'.'.join(path)}: no such option" + self.variable(name, known))
        if path[0] in DOMAINS and len(path) > 1:
            path = (path[0], self.known_domain(path[0], path[1]), *path[2:])
        self.set(path, self.value(text, name, ".".join(path)), name)

    def tops(self) -> set[str]:
        """What may stand at the top level."""
        return {*options_of(self.schema.top), *self.schema.sections, *DOMAINS, "modules", "services"}

    def variable(self, name: str, tops: set[str]) -> str:
        """What the variable was meant to be called, as the end of a message."""
        names = [*tops, *(f"modules__{module}" for module in self.schema.modules)]
        owners = {**self.schema.sections, **{f"modules__{n}": m for n, m in self.schema.modules.items()}}
        names += [f"{section}__{option}" for section, owner in owners.items() for option in options_of(owner)]
        known = [ENVIRONMENT + each.upper() for each in names]
        exactly = [each for each in known if each.replace("__", "_") == re.sub("_+", "_", name)]
        return f" (did you mean '{exactly[0]}'?)" if exactly else nearest(name, known)

    def known_domain(self, kind: str, word: str) -> str:
        """``example_org`` is example.org (shells know no dots in names) if that is among those so far."""
        written = self.data.get(kind)
        default = self.schema.default_hosts if kind == "hosts" else ()
        known = written if isinstance(written, dict) else dict.fromkeys(default)
        return next((each for each in known if re.sub(r"[^a-z0-9]", "_", each.lower()) == word), word)

    def value(self, text: str, place: str, name: str) -> Any:
        """Quoted text, lists and mappings are YAML; anything else is taken as it stands."""
        text = text.strip()
        if text in ("", "~", "null"):
            return None
        if text[0] not in "[{\"'":
            return text
        try:
            return _Source(self.schema).plain(yaml.compose(text, Loader=yaml.SafeLoader), (), place)
        except (yaml.YAMLError, RecursionError) as error:
            problem = getattr(error, "problem", None) or "not YAML"
            raise ConfigError(place, None, f"{name}: cannot read {brief(text)}: {problem}") from None
        except ConfigError as error:
            raise ConfigError(place, None, f"{name}: {error.message}") from None

    def set(self, path: Path, value: Any, place: str) -> None:
        """Replace what is at the path, making the levels above it."""
        self.places = {each: where for each, where in self.places.items() if each[: len(path)] != path}
        if path[0] == "hosts" and len(path) > 1 and self.data.get("hosts") is None:
            self.data["hosts"] = dict.fromkeys(self.schema.default_hosts)
        level: dict[str, Any] = self.data
        for depth, name in enumerate(path[:-1], 1):
            if level.get(name) is None:
                level[name] = {}
            if not isinstance(level[name], dict):
                raise ConfigError(place, None, f"{'.'.join(path)}: {'.'.join(path[:depth])} holds no options")
            self.places.setdefault(path[:depth], (place, None))
            level = level[name]
        level[path[-1]] = value
        self.places[path] = (place, None)
        self.tidy()


class _Checker:
    """Turns the source's plain data into a Config, or says what is wrong and where."""

    def __init__(self, source: _Source, schema: Schema) -> None:
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
        """Converted settings; ``others`` are more names that an unknown option may have been meant for."""
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
        """For each module that is mentioned: on, off or None (says nothing), and its converted settings. ``known``: of a
        service's own modules."""
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
        """For each service that is mentioned: a Level of itself alone, and one of its modules."""
        found = {}
        known = self.schema.services
        for name, value in self.mapping((*path, "services"), data).items():
            where = (*path, "services", name)
            if name not in known:
                self.source.fail(where, "no such service" + nearest(name, known))
            if value is not None and not isinstance(value, dict):
                self.source.fail(where, f"must be yes, no or a mapping of options, not {brief(value)}")
            options = dict(value or {})
            own = self.modules(where, options.pop("modules", None), known[name].kinds())
            switch = options.pop("enabled", None)
            settings = self.settings(known[name], where, options, ["enabled", "modules"])
            found[name] = {name: (self.switch(where, switch), settings)}, own
        return found

    def place_services(self, hosts: dict[str, HostConfig], components: Mapping[str, Section]) -> None:
        """Where each service of each host is. One that nobody asked for gives way to a host or a component."""
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
        """The last word of the path as the domain that it means."""
        try:
            domain = self.schema.domain(path[-1])
        except ValueError as error:
            self.source.fail(path, str(error))
        if domain in taken:
            self.source.fail(path, f"the same domain as {domain}")
        return domain

    def beside(self, *levels: dict[str, tuple[Level, Level]]) -> dict[str, ServiceConfig]:
        """The services that are on; each level's word overrides the one before."""
        found = {}
        for name, kind in self.schema.services.items():
            said = [level[name] for level in levels if name in level]
            settings, on, _ = _merged({name: kind}, *(own for own, _ in said))
            if on:
                modules = _merged(kind.kinds(), *(own for _, own in said))
                found[name] = ServiceConfig(name, "", settings[name], *modules[:2])
        return found


def _merged(
    known: Mapping[str, type[Any]], *levels: Level
) -> tuple[dict[str, dict[str, Any]], list[str], list[str]]:
    """Settings by name, the names of what is on, and of what has options though nobody has switched it on or off. Each
    level's word overrides the one before."""
    settings: dict[str, dict[str, Any]] = {}
    enabled, idle = [], []
    for name, kind in known.items():
        on, settings[name], said = bool(kind.default), {}, False
        for level in levels:
            switch, options = level.get(name, (None, {}))
            on, said = (on, said) if switch is None else (switch, True)
            settings[name] |= options
        if on:
            enabled.append(name)
        elif settings[name] and not said:
            idle.append(name)
    return settings, enabled, idle
