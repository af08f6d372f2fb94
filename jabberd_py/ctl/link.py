"""How jabberctl runs a command: through the socket of the running server, else, where the store is enough, by itself."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from . import place

Answer = dict[str, Any]


class Failed(click.ClickException):
    """The command failed, or there is no server."""

    def show(self, file: Any = None) -> None:
        click.echo(f"jabberctl: {self.message}", err=True)


class Link:
    """A connection to the server, made when it is first needed. ``path``: its socket, where it was named."""

    def __init__(self, path: str | None, config: str | None) -> None:
        self.place = place.find(config)
        self.path = path or self.place.socket
        self.lines: Any = None
        self.away: str | None = None
        """Why the server cannot be asked; None: it can, or nobody has tried yet."""
        self.alone: Any = None
        self._commands: list[dict[str, Any]] | None = None

    @classmethod
    def of(cls, ctx: click.Context) -> Link:
        root = ctx.find_root()
        if root.obj is None:
            root.obj = cls(root.params.get("socket"), root.params.get("config"))
        link: Link = root.obj
        return link

    def connect(self) -> bool:
        """Is there a server? If not, ``away`` says why. Raises Failed where it is somebody else's: so is its store."""
        if self.lines is not None or self.away is not None:
            return self.away is None
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(self.path)
        except PermissionError as error:
            raise Failed(place.reason(self.path, error)) from None
        except OSError as error:
            self.away = place.reason(self.path, error)
            return False
        self.lines = sock.makefile("rwb")
        return True

    def commands(self) -> list[dict[str, Any]]:
        """What the server says of its commands (`Registry.describe`). Raises Failed."""
        if self._commands is None:
            if self.connect():
                self._commands = list(self._ask("commands", {}))[-1]["result"]
            else:
                self._commands = self._by_itself().describe()
        return self._commands

    def ask(self, name: str, args: dict[str, Any]) -> Iterator[Answer]:
        """The answers to one command, the last one ``{"result": ...}``. Raises Failed."""
        if self.connect():
            yield from self._ask(name, args)
            return
        if not any(each["name"] == name and each["needs"] != "server" for each in self.commands()):
            raise Failed(self.away or "")
        yield from self._by_itself().ask(name, args)

    def _ask(self, name: str, args: dict[str, Any]) -> Iterator[Answer]:
        try:
            self.lines.write(json.dumps({"command": name, "args": args}).encode() + b"\n")
            self.lines.flush()
            while line := self.lines.readline():
                answer = json.loads(line)
                if "error" in answer:
                    raise Failed(answer["error"])
                yield answer
                if "result" in answer:
                    return
        except OSError as error:
            self.lines = None
            raise Failed(f"lost the server: {error.strerror or error}") from None
        self.lines = None
        raise Failed("the server is gone")

    def again(self) -> None:
        """For the next command of a shell: a server that was away may be back, with other commands."""
        if self.lines is None:
            self.away = self._commands = None

    def _by_itself(self) -> Any:
        """The commands here, in this process. Raises Failed."""
        if self.alone is None:
            from .alone import Alone  # the whole server: it takes a second to load

            self.alone = Alone(load(self.place), self.away or "", self.place.config)
        return self.alone


def load(where: place.Place) -> Any:
    """The whole configuration; then relative paths are right. Raises Failed."""
    from .. import config, schema

    if where.base != Path.cwd():
        os.chdir(where.base)
    try:
        return schema.configuration(where.config, (), os.environ)
    except config.ConfigError as error:
        raise Failed(str(error)) from None
