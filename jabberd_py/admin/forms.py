"""Arguments of commands as fields of a form, and results as forms and notes (XEP-0004, XEP-0122)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..adhoc import Values, note
from ..arguments import Argument
from ..words import clean
from ..xmpp.element import Element
from ..xmpp.forms import Form, boolean

ROWS = 1000
"""Rows of a table that one answer shows."""
BYTES = 200_000
"""Characters of a table that one answer shows."""
DATATYPES = {"integer": "xs:integer", "number": "xs:double"}
"""Kind of an argument -> the datatype that clients check (XEP-0122)."""


def page(title: str, help: str, own: Mapping[str, str], some: list[Argument], given: Values) -> Form:
    """A form for these arguments. ``own``: what stands in a field before anybody writes; ``given``: what was written."""
    form = Form("form", title, " ".join(help.split()) or None)
    for each in some:
        value: Any = given.get(each.name) or own.get(each.name)
        if value is None and each.default is not None:
            value = each.converter.show(each.default)
            if not isinstance(value, bool):
                value = str(value) or None
        options = [(choice, choice) for choice in each.choices]
        form.field(
            each.name, each.field, each.name.replace("_", " "), value, options, each.required,
            each.converter.expects or None, datatype=DATATYPES.get(each.converter.name),
        )  # fmt: skip
    return form


def values(arguments: Iterable[Argument], given: Values) -> dict[str, Any]:
    """What was filled in, for `Registry.run`. Fields of other names are ignored. Raises ValueError."""
    found: dict[str, Any] = {}
    for each in arguments:
        texts = given.get(each.name)
        if texts is None or (not each.required and not any(texts)):
            if each.required:
                raise ValueError(f"{each.name} is missing")
            continue
        if each.field == "boolean":
            found[each.name] = boolean(texts)
        elif each.field == "text-multi":
            found[each.name] = "\n".join(texts)
        elif len(texts) > 1 or (each.required and not texts):
            raise ValueError(f"{each.name} has one value")
        else:
            found[each.name] = texts[0]
            if not texts[0] and each.required:
                raise ValueError(f"{each.name} is missing")
    return found


def shown(title: str, result: Any) -> list[Element]:
    """The result of a command."""
    if result is None:
        return []
    if isinstance(result, list):
        rows = [each if isinstance(each, dict) else {"value": each} for each in result]
        return _table(title, rows)
    if isinstance(result, dict):
        form = Form("result", title)
        for key, value in _flat(result, ""):
            many = isinstance(value, list)
            texts = [_text(each) for each in value] if many else None if value is None else _text(value)
            kind = "boolean" if isinstance(value, bool) else "text-multi" if many else "text-single"
            form.field(key, kind, key.replace("_", " "), value if isinstance(value, bool) else texts)
        return [form.element()]
    return [note(_text(result))]


def _table(title: str, rows: list[dict[str, Any]]) -> list[Element]:
    if not rows:
        return [note("none")]
    cells, size = list[dict[str, Any]](), 0
    for row in rows[:ROWS]:
        cell = {key: _text(value) for key, value in row.items() if value is not None}
        size += sum(map(len, cell.values())) + 40 * len(cell)
        if size > BYTES:
            break
        cells.append(cell)
    columns = dict.fromkeys(key for row in cells for key in row)
    form = Form("result", title).table([(key, key.replace("_", " ")) for key in columns], cells)
    if len(cells) == len(rows):
        return [form.element()]
    return [form.element(), note(f"only the first {len(cells)} of {len(rows)} rows", "warn")]


def _flat(value: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for key, each in value.items():
        if isinstance(each, dict) and each:
            yield from _flat(each, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", each


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ", ".join(f"{key}={_text(each)}" for key, each in value.items())
    if isinstance(value, list):
        return "; ".join(map(_text, value))
    return "" if value is None else "\n".join(map(clean, str(value).split("\n")))
