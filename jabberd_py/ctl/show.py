"""What jabberctl prints: tables and progress bars for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from ..log import clean

WIDE = 200
"""Columns where the output is no terminal."""


def show(result: Any, as_json: bool) -> None:
    """Prints a command's result."""
    if as_json:
        click.echo(json.dumps(result, indent=2 if sys.stdout.isatty() else None))
    elif result is None:
        click.echo("done")
    elif isinstance(result, list) and result and all(isinstance(row, dict) for row in result):
        _print(_rows(result))
    elif isinstance(result, dict) and result:
        _print(_pairs(result))
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
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = None

        def report(done: int, total: int, text: str) -> None:
            nonlocal task
            if task is None:
                task = progress.add_task("", total=total)
            progress.update(task, completed=done, total=total, description=escape(clean(text)[:40]))

        yield report


def _print(table: Table) -> None:
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def _rows(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_text(row.get(column))) for column in columns))
    return table


def _pairs(result: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in _flat(result, ""):
        table.add_row(Text(key), Text(_text(value)))
    return table


def _flat(value: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, each in value.items():
        name = clean(f"{prefix}{key}")
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
        return ", ".join(f"{clean(key)}={_text(each)}" for key, each in value.items())
    return clean(value)
