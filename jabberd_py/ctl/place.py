"""Where the server of this machine is: its data folder and its control socket.

Only these two settings are read, and nothing is checked: a mistake elsewhere in the configuration, even one that makes it no
YAML at all, must not keep the administrator from the server that runs.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

CONFIG = "conf/jabberd.yaml"
INSTALLED = "/etc/jabberd/jabberd.yaml"
SOCKET = "JABBERCTL_SOCKET"
FILE = "JABBERD_CONFIG"
HOME = "JABBERCTL_HOME"
"""The environment's name for the folder of the server's source, which its own ./jabberctl sets: so it works from anywhere."""
ENVIRONMENT = {"data": "JABBERD_DATA", "ctl.socket": "JABBERD_CTL__SOCKET"}


class Place(NamedTuple):
    """``config``: the file that was read, if there is one. ``base``: what relative paths in it are relative to."""

    config: str | None
    data: Path
    socket: str
    base: Path


def find(config: str | None, environ: Mapping[str, str] = os.environ) -> Place:
    """By ``config`` (a file, or None: the usual ones) and the environment. Never raises."""
    here, home = Path.cwd(), Path(environ.get(HOME) or ".").absolute()
    config = config or environ.get(FILE)
    base = here if config or (here / CONFIG).exists() or (here / "data").is_dir() else home
    if config is None:
        clone = HOME in environ or (base / "data").is_dir()  # another server than the machine's
        usual = [base / CONFIG] if clone else [base / CONFIG, Path(INSTALLED)]
        config = next((str(each) for each in usual if each.exists()), None)
    found = settings(config) if config is not None else {}
    for name, variable in ENVIRONMENT.items():
        if environ.get(variable):
            found[name] = environ[variable]
    data = Path(found.get("data") or "./data")
    return Place(
        config,
        data,
        str(base / found["ctl.socket"] if "ctl.socket" in found else base / data / "jabberctl.sock"),
        base,
    )


def settings(file: str) -> dict[str, str]:
    """``data`` and ``ctl.socket`` of a configuration, as far as they can be read."""
    try:
        text = Path(file).read_text("utf-8", "replace").removeprefix("\ufeff")
    except OSError:
        return {}
    value = r"[ \t]*['\"]?([^'\"#\n]+)"
    lines = {"data": re.search(rf"^data:{value}", text, re.M),
             "ctl.socket": re.search(rf"^ctl:.*\n(?:(?:[ \t].*)?\n)*?[ \t]+socket:{value}", text, re.M)}  # fmt: skip
    found = {
        name: match[1].strip()
        for name, match in lines.items()
        if match and match[1].strip() not in ("", "null", "~")
    }
    if text.lstrip().startswith("{") or re.search(r"^ctl:[ \t]*\{", text, re.M):
        found |= _by_yaml(text)
    return found


def _by_yaml(text: str) -> dict[str, str]:
    """The same where braces are used: by the parser's events, up to the first mistake."""
    import yaml

    found, path, key = dict[str, str](), list[str](), None
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.MappingStartEvent):
                path.append(key or "")
                key = None
            elif isinstance(event, yaml.MappingEndEvent):
                path.pop()
                key = None
            elif isinstance(event, yaml.SequenceStartEvent):
                path.append("[]")
            elif isinstance(event, yaml.SequenceEndEvent):
                path.pop()
                key = None
            elif isinstance(event, yaml.ScalarEvent) and path and path[-1] != "[]":
                if key is None:
                    key = event.value
                else:
                    name = ".".join([*path[1:], key])
                    if name in ENVIRONMENT and event.value not in ("", "null", "~"):
                        found[name] = event.value
                    key = None
    except yaml.YAMLError:
        pass
    return found


def reason(path: str, error: OSError) -> str:
    """Why nobody answers there, for a person."""
    if isinstance(error, PermissionError) and (owner := _owner(Path(path))) is not None:
        return f"{path} belongs to {owner}: run jabberctl as " + (
            "root" if owner == "root" else "that user, or as root"
        )
    if isinstance(error, FileNotFoundError):
        return f"no server answers at {path}: there is no such socket"
    if isinstance(error, ConnectionRefusedError):
        return f"no server answers at {path}: it was left behind"
    return f"no server answers at {path}: {error.strerror or error}"


def _owner(path: Path) -> str | None:
    """Whose the socket is, or the folder that hides it."""
    for each in (path, *path.absolute().parents):
        try:
            uid = each.stat().st_uid
        except PermissionError:
            continue
        except OSError:
            return None
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return f"user {uid}"
    return None
