"""The table of options with their values: what `config show` lists, and what forms are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ..options import Option, Schema, nearest, options_of
from .doc import description
from .source import Path, Source, place_of

MASK = "***"


def masked(option: Option[Any], value: Any) -> Any:
    """The value as it may be shown: of a URL without its password, of another secret nothing."""
    if not option.secret or value in (None, "", [], {}):
        return value
    if isinstance(value, str) and "://" in value:
        return re.sub(r"(://[^/@:]*):.*@", rf"\1:{MASK}@", value)
    return MASK


def owners(schema: Schema, hosts: Iterable[str], components: Iterable[str] = ()) -> dict[Path, type[Any]]:
    """Place in the configuration -> the class whose options stand there."""
    found: dict[Path, type[Any]] = {
        (): schema.top,
        **{(name,): each for name, each in schema.sections.items()},
    }

    def below(path: Path) -> None:
        for name, module in schema.modules.items():
            found[(*path, "modules", name)] = module
        for name, service in schema.services.items():
            found[(*path, "services", name)] = service
            for own, module in service.own_modules().items():
                found[(*path, "services", name, "modules", own)] = module

    below(())
    for host in hosts:
        found["hosts", host] = schema.host
        below(("hosts", host))
    for each in components:
        found["components", each] = schema.component
    return found


def _words(text: str) -> str:
    """What a search looks in: names with and without their _, and no apostrophes."""
    text = text.casefold().replace("'", "")
    return f"{text} {text.replace('_', ' ')}"


class Table:
    """``source``: what was written. Its places are those that exist there."""

    def __init__(self, source: Source) -> None:
        self.source, self.schema = source, source.schema
        hosts, components = (source.data.get(name) for name in ("hosts", "components"))
        self.owners = owners(
            self.schema,
            hosts if isinstance(hosts, dict) and hosts else self.schema.default_hosts,
            components if isinstance(components, dict) else (),
        )

    def path(self, name: str, value: Any = "") -> Path:
        """The path of ``section.option``, ``hosts.example.org.modules.mam.limit``... Raises ValueError: there is no such
        option."""
        words = tuple(name.strip().split("."))
        if not all(words):
            raise ValueError(f"{name[:100]!r} is not of the form path.to.option")
        if words[0] in ("hosts", "components") and len(words) > 1:
            words = self.source.domain_path(words[0], words[1:], value)
        switch = (
            words[-1] == "enabled"
            and words[-3:-2] in (("modules",), ("services",))
            and self.owner(words[:-1])
        )
        whole = len(words) == 2 and words[0] in ("hosts", "components")
        if self.option(words) is None and not switch and not whole:
            known = [
                ".".join((*place, each)) for place, owner in self.owners.items() for each in options_of(owner)
            ]
            raise ValueError(f"{name[:200]}: no such option" + nearest(name, known))
        return words

    def option(self, path: Path) -> Option[Any] | None:
        owner = self.owner(path[:-1])
        return None if owner is None else options_of(owner).get(path[-1])

    def owner(self, place: Path) -> type[Any] | None:
        """Whose options stand there; also of a host or a component that is not there yet. None: there is no such place."""
        if place[:1] == ("components",) and len(place) == 2:
            return self.schema.component
        if place[:1] == ("hosts",) and len(place) >= 2:
            return self.owners.get(place[2:]) if len(place) > 2 else self.schema.host
        return self.owners.get(place)

    def switched(self, place: Path) -> bool | None:
        """Is the module or service of that place on? None: it is neither."""
        if len(place) < 2 or place[-2] not in ("modules", "services"):
            return None
        found = [self.written((*each, "enabled")) for each in self.levels(place)]
        said = next((each for each in found if each is not None), None)
        return bool(self.owners[place].default) if said is None else Option(bool, False, "").convert(said)

    def levels(self, place: Path) -> list[Path]:
        """Where options of the place can be said: there, and for all hosts."""
        return [place, place[2:]] if place[0] == "hosts" and len(place) > 2 else [place]

    def written(self, path: Path) -> Any:
        found: Any = self.source.data
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def rows(self, place: Path) -> Iterator[dict[str, Any]]:
        """One for each option of the place. Raises ValueError: there is no such place."""
        if place not in self.owners:
            raise ValueError(
                f"{'.'.join(place)}: no such place" + nearest(".".join(place), map(".".join, self.owners))
            )
        if (on := self.switched(place)) is not None:
            row = self._row(place, "enabled", Option(bool, self.owners[place].default, "is it on?"))
            yield row | {"value": on}
        for name, option in options_of(self.owners[place]).items():
            yield self._row(place, name, option)

    def _row(self, place: Path, name: str, option: Option[Any]) -> dict[str, Any]:
        said, where = None, "default"
        for level in self.levels(place) if place else [place]:
            if (*level, name) in self.source.places or self.written((*level, name)) is not None:
                said = self.written((*level, name))
                file, line = place_of(self.source.places, (*level, name))
                where = f"{file}:{line}" if line else file
                break
        value = option.default
        if where != "default":
            try:
                value = option.convert(said)
            except ValueError:
                return self._named(place, name, option) | {"value": masked(option, said), "from": where}
        return self._named(place, name, option) | {"value": masked(option, option.show(value)), "from": where}

    def _named(self, place: Path, name: str, option: Option[Any]) -> dict[str, Any]:
        return {
            "option": ".".join((*place, name)), "type": option.converter.name, "limits": option.limits,
            "choices": [str(each) for each in option.choices or ()], "default": masked(option, option.show(option.default)),
            "help": option.help, "secret": option.secret,
        }  # fmt: skip

    def places(self, text: str = "") -> list[dict[str, Any]]:
        """All places, with what they are and whether they are on. ``text``: only those that have all its words in their name,
        in what they are, or in one of their options; ``found`` are these options then."""
        words, rows = text.casefold().replace("'", "").split(), []
        for place, owner in self.owners.items():
            name, help = ".".join(place), description(owner).partition("\n\n")[0].replace("``", "`")
            found = [
                each
                for each, option in options_of(owner).items()
                if words and all(word in _words(f"{name} {each} {option.help}") for word in words)
            ]
            if found or all(word in _words(f"{name} {description(owner)}") for word in words):
                on = self.switched(place) if place else None
                rows.append(
                    {"place": name, "help": help, "on": on, "options": len(options_of(owner)), "found": found}
                )
        return rows
