"""Declared options: the settings of a section of the configuration, or of a module.

A class lists its options as class attributes; instances read their own values through them:

    class C2S(Section):
        \"\"\"Where clients connect.\"\"\"

        port = Option(int, 5222, "the port for STARTTLS", min=0, max=65535)

    C2S({"port": "5333"}).port == 5333

Values may be given as text or as Python values. A converted value may be converted again: it stays the same.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar, overload

from .converters import Convert, brief, converter, duration, list_of, mapping_of, nearest, optional, size

__all__ = [
    "Option", "OptionError", "Schema", "Section", "brief", "convert_settings", "duration", "list_of", "mapping_of",
    "nearest", "optional", "options_of", "plain_domain", "said_first", "size",
]  # fmt: skip

T = TypeVar("T")


_clause = re.compile(r"; |: | \(|, such as |(?<=\?) ")


def said_first(help: str) -> tuple[str, str]:
    """Cuts the explanation of an option in two: the label of its field, and the rest for a hint. "largest file; 0 is any" gives
    "Largest file" and "0 is any"."""
    found = _clause.search(help)
    end = found.start() if found else len(help)
    return help[:1].upper() + help[1:end], help[end:].lstrip(";:, ")


class OptionError(ValueError):
    """The option with the name ``option`` does not exist, or its value is wrong. The message does not repeat the name."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


# -- options and their owners ----------------------------------------------------------------------------


class Option(Generic[T]):
    """One setting of a class.

    convert   a converter (converters.py), or a plain type
    default   the value where none is given; it may be text (``Option(duration, "5m", ...)``)
    help      one line for people
    min, max  bounds of a number, or of each item of a list
    choices   the only values that are allowed, for the option or for each item of a list
    secret    the value is shown to nobody, or, of a URL, without its password

    Reading the attribute of an instance gives its value: instances have ``settings``, a dict of the converted values.
    """

    name = "?"

    def __init__(
        self,
        convert: Convert[T],
        default: T | str,
        help: str,
        *,
        min: float | str | None = None,
        max: float | str | None = None,
        choices: Sequence[Any] | None = None,
        secret: bool = False,
    ) -> None:
        self.converter, self.help, self.choices, self.secret = converter(convert), help, choices, secret
        # the bounds of a duration or a size may be text, too, such as "16 KiB"
        item = self.converter.item
        self.min, self.max = (item(bound) if isinstance(bound, str) else bound for bound in (min, max))
        self.default: T = self.convert(default)

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, obj: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, obj: object, owner: type[Any] | None = None) -> T: ...
    def __get__(self, obj: Any, owner: type[Any] | None = None) -> Any:
        return self if obj is None else obj.settings.get(self.name, self.default)

    def convert(self, value: Any) -> T:
        """Converts and checks a value. Raises ValueError, which says what is wrong with it."""
        result = self.converter(value)
        for item in result if isinstance(result, list) else (result,):
            self._check(item)
        return result

    def _check(self, item: Any) -> None:
        if item is None:
            return
        show = self.converter.item.show
        if self.min is not None and item < self.min:
            raise ValueError(f"must be at least {show(self.min)}, not {show(item)}")
        if self.max is not None and item > self.max:
            raise ValueError(f"must be at most {show(self.max)}, not {show(item)}")
        if self.choices is not None and item not in self.choices:
            words = [str(choice) for choice in self.choices]
            close = difflib.get_close_matches(str(item), words, 1, 0.5)
            hint = f" (did you mean '{close[0]}'?)" if close else ""
            raise ValueError(f"must be one of {', '.join(words)}, not {brief(item)}{hint}")

    def show(self, value: Any) -> Any:
        """The value as a person would write it: ``5m`` for 300.0 seconds."""
        return self.converter.show(value)

    @property
    def limits(self) -> str:
        """Which values are allowed, in words. Empty if all are."""
        if self.choices is not None:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        low, high = (
            None if bound is None else self.converter.item.show(bound) for bound in (self.min, self.max)
        )
        if low is None and high is None:
            return ""
        if high is None:
            return f"at least {low}"
        return f"at most {high}" if low is None else f"{low} to {high}"


def options_of(owner: type[Any]) -> dict[str, Option[Any]]:
    """Name -> option, for a class and its bases, in the order of declaration, bases first."""
    found: dict[str, Option[Any]] = {}
    for each in reversed(owner.__mro__):
        found |= {name: option for name, option in vars(each).items() if isinstance(option, Option)}
    return found


def convert_settings(owner: type[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Converts all values. Raises OptionError for the first one that is wrong."""
    known, converted = options_of(owner), {}
    for name, value in settings.items():
        if name not in known:
            raise OptionError(name, "no such option" + nearest(name, known))
        try:
            converted[name] = known[name].convert(value)
        except ValueError as error:
            raise OptionError(name, str(error)) from None
    return converted


class Section:
    """A group of options. The docstring of a subclass is its description in the sample file and in the docs."""

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self.settings = convert_settings(type(self), settings or {})

    @classmethod
    def options(cls) -> dict[str, Option[Any]]:
        return options_of(cls)


def plain_domain(text: str) -> str:
    """The default of ``Schema.domain``: makes it lower case. Raises ValueError for a character that no domain has."""
    if not re.fullmatch(r"[^\s@/:\[\]{},]{1,1023}", text):
        raise ValueError("not a domain")
    return text.lower()


@dataclass(frozen=True)
class Schema:
    """What may stand in the configuration.

    sections       name -> the options of a part of the server
    modules        name -> a class with options, a ``name`` and a ``default`` (is it on where the configuration does not
                   say?), in the order of loading
    host           the options of one host, under its domain in ``hosts``
    top            the options outside of all sections
    component      the options of one component, under its domain in ``components``
    services       name -> a class, as in ``modules``, with the class methods ``own_modules`` and ``domain_for``
    domain         prepares the name of a host; raises ValueError for a bad one
    default_hosts  the hosts where the configuration names none
    """

    sections: Mapping[str, type[Section]]
    modules: Mapping[str, type[Any]]
    host: type[Section] = Section
    top: type[Section] = Section
    component: type[Section] = Section
    services: Mapping[str, type[Any]] = field(default_factory=dict)
    domain: Callable[[str], str] = plain_domain
    default_hosts: tuple[str, ...] = ("localhost",)

    def __post_init__(self) -> None:
        own = {"hosts", "components", "modules", "services"}
        taken = options_of(self.top).keys() & {*self.sections, *own} | own & self.sections.keys()
        taken |= options_of(self.host).keys() & {"modules", "services"}
        if taken:
            raise TypeError(f"one name has two meanings in the configuration: {', '.join(taken)}")
        for name, owner in [*self.modules.items(), *self.services.items()]:
            if options_of(owner).keys() & {"enabled", "modules"}:
                raise TypeError(
                    f"{name}: options cannot be called 'enabled' or 'modules', the loader uses these names"
                )
