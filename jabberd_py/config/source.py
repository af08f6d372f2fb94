"""Reads the configuration from the file, the environment and the command line. The result is plain data, and for each key the
place where it was written."""

import re
from collections.abc import Mapping
from typing import Any, NoReturn

import yaml

from ..options import Schema, brief, nearest, options_of
from .doc import ENVIRONMENT
from .dump import meant

Path = tuple[str, ...]
Place = tuple[str, int | None]
"""The file (or "--set", or a variable) and the line."""
FILE = ENVIRONMENT + "CONFIG"
"""The variable that names the file."""
DEEPEST = 16
"""Levels of nesting: aliases can make YAML endless."""
DOMAINS = ("hosts", "components")
"""The keys below which domains stand."""
SWITCHES = {"true", "yes", "on", "false", "no", "off"}


class ConfigError(Exception):
    """The configuration is wrong; ``str()`` is one line that says where and what."""

    def __init__(self, file: str, line: int | None, message: str) -> None:
        super().__init__(file, line, message)
        self.file, self.line, self.message = file, line, message

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"
        return "".join(each if each.isprintable() else " " for each in " ".join(text.split()))


def place_of(places: Mapping[Path, Place], path: Path) -> Place:
    """The place where a key was written; if that is unknown, the place of the level above."""
    found = (places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in places)
    return next(found, ("configuration", None))


class Source:
    """``data``: plain data (dicts, lists, text, None). ``places``: path of a key -> where it was written."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.data: dict[str, Any] = {}
        self.places: dict[Path, Place] = {}

    def fail(self, path: Path, message: str) -> NoReturn:
        file, line = place_of(self.places, path)
        raise ConfigError(file, line, f"{'.'.join(path)}: {message}")

    # -- the file ----------------------------------------------------------------------------------------

    def read(self, file: str, text: str | None = None) -> None:
        """``text``: what the file would hold, instead of what it holds."""
        try:
            if text is None:
                with open(file, encoding="utf-8-sig") as stream:
                    text = stream.read()
            root = yaml.compose(text.removeprefix("\ufeff"), Loader=yaml.SafeLoader)
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
        """Replaces short forms by long ones: a list of hosts, ``module: true``."""
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

    def domain_path(self, section: str, words: Path, value: Any) -> Path:
        """The path with the domain as one word. Its dots look like those between levels, so the end of the path is matched
        first."""
        owner = self.schema.host if section == "hosts" else self.schema.component
        tail = 0
        groups = [n for n in range(2, min(len(words), 6)) if words[-n] in ("modules", "services")]
        if section == "hosts" and groups:  # services.NAME.modules.NAME.option is the longest tail
            tail = groups[-1]
        elif len(words) > 1 and (words[-1] in {*options_of(owner), "modules", "services"}):
            tail = 1
        elif len(words) > 1 and not (value is None or isinstance(value, dict)):
            tail = 1  # the last word must be an option; that there is none of this name is found later
        end = len(words) - tail
        return (section, ".".join(words[:end]), *words[end:])

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
        """The variable that was meant perhaps, as the end of an error message."""
        names = [*tops, *(f"modules__{module}" for module in self.schema.modules)]
        owners = {**self.schema.sections, **{f"modules__{n}": m for n, m in self.schema.modules.items()}}
        names += [f"{section}__{option}" for section, owner in owners.items() for option in options_of(owner)]
        known = [ENVIRONMENT + each.upper() for each in names]
        exactly = [each for each in known if each.replace("__", "_") == re.sub("_+", "_", name)]
        return f" (did you mean '{exactly[0]}'?)" if exactly else nearest(name, known)

    def known_domain(self, section: str, word: str) -> str:
        """``example_org`` is example.org (shells know no dots in names) if that is among those so far."""
        written = self.data.get(section)
        default = self.schema.default_hosts if section == "hosts" else ()
        known = written if isinstance(written, dict) else dict.fromkeys(default)
        return next((each for each in known if re.sub(r"[^a-z0-9]", "_", each.lower()) == word), word)

    def value(self, text: str, place: str, name: str) -> Any:
        """Parses a value: quoted text, lists and mappings as YAML. All else stays text."""
        plain = Source(self.schema).plain
        try:
            return meant(text, lambda yml: plain(yaml.compose(yml, Loader=yaml.SafeLoader), (), place))
        except (yaml.YAMLError, RecursionError) as error:
            problem = getattr(error, "problem", None) or "not YAML"
            raise ConfigError(place, None, f"{name}: cannot read {brief(text)}: {problem}") from None
        except ConfigError as error:
            raise ConfigError(place, None, f"{name}: {error.message}") from None

    def set(self, path: Path, value: Any, place: str) -> None:
        """Sets the value at the path, and makes missing levels."""
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
