"""How commands become routes of the API: `accounts show JID` is ``GET /accounts/JID``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ..pages import upwards

VERBS = {
    "list": "GET", "show": "GET", "add": "PUT", "create": "PUT", "set": "PUT", "delete": "DELETE", "destroy": "DELETE",
    "remove": "DELETE", "reset": "DELETE",
}  # fmt: skip
"""Verbs that the method says. All others stand in the path: ``GET`` if the command changes nothing, else ``POST``."""
WHOLE = ("list", "set", "reset")
"""Verbs about all of a group. The others are about one thing, which stands in the path: their first required argument."""
ALWAYS_NEW = ("tokens add", "invites add")
"""Made anew each time, so it is no ``PUT``."""
AGAIN = {"accounts add": "accounts passwd"}
"""What a ``PUT`` does if the thing is there already."""


class Route(NamedTuple):
    """``path`` is without ``/api/v1``; ``item`` is the argument that follows it, None: nothing does."""

    method: str
    path: str
    item: str | None
    entry: dict[str, Any]

    @property
    def name(self) -> str:
        name: str = self.entry["name"]
        return name

    @property
    def template(self) -> str:
        return self.path if self.item is None else f"{self.path}/{{{self.item}}}"

    @property
    def in_body(self) -> bool:
        """Do the arguments come in the body, or in the query?"""
        return self.method in ("PUT", "POST")


def route(entry: dict[str, Any]) -> Route:
    """``entry``: what `Registry.describe` says of a command."""
    words = entry["name"].split()
    verb = words[-1] if len(words) > 1 and entry["name"] not in ALWAYS_NEW else ""
    if verb == "reset" and any(each["required"] for each in entry["arguments"]):
        verb = ""  # not all of a group
    if entry["name"] in ALWAYS_NEW:
        return Route("POST", "/" + "/".join(words[:-1]), None, entry)
    if verb not in VERBS:
        return Route("POST" if entry["changes"] else "GET", "/" + "/".join(words), None, entry)
    required = [each["name"] for each in entry["arguments"] if each["required"]]
    item = required[0] if required and verb not in WHOLE else None
    return Route(VERBS[verb], "/" + "/".join(words[:-1]), item, entry)


class Table:
    """All routes, to be found by path."""

    def __init__(self, entries: Iterable[dict[str, Any]]) -> None:
        self.whole: dict[str, dict[str, Route]] = {}
        self.items: dict[str, dict[str, Route]] = {}
        for entry in entries:
            each = route(entry)
            place = self.whole if each.item is None else self.items
            place.setdefault(each.path, {})[each.method] = each

    def __iter__(self) -> Iterator[Route]:
        for place in (self.whole, self.items):
            for methods in place.values():
                yield from methods.values()

    def find(self, path: str) -> tuple[dict[str, Route], str]:
        """The routes of a path by method, and the item that it names. Empty if there are none."""
        if path in self.whole:
            return self.whole[path], ""
        for prefix in upwards(path):
            item = path[len(prefix) + 1 :]
            if item and prefix in self.items:
                return self.items[prefix], item
        return {}, ""
