"""What a feature may say: ``@on(event)``, ``@iq(type, namespace, name)``, ``@http(path)``, ``@command(name)``,
``@every(seconds)``, and typed options.

Order is the order in which modules are loaded (`jabberd_py.modules.ORDER`), and within a module the order in which its class
defines its handlers, base classes first. There are no priorities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar

from . import log
from .discovery import Discoverable
from .events import EVENTS, KINDS, Event, find
from .options import Option, Section, duration, list_of, mapping_of, optional, size
from .pages import Answer, Page, Refusal, Request

if TYPE_CHECKING:
    from .instance import Instance
    from .xmpp.protocols import Protocol

__all__ = [
    "EVENTS", "HANDLED", "LATER", "PASS", "Answer", "Command", "Hooks", "Module", "Option", "Progress", "Refusal", "Request",
    "Section", "command", "duration", "every", "http", "iq", "list_of", "load_files", "mapping_of", "on", "optional",
    "register", "size",
]  # fmt: skip

PASS: None = None
HANDLED: Literal[True] = True
LATER: Any = object()
"""An @iq handler returns this if it will answer later, with `router.reply(request.reply(...))` or `router.bounce`."""
logger = log.get(__name__)
F = TypeVar("F", bound=Callable[..., Any])
Access = Literal["admin", "owner", "anyone"]
Needs = Literal["server", "store", "config"]


class Chain(dict[str, list[Callable[..., Any]]]):
    """The handlers of one stanza event: name of the stanza -> handlers. So a handler for presence costs a message nothing."""

    def __init__(self) -> None:
        super().__init__({kind: [] for kind in KINDS})
        self.others: list[Callable[..., Any]] = []

    def __missing__(self, name: str) -> list[Callable[..., Any]]:
        return self.others

    def add(self, handler: Callable[..., Any], kind: str | None) -> None:
        for handlers in [self[kind]] if kind else self._all():
            handlers.append(handler)

    def add_first(self, handler: Callable[..., Any]) -> None:
        """Before all others, for every kind of stanza; nothing, if it is there already."""
        for handlers in self._all():
            if handler not in handlers:
                handlers.insert(0, handler)

    def remove(self, handler: Callable[..., Any]) -> None:
        for handlers in self._all():
            if handler in handlers:
                handlers.remove(handler)

    def _all(self) -> list[list[Callable[..., Any]]]:
        return [*self.values(), self.others]


class Hooks:
    """The handlers of all events, in the order in which their modules were loaded.

    chains  name of a stanza event -> its `Chain`
    told    name of a life event -> its handlers
    more    events in addition to `EVENTS`
    """

    def __init__(self, more: tuple[Event, ...] = ()) -> None:
        self.events = (*EVENTS, *more)
        self.chains = {event.name: Chain() for event in self.events if not event.told}
        self.told: dict[str, list[Callable[..., Any]]] = {
            event.name: [] for event in self.events if event.told
        }

    def add(self, name: str, handler: Callable[..., Any], kind: str | None = None) -> None:
        """Raises ValueError if there is no such event, or if the handler cannot be called with its arguments."""
        try:
            event = find(name, self.events)
        except ValueError as error:
            raise ValueError(f"{handler.__qualname__}: {error}") from None
        event.check(handler, kind)
        if event.told:
            self.told[name].append(handler)
        else:
            self.chains[name].add(handler, kind)

    def call(self, event: str, *args: Any) -> bool | None:
        """Runs the handlers of a stanza event; the last argument is the stanza. Returns HANDLED as soon as one handler does. An
        exception of a handler ends the chain and is raised. (On the path of a message `chains` is used without this call.)"""
        for handler in self.chains[event][args[-1].name]:
            if handler(*args) is HANDLED:
                return True
        return None

    def tell(self, event: str, *args: Any) -> None:
        """Calls all handlers of a life event. If one raises an exception, it is logged, and the others are called all the
        same."""
        for handler in self.told[event]:
            try:
                handler(*args)
            except Exception:
                logger.exception("a handler failed", handler=handler.__qualname__, on=event)


# -- the five decorators -------------------------------------------------------------


def _mark(method: F, name: str, value: Any) -> F:
    method.__dict__.setdefault(f"_{name}", []).append(value)
    return method


def on(*events: str, kind: str | None = None) -> Callable[[F], F]:
    """Calls the method at these events (events.py). ``kind``: "message", "presence" or "iq"; then a stanza event calls it
    only for such stanzas. The names and the arguments are checked when the module is loaded."""

    def mark(method: F) -> F:
        for event in events:
            _mark(method, "events", (event, kind))
        return method

    return mark


def iq(type: str, namespace: str, name: str, *, to: str = "server") -> Callable[[F], F]:
    """Answers IQs of ``type`` (get, set) whose payload is the element ``name`` in ``namespace``. ``to`` is one of the
    targets that the instance's class declares: of a host ``server`` (the domain), ``self`` (the sender's own account,
    or nobody), ``user`` (another account). The method takes the request, and returns the payload of the result, or
    None, or `LATER`, or raises StanzaError. Raises ValueError for another type."""
    if type not in ("get", "set"):
        raise ValueError(f"@iq({type!r}, {namespace!r}, {name!r}): an IQ request is a get or a set")
    return lambda method: _mark(method, "iqs", (to, type, namespace, name))


def http(path: str, *methods: str, below: bool = False, cors: bool = False) -> Callable[[F], F]:
    """Answers HTTP requests for ``path``, and for all paths below it if ``below``; ``methods``: by default GET. ``cors``:
    scripts of other sites may use it. The method takes a `Request` (pages.py) and returns an `Answer`, or raises
    `Refusal`; it may block. Requests for the Instance's domain, or for its host's, find it. Raises ValueError: no such
    path, no such method."""
    page = Page(path, methods or ("GET",), below, cors)
    page.check()
    return lambda method: _mark(method, "http", page)


class Command(NamedTuple):
    """The declaration of a command (`command`).

    access   who may run it; "owner" means the owner of the account that it is about, and every administrator
    changes  it changes something, so the log keeps who has run it
    needs    "server": it needs the running server. "store", "config": the store or the configuration of a stopped one is enough
    live     its result goes on without an end, so only jabberctl can show it
    secret   its result is a secret: it is not sent where somebody on the way could read it
    rights   by it somebody can get rights that last, or those of another account
    """

    name: str
    help: str
    access: Access = "admin"
    changes: bool = False
    needs: Needs = "server"
    live: bool = False
    secret: bool = False
    rights: bool = False


def command(
    name: str,
    *,
    help: str | None = None,
    access: Access = "admin",
    changes: bool = False,
    needs: Needs = "server",
    live: bool = False,
    secret: bool = False,
    rights: bool = False,
) -> Callable[[F], F]:
    """A command such as ``accounts add``. The method's parameters, with their annotations (`commands`) and defaults, are
    the command's arguments; its docstring is the help. It returns plain data (dict, list, text, None). Or it is a generator
    that yields ``Progress``, and the data last."""
    return lambda method: _mark(
        method,
        "commands",
        Command(name, help or (method.__doc__ or "").strip(), access, changes, needs, live, secret, rights),
    )


class Progress(NamedTuple):
    """How far a long command has come: ``yield Progress(3, 10, "romeo@example.org")``."""

    done: int
    total: int
    text: str = ""


def every(seconds: float) -> Callable[[F], F]:
    """Runs the method every so many seconds, in a greenlet of its own, never twice at a time."""
    return lambda method: _mark(method, "jobs", seconds)


def register(owner: object, instance: Instance, everywhere: bool = False) -> None:
    """Adds the marked methods of ``owner``, a Module or a Service, to the instance, in the order of their definition, those
    of base classes first. ``everywhere``: handlers of IQs for targets that the instance does not have are left out. Raises
    ValueError: there is no such target, or another handler has the IQ or the path."""
    cls = type(owner)
    for name in dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base)):
        method = getattr(cls, name, None)
        marks = getattr(method, "__dict__", {})
        if not isinstance(marks, dict) or not callable(method):
            continue
        bound = getattr(owner, name)
        for event, stanza in marks.get("_events", ()):
            instance.hooks.add(event, bound, stanza)
        for key in marks.get("_iqs", ()):
            if key[0] in instance.targets or not everywhere:
                instance.add_iq(key, bound)
        for each in marks.get("_commands", ()):
            instance.commands[each.name] = (each, bound)
        for seconds in marks.get("_jobs", ()):
            instance.jobs.append((seconds, bound))
        for page in marks.get("_http", ()):
            if page.path in instance.pages:
                taken = instance.pages[page.path][1].__qualname__
                raise ValueError(f"{bound.__qualname__}: {taken} answers {page.path} already")
            instance.pages[page.path] = (page, bound)


def load_files(package: str, files: Iterable[str]) -> dict[str, type[Module]]:
    """The modules that these files of a package define, by name, in order."""
    found: dict[str, type[Module]] = {}
    for file in files:
        module = import_module(f"{package}.{file}")
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, Module) and cls.__module__ == module.__name__:
                found[cls.name] = cls
    return found


class Module(Section, Discoverable):
    """One feature of an instance. Its options are read as attributes; ``self.host`` is the instance.

    name       what it is called in the configuration; by default the file's, without ``mod_``
    default    is it on where the configuration does not say?
    anywhere   every Instance may have it, not only a host with users; then handlers of IQs for targets that the Instance
               does not have are left out
    features   namespaces for service discovery (XEP-0030) of the domain; ``account_features``, of an account
    protocols  what of the RFCs and XEPs it offers, for docs/protocols.md
    needs      modules that it needs; they must stand before it in ORDER
    tables     where it keeps its data; every row has an ``owner``
    """

    name: ClassVar[str] = ""
    default: ClassVar[bool] = True
    anywhere: ClassVar[bool] = False
    protocols: ClassVar[tuple[Protocol, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    tables: ClassVar[tuple[Any, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in vars(cls):
            cls.name = cls.__module__.rsplit(".", 1)[-1].removeprefix("mod_")

    def __init__(self, host: Instance, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(settings)
        self.host: Any = host
        register(self, host, everywhere=self.anywhere)

    def configure(self, settings: Mapping[str, Any]) -> None:
        """New settings, converted already, after a reload."""
        self.settings = dict(settings)
