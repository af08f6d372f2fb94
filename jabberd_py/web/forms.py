"""An HTML form made from the arguments of a command (templates/forms.html shows it)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import request

from ..arguments import HOST, Argument
from ..commands import CommandError, WrongArgument
from . import context, filters

KINDS = {"password": "password", "private": "password", "flag": "checkbox", "choice": "select", "lines": "textarea",
         "stanza": "textarea", "int": "number", "float": "number"}  # fmt: skip
"""Kind of an argument -> its field. All others are one line of text."""
ABOUT = {"nick": "Such as Juliet"}
"""Argument -> its hint, where its kind tells too little."""
SAID = {
    ("certificates order", "name"): ("Domain", "The host that gets it, such as example.org"),
    ("certificates order", "email"): ("Your e-mail address", "For the authority. Let's Encrypt needs none"),
    ("certificates order", "directory"): (
        "Another authority",
        "Empty: Let's Encrypt. One of your own is named on the machine of the server only (jabberctl)",
    ),
    ("check federation", "host"): ("From", "Nothing chosen: from the first host"),
    ("blacklist add", "address"): (
        "Server or address",
        "A domain, such as spam.example, or one address. Of a domain that one alone is meant: chat.spam.example is another",
    ),
    ("uploads quota", "quota"): ("Its quota", "Such as 500 MiB or 5 GiB. Empty: the same as for all others"),
    ("whitelist set", "jids"): (
        "Only these, one a line",
        "As soon as one stands here, everybody else of other servers is shut out. Empty: all of them may write here",
    ),
    ("rooms affiliation", "jid"): ("Whose", "An address, such as name@example.org"),
    ("rooms affiliation", "affiliation"): ("Role", ""),
}
"""(command, argument) -> its label and its hint, where its name tells too little."""
OPEN = (("rooms config", "value"),)
"""Arguments that the log must not have, but who writes them may see."""
HINTS = {
    "account": "An account, such as name@example.org",
    "session": "An account, such as name@example.org, or with /resource one of its sessions",
    "address": "An XMPP address, such as name@example.org", "duration": "A length of time, such as 30s, 5m, 12h, 7d",
    "size": "An amount, such as 64 KiB or 100 MiB", "domain": "A domain, such as example.org",
}  # fmt: skip
LABELS = {
    "jid": "Address",
    "jids": "Addresses, one a line",
    "address": "Address",
    "room": "Address of the room",
    "nick": "Nick",
    "after": "Not now, but after",
    "reported": "Address",
}
"""Argument -> what its field is called; others by their own name."""
DESTROYS = frozenset((
    "delete", "destroy", "purge", "remove", "clear", "stop",
))  # fmt: skip
"""Words in the names of commands that a person should think about twice."""


def destroys(command: str) -> bool:
    return not DESTROYS.isdisjoint(command.split())


@dataclass
class Field:
    """One line of a form. ``kind``: text, password, number, textarea, checkbox, select, hidden. ``key``: of an option, its name
    in the configuration. ``empty``: what the choice of nothing is called; ``words``: what others are called."""

    name: str
    label: str
    kind: str = "text"
    required: bool = False
    value: str = ""
    choices: list[str] = field(default_factory=list)
    hint: str = ""
    error: str = ""
    key: str = ""
    empty: str = "-"
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def checked(self) -> bool:
        return self.value in ("true", "True", "yes", "on", "1")


@dataclass
class Form:
    """The fields of a command. ``error``: what is wrong with the whole."""

    command: str
    fields: list[Field]
    error: str = ""

    def fill(self, given: Mapping[str, Any]) -> Form:
        for each in self.fields:
            if each.name in given:
                each.value = str(given[each.name])
        return self

    def hide(self, names: Iterable[str]) -> Form:
        """These stand in the form, but nobody edits them."""
        wanted = set(names)
        for each in self.fields:
            if each.name in wanted:
                each.kind = "hidden"
        return self

    @property
    def values(self) -> dict[str, Any]:
        """What the browser has sent, for `context.run`: optional fields that are empty are left out."""
        found: dict[str, Any] = {}
        for each in self.fields:
            said = request.form.get(each.name, "")
            if each.kind == "checkbox":
                found[each.name] = bool(said)
            elif said or each.required:
                found[each.name] = self._whole(said) if each.name == "room" else said
        return found

    def _whole(self, room: str) -> str:
        """The address of a room; of its name alone, where there is one service for rooms."""
        services = [] if "@" in room else _places(self.command)
        return f"{room.strip()}@{services[0]}" if room.strip() and len(services) == 1 else room

    def run(self, **more: Any) -> Any:
        """Runs the command with what was sent, and with ``more``, which goes before it; the form keeps what was sent, but for
        passwords. Raises CommandError, after it has been noted at its field."""
        for each in self.fields:
            if each.kind == "checkbox":
                each.value = "yes" if request.form.get(each.name) else ""
            elif each.kind != "password":
                each.value = request.form.get(each.name, "")
        try:
            return context.run(self.command, **self.values | more)
        except CommandError as error:
            self.blame(error)
            raise

    def blamed(self, error: CommandError) -> CommandError:
        """Notes what is wrong (`blame`), and returns it."""
        self.blame(error)
        return error

    def blame(self, error: CommandError) -> None:
        """Notes what is wrong: at the field that it is about, or on top."""
        text = str(error)
        for each in self.fields:
            about = error.argument if isinstance(error, WrongArgument) else None
            if each.name == about or (about is None and text.startswith(f"{each.name}:")):
                each.error = text.removeprefix(f"{each.name}:").strip()
                return
        self.error = text


def form(command: str, hints: Mapping[str, str] = {}, labels: Mapping[str, str] = {}) -> Form:
    """The form of a command. Raises NoSuchThing."""
    bound = context.registry().find(command)
    arguments = dict(bound[0].arguments)
    if bound[0].place is not None and bound[0].account is None:
        arguments.setdefault("host", HOST)
    fields = []
    for name, each in arguments.items():
        label, hint = SAID.get((command, name), (LABELS.get(name) or filters.title(name), ""))
        if name == "room" and not hint:
            hint = _rooms(command)
        one = _field(each, labels.get(name) or label, hints.get(name) or hint)
        if (command, name) in OPEN:
            one.kind = "textarea"
        if name == "host":
            one.label, one.kind = labels.get(name) or (label if hint else "Where"), "select"
            one.choices, one.hint = _places(command), hints.get(name) or hint
            if len(one.choices) == 1:  # nothing to choose
                one.kind = "hidden"
            if each.required is False and len(one.choices) > 1:
                one.choices.insert(0, "")
                one.empty = "everywhere"
            elif one.choices:
                one.value = one.choices[0]
        fields.append(one)
    return Form(command, fields)


def _rooms(command: str) -> str:
    """The hint of a room: how its address looks here."""
    services = _places(command)
    alone = "; the name alone will do" if len(services) == 1 else ""
    return f"Such as garden@{services[0]}{alone}" if services else ""


def _places(command: str) -> list[str]:
    """The domains on which who asks may run the command."""
    places = {each.place.domain for each in context.registry().find(command) if each.place is not None}
    jid = context.me().jid
    router = context.web().host.router
    found = [name for name in places if name in router.instances and router.instances[name].is_admin(jid)]
    return sorted(found) or sorted(router.administered(jid))


def _field(each: Argument, label: str, hint: str) -> Field:
    kind = KINDS.get(each.converter.name, "text")
    made = Field(each.name, label, kind, each.required and kind != "checkbox", choices=list(each.choices))
    made.hint = hint or ABOUT.get(each.name) or HINTS.get(each.converter.name, "")
    if not each.required and each.default is not None:
        if kind == "checkbox":
            made.value = "yes" if each.default else ""
        elif kind != "password":
            made.value = str(each.converter.show(each.default))
    if not each.required and kind == "select" and each.default is None:
        made.choices.insert(0, "")
    return made
