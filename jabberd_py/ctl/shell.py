"""``jabberctl shell``: commands one after the other, on one connection."""

from __future__ import annotations

import os
import readline
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.shell_completion import ShellComplete

from .link import Failed, Link

HISTORY = "JABBERCTL_HISTORY"
"""The environment's name for the file of the history."""
LONGEST = 1000
"""Lines of the history that are kept."""


class Shell:
    """``main`` are all commands; ``link`` is the connection that they use."""

    def __init__(self, main: click.Group, link: Link) -> None:
        self.main, self.link = main, link
        self.found: list[str] = []

    def run(self) -> None:
        """Until ``exit``, or the end of the input. Passwords do not get into the history."""
        history = Path(os.environ.get(HISTORY) or Path.home() / ".jabberctl_history")
        with suppress(OSError):
            readline.read_history_file(history)
        readline.set_history_length(LONGEST)
        readline.set_auto_history(False)
        readline.set_completer(self.complete)
        readline.set_completer_delims(" ")
        readline.parse_and_bind("tab: complete")
        try:
            while (line := self._line()) is not None:
                if line in ("exit", "quit"):
                    break
                if line:
                    self._remember(line)
                    self.do(line)
        finally:
            with suppress(OSError):
                os.close(os.open(history, os.O_CREAT | os.O_RDWR, 0o600))
                readline.write_history_file(history)

    def _line(self) -> str | None:
        try:
            return input("jabberctl> ").strip()
        except KeyboardInterrupt:
            click.echo()
            return ""
        except EOFError:
            click.echo()
            return None

    def _remember(self, line: str) -> None:
        if "--password" not in line:
            readline.add_history(line)

    def do(self, line: str) -> None:
        """One command; what goes wrong is said, and the shell goes on."""
        try:
            words = shlex.split(line)
            with self.main.make_context("jabberctl", words, obj=self.link) as ctx:
                self.main.invoke(ctx)
        except ValueError as error:
            click.echo(f"jabberctl: {error}", err=True)
        except (click.exceptions.Exit, click.Abort, KeyboardInterrupt):
            pass
        except click.ClickException as error:
            error.show()
        self.link.again()

    def complete(self, text: str, number: int) -> str | None:
        """For readline: the ``number``th completion of the last word."""
        if number == 0:
            before = readline.get_line_buffer()[: readline.get_begidx()]
            try:
                self.found = self._completions(shlex.split(before), text)
            except (ValueError, click.ClickException):
                self.found = []
        return self.found[number] if number < len(self.found) else None

    def _completions(self, words: list[str], text: str) -> list[str]:
        complete = ShellComplete(self.main, {"obj": self.link}, "jabberctl", "")
        try:
            items: list[Any] = complete.get_completions(words, text)
        except Failed:
            items = []
        return [f"{each.value} " for each in items]
