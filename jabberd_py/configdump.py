"""Writes a value in YAML on one line, as a person would."""

from __future__ import annotations

from typing import Any

import yaml


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
