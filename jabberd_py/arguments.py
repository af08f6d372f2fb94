"""Kinds of arguments: what a command may be given, told by the annotations of its parameters.

    def kick(self, jid: SessionAddress, reason: str = "", how: Literal["softly", "at once"] = "softly") -> None:

Plain types are ``str``, ``int``, ``float``, ``bool`` and ``Path``; ``Literal`` is a choice; all others stand here. Each
is an `converters.Converter`: it converts text as well as values, and raises ValueError with a sentence for a person.
"""

from __future__ import annotations

import inspect
import types
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from .converters import CONVERTERS, Converter, brief, converter, duration, no_xml, size
from .xmpp.jid import JID, parse
from .xmpp.prep import domainprep, strict_password


def address(value: Any) -> JID:
    """An XMPP address. Raises ValueError with a sentence that names what is wrong, and no more than a line of it."""
    if not isinstance(value, str):
        raise ValueError(f"must be an address, not {brief(value)}")
    try:
        return parse(value)
    except ValueError as error:
        raise ValueError(f"{brief(value)} is not an address: {error}") from None


def session(value: Any) -> JID:
    """An account (``romeo@example.org``), or one of its sessions (``romeo@example.org/garden``)."""
    jid = address(value)
    if jid.node is None:
        raise ValueError(f"{brief(value)} is not the address of a user: write NAME@{jid.domain}")
    return jid


def account(value: Any) -> JID:
    """An account. What one resource has in addition is a mistake."""
    jid = session(value)
    if jid.resource is not None:
        raise ValueError(f"{brief(value)} is not the address of an account: leave out /{brief(jid.resource)}")
    return jid


def domain(value: Any) -> str:
    """A domain name."""
    if not isinstance(value, str):
        raise ValueError(f"must be a domain, not {brief(value)}")
    try:
        return domainprep(value)
    except ValueError as error:
        raise ValueError(f"{brief(value)} is not a domain: {error}") from None


def password(value: Any) -> str:
    """A password, never shown and never logged."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    return strict_password(value)


def path(value: Any) -> Path:
    """A file of the machine where the server runs."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"must be a path, not {brief(value)}")
    return Path(value)


def text(value: Any) -> str:
    """Text of characters that XML can have (XML 1.0 section 2.2): it may go to clients."""
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {brief(value)}")
    if no_xml(value):
        raise ValueError("has a control character")
    return value.replace("\r\n", "\n")


ACCOUNT, SESSION, PASSWORD = converter(account), converter(session), converter(password)
Address = Annotated[JID, converter(address)]
AccountAddress = Annotated[JID, ACCOUNT]
"""An account of a host that is served here. The command runs on that host."""
SessionAddress = Annotated[JID, SESSION]
"""An account or one of its sessions. The command runs on that account's host."""
Domain = Annotated[str, converter(domain)]
Password = Annotated[str, PASSWORD]
Lines = Annotated[str, Converter("lines", "text", text)]
"""A text of several lines."""
Private = Annotated[str, Converter("private", "text", text)]
"""A text that the log does not keep."""
Option = Annotated[str, Converter("option", "text", text)]
"""An option of the configuration, or a place where some stand: c2s.port, modules.mam."""
Size = Annotated[int, size]
Duration = Annotated[float, duration]

FIELDS = {"account": "jid-single", "session": "jid-single", "address": "jid-single", "password": "text-private",
          "choice": "list-single", "flag": "boolean", "lines": "text-multi", "stanza": "text-multi"}  # fmt: skip
"""Converter -> the type of its field in a data form (XEP-0004). All others are text-single."""
MASKED = ("password", "private", "stanza")
"""Kinds of arguments that the log does not keep."""
PLAIN: dict[Any, Converter[Any]] = {
    str: converter(text), Path: converter(path), int: CONVERTERS[int], float: CONVERTERS[float],
    bool: Converter("flag", "yes or no", CONVERTERS[bool].parse),
}  # fmt: skip


class Argument(NamedTuple):
    """One argument of a command. ``choices`` is empty unless the kind is ``choice``."""

    name: str
    converter: Converter[Any]
    required: bool
    default: Any = None
    choices: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """The type of its field in a data form (XEP-0004 section 3.3)."""
        return FIELDS.get(self.converter.name, "text-single")

    def convert(self, value: Any) -> Any:
        """Raises ValueError, with a sentence that begins with the argument's name."""
        try:
            return self.converter(value)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def describe(self) -> dict[str, Any]:
        default = None if self.required or self.default is None else self.converter.show(self.default)
        return {"name": self.name, "kind": self.converter.name, "required": self.required, "default": default,
                "choices": list(self.choices), "field": self.field}  # fmt: skip


HOST = Argument("host", converter(domain), False)
"""What every command of instances takes that could run on several: only this one."""


def argument(parameter: inspect.Parameter) -> Argument:
    """Raises TypeError where the annotation is of no known kind: a mistake of who wrote the command."""
    wanted, choices = parameter.annotation, ()
    if get_origin(wanted) in (Union, types.UnionType):
        wanted = next(each for each in get_args(wanted) if each is not type(None))
    found = next((each for each in getattr(wanted, "__metadata__", ()) if isinstance(each, Converter)), None)
    if get_origin(wanted) is Literal:
        choices = get_args(wanted)
        found = _choice(choices)
    found = found or PLAIN.get(wanted)
    if found is None:
        raise TypeError(f"{parameter.name}: {wanted} is no kind of argument")
    required = parameter.default is inspect.Parameter.empty
    return Argument(parameter.name, found, required, None if required else parameter.default, choices)


def _choice(choices: tuple[str, ...]) -> Converter[str]:
    def choice(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not {brief(value)}")
        return str(value)

    return converter(choice)
