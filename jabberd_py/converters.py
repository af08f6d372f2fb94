"""Converters: the kinds of values of options and of arguments of commands. Each converts what people write, tells what it
expects, and shows a value as people write it."""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Convert = Callable[[Any], T]
LONGEST = 60  # characters of a bad value that an error message repeats


class Converter(Generic[T]):
    """A converter that knows its name, what it expects (for errors) and how a person writes its values."""

    def __init__(
        self, name: str, expects: str, parse: Convert[T], show: Callable[[T], Any] = lambda value: value
    ) -> None:
        self.name, self.expects, self.parse, self.show = name, expects, parse, show
        self.item: Converter[Any] = self  # bounds and choices hold for this: of a list, for its items

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
    """The nearest known name, as the end of an error message: " (did you mean ...?)"."""
    known = {each.lower(): each for each in names}
    if found := difflib.get_close_matches(name.lower(), known, 1, 0.5):
        return f" (did you mean '{known[found[0]]}'?)"
    return f" (known: {', '.join(known.values())})" if 0 < len(known) <= 12 else ""


WORDS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def _bool(value: Any) -> bool:
    return value if isinstance(value, bool) else WORDS[value.strip().lower()]


CENTURY = 36_525 * 86400.0
"""The longest duration, in seconds: a time that is so far away can be written."""


def _int(value: Any) -> int:
    if isinstance(value, bool | float):
        raise TypeError
    if not -(1 << 63) <= int(value) < 1 << 63:  # no store keeps more
        raise ValueError(value)
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(number := float(value)):
        raise TypeError
    return number


no_xml = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]").search
"""Has the text a character that XML cannot have (XML 1.0 section 2.2)? It may go to clients."""


def _str(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    if no_xml(text := str(value)):
        raise ValueError(value)
    return text


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
    seconds = _measure(value, {"": 1.0, **SECONDS}, "(ms|[smhdw])?")
    if seconds > CENTURY:
        raise ValueError(value)
    return seconds


def _size(value: Any) -> int:
    return round(_measure(value.upper() if isinstance(value, str) else value, BYTES, "([KMGT]?)(?:I?B)?"))


def show_duration(seconds: float) -> str:
    """300.0 -> ``5m``: the largest unit that needs no fraction."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % SECONDS[unit] == 0:
            return f"{seconds / SECONDS[unit]:.0f}{unit}"
    return f"{seconds:g}s" if seconds >= 1 or not seconds else f"{seconds * 1000:g}ms"


def show_size(count: int) -> str:
    """262144 -> ``256 KiB``: the largest unit that needs no fraction; 200 -> ``200 B``."""
    for unit in ("T", "G", "M", "K"):
        if count and count % BYTES[unit] == 0:
            return f"{count // BYTES[unit]} {unit}iB"
    return f"{count} B" if count else "0"


CONVERTERS: dict[Any, Converter[Any]] = {
    bool: Converter("yes/no", "yes or no", _bool),
    int: Converter("integer", "a whole number", _int),
    float: Converter("number", "a number", _float),
    str: Converter("text", "text", _str),
}
duration = Converter("duration", "a duration such as 10s, 5m, 1h or 30d", _duration, show_duration)
size = Converter("size", "a size such as 64k, 256 KiB or 1 MiB", _size, show_size)


def converter(convert: Convert[T]) -> Converter[T]:
    """The Converter of a type or a function. A plain function raises ValueError with a sentence for a person."""
    if isinstance(convert, Converter):
        return convert
    if known := CONVERTERS.get(convert):
        return known
    own: Converter[T] = _Plain(getattr(convert, "__name__", "value"), "", convert)
    return own


class _Plain(Converter[T]):
    def __call__(self, value: Any) -> T:
        try:
            return self.parse(value)
        except (TypeError, AttributeError):
            raise ValueError(f"must be text, not {brief(value)}") from None


def list_of(convert: Convert[T]) -> Converter[list[T]]:
    """A list; a single value is a list of one."""
    each = converter(convert)

    def parse(value: Any) -> list[T]:
        if value is None or isinstance(value, Mapping):
            raise ValueError(f"must be a list, not {brief(value)}")
        single = isinstance(value, str) or not isinstance(value, Iterable)
        return [each(item) for item in ([value] if single else value)]

    many = _Plain(f"list of {each.name}", "", parse, lambda values: [each.show(value) for value in values])
    many.item = each
    return many


def mapping_of(convert: Convert[T]) -> Converter[dict[str, T]]:
    """Names to values."""
    each = converter(convert)

    def parse(value: Any) -> dict[str, T]:
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a mapping of names to values, not {brief(value)}")
        return {CONVERTERS[str](str(key)): each(item) for key, item in value.items()}

    return _Plain(f"mapping to {each.name}", "", parse, lambda v: {key: each.show(v[key]) for key in v})


def optional(convert: Convert[T]) -> Converter[T | None]:
    """A value, or nothing: ``null``, ``~`` or an empty line."""
    each = converter(convert)
    return _Plain(
        f"{each.name} or nothing",
        "",
        lambda value: None if value is None else each(value),
        lambda value: None if value is None else each.show(value),
    )
