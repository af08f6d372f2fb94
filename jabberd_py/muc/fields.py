"""Fields of the room's configuration form (XEP-0045 section 10), declared like options: class attributes of the feature that
they belong to.

    members_only = Field("muc#roomconfig_membersonly", "boolean", False, "Only members may enter")

    self.members_only(room)      # the room's value
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..options import brief
from ..xmpp import forms
from ..xmpp.jid import parse

if TYPE_CHECKING:
    from .room import Room

T = TypeVar("T")
FORM_TYPE = "http://jabber.org/protocol/muc#roomconfig"


class Field(Generic[T]):
    """
    var      its name in the form
    type     its type (XEP-0004 section 3.3)
    default  the value of a room that says nothing
    choices  (value, label) of each, for lists
    most     characters that a text may have, or values that a list may have
    like     a regular expression that a text has to match, unless it is empty
    """

    def __init__(
        self,
        var: str,
        type: str,
        default: T,
        label: str,
        *,
        choices: tuple[tuple[str, str], ...] = (),
        most: int = 1000,
        like: str = "",
    ) -> None:
        self.var, self.type, self.default, self.label = var, type, default, label
        self.choices, self.most, self.like = choices, most, like

    def __call__(self, room: Room) -> T:
        """The value in that room."""
        return room.config.get(self.var, self.default)

    def read(self, values: list[str]) -> Any:
        """What a submitted form says. Raises ValueError with a sentence for a person."""
        try:
            return self._read(values)
        except ValueError as error:
            raise ValueError(f"{self.label}: {error}") from None

    def _read(self, values: list[str]) -> Any:
        if self.type == "boolean":
            return forms.boolean(values)
        if self.type == "text-multi":
            return self._bounded("\n".join(values))
        if self.type in ("jid-multi", "list-multi"):
            if len(values) > self.most:
                raise ValueError(f"more than {self.most} values")
            if self.type == "jid-multi":
                return list(dict.fromkeys(parse(value.strip()).user for value in values if value.strip()))
            return [self._known(value) for value in dict.fromkeys(values)]
        if len(values) > 1:
            raise ValueError("one value, please")
        text = values[0] if values else ""
        return self._known(text) if self.type == "list-single" else self._bounded(text)

    def _bounded(self, text: str) -> str:
        if len(text) > self.most:
            raise ValueError(f"more than {self.most} characters")
        if text and self.like and not re.fullmatch(self.like, text):
            raise ValueError(f"{brief(text)} is none")
        return text

    def _known(self, value: str) -> str:
        if value not in {each for each, _ in self.choices}:
            raise ValueError(f"must be one of {', '.join(each for each, _ in self.choices)}")
        return value

    def show(self, form: forms.Form, value: Any) -> None:
        """Adds the field to a form."""
        if self.type == "text-multi":
            value = value.split("\n") if value else []
        form.field(self.var, self.type, self.label, value, self.choices)


class Number(Field[int]):
    """A whole number in a text-single field; ``least`` to ``most``."""

    def __init__(self, var: str, default: int, label: str, *, least: int, most: int) -> None:
        super().__init__(var, "text-single", default, label, most=most)
        self.least = least

    def _read(self, values: list[str]) -> int:
        (text,) = values or [""]
        text = text.strip()
        if not (
            text.isascii() and text.isdigit() and len(text) < 10 and self.least <= int(text) <= self.most
        ):
            raise ValueError(f"a whole number from {self.least} to {self.most}")
        return int(text)

    def show(self, form: forms.Form, value: Any) -> None:
        form.field(self.var, self.type, self.label, value, range=(self.least, self.most))
