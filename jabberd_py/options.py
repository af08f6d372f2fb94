"""Declared options: what a section of the configuration, or a module, may be told.

A class lists its options as class attributes; instances read their own values through them:

    class C2S(Section):
        \"\"\"Where clients connect.\"\"\"

        port = Option(int, 5222, "the port for STARTTLS", min=0, max=65535)

    C2S({"port": "5333"}).port == 5333

Everything converts from text as well as from Python values, and converting twice does no harm.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")
Convert = Callable[[Any], T]
LONGEST = 60  # characters of a bad value that an error message repeats


class OptionError(ValueError):
    """``option`` does not exist, or its value is wrong. The message does not repeat the option's name."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


# -- kinds of values ------------------------------------------------------------------------------------


class Kind(Generic[T]):
    """A converter that knows its name, what it expects (for errors) and how a person writes its values."""

    def __init__(
        self, name: str, expects: str, parse: Convert[T], show: Callable[[T], Any] = lambda value: value
    ) -> None:
        self.name, self.expects, self.parse, self.show = name, expects, parse, show
        self.item: Kind[Any] = self  # what bounds and choices are about: of a list, its items

    def __call__(self, value: Any) -> T:
        try:
            return self.parse(value)
        except (KeyError, TypeError, AttributeError, OverflowError, ValueError) as error:
            raise ValueError(f"must be {self.expects}, not {brief(value)}") from error


def brief(value: Any, quoted: bool = True) -> str:
    """The value as an error message shows it: on one line, of bounded length."""
    text = "nothing" if value is None else repr(value) if quoted else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def nearest(name: str, names: Iterable[str]) -> str:
    """What to try instead of ``name``, as the end of an error message."""
    known = {each.lower(): each for each in names}
    if found := difflib.get_close_matches(name.lower(), known, 1, 0.5):
        return f" (did you mean '{known[found[0]]}'?)"
    return f" (known: {', '.join(known.values())})" if 0 < len(known) <= 12 else ""


WORDS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def _bool(value: Any) -> bool:
    return value if isinstance(value, bool) else WORDS[value.strip().lower()]


def _int(value: Any) -> int:
    if isinstance(value, bool | float):
        raise TypeError
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(number := float(value)):
        raise TypeError
    return number


def _str(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    return str(value)


def _measure(value: Any, units: Mapping[str, float], unit: str) -> float:
    """A number (of the smallest unit), or text: a number and one of ``units``, matched by ``unit``."""
    if not isinstance(value, str):
        number = _float(value)
    elif match := re.fullmatch(rf"(\d{{1,15}}(?:\.\d{{1,9}})?)\s*{unit}", value.strip()):
        number = float(match[1]) * units[match[2] or ""]
    else:
        raise ValueError(value)
    if number < 0:
        raise ValueError(value)
    return number


def _duration(value: Any) -> float:
    return _measure(value, {"": 1.0, **SECONDS}, "(ms|[smhdw])?")


def _size(value: Any) -> int:
    return round(_measure(value.upper() if isinstance(value, str) else value, BYTES, "([KMGT]?)(?:I?B)?"))


def show_duration(seconds: float) -> str:
    """300.0 -> ``5m``: the largest unit that needs no fraction."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % SECONDS[unit] == 0:
            return f"{seconds / SECONDS[unit]:.0f}{unit}"
    return f"{seconds:g}s" if seconds >= 1 or not seconds else f"{seconds * 1000:g}ms"


def show_size(count: int) -> str:
    """262144 -> ``256 KiB``: the largest unit that needs no fraction."""
    for unit in ("T", "G", "M", "K"):
        if count and count % BYTES[unit] == 0:
            return f"{count // BYTES[unit]} {unit}iB"
    return str(count)


KINDS: dict[Any, Kind[Any]] = {
    bool: Kind("yes/no", "yes or no", _bool),
    int: Kind("integer", "a whole number", _int),
    float: Kind("number", "a number", _float),
    str: Kind("text", "text", _str),
}
duration = Kind("duration", "a duration such as 10s, 5m, 1h or 30d", _duration, show_duration)
size = Kind("size", "a size such as 64k, 256 KiB or 1 MiB", _size, show_size)


def kind(convert: Convert[T]) -> Kind[T]:
    """The Kind of any converter. A plain function is its own: it raises ValueError with a human message."""
    if isinstance(convert, Kind):
        return convert
    if known := KINDS.get(convert):
        return known
    own: Kind[T] = _Plain(getattr(convert, "__name__", "value"), "", convert)
    return own


class _Plain(Kind[T]):
    def __call__(self, value: Any) -> T:
        return self.parse(value)


def list_of(convert: Convert[T]) -> Kind[list[T]]:
    """A list; a single value is a list of one."""
    each = kind(convert)

    def parse(value: Any) -> list[T]:
        if value is None or isinstance(value, Mapping):
            raise ValueError(f"must be a list, not {brief(value)}")
        single = isinstance(value, str) or not isinstance(value, Iterable)
        return [each(item) for item in ([value] if single else value)]

    many = _Plain(f"list of {each.name}", "", parse, lambda values: [each.show(value) for value in values])
    many.item = each
    return many


def mapping_of(convert: Convert[T]) -> Kind[dict[str, T]]:
    """Names to values."""
    each = kind(convert)

    def parse(value: Any) -> dict[str, T]:
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a mapping of names to values, not {brief(value)}")
        return {str(key): each(item) for key, item in value.items()}

    return _Plain(f"mapping to {each.name}", "", parse, lambda v: {key: each.show(v[key]) for key in v})


def optional(convert: Convert[T]) -> Kind[T | None]:
    """A value, or nothing: ``null``, ``~`` or an empty line."""
    each = kind(convert)
    return _Plain(
        f"{each.name} or nothing",
        "",
        lambda value: None if value is None else each(value),
        lambda value: None if value is None else each.show(value),
    )


# -- options and their owners ----------------------------------------------------------------------------


class Option(Generic[T]):
    """One setting of a class: a converter, a default, a line of help.

    The default may be written as a person would (``Option(duration, "5m", ...)``). ``min`` and ``max`` bound
    numbers, ``choices`` lists what is allowed; both hold for every item of a list. The owner's instances
    have ``settings``, a dict of the converted values that were given.
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
    ) -> None:
        self.kind, self.help, self.choices = kind(convert), help, choices
        # the bounds of a duration or a size may be written in its units, as the default may
        item = self.kind.item
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
        """The value in its own type; ValueError says what is wrong with it."""
        result = self.kind(value)
        for item in result if isinstance(result, list) else (result,):
            self._check(item)
        return result

    def _check(self, item: Any) -> None:
        if item is None:
            return
        show = self.kind.item.show
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
        """The value as a person writes it: ``5m`` for 300.0 seconds."""
        return self.kind.show(value)

    @property
    def limits(self) -> str:
        """What ``min``, ``max`` and ``choices`` allow, in words; empty if anything goes."""
        if self.choices is not None:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        low, high = (None if bound is None else self.kind.item.show(bound) for bound in (self.min, self.max))
        if low is None and high is None:
            return ""
        if high is None:
            return f"at least {low}"
        return f"at most {high}" if low is None else f"{low} to {high}"


def options_of(owner: type[Any]) -> dict[str, Option[Any]]:
    """All options of a class and its bases, in the order of declaration, bases first."""
    found: dict[str, Option[Any]] = {}
    for each in reversed(owner.__mro__):
        found |= {name: option for name, option in vars(each).items() if isinstance(option, Option)}
    return found


def convert_settings(owner: type[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with every value in its option's type; OptionError on the first that is wrong."""
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
    """A group of options; the docstring of a subclass describes it in the sample file and in the docs."""

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self.settings = convert_settings(type(self), settings or {})

    @classmethod
    def options(cls) -> dict[str, Option[Any]]:
        return options_of(cls)


def plain_domain(text: str) -> str:
    """The default for ``Schema.domain``: lower case, and nothing that no domain has."""
    if not re.fullmatch(r"[^\s@/:\[\]{},]{1,1023}", text):
        raise ValueError("not a domain")
    return text.lower()


@dataclass(frozen=True)
class Schema:
    """What the configuration may say.

    ``modules`` are classes with options and the attributes ``name`` and ``default`` (on unless switched off),
    in the order of loading; ``services``, what a host has beside itself, likewise, with the class methods ``kinds`` (their
    own modules) and ``domain_for``. ``domain`` prepares the name of a host, raising ValueError on a bad one;
    ``default_hosts`` are served when nobody names any. ``component``: the options of one external service,
    under its domain in ``components``.
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
            raise TypeError(f"two meanings of one name in the configuration: {', '.join(taken)}")
        for name, owner in [*self.modules.items(), *self.services.items()]:
            if options_of(owner).keys() & {"enabled", "modules"}:
                raise TypeError(
                    f"{name}: 'enabled' and 'modules' belong to the loader, name the option otherwise"
                )
