"""Which commands there are, what arguments they take, and where each one runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..hooks import Progress
from ..instance import Instance
from ..options import nearest
from ..router import Router
from ..xmpp.jid import parse

Bound = Callable[..., Any]
TYPES: dict[Any, str] = {str: "text", int: "integer", float: "number", bool: "flag", Path: "path"}
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "text": ((str,), "text"),
    "integer": ((int,), "an integer"),
    "number": ((int, float), "a number"),
    "flag": ((bool,), "true or false"),
    "path": ((str,), "a path"),
}


class CommandError(Exception):
    """There is no such command, or its arguments are wrong. ``str()`` is one line."""


class Registry:
    """Commands of the server (methods of ``top`` marked by `hooks.command`) and of all instances."""

    def __init__(self, router: Router, top: object) -> None:
        self.router = router
        self.top: dict[str, tuple[Bound, str]] = {}
        for each in vars(type(top)):
            for name, help in getattr(getattr(type(top), each), "__dict__", {}).get("_commands", ()):
                self.top[name] = (getattr(top, each), help)

    def all(self) -> dict[str, tuple[Bound, str]]:
        """One bound method for each name, wherever it is from."""
        found: dict[str, tuple[Bound, str]] = dict(self.top)
        for instance in self.router.everybody:
            for name, each in instance.commands.items():
                found.setdefault(name, each)
        return found

    def describe(self) -> list[dict[str, Any]]:
        """What a command line needs: name, help, and parameters (name, type, required, default)."""
        commands = []
        for name, (method, help) in sorted(self.all().items()):
            wanted = parameters(method)
            if name not in self.top and "jid" not in wanted and "host" not in wanted:
                wanted["host"] = {"name": "host", "type": "text", "required": False, "default": None}
            text = " ".join(help.split())
            commands.append({"name": name, "help": text, "parameters": list(wanted.values())})
        return commands

    def run(self, name: str, args: dict[str, Any]) -> Any:
        """Plain data, or an iterator of `Progress` and at last the data. Raises CommandError."""
        if name in self.top:
            method = self.top[name][0]
            return method(**arguments(method, args))
        places = [each for each in self.router.everybody if name in each.commands]
        if not places:
            raise CommandError(f"no such command: {name}" + nearest(name, self.all()))
        wanted = parameters(places[0].commands[name][0])
        if "jid" in wanted:
            places = [self._at(_domain(args.get("jid")), places)]
        elif args.get("host") is not None and "host" not in wanted:
            args = dict(args)
            places = [self._at(_domain(args.pop("host")), places)]
        elif "host" not in wanted:
            args = {key: value for key, value in args.items() if key != "host"}
        runs = [(each.domain, each.commands[name][0]) for each in places]
        if len(runs) == 1:
            method = runs[0][1]
            return method(**arguments(method, args))
        return _everywhere([(domain, method, arguments(method, args)) for domain, method in runs])

    def _at(self, domain: str, places: list[Instance]) -> Instance:
        for each in places:
            if each.domain == domain:
                return each
        raise CommandError(f"{domain} is not served here, or does not know that command")


def _domain(address: Any) -> str:
    try:
        return parse(address).domain
    except (ValueError, TypeError, AttributeError):
        raise CommandError(f"not an address: {address!r}") from None


def _everywhere(runs: list[tuple[str, Bound, dict[str, Any]]]) -> Iterator[Any]:
    """Lists of several hosts are joined, other results are told apart by domain."""
    results: dict[str, Any] = {}
    for domain, method, args in runs:
        result = method(**args)
        if isinstance(result, Iterator):
            items, result = result, None
            for item in items:
                if isinstance(item, Progress):
                    yield item
                else:
                    result = item
        results[domain] = result
    values = list(results.values())
    if all(value is None for value in values):
        yield None
    elif all(isinstance(value, list) for value in values):
        yield [row for value in values for row in value]
    else:
        yield results


def parameters(method: Bound) -> dict[str, dict[str, Any]]:
    """The method's parameters as the command line sees them."""
    found: dict[str, dict[str, Any]] = {}
    for name, each in inspect.signature(method, eval_str=True).parameters.items():
        kind = each.annotation
        choices = [one for one in getattr(kind, "__args__", (kind,)) if one is not type(None)]
        required = each.default is inspect.Parameter.empty
        found[name] = {"name": name, "type": TYPES.get(choices[0], "text"), "required": required,
                       "default": None if required else each.default}  # fmt: skip
    return found


def arguments(method: Bound, args: dict[str, Any]) -> dict[str, Any]:
    """``args`` checked against the parameters; CommandError where they do not fit."""
    wanted = parameters(method)
    for name in args:
        if name not in wanted:
            raise CommandError(f"no such argument: {name}" + nearest(name, wanted))
    good = {}
    for name, each in wanted.items():
        value = args.get(name)
        if value is None:
            if each["required"]:
                raise CommandError(f"'{name}' is missing")
            continue
        kind = each["type"]
        fits, words = KINDS[kind]
        if not isinstance(value, fits) or (isinstance(value, bool) and kind != "flag"):
            raise CommandError(f"'{name}' must be {words}, not {value!r}")
        good[name] = value
    return good
