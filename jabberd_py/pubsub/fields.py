"""The fields of a form, declared once: what they are called, what their values are, what stands there by default."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, ClassVar, NamedTuple, Self

from ..xmpp.forms import Form, Value, boolean
from ..xmpp.jid import parse

PREFIX = "pubsub#"
TEXT_LENGTH = 1024
"""Characters of a text."""
VALUES = 1000
"""Values of one field."""
MOST = 2**31 - 1


class Kind(NamedTuple):
    """What the values of a field are. ``read`` makes a value of a form's texts, and raises ValueError; ``write`` turns it into
    what a form shows. ``choices``: what a list offers."""

    type: str
    read: Callable[[list[str]], Any]
    write: Callable[[Any], Value]
    choices: tuple[str, ...] = ()


def _line(values: list[str]) -> str:
    (value,) = values or [""]
    if len(value) > TEXT_LENGTH:
        raise ValueError(f"more than {TEXT_LENGTH} characters")
    return value


def _number(values: list[str]) -> int:
    (value,) = values
    value = value.strip()
    if not (value.isascii() and value.isdigit()):
        raise ValueError("not a number")
    return min(int(value[:11]), MOST)


def _number_or_max(values: list[str]) -> int | None:
    return None if values == ["max"] else _number(values)


def lines(values: list[str]) -> tuple[str, ...]:
    """Several texts, each once, without the empty ones."""
    if len(values) > VALUES or any(len(value) > TEXT_LENGTH for value in values):
        raise ValueError("too many values, or too long ones")
    return tuple(dict.fromkeys(filter(None, values)))


def _addresses(values: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(parse(value).user for value in lines(values)))


TEXT = Kind("text-single", _line, lambda value: value or None)
TEXTS = Kind("text-multi", lines, lambda value: value)
PARENTS = Kind("text-multi", lines, lambda value: value or ("",))
ADDRESSES = Kind("jid-multi", _addresses, lambda value: value)
BOOLEAN = Kind("boolean", boolean, bool)
NUMBER = Kind("text-single", _number, str)
NUMBER_OR_MAX = Kind("text-single", _number_or_max, lambda value: "max" if value is None else str(value))


def one_of(*choices: str) -> Kind:
    def read(values: list[str]) -> str:
        (value,) = values
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return value

    return Kind("list-single", read, str, choices)


def some_of(*choices: str) -> Kind:
    def read(values: list[str]) -> tuple[str, ...]:
        if any(value not in choices for value in values):
            raise ValueError(f"some of {', '.join(choices)}")
        return tuple(each for each in choices if each in values)

    return Kind("list-multi", read, lambda value: value, choices)


def option(kind: Kind, default: Any, label: str) -> Any:
    return field(default=default, metadata={"kind": kind, "label": label})


@dataclass(frozen=True)
class Fields:
    """The base of a form's fields. A field that is not declared is not offered; what a form says about it is refused.

    names  field -> what it is called in a form, behind ``pubsub#``, where that is no name of Python
    never  fields of XEP-0060 that are not offered: a form may say of them that they are off
    """

    names: ClassVar[Mapping[str, str]] = {}
    never: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @cache
    def kinds(cls) -> dict[str, Kind]:
        return {each.name: each.metadata["kind"] for each in fields(cls)}

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> Self:
        """What `differences` gave; fields that are unknown by now are left out."""
        known = cls.kinds()
        return cls(**{
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if name in known
        })  # fmt: skip

    def changed(self, form: Mapping[str, list[str]]) -> Self:
        """As a form asks for (var -> texts). Raises ValueError: no such field, or a value that it cannot have."""
        new: dict[str, Any] = {}
        kinds, known = self.kinds(), {shown: name for name, shown in self.names.items()}
        for var, values in form.items():
            if var == "FORM_TYPE":
                continue
            shown = var.removeprefix(PREFIX)
            name = known.get(shown, shown)
            if var.startswith(PREFIX) and shown in self.never and values in ([], [""], ["0"], ["false"]):
                continue
            if not var.startswith(PREFIX) or name not in kinds:
                raise ValueError(f"no such field: {var[:80]}")
            try:
                new[name] = kinds[name].read(values)
            except ValueError as error:
                raise ValueError(f"{var}: {error}") from None
        return replace(self, **new)

    def form(
        self,
        type: str,
        form_type: str,
        hidden: Container[str] = (),
        choices: Mapping[str, Iterable[str]] = {},
    ) -> Form:
        """A data form with all fields and their values but the ``hidden``. ``choices``: what fields of a list offer, if that is
        not what they always offer. A list also has what is chosen now."""
        form = Form(type, form_type=form_type)
        for each in fields(self):
            if each.name in hidden:
                continue
            kind: Kind = each.metadata["kind"]
            value = kind.write(getattr(self, each.name))
            offered: Iterable[str] = ()
            if type == "form" and kind.type.startswith("list-"):
                chosen: Any = [value] if isinstance(value, str) else value or ()
                offered = dict.fromkeys([*choices.get(each.name, kind.choices), *chosen])
            form.field(
                PREFIX + self.names.get(each.name, each.name),
                kind.type,
                each.metadata["label"],
                value,
                [(choice, choice) for choice in offered],
            )
        return form

    def differences(self) -> dict[str, Any]:
        """What is not as it is by default: what the store keeps."""
        found = ((each.name, getattr(self, each.name), each.default) for each in fields(self))
        return {name: value for name, value, default in found if value != default}
