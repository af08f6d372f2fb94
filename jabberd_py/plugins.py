"""Modules and services from outside the tree: the option ``plugins`` names folders and entry points of installed packages.

A folder is a Python package without a name of its own: every ``*.py`` in it that does not begin with ``_`` is loaded, in
alphabetical order, and may import its neighbours (``from .other import ...``). An entry point stands in the group
``jabberd_py.plugins`` of its package and names a file or one class. Modules from outside come after our own in the order.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from . import modules
from .hooks import Module
from .options import nearest
from .service import Service

GROUP = "jabberd_py.plugins"

_loaded: dict[str, list[type[Any]]] = {}
"""Absolute path of a folder, or name of an entry point -> its classes. Each is loaded only once."""
_sealed = False


def seal() -> None:
    """To be called when the server has started: from now on new plugins wait for the next start."""
    global _sealed
    _sealed = True


def load(name: str) -> None:
    """Loads one plugin, so that `modules.load_all` and `modules.load_services` know what is in it; one that is loaded
    already stays as it is. Blocks on files. Raises ValueError in one line: there is no such plugin, it cannot be
    imported, holds no module, a name in it is taken, or the server has started without it."""
    folder = Path(name)
    key = str(folder.resolve()) if folder.is_dir() else name
    if key in _loaded:
        return
    if _sealed:
        raise ValueError("plugins are loaded when the server starts: restart it")
    point = None if folder.is_dir() else _entry_point(name)
    try:
        found = list(_of_folder(folder) if point is None else _of_entry_point(point))
    except Exception as error:  # whatever a stranger's file does while it is imported
        raise ValueError(_told(error)) from error
    if not found:
        raise ValueError("there is no Module and no Service in it")
    known: dict[str, type[Any]] = {**modules.load_all(), **modules.load_services()}
    for cls in found:
        if known.setdefault(cls.name, cls) is not cls:
            raise ValueError(f"the name '{cls.name}' is taken by {known[cls.name].__module__}")
    _loaded[key] = found
    modules.PLUGINS.extend(found)


def _of_folder(folder: Path) -> Iterator[type[Any]]:
    package = ModuleType(f"jabberd_plugins_{len(_loaded)}")
    package.__path__ = [str(folder.resolve())]
    sys.modules[package.__name__] = package
    for file in sorted(folder.glob("*.py")):
        if not file.name.startswith("_"):
            yield from _classes(import_module(f"{package.__name__}.{file.stem}"))


def _entry_point(name: str) -> EntryPoint:
    known: dict[str, EntryPoint] = {each.name: each for each in entry_points(group=GROUP)}
    if name not in known:
        raise ValueError(f"no such folder, and no such entry point in '{GROUP}'{nearest(name, known)}")
    return known[name]


def _of_entry_point(point: EntryPoint) -> Iterator[type[Any]]:
    found = point.load()
    if isinstance(found, ModuleType):
        yield from _classes(found)
    elif _is_class(found):
        yield found


def _classes(file: ModuleType) -> Iterator[type[Any]]:
    return (each for each in vars(file).values() if _is_class(each) and each.__module__ == file.__name__)


def _is_class(each: Any) -> bool:
    return isinstance(each, type) and issubclass(each, Module | Service)


def _told(error: Exception) -> str:
    """The error in one line, with the place in the plugin."""
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or '').name}:{error.lineno}: {error.msg}"
    place, trace = "", error.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith((str(Path(__file__).parent), "<")):
            place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}: "
        trace = trace.tb_next
    return f"{place}{type(error).__name__}: {error}"
