"""How values look on a page: as jabberctl shows them (ctl/show.py), the unit told by the name of the field."""

from __future__ import annotations

from typing import Any

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


FILTERS = {
    "title": title,
    "named": named,
    "columns": columns,
    "span": span,
    "amount": amount,
    "moment": moment,
    "date": lambda when: moment(utc(when)),
}
