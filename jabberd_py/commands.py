"""Commands. All of them are in one `Registry`; the command line, ad-hoc commands, HTTP and a console are its faces.

A command is a method marked with `hooks.command`. It belongs to an instance, to a module of one, or to the server as a
whole. Its annotations say what kind of thing each argument is, so that a face can check it, ask for it or make a form of it:

    @command("accounts kick", changes=True)
    def kick(self, jid: SessionAddress, reason: str = "", ...) -> dict[str, int]:

A parameter of type `Caller` is no argument: the registry fills in who calls.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from . import log
from .arguments import ACCOUNT, HOST, MASKED, SESSION, Argument, argument
from .cluster import cluster
from .hooks import Command, Progress
from .instance import Instance
from .options import brief, nearest
from .words import clean
from .xdb import StoreError
from .xmpp.errors import StanzaError
from .xmpp.jid import JID

if TYPE_CHECKING:
    from .router import Router

logger = log.get("audit")
MASK = "***"


# -- who calls, and what may go wrong ------------------------------------------------------------------------


@dataclass(frozen=True)
class Caller:
    """Who runs a command.

    name      for the log: a user of the machine, or an XMPP address
    face      how: jabberctl, ad-hoc, http, console
    where     from where: a process, or an IP address
    jid       the XMPP address, where there is one
    operator  it is the server's own user, who may do everything; ``own``: he acts for his own account only
    proven    he has shown lately that it is he, and not somebody at his open browser: commands that give rights want that
    """

    name: str
    face: str
    where: str = ""
    jid: JID | None = None
    operator: bool = False
    proven: bool = True
    own: bool = False


class CommandError(Exception):
    """``str()`` is one line for a person, ``kind`` is for programs; ``argument`` is the name of a wrong one. ``condition`` is
    that of a stanza error (RFC 6120 section 8.3.3); empty: there is none that fits."""

    kind = "failed"
    condition = ""

    def __init__(self, message: str, argument: str | None = None, condition: str = "") -> None:
        super().__init__(message)
        self.argument = argument
        self.condition = condition or self.condition


class Failed(CommandError):
    """All was right, and it did not work."""


class WrongArgument(CommandError):
    kind = "wrong argument"
    condition = "bad-request"


class NoSuchThing(CommandError):
    """No such command, host, account..."""

    kind = "no such thing"
    condition = "item-not-found"


class NotAllowed(CommandError):
    kind = "not allowed"
    condition = "forbidden"


class NotProven(NotAllowed):
    """The caller may run it, once he has shown again that it is he."""


class Conflict(CommandError):
    """There is such a thing already."""

    kind = "conflict"
    condition = "conflict"


KINDS: dict[str, type[CommandError]] = {
    "item-not-found": NoSuchThing, "forbidden": NotAllowed, "not-allowed": NotAllowed, "conflict": Conflict,
    "bad-request": WrongArgument, "not-acceptable": WrongArgument, "jid-malformed": WrongArgument,
}  # fmt: skip
"""Condition of a StanzaError -> what it is as the error of a command. All others are `Failed`."""


def one_line(error: BaseException) -> str:
    """The error, as one line for a person."""
    if isinstance(error, StanzaError):
        return error.text or error.condition
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return clean(" ".join(str(error).split()))


def typed(error: Exception) -> CommandError:
    """Turns an exception of a command into a CommandError. An unexpected one goes to the log, with its traceback."""
    if isinstance(error, CommandError):
        return error
    line = one_line(error)
    if isinstance(error, StanzaError):
        return KINDS.get(error.condition, Failed)(line, condition=error.condition)
    if isinstance(error, ValueError):
        return WrongArgument(line)
    if isinstance(error, StoreError | OSError):
        return Failed(line, condition="resource-constraint" if isinstance(error, StoreError) else "")
    logger.exception("a command failed", exc_info=error)
    return Failed(f"the command failed, see the log: {line or type(error).__name__}")


# -- all commands ----------------------------------------------------------------------------------------------


@cache
def _signature(function: Callable[..., Any]) -> tuple[dict[str, Argument], str | None]:
    """The arguments of a command by name, and the name of the parameter that takes the caller."""
    arguments, caller = dict[str, Argument](), None
    for each in list(inspect.signature(function, eval_str=True).parameters.values())[1:]:
        if each.annotation is Caller:
            caller = each.name
        else:
            arguments[each.name] = argument(each)
    return arguments, caller


class Bound(NamedTuple):
    """A command and the Instance to which it belongs: ``place``, None for the server as a whole."""

    command: Command
    method: Callable[..., Any]
    place: Instance | None

    @property
    def arguments(self) -> dict[str, Argument]:
        return _signature(self.method.__func__)[0]  # type: ignore[attr-defined]

    @property
    def account(self) -> Argument | None:
        """The argument that says on which host the command runs."""
        return next((each for each in self.arguments.values() if each.converter in (ACCOUNT, SESSION)), None)

    @property
    def local(self) -> bool:
        """Only for who sits at the machine: it reads or writes files there, or its result has no end."""
        return self.command.live or any(each.converter.name == "path" for each in self.arguments.values())

    def call(self, caller: Caller, values: Mapping[str, Any]) -> Any:
        parameter = _signature(self.method.__func__)[1]  # type: ignore[attr-defined]
        return self.method(**values, **({parameter: caller} if parameter else {}))


class Registry:
    """The commands of all instances of a router, and those of the server as a whole."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.top: dict[str, Bound] = {}

    def add(self, owner: object) -> None:
        """The marked methods of ``owner`` are commands of the server as a whole."""
        for command, method in marked(owner):
            self.top[command.name] = Bound(command, method, None)

    def find(self, name: str) -> list[Bound]:
        """One for each place where there is that command. Raises NoSuchThing."""
        if name in self.top:
            return [self.top[name]]
        places = [each for each in self.router.everybody if name in each.commands]
        if not places:
            raise NoSuchThing(f"no such command: {brief(name)}" + nearest(name, self.names()))
        return [Bound(*each.commands[name], each) for each in places]

    def names(self) -> list[str]:
        found = set(self.top)
        for each in self.router.everybody:
            found.update(each.commands)
        return sorted(found)

    def describe(self, caller: Caller) -> list[dict[str, Any]]:
        """What a face needs to offer the commands that the caller may run: name, help, arguments, changes, access."""
        found = []
        for name in self.names():
            bound = self.find(name)
            if not any(self._permits(caller, each) for each in bound):
                continue
            command, arguments = bound[0].command, dict(bound[0].arguments)
            if bound[0].place is not None and bound[0].account is None:
                arguments.setdefault("host", HOST)
            found.append({
                "name": name, "help": " ".join(command.help.split()), "access": command.access, "changes": command.changes,
                "needs": command.needs, "local": bound[0].local, "arguments": [each.describe() for each in arguments.values()],
            })  # fmt: skip
        return found

    def permits(self, caller: Caller, name: str) -> bool:
        """May the caller run it, with any values at all? False if there is no such command."""
        try:
            return any(self._permits(caller, each) for each in self.find(name))
        except NoSuchThing:
            return False

    def at(self, caller: Caller, place: Instance) -> dict[str, Bound]:
        """The commands for other faces than jabberctl that the caller may run at that domain, by name: its own, and at a host
        with users also those of the server as a whole and of federation."""
        found = dict(self.top) if place.has_users else {}
        for each in (self.router.uplink, place) if place.has_users else (place,):
            found |= {name: Bound(*command, each) for name, command in each.commands.items()}
        return {
            name: bound
            for name, bound in sorted(found.items())
            if not bound.local and self._permits(caller, bound)
        }

    def run(self, caller: Caller, name: str, args: Mapping[str, Any]) -> Iterator[Any]:
        """Runs a command. Yields `Progress`; the last item is the result: plain data, or a `log.Tail`. Raises CommandError. A
        command that changes something leaves a line in the log, and so does one that was not allowed."""
        bound = self.find(name)
        outcome, audit = "done", bound[0].command.changes
        try:
            yield from _everywhere(caller, self._choose(caller, bound, args))
        except Exception as error:
            failure = typed(error)
            outcome, audit = _told(failure, bound[0], args), audit or isinstance(failure, NotAllowed)
            raise failure from None
        except BaseException:  # the caller went away
            outcome = "broken off"
            raise
        finally:
            if audit:
                known = {"host": HOST, **bound[0].arguments}
                shown = {key: _shown(known.get(key), value) for key, value in args.items()}
                _note(caller, name, shown, outcome)

    def refused(self, caller: Caller, name: str) -> None:
        """A face has not let the caller begin with that command: the log shall have it."""
        _note(caller, name, {}, f"{caller.name} may not run '{name}'")

    def _choose(
        self, caller: Caller, bound: list[Bound], args: Mapping[str, Any]
    ) -> list[tuple[Bound, dict[str, Any]]]:
        """Where the command is to run, and with which values. Raises CommandError."""
        first, wanted = bound[0], dict(bound[0].arguments)
        if first.place is not None and first.account is None:
            wanted.setdefault("host", HOST)
        values = convert(wanted, args)
        target = None
        if first.account is not None:
            account: JID | None = values.get(first.account.name)
            target = None if account is None else account.domain
            if account is not None and not cluster.here(account.user):
                raise Failed(
                    f"{account.user} is in use at another server of the cluster: run the command there"
                )
        elif first.place is not None and "host" not in first.arguments:
            target = values.pop("host", None)
        if target is not None and first.place is not None:
            bound = [each for each in bound if each.place is not None and each.place.domain == target]
            if not bound:
                raise NoSuchThing(self._elsewhere(target, first.command.name))
        allowed = [each for each in bound if self._permits(caller, each, values)]
        if not allowed:
            raise NotAllowed(
                f"{caller.name} may not run '{first.command.name}'" + (f" on {target}" if target else "")
            )
        if first.command.rights and not caller.proven:
            raise NotProven("this gives rights that last: show your password once more")
        return [(each, values) for each in allowed]

    def _elsewhere(self, target: str, name: str) -> str:
        if target in self.router.instances:
            return f"{target} does not know the command '{name}'"
        known = [domain for domain, each in self.router.instances.items() if name in each.commands]
        return f"{target} is not served here" + nearest(target, known)

    def _permits(self, caller: Caller, bound: Bound, values: Mapping[str, Any] | None = None) -> bool:
        """``values`` None: may the caller run it with any values at all?"""
        access, me = bound.command.access, caller.jid
        if caller.operator or access == "anyone":
            return True
        if me is None:
            return False
        jid: JID | None = None if values is None or bound.account is None else values.get(bound.account.name)
        if access == "owner" and bound.account is not None:
            own = values is None or (jid is not None and jid.user == me.user)
            if own and bound.place is not None and me.domain == bound.place.domain:
                return True
        if caller.own or not (bound.place or self.router).is_admin(me):
            return False
        # who sets the password of an account, or speaks in its name, can do what the account can do
        if jid is None or not bound.command.changes:
            return True
        return self.router.administered(jid) <= self.router.administered(me)


def marked(owner: object) -> Iterator[tuple[Command, Callable[..., Any]]]:
    """The commands among the methods of ``owner``. Raises TypeError where an argument is of no known kind."""
    for name in dir(type(owner)):
        for command in getattr(getattr(type(owner), name, None), "__dict__", {}).get("_commands", ()):
            method = getattr(owner, name)
            _signature(method.__func__)
            yield command, method


def convert(wanted: Mapping[str, Argument], args: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the arguments that were given, each of its own kind. Raises WrongArgument."""
    for name in args:
        if name not in wanted:
            raise WrongArgument(f"no such argument: {brief(name)}" + nearest(str(name), wanted), str(name))
    values = {}
    for name, each in wanted.items():
        if args.get(name) is not None:
            try:
                values[name] = each.convert(args[name])
            except ValueError as error:
                raise WrongArgument(str(error), name) from None
        elif each.required:
            raise WrongArgument(f"{name} is missing", name)
    return values


def _shown(known: Argument | None, value: Any) -> Any:
    """The value as the log may have it. That of no known argument may be a password, too."""
    return MASK if value is not None and (known is None or known.converter.name in MASKED) else value


def _told(failure: CommandError, bound: Bound, args: Mapping[str, Any]) -> str:
    """What went wrong, as the log may have it. The text can quote an argument that must not stand there."""
    secret = any(each.converter.name in MASKED and args.get(name) for name, each in bound.arguments.items())
    hidden = secret and isinstance(failure, WrongArgument | Failed)
    return f"{failure.kind}: {failure.argument or ''}".rstrip(": ") if hidden else str(failure)


def _note(caller: Caller, name: str, arguments: Mapping[str, Any], result: str) -> None:
    """The line in the log."""
    logger.info("command", command=name, by=caller.name, via=caller.face, where=caller.where,
                arguments=arguments, result=result)  # fmt: skip


def _everywhere(caller: Caller, runs: list[tuple[Bound, dict[str, Any]]]) -> Iterator[Any]:
    """Lists of several hosts are joined, other results are told apart by domain."""
    results: dict[str, Any] = {}
    for bound, values in runs:
        result = bound.call(caller, values)
        if isinstance(result, types.GeneratorType):
            items, result = result, None
            for item in items:
                if isinstance(item, Progress):
                    yield item
                else:
                    result = item
        results["" if bound.place is None else bound.place.domain] = result
    yield _joined(results)


def _joined(results: dict[str, Any]) -> Any:
    values = list(results.values())
    if len(values) == 1:
        return values[0]
    if all(value is None for value in values):
        return None
    if all(isinstance(value, list) for value in values):
        return [row for value in values for row in value]
    return results


def outcome(items: Iterable[Any]) -> Any:
    """The result of `Registry.run`, for a face that shows no progress. Raises CommandError."""
    result = None
    for item in items:
        if not isinstance(item, Progress):
            result = item
    return result
