"""Changes one key in the text of a configuration file. All other bytes stay: comments, order, quotes, line ends.

The parser tells where each value stands in the text, and only that part is replaced. (A library that writes the whole file
anew, such as ruamel.yaml, keeps comments, but changes spaces, quotes, line ends and empty values.) After each change the text
is parsed again: if anything but the wanted key has changed, the change is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import yaml

from .dump import BASE, SAFE, dump
from .source import SWITCHES, Path

STEP = 2
"""Columns that a new level is indented by, where the file shows no other number."""


def set_key(text: str, path: Path, value: Any) -> str:
    """The text with ``value`` (plain data: text, numbers, lists, mappings, None) at ``path``. Missing levels are made. Raises
    ValueError: it is no YAML, or this place cannot be changed without changing others."""
    return _changed(
        text, path, lambda data: _put(data, path, _written(value)), lambda file: file.set(path, value)
    )


def unset_key(text: str, path: Path) -> str:
    """The text without the key at ``path``; unchanged if it is not there. Raises ValueError like `set_key`."""
    return _changed(text, path, lambda data: _drop(data, path), lambda file: file.unset(path))


def rename_key(text: str, path: Path, name: str) -> str:
    """The text with another name for the key at ``path``, which must be there. Raises ValueError like `set_key`."""
    return _changed(text, path, lambda data: _rename(data, path, name), lambda file: file.rename(path, name))


def get_key(text: str, path: Path) -> Any:
    """What stands at ``path``, every scalar as text; None: nothing. Raises ValueError: it is no YAML."""
    found: Any = _loaded(text)
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def raw_keys(text: str, paths: Iterable[Path], absent: Any) -> list[Any]:
    """What is written at several paths: also `null`, as text; ``absent`` where nothing is. Raises ValueError."""
    try:
        whole, values = yaml.load(text.removeprefix("\ufeff"), Loader=BASE), []
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"not YAML: {error}") from None
    for path in paths:
        found: Any = whole
        for name in path:
            found = found.get(name, absent) if isinstance(found, dict) else absent
        values.append("null" if found == "" else found)
    return values


def _written(value: Any) -> Any:
    """The value as `_loaded` will read it back."""
    return yaml.load(dump(value), Loader=BASE) if value is not None else None


def _changed(text: str, path: Path, expect: Callable[[Any], Any], edit: Callable[[_File], str]) -> str:
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    before = _loaded(text)
    wanted = expect(before)
    if wanted == before:
        return mark + text
    try:
        after = edit(_File(text))
        same = _plain(_loaded(after)) == _plain(wanted)
    except (yaml.YAMLError, IndexError):
        same = False
    if not same:
        raise ValueError(
            f"{'.'.join(path)}: the file is written in a way in which this cannot be changed alone; please edit it by hand"
        )
    return mark + after


def _loaded(text: str) -> Any:
    """Every scalar as text, nothing as None. Raises ValueError."""
    try:
        return _nothing(yaml.load(text.removeprefix("\ufeff"), Loader=BASE))
    except (yaml.YAMLError, RecursionError) as error:
        problem = getattr(error, "problem", None) or "cannot be read"
        raise ValueError(f"not YAML: {problem}") from None


def _nothing(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _nothing(each) for key, each in data.items()}
    if isinstance(data, list):
        return [_nothing(each) for each in data]
    return None if data in ("", "~", "null", None) else data


def _plain(data: Any) -> Any:
    """For the comparison: short and long forms are the same, and a level that holds nothing is nothing."""
    if isinstance(data, dict):
        if data.keys() == {"enabled"}:
            return data["enabled"]
        return {key: _plain(each) for key, each in data.items()} or None
    return data


# -- the same change on plain data, to compare with -----------------------------------------------------------


def _put(data: Any, path: Path, value: Any) -> Any:
    name, *rest = path
    level = _level(data, name, rest)
    return {**level, name: _put(level.get(name), tuple(rest), value) if rest else _nothing(value)}


def _level(data: Any, name: str, rest: list[str]) -> dict[str, Any]:
    """The mapping that a value becomes when a key below it is set."""
    if data is None:
        return {}
    if isinstance(data, list) and all(isinstance(each, str) for each in data):
        return dict.fromkeys(data)  # `hosts: [a, b]`
    if isinstance(data, str) and data.lower() in SWITCHES and not rest:
        return {"enabled": data}  # `module: yes`
    if not isinstance(data, dict):
        raise ValueError(f"{name}: what is above it holds no options")
    return data


def _drop(data: Any, path: Path) -> Any:
    name, *rest = path
    if isinstance(data, str) and data.lower() in SWITCHES and path == ("enabled",):
        return None
    if not isinstance(data, dict) or name not in data:
        return data
    if rest:
        return {**data, name: _drop(data[name], tuple(rest))}
    return {key: each for key, each in data.items() if key != name}


def _rename(data: Any, path: Path, new: str) -> Any:
    name, *rest = path
    if isinstance(data, list):
        return [new if each == name else each for each in data]
    if not isinstance(data, dict) or name not in data or (not rest and new in data):
        raise ValueError(f"{name}: is not there, or {new} is there already")
    if rest:
        return {**data, name: _rename(data[name], tuple(rest), new)}
    return {(new if key == name else key): each for key, each in data.items()}


# -- the text -------------------------------------------------------------------------------------------------


class _File:
    def __init__(self, text: str) -> None:
        self.text = text
        self.eol = "\r\n" if "\r\n" in text else "\n"
        self.root: yaml.Node | None = yaml.compose(text, Loader=SAFE)

    def set(self, path: Path, value: Any) -> str:
        if self.root is None:
            return self._insert(len(self.text), 0, path, value)
        level: yaml.Node = self.root
        above: yaml.Node | None = None
        for depth, name in enumerate(path):
            rest = path[depth:]
            if isinstance(level, yaml.SequenceNode):
                return _File(self._unlist(level)).set(path, value)
            if isinstance(level, yaml.ScalarNode):
                return self._into_scalar(level, above, rest, value)
            found = _find(level, name)
            if found is None:
                return self._add(level, above, rest, value)
            above, level = found
        return self._replace(above, level, value)

    def unset(self, path: Path) -> str:
        level: Any = self.root
        for name in path[:-1]:
            level = _find(level, name)[1]
        if isinstance(level, yaml.ScalarNode):  # `module: yes` without its switch
            return self._splice(_start(level), self._end(level), "")
        key, value = _find(level, path[-1])
        if not level.flow_style:
            return self._cut_lines(_start(key), max(self._end(value), self._end(key) + 1))
        pairs = level.value
        at = next(n for n, pair in enumerate(pairs) if pair[0] is key)
        if at + 1 < len(pairs):
            end, behind = max(self._end(value), self._end(key)), _start(pairs[at + 1][0])
            comma = self.text.index(",", end) + 1
            if "#" in self.text[comma:behind] and not self.text[end : comma - 1].strip():
                behind = comma  # the comments stay
            return self._splice(_start(key), behind, "")
        start = self._end(pairs[at - 1][1]) if at else _start(level) + 1
        return self._splice(start, max(self._end(value), self._end(key)), "")

    def rename(self, path: Path, name: str) -> str:
        level: Any = self.root
        for each in path[:-1]:
            level = _find(level, each)[1]
        if isinstance(level, yaml.SequenceNode):
            key = next(each for each in level.value if each.value == path[-1])
        else:
            key = _find(level, path[-1])[0]
        return self._splice(_start(key), self._end(key), dump(name))

    # -- parts -------------------------------------------------------------------------------------

    def _end(self, node: yaml.Node) -> int:
        """Where its text ends, without what follows."""
        if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
            return max(map(self._end, node.value[-1]))
        if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
            return self._end(node.value[-1])
        end = int(node.end_mark.index)
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            return len(self.text[:end].rstrip())  # it goes on to the next key
        return end

    def _splice(self, start: int, end: int, text: str) -> str:
        return self.text[:start] + text + self.text[end:]

    def _line_start(self, at: int) -> int:
        return self.text.rfind("\n", 0, at) + 1

    def _line_end(self, at: int) -> int:
        """Behind the end of the line."""
        found = self.text.find("\n", at)
        return len(self.text) if found < 0 else found + 1

    def _cut_lines(self, start: int, end: int) -> str:
        first = self._line_start(start)
        if self.text[first:start].strip():
            raise yaml.YAMLError("not on a line of its own")
        behind = self.text[end : self._line_end(end)].strip()
        left = f"{self.text[first:start]}{behind}{self.eol}" if behind.startswith("#") else ""
        return self._splice(first, self._line_end(end), left)

    def _replace(self, key: Any, value: yaml.Node, new: Any) -> str:
        if isinstance(value, yaml.SequenceNode) and not value.flow_style and isinstance(new, list):
            plain = all(isinstance(each, str | int | float) for each in new)
            kept = self._items(value, [str(each) for each in new]) if plain else None
            if kept is not None:
                return kept
        start, end = _start(value), self._end(value)
        if start < end and self.text[self._line_start(_start(key)) : start].count("\n") == 0:
            return self._splice(start, end, dump(new))
        colon = self.text.index(":", self._end(key)) + 1  # the value is empty, or begins on the next line
        return self._splice(colon, max(colon, end), " " + dump(new))

    def _items(self, node: yaml.SequenceNode, new: list[str]) -> str | None:
        """Takes lines out of a list, adds and moves some; each keeps the comment beside it and those above it. None: the list
        is not written so simply."""
        old = [each.value if isinstance(each, yaml.ScalarNode) else "" for each in node.value]
        if len(set(old)) < len(old) or "" in old or len(set(new)) < len(new) or not new:
            return None
        first = at = self._line_start(_start(node.value[0]))
        pieces, left = dict[str, str](), ""
        for item, each in zip(node.value, old, strict=True):
            begin, end = self._line_start(_start(item)), self._line_end(self._end(item))
            if each in new:
                pieces[each] = self._ended(self.text[at:end])
            else:
                left += self.text[at:begin]  # comments above what goes
            at = end
        if not pieces:
            return None
        column = " " * node.start_mark.column
        lines = [pieces.get(each, f"{column}- {dump(each)}{self.eol}") for each in new]
        return self._splice(first, at, "".join(lines) + left)

    def _ended(self, lines: str) -> str:
        return lines if lines.endswith("\n") else lines + self.eol

    def _unlist(self, node: yaml.SequenceNode) -> str:
        """``[a, b]`` becomes ``{a: , b: }``."""
        text = self.text
        if node.flow_style:
            return self._splice(
                _start(node), self._end(node), "{" + ", ".join(f"{each.value}: " for each in node.value) + "}"
            )
        for item in reversed(node.value):
            dash = text.rindex("-", 0, _start(item))
            text = (
                text[:dash]
                + " "
                + text[dash + 1 : _start(item)]
                + dump(item.value)
                + ":"
                + text[self._end(item) :]
            )
        return text

    def _into_scalar(self, node: yaml.ScalarNode, key: Any, rest: Path, value: Any) -> str:
        """Sets a key below ``key``, which holds nothing, or the switch of a module."""
        switch = node.value.lower() in SWITCHES
        if switch and rest == ("enabled",):
            return self._splice(_start(node), self._end(node), dump(value))
        if switch:
            whole = f"{{enabled: {self.text[_start(node) : self._end(node)]}, {_flow(rest, value)}}}"
            return self._splice(_start(node), self._end(node), whole)
        line = self._line_start(_start(key))
        if self.text[line : _start(key)].strip():  # in braces
            colon = self.text.find(":", self._end(key))
            return self._splice(colon + 1, max(self._end(node), colon + 1), f" {{{_flow(rest, value)}}}")
        if node.value:  # `~` or `null`
            return _File(self._splice(_start(node), self._end(node), "")).set(
                self._path_to(key) + rest, value
            )
        column = key.start_mark.column
        region = self._region(key)
        at, indent = self._place(rest[0], *region, lambda found: found > column)
        if at is None:
            at, indent = self._line_end(self._end(key)), column + self._step()
        return self._insert(at, indent, rest, value)

    def _add(self, level: Any, key: Any, rest: Path, value: Any) -> str:
        """Adds a key to a mapping that has others."""
        if level.flow_style:
            quoted = bool(level.value) and level.value[-1][0].style == '"'
            at = max(map(self._end, level.value[-1])) if level.value else _start(level) + 1
            new = _flow(rest, value, quoted)
            return self._splice(at, at, f", {new}" if level.value else new)
        column = level.start_mark.column
        region = (0, len(self.text)) if key is None else self._region(key)
        found, _ = self._place(rest[0], *region, lambda found: found == column)
        if found is None:
            last_key, last = level.value[-1]
            found = self._line_end(max(self._end(last), self._end(last_key)))
        return self._insert(found, column, rest, value)

    def _insert(self, at: int, indent: int, path: Path, value: Any) -> str:
        """Lines for a path, one key each."""
        step = self._step()
        lines = [" " * (indent + step * depth) + dump(name) + ":" for depth, name in enumerate(path)]
        lines[-1] += "" if value is None else " " + dump(value)
        new = "".join(line + self.eol for line in lines)
        if at and not self.text[:at].endswith("\n"):
            new = self.eol + new
        return self._splice(at, at, new)

    def _place(self, name: str, start: int, end: int, fits: Callable[[int], bool]) -> tuple[int | None, int]:
        """Where the key is commented out: the end of that line, and its column."""
        for match in re.finditer(rf"^( *)#{re.escape(name)}:", self.text[start:end], re.M):
            if fits(len(match[1])):
                return self._line_end(start + match.start()), len(match[1])
        return None, 0

    def _region(self, key: Any) -> tuple[int, int]:
        """The lines that belong to a key: to the next line of the same or a lower column."""
        start = self._line_end(self._end(key))
        for match in re.finditer(r"^( *)[^\s#]", self.text[start:], re.M):
            if len(match[1]) <= key.start_mark.column:
                return start, start + match.start()
        return start, len(self.text)

    def _step(self) -> int:
        for _, value in getattr(self.root, "value", ()) if isinstance(self.root, yaml.MappingNode) else ():
            if isinstance(value, yaml.MappingNode) and not value.flow_style and value.start_mark.column:
                return int(value.start_mark.column)
        return STEP

    def _path_to(self, key: Any) -> Path:
        def search(node: Any, path: Path) -> Path | None:
            for each, value in node.value if isinstance(node, yaml.MappingNode) else ():
                found = (*path, each.value) if each is key else search(value, (*path, each.value))
                if found:
                    return found
            return None

        return search(self.root, ()) or ()


def _flow(path: Path, value: Any, quoted: bool = False) -> str:
    name, *rest = path
    inner = "{" + _flow(tuple(rest), value, quoted) + "}" if rest else dump(value)
    if quoted and not rest:
        inner = yaml.safe_dump([value], default_flow_style=True, default_style='"', width=10**9).strip()[1:-1] if isinstance(
            value, str) else inner  # fmt: skip
    return f'"{name}": {inner}' if quoted else f"{dump(name)}: {inner}"


def _find(level: Any, name: str) -> Any:
    """(key, value), or None."""
    if not isinstance(level, yaml.MappingNode):
        raise yaml.YAMLError("no mapping")
    return next(((key, value) for key, value in level.value if key.value == name), None)


def _start(node: yaml.Node) -> int:
    return int(node.start_mark.index)
