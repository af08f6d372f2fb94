"""``jabberctl``: the command line's face of the server's commands (`commands.Registry`).

Exit codes: 0 done; 1 the command failed, or a check found something wrong (one line on standard error, or the check's table,
says what); 2 wrong usage.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from .. import __version__
from .link import Failed, Link
from .offline import ALWAYS, WITHOUT
from .place import CONFIG, SOCKET
from .show import progress_bar, show

TYPES: dict[str, Any] = {"integer": click.INT, "number": click.FLOAT, "path": click.Path(resolve_path=True)}
"""Kinds of arguments that are looked at here; all else the server knows better."""
OTHERS = {
    "adduser": "accounts add", "register": "accounts add", "useradd": "accounts add", "deluser": "accounts delete",
    "unregister": "accounts delete", "passwd": "accounts passwd", "change_password": "accounts passwd",
    "registered_users": "accounts list", "users": "accounts list", "connected_users": "sessions list",
    "kick_user": "accounts kick", "kick": "accounts kick", "shutdown": "stop", "log": "watch",
    "logs": "watch", "tail": "watch", "top": "status", "info": "status", "dump": "backup", "accounts remove": "accounts delete",
    "accounts rm": "accounts delete", "accounts del": "accounts delete", "accounts create": "accounts add",
    "accounts new": "accounts add", "accounts password": "accounts passwd", "accounts ban": "accounts suspend",
    "accounts block": "accounts suspend", "accounts unblock": "accounts enable", "accounts info": "accounts show",
    "sessions kick": "accounts kick", "sessions": "sessions list",
}  # fmt: skip
"""What commands are called elsewhere."""


class Group(click.Group):
    """The server's commands whose names begin with ``words``. ``own``: those words are a command themselves."""

    def __init__(
        self, words: tuple[str, ...] = (), own: dict[str, Any] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.words, self.own = words, own

    def entries(self, ctx: click.Context) -> dict[str, list[dict[str, Any]]]:
        """The next word of a command -> what the server says of the commands that go on with it."""
        depth, found = len(self.words), dict[str, list[dict[str, Any]]]()
        for each in Link.of(ctx).commands():
            words = tuple(each["name"].split())
            if words[:depth] == self.words and len(words) > depth:
                found.setdefault(words[depth], []).append(each)
        return found

    def local(self, ctx: click.Context) -> dict[tuple[str, ...], click.Command]:
        """The commands that run here: those that need a stopped server, and stand-ins while it is away."""
        known = {**LOCAL, **ALWAYS, **({} if Link.of(ctx).connect() else WITHOUT)}
        return {words: each for words, each in known.items() if words[: len(self.words)] == self.words}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.entries(ctx), *(words[len(self.words)] for words in self.local(ctx))})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        words = (*self.words, name)
        local = {each: command for each, command in self.local(ctx).items() if each[: len(words)] == words}
        if words in local:
            return local[words]
        entries = self.entries(ctx).get(name, [])
        own = next((each for each in entries if each["name"] == " ".join(words)), None)
        rest = sorted({*(each["name"].split()[len(words)] for each in entries if each is not own),
                       *(each[len(words)] for each in local)})  # fmt: skip
        if rest:
            return make_group(words, own, rest)
        return make_command(own, name) if own is not None else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No such command '{args[0][:60]}'{self.instead(ctx, args[0])}")
        return super().resolve_command(ctx, args)

    def instead(self, ctx: click.Context, name: str) -> str:
        """What may have been meant, as the end of a sentence."""
        whole = " ".join((*self.words, name)).lower()
        if whole in OTHERS:
            return f": here it is 'jabberctl {OTHERS[whole]}'."
        known = self.list_commands(ctx)
        deep = [each["name"] for each in Link.of(ctx).commands()]
        if close := difflib.get_close_matches(name.lower(), known, 1, 0.6):
            return f" (did you mean '{' '.join((*self.words, close[0]))}'?)"
        if close := difflib.get_close_matches(whole, deep, 1, 0.6):
            return f" (did you mean '{close[0]}'?)"
        return f" (known: {', '.join(known)})"

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """All commands below these words, each with its help."""
        try:
            found = {each["name"]: each["help"] for each in Link.of(ctx).commands()}
        except Failed as error:
            found = {}
            formatter.write(f"\nThe server's own commands cannot be shown: {error.message}\n")
        else:
            if not Link.of(ctx).connect():
                formatter.write(f"\n{Link.of(ctx).away}; most commands need it.\n")
        found |= {" ".join(words): each.help or "" for words, each in self.local(ctx).items()}
        depth = " ".join(self.words)
        rows = [(name[len(depth) :].strip() or name, first_sentence(help))
                for name, help in sorted(found.items()) if f"{name} ".startswith(f"{depth} ".lstrip())]  # fmt: skip
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> Any:
        try:
            return super().shell_complete(ctx, incomplete)
        except Failed:
            return []


def first_sentence(text: str) -> str:
    """With its full stop or question mark."""
    found = re.match(r".*?[.?](?=\s|$)", text, re.DOTALL)
    return found[0] if found else f"{text.rstrip(';')}."


def say_help(**options: Any) -> None:
    """A group without a command: what there is."""
    ctx = click.get_current_context()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def make_group(words: tuple[str, ...], own: dict[str, Any] | None, rest: list[str]) -> Group:
    """The commands behind ``words``, which may be a command themselves (``check`` and ``check dns``)."""
    if own is None:
        return Group(words, name=words[-1], help=f"{words[-1]}: {', '.join(rest)}", callback=say_help,
                     invoke_without_command=True)  # fmt: skip
    whole = make_command(own, words[-1])

    def run(**args: Any) -> None:
        if click.get_current_context().invoked_subcommand is None and whole.callback is not None:
            whole.callback(**args)

    return Group(words, own, name=words[-1], help=own["help"], params=whole.params, callback=run,
                 invoke_without_command=True)  # fmt: skip


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
        elif each["required"] or (kind in ("domain", "path", "option") and default is None and key != "host"):
            params.append(click.Argument([key], type=wanted, required=each["required"]))
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
        if entry["name"] == "backup":
            _room_for(Path(args["file"]))
        result = None
        with progress_bar(as_json) as bar:
            for answer in Link.of(ctx).ask(entry["name"], given):
                if "progress" in answer:
                    bar(*answer["progress"])
                elif "line" in answer:
                    click.echo(json.dumps(answer) if as_json else answer["line"])
                else:
                    result = answer["result"]
        if isinstance(result, dict) and "move" in result:
            result["file"] = _move(result["file"], result.pop("move"))
        show(result, as_json)
        if entry["name"].split()[0] == "check" and _wrong(result):
            ctx.exit(1)

    return click.Command(name, params=params, callback=run, help=entry["help"])


def _room_for(file: Path) -> None:
    """Can we make this file? Better asked before a long command. Raises Failed."""
    if file.exists():
        raise Failed(f"{file}: is there already")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        reason = "Permission denied" if file.parent.exists() else "No such file or directory"
        raise Failed(f"{file}: {reason}")


def _move(made: str, file: str) -> str:
    """What the server has written in its own folder goes to where it is wanted."""
    try:
        shutil.move(made, file)
    except OSError as error:
        raise Failed(f"{file}: {error.strerror or error}; the backup is {made}") from None
    return file


def _wrong(result: Any) -> bool:
    """Has a check found something?"""
    return isinstance(result, list) and any(isinstance(row, dict) and row.get("trouble") for row in result)


def password(given: str | None) -> str:
    if given == "-":
        return sys.stdin.readline().rstrip("\r\n")
    if given is not None:
        return given
    asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return asked


@click.command("shell")
def shell() -> None:
    """Run commands one after the other, with completion and a history."""
    from .shell import Shell

    Shell(main, Link.of(click.get_current_context())).run()


LOCAL: dict[tuple[str, ...], click.Command] = {("shell",): shell}

main = Group(
    name="jabberctl",
    help="Administers jabberd_py: the server that runs or, where the store is enough, the one that is stopped.\n\n"
    'Shell completion: eval "$(_JABBERCTL_COMPLETE=bash_source jabberctl)" (or zsh_source, fish_source).',
    callback=say_help,
    invoke_without_command=True,
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
