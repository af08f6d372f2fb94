"""Where a server's configuration comes from: the file, the environment and the command line; read anew at each reload."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from . import config
from .config import Config
from .config.table import Table
from .schema import configuration, schema

USUAL = "conf/jabberd.yaml"
"""The configuration, where nobody names another one."""


class Settings:
    """``path``: the file; None: `USUAL`, also if it is made later. ``overrides``: what was said by ``--set``."""

    def __init__(self, path: str | None, overrides: Sequence[str] = ()) -> None:
        self.path, self.overrides = path, list(overrides)

    @property
    def file(self) -> Path:
        """Where the configuration is, or would be."""
        return Path(self.path or USUAL)

    @property
    def missing(self) -> bool:
        """Has nobody made a configuration yet?"""
        return self.path is None and not self.file.exists()

    def __call__(self, text: str | None = None) -> Config:
        """The configuration, checked. ``text``: what the file would hold. Raises ConfigError."""
        return configuration(self._name(text), self.overrides, os.environ, text)

    def table(self) -> Table:
        """Every option with its value. Raises ConfigError: the file cannot be read."""
        return Table(config.gather(self._name(None), self.overrides, os.environ, schema=schema()))

    def _name(self, text: str | None) -> str | None:
        return None if text is None and self.missing else str(self.file)

    def sample(self) -> str:
        """What a new file begins with: every option, commented out."""
        return config.sample(schema())
