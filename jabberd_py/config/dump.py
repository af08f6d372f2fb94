"""A value in YAML: written on one line, as a person would; read within bounds, since it may come from anybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

# the parser in C, where PyYAML has it: ten times faster
BASE: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LONGEST = 64 * 1024
"""Characters of a text that is read."""
NODES = 1000
"""Texts, lists and mappings in it."""
DEEPEST = 20
"""Levels of lists and mappings."""


def parse(text: str, loader: Any = BASE) -> Any:
    """What the text means; with `BASE` every scalar is text. Raises ValueError: it is not YAML, it is too much, or it has
    aliases, by which a short text means a huge value."""
    if len(text) > LONGEST:
        raise ValueError(f"must have at most {LONGEST} characters")
    nodes = depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise ValueError("aliases and anchors (*, &) are not taken; put such a text in quotes")
            nodes += isinstance(event, yaml.NodeEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if nodes > NODES or depth > DEEPEST:
                raise ValueError(f"must have at most {NODES} values, in at most {DEEPEST} levels")
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise ValueError(f"cannot read this: {getattr(error, 'problem', None) or 'not YAML'}") from None


def meant(text: str, read: Callable[[str], Any]) -> Any:
    """What a person means who writes a value outside of a file: ``read`` says it of quoted text, lists and mappings, nothing
    and null are None, all else is text. Raises what ``read`` raises."""
    text = text.strip()
    if text in ("", "~", "null"):
        return None
    return read(text) if text[0] in "[{\"'" else text


def dump(value: Any) -> str:
    """A value in YAML, on one line, as it may stand in braces, too. Every scalar is read as text, so `no` and `0123` need no
    quotes."""
    style = None if _printable(value) else '"'
    text = yaml.dump([_text(value)], Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=10**9,
                     default_style=style, sort_keys=False)  # fmt: skip
    return str(text).strip()[1:-1]


class _Dumper(yaml.SafeDumper):
    """Quotes only what would be read as something else than text: nothing."""

    yaml_implicit_resolvers = {
        first: [each for each in found if each[0].endswith((":null", ":merge", ":value"))]
        for first, found in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(value: Any) -> Any:
    """Scalars as text."""
    if isinstance(value, dict):
        return {str(key): _text(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_text(each) for each in value]
    return value if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _printable(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_printable(each) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return all(map(_printable, value))
    return not isinstance(value, str) or value.isprintable()
