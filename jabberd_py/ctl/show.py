"""What jabberctl prints: tables and progress bars for people, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..words import amount, clean, moment, span

NARROW = 12
"""Columns that a wide column of a table keeps at least."""


def show(result: Any, as_json: bool) -> None:
    """Prints a command's result."""
    if as_json:
        click.echo(json.dumps(result, indent=2 if sys.stdout.isatty() else None))
    elif result is None:
        click.echo("done")
    elif isinstance(result, list) and result and all(isinstance(row, dict) for row in result):
        columns = list(dict.fromkeys(key for row in result for key in row))
        cells = [[_named(key, row.get(key)) for key in columns] for row in result]
        click.echo(table([[_title(key) for key in columns], *cells], head=True))
    elif isinstance(result, dict) and result:
        click.echo(table([[_title(key), _named(key, value)] for key, value in _flat(result, "")]))
    elif isinstance(result, list):
        click.echo("\n".join(_text(each) for each in result) or "none")
    else:
        click.echo(_text(result))


@contextmanager
def progress_bar(as_json: bool) -> Iterator[Callable[[int, int, str], None]]:
    """A function to call with (done, total, text); the bar goes to standard error, if somebody looks."""
    if as_json or not sys.stderr.isatty():
        yield lambda done, total, text: None
        return
    bar: Any = None

    def report(done: int, total: int, text: str) -> None:
        nonlocal bar
        if bar is None:
            from rich.console import Console  # only now: it takes longer to load than most commands run
            from rich.progress import Progress

            bar = Progress(console=Console(stderr=True), transient=True)
            bar.start()
            bar.add_task("", total=total)
        bar.update(0, completed=done, total=total, description=clean(text)[:40].replace("[", r"\["))

    try:
        yield report
    finally:
        if bar is not None:
            bar.stop()


# -- tables ------------------------------------------------------------------------------------------------


def table(rows: list[list[str]], head: bool = False) -> str:
    """Columns side by side. On a terminal the widest ones are folded until all fit; elsewhere nothing is folded."""
    widths = [max(_width(row[n]) for row in rows) for n in range(len(rows[0]))]
    if sys.stdout.isatty():
        room = shutil.get_terminal_size().columns - 2 * (len(widths) - 1)
        while sum(widths) > room and max(widths) > NARROW:
            widest = widths.index(max(widths))
            widths[widest] = max(NARROW, min(widths[widest] - 1, widths[widest] - (sum(widths) - room)))
    lines = []
    for number, row in enumerate(rows):
        folded = [_folded(text, width) for text, width in zip(row, widths, strict=True)]
        for parts in zip(
            *(each + [""] * (max(map(len, folded)) - len(each)) for each in folded), strict=True
        ):
            line = "  ".join(
                part + " " * (width - _width(part)) for part, width in zip(parts, widths, strict=True)
            )
            lines.append(click.style(line.rstrip(), bold=True) if head and not number else line.rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    """Columns that the text takes."""
    return len(text) if text.isascii() else sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _folded(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width) or [""] if _width(text) > width else [text]


def _title(key: str) -> str:
    return clean(key.removesuffix("_seconds").removesuffix("_bytes").replace("_", " "))


def _named(key: str, value: Any) -> str:
    """The value of a field, in the unit that its name tells."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if key.endswith("seconds"):
            return span(value)
        if key.endswith("_bytes"):
            return amount(value)
    return _text(value)


def _flat(value: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, each in value.items():
        name = f"{prefix}{key}"
        if isinstance(each, dict) and each:
            yield from _flat(each, name + ".")
        else:
            yield name, each


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(_text(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{clean(key)}={_named(key, each)}" for key, each in value.items())
    return clean(moment(value) if isinstance(value, str) else value)
