"""The options of all parts of the server, and the tables of all parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import config, modules, plugins
from .archive import messages
from .c2s.options import C2S
from .c2s.resumable import ResumableStream
from .component.options import ComponentOptions, ListenerOptions
from .config import Config
from .http.metrics import MetricsOptions
from .http.options import HTTPOptions
from .jsm.host import HostOptions
from .jsm.users import Account
from .net.dnsrv import DNS
from .net.tls import TLSOptions
from .options import Option, Schema, Section, list_of, optional
from .outbox import Outbox
from .s2s.options import S2S
from .services.bytestreams import BytestreamOptions
from .xdb import Table
from .xdb.options import StoreOptions
from .xmpp.prep import domainprep


class Top(Section):
    """The server as a whole."""

    data = Option(str, "./data", "folder of the database, the certificates and the control socket")
    database = Option(
        optional(str),
        None,
        "URL of the database: sqlite:///FILE, mysql://..., postgresql://...; by default SQLite in data",
        secret=True,
    )
    plugins = Option[list[str]](
        list_of(str),
        [],
        "modules from outside: folders of Python files, or entry points of installed packages; read at the start",
    )


class LogOptions(Section):
    """What the log says, on standard error."""

    level = Option(str, "info", "how much is said", choices=["debug", "info", "warning", "error"])
    format = Option(
        str, "text", "how lines look: for a person, or one JSON object a line", choices=["text", "json"]
    )


class ControlOptions(Section):
    """The socket of jabberctl; only the server's own user may connect."""

    socket = Option(optional(str), None, "path of the socket; by default 'jabberctl.sock' in the data folder")


def schema() -> Schema:
    """All that the configuration may say."""
    return Schema(
        top=Top,
        sections={
            "log": LogOptions,
            "store": StoreOptions,
            "c2s": C2S,
            "s2s": S2S,
            "dns": DNS,
            "component": ListenerOptions,
            "http": HTTPOptions,
            "bytestreams": BytestreamOptions,
            "metrics": MetricsOptions,
            "tls": TLSOptions,
            "ctl": ControlOptions,
        },  # fmt: skip
        modules=modules.load_all(),
        services=modules.load_services(),
        host=HostOptions,
        component=ComponentOptions,
        domain=domainprep,
    )


def configuration(
    path: str | None, overrides: Iterable[str], environ: Mapping[str, str], text: str | None = None
) -> Config:
    """The configuration, read and checked; its plugins are loaded first, since they add to what it may say. ``text``: what the
    file would hold. Raises ConfigError."""
    source = config.gather(path, overrides, environ, schema=schema(), text=text)
    names = source.data.get("plugins")
    for number, name in enumerate(names if isinstance(names, list) else [names] if names else []):
        try:
            plugins.load(str(name))
        except ValueError as error:
            place = ("plugins", str(number)) if isinstance(names, list) else ("plugins",)
            source.fail(place, f"{name}: {error}")
    return config.load(path, overrides, environ, schema=schema(), text=text)


def tables() -> list[type[Table]]:
    """Every table of the server, once, whether its module is on or not."""
    owners: list[Any] = [*modules.load_all().values()]
    for service in modules.load_services().values():
        owners += [service, *service.own_modules().values()]
    theirs = [table for owner in owners for table in owner.tables]  # some are of two: a service and a module
    return list(dict.fromkeys((Account, *messages.tables(), ResumableStream, Outbox, *theirs)))
