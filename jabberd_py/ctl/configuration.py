"""Commands that read and change the configuration: the file is written, and what it says is in use at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import gevent
from gevent.lock import RLock

from .. import log
from ..arguments import Option, Private
from ..commands import Caller, Conflict, Failed, NoSuchThing, NotAllowed
from ..config import Config, ConfigError
from ..config.dump import SAFE, dump, meant, parse
from ..config.file import Changes, ConfigFile, digest
from ..config.source import Path as Where
from ..config.table import Table, masked
from ..config.write import raw_keys, set_key, unset_key
from ..hooks import command
from ..xmpp.stamp import utc

if TYPE_CHECKING:
    from ..server import Server

logger = log.get(__name__)
audit = log.get("audit")
OPERATORS = (
    "data", "database", "plugins", "ctl", "tls", "s2s.ca", "dns.hosts", "modules.acme.ca", "modules.webchat.folder",
    "modules.webhooks.private", "services.upload.s3",
)  # fmt: skip
"""Options that name files and code of the machine, or reach into its own network: only the server's own user may change them,
for all hosts or for one."""
AUTHORITIES = ("modules.acme.directory", "modules.acme.staging")
"""The same holds for these, if the value is a URL and not the name of a known authority."""
CHANGES = 300
"""Options that are set at once."""


class Configuration:
    """Of a `Server`, or of `alone.Alone`."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.lock = RLock()

    @property
    def file(self) -> ConfigFile:
        return ConfigFile(Path(self.server.settings.file), self.server.data / "config")

    @command("config show", needs="config")
    def show(self, place: Option | None = None) -> list[dict[str, Any]]:
        """The options of a place of the configuration (c2s, modules.mam, hosts.example.org; '.': the
        server as a whole), with their values and where those
        are written; without a place, all that are not at their default."""
        return list(self._look(self._show, place))

    @command("config places", needs="config")
    def places(self, text: str = "") -> list[dict[str, Any]]:
        """Where options stand: sections, modules, services, hosts, components; which are on. ``text``: only where its words are
        found, in names and explanations."""
        return list(self._look(lambda: self.server.settings.table().places(text)))

    @command("config set", changes=True, needs="config", rights=True)
    def set(self, option: Option, value: Private, caller: Caller) -> dict[str, Any]:
        """Set an option (c2s.port, modules.mam.enabled, hosts.example.org.admins) in the file and at once. Values are
        written as in the file: 5m, [a, b], {a: b}, null."""
        return self.change([(option, in_thread(self._value, option, value))], caller)

    @command("config apply", changes=True, needs="config", rights=True)
    def apply(self, changes: Private, caller: Caller) -> dict[str, Any]:
        """Set several options at once, all or none: a mapping (YAML or JSON) of options to values, written as in the file; null
        takes an option out."""
        return self.change(in_thread(self._changes, changes), caller)

    @command("config unset", changes=True, needs="config", rights=True)
    def unset(self, option: Option, caller: Caller) -> dict[str, Any]:
        """Take an option out of the file; its default is in use at once."""
        return self.change([(option, UNSET)], caller)

    @command("config undo", changes=True, needs="config", rights=True)
    def undo(self, caller: Caller, change: str = "") -> dict[str, Any]:
        """Take back the last change of the file that was made by a command or in the browser; again for the one before.
        ``change``: that one of `config history` instead, if nobody has changed its options since."""
        with self.lock:
            if change:
                return self._take_back(change, caller)
            now, before, what, operators = self.file.last()
            if operators and not caller.operator:
                raise NotAllowed(f"{caller.name} may not undo '{what}'")
            back = [(option, new, old) for option, old, new in self.file.history()[0].get("changes", ())]
            return self._use(now, before, f"undid: {what}", caller, back=True, changes=back)

    @command("config history", needs="config")
    def history(self) -> list[dict[str, Any]]:
        """The last changes of the file that were made by a command or in the browser."""
        return [
            {
                "time": utc(each["time"]), "by": each["by"], "what": each["what"],
                "values": [f"{option}: {old} -> {new}" for option, old, new in each.get("changes", ())],
                "change": _number(each),
            }
            for each in self.file.history()
        ]  # fmt: skip

    # -- how it is done ------------------------------------------------------------------------------

    def change(self, wanted: list[tuple[str, Any]], caller: Caller) -> dict[str, Any]:
        """Sets several options at once: (option, plain data; `UNSET`: take it out). Blocks. Raises CommandError, ValueError."""
        with self.lock:
            table = self._table()
            before = self._text()
            edits = [_as_list(table, table.path(option, value), value) for option, value in wanted]
            for path, value in edits:
                self._may(path, caller, value)
            operators = any(_for_operators(path, value) for path, value in edits)
            said = ", ".join(f"{'unset' if value is UNSET else 'set'} {option}" for option, value in wanted)
            after = in_thread(_edited, before, edits)
            changes = in_thread(compared, table, [path for path, _ in edits], before, after)
            answer = self._use(before, after, said, caller, operators=operators, changes=changes)
            return answer | self._overridden([path for path, _ in edits])

    def _take_back(self, number: str, caller: Caller) -> dict[str, Any]:
        """Gives the options of one change the values that they had before it: a change of its own. Raises CommandError."""
        history = self.file.history()
        entry = next((each for each in history if _number(each) == number), None)
        if entry is None or not entry.get("changes"):
            raise NoSuchThing("no such change is kept")
        if entry["operators"] and not caller.operator:
            raise NotAllowed(f"{caller.name} may not undo '{entry['what']}'")
        table, now, old = self._table(), self._text(), entry["before"] or ""
        paths = [table.path(option) for option, _, _ in entry["changes"]]
        for (option, _, new), (_, _, is_now) in zip(
            entry["changes"], in_thread(compared, table, paths, now, now), strict=True
        ):
            if is_now != new:
                raise Conflict(f"{option} has been changed since: it is {is_now} now")
        values = in_thread(raw_keys, old, paths, UNSET)
        edits = [(path, UNSET if value is None else value) for path, value in zip(paths, values, strict=True)]
        after = old if digest(now) == entry["after"] else in_thread(_edited, now, edits)
        changes = in_thread(compared, table, paths, now, after)
        return self._use(
            now, after, f"took back: {entry['what']}", caller, operators=entry["operators"], changes=changes
        )

    def _may(self, path: Where, caller: Caller, value: Any = None) -> None:
        if not caller.operator and _for_operators(path, value):
            name = ".".join(path)
            raise NotAllowed(
                f"{name} can be set on the machine of the server only: jabberctl config set {name} ..."
            )

    def _show(self, place: str | None) -> list[dict[str, Any]]:
        table = self.server.settings.table()
        if not place:
            rows = [row for each in table.owners for row in table.rows(each) if row["from"] != "default"]
            seen: dict[tuple[str, str], dict[str, Any]] = {}
            for row in rows:  # what is said for all hosts is shown once
                seen.setdefault((row["from"], row["option"].rpartition(".")[2]), row)
            return list(seen.values())
        words = () if place == "." else tuple(place.split("."))
        if words[:1] in (("hosts",), ("components",)):
            words = next((each for each in table.owners if ".".join(each) == place), words)
        return list(table.rows(words))

    def _table(self) -> Table:
        return cast(Table, self._look(self.server.settings.table))

    def _look(self, function: Callable[..., Any], *args: Any) -> Any:
        """Reads the file, off the loop: that takes some 100 ms. Raises Failed: it cannot be read."""
        try:
            return in_thread(function, *args)
        except ConfigError as error:
            raise Failed(str(error)) from None

    def _text(self) -> str:
        text = self.file.read()
        return self.server.settings.sample() if text is None else text

    def _use(
        self, before: str, after: str, what: str, caller: Caller, back: bool = False, operators: bool = True,
        changes: Changes = (),
    ) -> dict[str, Any]:  # fmt: skip
        """Checks the new text, takes it into use, and writes it. If one of these fails, all is as before. ``operators``: only
        the server's own user may undo it."""
        server, file = self.server, self.file
        if before == after and file.read() is not None:
            return {"changed": False}
        try:
            fresh: Config = in_thread(server.settings, after)
            restart = server.reload(fresh) if server.store is not None else []
        except (ConfigError, OSError, ValueError) as error:
            raise Failed(str(error)) from None
        try:
            if back:
                file.back(before, after)
            else:
                had = before if file.read() is not None else None
                file.replace(had, after, what, f"{caller.name} ({caller.face})", operators, changes)
        except BaseException:
            if server.store is not None:
                server.reload()
            raise
        values = {option: f"{old} -> {new}" for option, old, new in changes}
        audit.info(
            "configuration", by=caller.name, via=caller.face, where=caller.where, arguments=values or {"what": what},
            result="done",
        )  # fmt: skip
        return {"changed": True, "file": str(file.file), "what": what, "restart": restart, "values": values}

    def _overridden(self, paths: list[Where]) -> dict[str, Any]:
        """What the environment or the command line say instead of the file."""
        table, file = self._table(), str(self.server.settings.file)
        found = [
            f"{table.source.places[path][0]} says otherwise of {'.'.join(path)}, and wins"
            for path in paths
            if path in table.source.places and table.source.places[path][0] != file
        ]
        return {"note": "; ".join(found)} if found else {}

    def _value(self, option: str, text: str) -> Any:
        """Plain data. Raises ValueError."""
        try:
            return meant(text, parse)
        except ValueError as error:
            raise ValueError(f"{option}: {error}") from None

    def _changes(self, text: str) -> list[tuple[str, Any]]:
        """(option, plain data or `UNSET`) of what `config apply` is given. Raises ValueError."""
        try:
            wanted = parse(text, SAFE)
        except ValueError as error:
            raise ValueError(f"changes: {error}") from None
        if not isinstance(wanted, dict) or not wanted:
            raise ValueError("changes: must be a mapping of options to values")
        if len(wanted) > CHANGES:
            raise ValueError(f"changes: at most {CHANGES} options at once")
        return [
            (
                str(name),
                UNSET if value is None else self._value(name, value) if isinstance(value, str) else value,
            )
            for name, value in wanted.items()
        ]


UNSET: Any = object()


def _as_list(table: Table, path: Where, value: Any) -> tuple[Where, Any]:
    """The edit; one word for a list is a list of one."""
    option = table.option(path)
    alone = isinstance(value, str) and option is not None and option.converter.name.startswith("list of")
    return path, [value] if alone else value


def compared(table: Table, paths: list[Where], before: str, after: str) -> list[tuple[str, str, str]]:
    """Of each option its name, and its values in two texts of the file, for people. Takes some 100 ms."""

    def said(path: Where, value: Any) -> str:
        option = table.option(path)
        if value is UNSET:
            shown = "" if option is None else f"{dump(masked(option, option.show(option.default)))} "
            return f"{shown}(the default)"
        if isinstance(value, dict) or any(isinstance(each, dict) for each in value):
            return "..."  # it may have a secret in it
        if option is not None:
            with suppress(ValueError):
                value = option.show(option.convert(value))
            value = masked(option, value)
        return dump(value)

    values = zip(paths, raw_keys(before, paths, UNSET), raw_keys(after, paths, UNSET), strict=True)
    return [(".".join(path), said(path, old), said(path, new)) for path, old, new in values]


def _number(entry: dict[str, Any]) -> str:
    """What a change of the history is called."""
    return f"{entry['time']:.6f}"


def _edited(text: str, edits: list[tuple[Where, Any]]) -> str:
    for path, value in edits:
        text = unset_key(text, path) if value is UNSET else set_key(text, path, value)
    return text


def _for_operators(path: Where, value: Any = None) -> bool:
    """Is it an option of `OPERATORS`, or a mapping that has one in it?"""
    if isinstance(value, dict) and any(
        _for_operators((*path, str(key)), each) for key, each in value.items()
    ):
        return True
    name = ".".join(path[2:] if path[0] == "hosts" and len(path) > 2 else path)
    if name in AUTHORITIES:
        return "://" in str(value)
    return any(f"{name}.".startswith(f"{each}.") for each in OPERATORS)


def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Work of the processor in a thread: the loop goes on. Raises what the function raises."""

    def run() -> tuple[Any, Exception | None]:
        try:
            return function(*args), None
        except Exception as error:  # the pool would print it
            return None, error

    result, error = gevent.get_hub().threadpool.apply(run)
    if error is not None:
        raise error
    return result
