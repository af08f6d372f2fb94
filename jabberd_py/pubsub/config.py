"""The configuration of a node (XEP-0060 section 8.2): each field is declared once, as an option of a module is.

A field that is not here is not offered. What a form says about it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple

from ..xmpp.forms import Form, Value, boolean

PREFIX = "pubsub#"
TEXT_LENGTH = 1024
"""Characters of a title or a description."""
MOST = 2**31 - 1


class Kind(NamedTuple):
    """What the values of a field are. ``read`` makes a value of a form's texts, and raises ValueError; ``write`` turns it into
    what a form shows."""

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


def _groups(values: list[str]) -> tuple[str, ...]:
    if len(values) > 100 or any(len(value) > TEXT_LENGTH for value in values):
        raise ValueError("too many groups, or too long ones")
    return tuple(dict.fromkeys(values))


TEXT = Kind("text-single", _line, lambda value: value or None)
BOOLEAN = Kind("boolean", boolean, bool)
NUMBER = Kind("text-single", _number, str)
NUMBER_OR_MAX = Kind("text-single", _number_or_max, lambda value: "max" if value is None else str(value))
GROUPS = Kind("text-multi", _groups, lambda value: value)


def one_of(*choices: str) -> Kind:
    def read(values: list[str]) -> str:
        (value,) = values
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return value

    return Kind("list-single", read, str, choices)


def option(kind: Kind, default: Any, label: str) -> Any:
    return field(default=default, metadata={"kind": kind, "label": label})


ACCESS_MODELS = ("open", "presence", "roster", "whitelist", "authorize")


@dataclass(frozen=True)
class Config:
    """How a node behaves. ``max_items`` None: as many as the server allows."""

    title: str = option(TEXT, "", "A short name for the node")
    description: str = option(TEXT, "", "What the node is about")
    type: str = option(TEXT, "", "The type of node data, usually a namespace")
    access_model: str = option(one_of(*ACCESS_MODELS), "open", "Who may subscribe and retrieve items")
    publish_model: str = option(one_of("publishers", "subscribers", "open"), "publishers", "Who may publish")
    roster_groups_allowed: tuple[str, ...] = option(GROUPS, (), "Roster groups that may subscribe")
    persist_items: bool = option(BOOLEAN, True, "Whether to keep items")
    max_items: int | None = option(NUMBER_OR_MAX, None, "How many items to keep: a number, or 'max'")
    max_payload_size: int | None = option(NUMBER_OR_MAX, None, "The largest payload, in bytes, or 'max'")
    deliver_notifications: bool = option(BOOLEAN, True, "Whether to notify subscribers")
    deliver_payloads: bool = option(BOOLEAN, True, "Whether notifications have the payload in them")
    notify_config: bool = option(BOOLEAN, False, "Whether to notify of a new configuration")
    notify_delete: bool = option(BOOLEAN, True, "Whether to notify of the node's deletion")
    notify_retract: bool = option(BOOLEAN, True, "Whether to notify of items that are removed")
    notification_type: str = option(one_of("normal", "headline"), "headline", "The type of notifications")
    send_last_published_item: str = option(
        one_of("never", "on_sub", "on_sub_and_presence"), "never", "When to send the last published item"
    )

    def changed(self, form: dict[str, list[str]], access_models: Iterable[str] = ACCESS_MODELS) -> Config:
        """As a form asks for (var -> texts). Raises ValueError: no such field, or a value that it cannot have."""
        new: dict[str, Any] = {}
        for var, values in form.items():
            if var == "FORM_TYPE":
                continue
            name = var.removeprefix(PREFIX)
            if not var.startswith(PREFIX) or name not in KINDS:
                raise ValueError(f"no such field: {var[:80]}")
            try:
                new[name] = KINDS[name].read(values)
            except ValueError as error:
                raise ValueError(f"{var}: {error}") from None
        config = replace(self, **new)
        if config.access_model not in access_models:
            raise UnsupportedAccess(config.access_model)
        return config

    def form(self, type: str, form_type: str, access_models: Iterable[str] = ACCESS_MODELS) -> Form:
        """A data form with all fields and their values."""
        form = Form(type, form_type=form_type)
        for each in fields(self):
            kind: Kind = each.metadata["kind"]
            choices = access_models if each.name == "access_model" else kind.choices
            form.field(
                PREFIX + each.name,
                kind.type,
                each.metadata["label"],
                kind.write(getattr(self, each.name)),
                [(choice, choice) for choice in choices],
            )
        return form

    def differences(self) -> dict[str, Any]:
        """What is not as in `Config()`: what the store keeps."""
        plain = asdict(Config())
        return {name: value for name, value in asdict(self).items() if value != plain[name]}


class UnsupportedAccess(ValueError):
    """An access model that this service does not have."""


KINDS: dict[str, Kind] = {each.name: each.metadata["kind"] for each in fields(Config)}


def stored(values: dict[str, Any]) -> Config:
    """What `Config.differences` gave; fields that are unknown by now are left out."""
    known = {name: value for name, value in values.items() if name in KINDS}
    if "roster_groups_allowed" in known:
        known["roster_groups_allowed"] = tuple(known["roster_groups_allowed"])
    return Config(**known)
