"""How values look on a page: as jabberctl shows them (ctl/show.py), the unit told by the name of the field."""

from __future__ import annotations

import time
from typing import Any

from markupsafe import Markup

from ..words import amount, clean, moment, span
from ..xmpp.stamp import utc

STATUS = {"wrong argument": 400, "not allowed": 403, "no such thing": 404, "conflict": 409}
"""Kind of a CommandError -> status of the page. All others are 409: as things are, the command cannot be done."""


def title(key: str) -> str:
    """The name of a field or a command, for a person."""
    text = clean(key.removesuffix("_seconds").removesuffix("_bytes").replace("_", " "))
    return text[:1].upper() + text[1:]


def named(value: Any, key: str = "") -> str:
    """The value of a field, in the unit that its name tells."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if key.endswith("seconds"):
            return span(value)
        if key.endswith(("_bytes", "bytes")):
            return amount(value)
        return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return "; ".join(named(each, key) for each in value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{clean(name)}: {named(each, name)}" for name, each in value.items()) or "-"
    return clean(moment(value) if isinstance(value, str) else value)


def columns(rows: list[dict[str, Any]]) -> list[str]:
    """The fields of rows, in order."""
    return list(dict.fromkeys(key for row in rows for key in row))


def when(stamp: str | None) -> Markup:
    """A time of UTC (XEP-0082) as how long ago it was; the exact time is its title."""
    full = named(stamp)
    if stamp is None or not full.endswith(")"):
        return Markup("{}").format(full)
    short = full.rpartition("(")[2].rstrip(")").split()
    text = " ".join([*short[:2], "ago"] if short[-1] == "ago" else short[:3])
    return Markup('<time datetime="{}" title="{}">{}</time>').format(stamp, full, text)


def clock(when: float) -> str:
    """A Unix time as local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def rest(line: dict[str, Any]) -> str:
    """What a line of the log says beside its event."""
    known = ("time", "level", "logger", "event", "exception")
    return "  ".join(f"{clean(name)}={clean(value)}" for name, value in line.items() if name not in known)


def given(values: Any) -> Any:
    """Of a dict, what is not empty."""
    return (
        {name: each for name, each in values.items() if each not in ("", None, False)}
        if isinstance(values, dict)
        else values
    )


def code(text: str) -> Markup:
    """Text with what stands in backticks as code."""
    parts = str(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts)
    )


WORDS = {
    "accounts add": "New account",
    "accounts passwd": "Set a new password",
    "accounts suspend": "Suspend an account",
    "accounts enable": "Let an account in again",
    "accounts delete": "Delete an account",
    "accounts kick": "Disconnect a device",
    "accounts disable": "Disable an account",
    "totp remove": "Remove the second factor",
    "rooms create": "New room",
    "rooms destroy": "Destroy a room",
    "rooms kick": "Throw somebody out of a room",
    "rooms archive": "What was said in a room",
    "rooms affiliation": "Set a role in a room",
    "rooms config": "Change a setting of a room",
    "motd reset": "Remove the message of the day",
    "welcome reset": "Remove the welcome",
    "reports clear": "Forget reports",
    "uploads delete": "Delete all files of an account",
    "nodes delete": "Delete a node",
    "backups delete": "Delete a backup",
    "backups make": "Make a backup",
    "reload": "Read the configuration again",
    "s2s retry": "Try a server again",
    "check federation": "Try the way to a server",
    "admins show": "Administrators",
    "admins set": "Set the administrators",
    "stop": "Stop the server",
    "restart": "Restart the server",
}
"""Commands that buttons of pages stand for, as a person would say it."""


def command(name: str) -> str:
    return WORDS.get(name) or title(name)


FILTERS = {
    "given": given,
    "code": code,
    "command": command,
    "when": when,
    "clock": clock,
    "rest": rest,
    "title": title,
    "named": named,
    "columns": columns,
    "span": span,
    "amount": amount,
    "moment": moment,
    "date": lambda when: moment(utc(when)),
}
