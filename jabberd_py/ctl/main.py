"""``jabberctl``: asks a running server through its socket. Its sub-commands are the server's own list.

Exit codes: 0 done, 1 the command failed (one line on standard error says why), 2 wrong usage.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from .. import __version__
from .offline import ALWAYS, CONFIG, WITHOUT, Failed, load
from .show import progress_bar, show

SOCKET = "JABBERCTL_SOCKET"
TYPES: dict[str, Any] = {"integer": click.INT, "number": click.FLOAT, "path": click.Path(resolve_path=True)}
"""Kinds of arguments that are looked at here; all else the server knows better."""


def default_path(config_file: str | None) -> str:
    """Where the configuration puts the socket."""
    settings = load(config_file)
    return settings["ctl"].socket or str(Path(settings.top.data) / "jabberctl.sock")


class Link:
    """A connection to the server, made when it is first needed."""

    def __init__(self, path: str | None, config_file: str | None) -> None:
        self.path, self.config_file = path, config_file
        self.lines: Any = None
        self._commands: list[dict[str, Any]] | None = None

    @classmethod
    def of(cls, ctx: click.Context) -> Link:
        root = ctx.find_root()
        link = root.meta.get("link")
        if link is None:
            link = root.meta["link"] = cls(
                root.params.get("socket") or os.environ.get(SOCKET), root.params.get("config")
            )
        return link

    def ask(self, name: str, args: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """The answers to one command, the last one ``{"result": ...}``. Raises Failed."""
        if self.lines is None:
            self._connect()
        try:
            self.lines.write(json.dumps({"command": name, "args": args or {}}).encode() + b"\n")
            self.lines.flush()
            while line := self.lines.readline():
                answer = json.loads(line)
                if "error" in answer:
                    raise Failed(answer["error"])
                yield answer
                if "result" in answer:
                    return
        except OSError as error:
            raise Failed(f"lost the server: {error.strerror or error}") from None
        raise Failed("the server is gone")

    def _connect(self) -> None:
        path = self.path or default_path(self.config_file)
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(path)
        except OSError as error:
            raise Failed(f"no server answers at {path}: {error.strerror or error}") from None
        self.lines = sock.makefile("rwb")

    def commands(self) -> list[dict[str, Any]]:
        if self._commands is None:
            self._commands = next(self.ask("commands"))["result"]
        return self._commands


class Group(click.Group):
    """The server's commands whose names begin with ``words``."""

    def __init__(self, words: tuple[str, ...] = (), **options: Any) -> None:
        super().__init__(**options)
        self.words = words

    def _mine(self, ctx: click.Context) -> dict[str, list[dict[str, Any]]]:
        depth, found = len(self.words), dict[str, list[dict[str, Any]]]()
        for each in Link.of(ctx).commands():
            words = tuple(each["name"].split())
            if words[:depth] == self.words and len(words) > depth:
                found.setdefault(words[depth], []).append(each)
        return found

    def _local(self, ctx: click.Context, all: bool = False) -> dict[tuple[str, ...], click.Command]:
        """Those below ``words`` that run here, without the server; ``all``: should it be away."""
        local = ALWAYS | WITHOUT if all else ALWAYS
        return {words: each for words, each in local.items() if words[: len(self.words)] == self.words}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self._mine(ctx), *(words[len(self.words)] for words in self._local(ctx))})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        words = (*self.words, name)
        if words in ALWAYS:
            return ALWAYS[words]
        try:
            entries = self._mine(ctx).get(name, [])
        except Failed:
            local = self._local(ctx, all=True)
            if words in local:
                return local[words]
            if not any(each[: len(words)] == words for each in local):
                raise
            entries = []
        if entries and entries[0]["name"] == " ".join(words):
            return make_command(entries[0], name)
        rest = {each["name"].split()[len(words)] for each in entries}
        rest |= {
            each[len(words)] for each in self._local(ctx, all=not entries) if each[: len(words)] == words
        }
        return Group(words, name=name, help=f"{name}: {', '.join(sorted(rest))}") if rest else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        try:
            super().format_commands(ctx, formatter)
        except Failed as error:
            local = self._local(ctx, all=True)
            with formatter.section("Commands"):
                formatter.write_dl(
                    [
                        (" ".join(words[len(self.words) :]), each.get_short_help_str())
                        for words, each in local.items()
                    ]
                )
            with formatter.section("Others"):
                formatter.write_text(f"known to the server, and {error.message}")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> Any:
        try:
            return super().shell_complete(ctx, incomplete)
        except Failed:
            return []


def make_command(entry: dict[str, Any], name: str) -> click.Command:
    """What the server says of a command, for click: required parameters are arguments, others options."""
    params: list[click.Parameter] = []
    for each in entry["arguments"]:
        key, kind, default = each["name"], each["kind"], each["default"]
        wanted = click.Choice(each["choices"]) if each["choices"] else TYPES.get(kind, click.STRING)
        dashed = "--" + key.replace("_", "-")
        if kind == "password":
            params.append(
                click.Option([dashed], help="Asked for if missing; '-' reads it from standard input.")
            )
        elif each["required"]:
            params.append(click.Argument([key], type=wanted))
        elif kind == "flag":
            params.append(click.Option([dashed], is_flag=True, default=default))
        else:
            params.append(
                click.Option([dashed], type=wanted, default=default, show_default=default not in (None, ""))
            )
    params.append(click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."))

    def run(as_json: bool, **args: Any) -> None:
        ctx = click.get_current_context()
        if "password" in args:
            args["password"] = password(args["password"])
        given = {key: value for key, value in args.items() if value is not None}
        as_json = as_json or ctx.find_root().params.get("as_json", False)
        with progress_bar(as_json) as bar:
            result = None
            for answer in Link.of(ctx).ask(entry["name"], given):
                if "progress" in answer:
                    bar(*answer["progress"])
                elif "line" in answer:
                    click.echo(json.dumps(answer) if as_json else answer["line"])
                else:
                    result = answer["result"]
        show(result, as_json)

    return click.Command(name, params=params, callback=run, help=entry["help"])


def password(given: str | None) -> str:
    if given == "-":
        return sys.stdin.readline().rstrip("\r\n")
    if given is not None:
        return given
    asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return asked


main = Group(
    name="jabberctl",
    help="Asks a running jabberd_py.\n\nShell completion: "
    'eval "$(_JABBERCTL_COMPLETE=bash_source jabberctl)" (or zsh_source, fish_source).',
    callback=lambda **options: None,
    params=[
        click.Option(["--socket"], envvar=SOCKET, metavar="PATH", is_eager=True,
                     help="The server's control socket; by default where the configuration puts it."),
        click.Option(["-c", "--config"], metavar="FILE", is_eager=True,
                     help=f"The server's configuration ({CONFIG} if it is there)."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),
    ],
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
main = click.version_option(__version__, prog_name="jabberctl")(main)


if __name__ == "__main__":
    main(prog_name="jabberctl")
