"""Servers to measure, one file each: a subclass of `base.Peer` that is called `Server`."""

from importlib import import_module
from pathlib import Path

from .base import Peer

NAMES = ("jabberd_py", "prosody", "ejabberd", "jabberd2")


def make(name: str, folder: Path) -> Peer:
    kind: type[Peer] = import_module(f"{__name__}.{name}").Server
    return kind(folder)
