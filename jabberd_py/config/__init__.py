"""The configuration: a YAML file, then environment variables, then ``--set``; the last one wins.

    data: ./data                                    # options of Schema.top
    c2s: {address: "::", port: 5222}                # one of Schema.sections
    modules: {register: true, offline: {limit: 9}}  # for all hosts
    services: {rooms: {prefix: chat}}               # likewise
    hosts:
      localhost:
      example.org:
        admins: [romeo@example.org]                 # options of Schema.host
        modules: {register: false, motd: {enabled: true, text: hi}}
    components:
      irc.example.org: {secret: s3cret}             # options of Schema.component

Every scalar is read as text and converted by its option, so ``no``, ``0123`` and ``12:30`` are what they look
like where text is wanted. Relative paths in values are relative to the working directory.
"""

from collections.abc import Iterable, Mapping

from ..options import (
    Option,
    OptionError,
    Schema,
    Section,
    convert_settings,
    duration,
    list_of,
    mapping_of,
    optional,
    options_of,
    size,
)  # fmt: skip
from .check import Checker, Config, HostConfig, ServiceConfig
from .doc import ENVIRONMENT, options_markdown, sample
from .source import FILE, ConfigError, Source

__all__ = [
    "FILE",
    "Config",
    "ConfigError",
    "HostConfig",
    "ServiceConfig",
    "gather",
    "load",
    "options_markdown",
    "sample",
]
__all__ += ["Option", "OptionError", "Schema", "Section", "convert_settings", "options_of"]
__all__ += ["duration", "list_of", "mapping_of", "optional", "size"]  # for those who declare options


def load(
    path: str | None,
    overrides: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
    *,
    schema: Schema,
    text: str | None = None,
) -> Config:
    """Read and check everything. ``path`` None: no file. ``text``: what the file would hold, instead of what it holds.
    ``overrides`` are ``path.to.option=value``,
    ``environ`` is searched for ``JABBERD_PATH__TO__OPTION``. ConfigError on anything wrong."""
    return Checker(gather(path, overrides, environ, schema=schema, text=text), schema).config()


def gather(
    path: str | None,
    overrides: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
    *,
    schema: Schema,
    text: str | None = None,
) -> Source:
    """What was written, from all places, not checked yet. ConfigError where it cannot be read."""
    source = Source(schema)
    if path is not None:
        source.read(path, text)
    for name in sorted(environ or ()):  # sorted: a whole key comes before its parts
        if name.startswith(ENVIRONMENT) and name != FILE:
            source.set_variable(name, (environ or {})[name])
    for override in overrides:
        source.set_path(override)
    return source
