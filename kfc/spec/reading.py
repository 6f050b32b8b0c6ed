"""The text of a spec file -> plain values and the line each of them stands on."""

from __future__ import annotations

import io
import itertools
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from kfc.errors import Fault, SpecError

Keys = tuple[str | int, ...]

SUFFIXES = (".yaml", ".yml", ".toml", ".json")
_MAX_BYTES = 1_000_000  # a spec is a page; a larger file is something else
_MAX_DEPTH = 20


@dataclass(frozen=True)
class Source:
    """Plain values and where they came from.

    Args:
        values: What the text says.
        name: The file's name as the user gave it, or empty for a dict.
        lines: Path of keys -> line number, counted from 1.
        overridden: Paths that the command line or `overrides=` has set.
    """

    values: dict[str, Any]
    name: str = ""
    lines: Mapping[Keys, int] = field(default_factory=dict)
    overridden: frozenset[Keys] = frozenset()

    def line(self, path: Keys) -> str:
        """Returns where `path` stands, such as `my.yaml, line 7`; nothing for a dict."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.overridden:
                return "override"
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return f"{self.name}, line {self.lines[path[:end]]}"
        return self.name


def read_file(path: Path) -> Source:
    """Reads a YAML 1.2, TOML or JSON file, chosen by its ending.

    Raises:
        SpecError: If it cannot be read, is not text of its format, or holds what a spec
            never needs (aliases, tags, duplicate keys, NaN in JSON).
    """
    name = str(path)
    if path.suffix.lower() not in SUFFIXES:
        raise _unreadable(name, f"a file ending in {', '.join(SUFFIXES)}", path.suffix)
    try:
        data = path.read_bytes()[: _MAX_BYTES + 1]
        text = data.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise _unreadable(name, "a spec file", "no such file") from error
    except OSError as error:
        raise _unreadable(name, "a readable file", error.strerror or "an error") from error
    except UnicodeDecodeError as error:
        raise _unreadable(name, "UTF-8 text", f"byte {data[error.start]:#x}") from error
    if len(data) > _MAX_BYTES:
        raise _unreadable(name, f"at most {_MAX_BYTES:,} bytes", "more")
    if path.suffix.lower() == ".toml":
        return _read_toml(text, name)
    if path.suffix.lower() == ".json":
        _check_json(text, name)  # JSON is YAML 1.2: the YAML reader below knows lines
    return read_yaml(text, name)


def read_yaml(text: str, name: str) -> Source:
    """Reads YAML 1.2, in which `1e-3` is a number and `no` is text."""
    loader = YAML(typ="rt", pure=True)
    try:
        _check_events(loader, text, name)
        tree = loader.load(text)
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise _unreadable(
            name, "each key once", str(error.problem).split(" with value")[0], line
        ) from error
    except (YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise _unreadable(
            name, "YAML that can be read", problem, mark.line + 1 if mark else 0
        ) from error
    if not isinstance(tree, CommentedMap):
        raise _unreadable(name, "keys and values, such as 'seed: 0'", _kind(tree))
    lines: dict[Keys, int] = {}
    return Source(_plain(tree, (), lines), name, lines)


def read_value(text: str) -> Any:
    """Returns the value of one override, read as YAML: `[256, 128]`, `1e-3`, `relu`."""
    try:
        return read_yaml(f"value: {text}", "").values["value"]
    except SpecError:
        return text


def _check_events(loader: YAML, text: str, name: str) -> None:
    """Refuses what a spec never needs, before anything is built from it."""
    depth = 0
    for event in loader.parse(io.StringIO(text)):
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent):
            raise _unreadable(name, "values written out", f"alias *{event.anchor}", line)
        if getattr(event, "ctag", None) is not None or getattr(event, "tag", None):
            raise _unreadable(name, "plain values", f"tag {event.tag}", line)
        depth += isinstance(event, CollectionStartEvent)
        depth -= isinstance(event, CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise _unreadable(name, f"at most {_MAX_DEPTH} levels", "more", line)


def _plain(node: Any, path: Keys, lines: dict[Keys, int]) -> Any:
    """Returns dicts, lists, str, int, float, bool and None; notes the lines."""
    if isinstance(node, CommentedMap):
        for key in node:
            lines[(*path, key)] = node.lc.key(key)[0] + 1
        return {key: _plain(value, (*path, key), lines) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            lines[(*path, index)] = node.lc.item(index)[0] + 1
        return [_plain(v, (*path, i), lines) for i, v in enumerate(node)]
    for kind in (bool, int, float, str):  # ruamel keeps the notation in subclasses
        if isinstance(node, kind):
            return kind(node)
    return node


def _check_json(text: str, name: str) -> None:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise _unreadable(name, "each key once", f"{key!r} twice")
        return dict(pairs)

    def refuse(constant: str) -> None:
        raise _unreadable(name, "finite numbers", constant)

    try:
        json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise _unreadable(name, "JSON that can be read", error.msg, error.lineno) from error
    except RecursionError as error:
        raise _unreadable(name, f"at most {_MAX_DEPTH} levels", "more") from error


_TABLE = re.compile(r"\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}")
_KEY = re.compile(r"""\s*([\w.\-"']+)\s*=""")


def _read_toml(text: str, name: str) -> Source:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(name, "TOML that can be read", str(error)) from error
    except RecursionError as error:
        raise _unreadable(name, f"at most {_MAX_DEPTH} levels", "more") from error
    # tomllib keeps no lines: the heads of tables and of `key = value` lines serve.
    lines: dict[Keys, int] = {}
    table: Keys = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _TABLE.match(line):
            table = tuple(re.split(r"\s*\.\s*", match[1].replace('"', "")))
            lines.setdefault(table, number)
        elif match := _KEY.match(line):
            keys = match[1].replace('"', "").replace("'", "").split(".")
            lines.setdefault((*table, *keys), number)
    return Source(values, name, lines)


def override(source: Source, overrides: Mapping[str, Any]) -> Source:
    """Returns `source` with dotted paths set, such as `training.optimizer.name`.

    Raises:
        SpecError: If a path leads into a value that has no keys, or past a list's end.
    """
    values = _copy(source.values)
    for dotted, value in overrides.items():
        _set(values, parse_path(dotted), value, dotted)
    paths = frozenset(parse_path(dotted) for dotted in overrides)
    return Source(values, source.name, source.lines, source.overridden | paths)


def parse_path(dotted: str) -> Keys:
    """Returns the keys of `network.hidden[0].units`, or of `network.hidden.0.units`."""
    parts = re.sub(r"\[(\d+)\]", r".\1", dotted).split(".")
    return tuple(int(part) if part.isdigit() else part for part in parts)


def _set(values: dict[str, Any], path: Keys, value: Any, dotted: str) -> None:
    node: Any = values
    for key, following in itertools.pairwise(path):
        if isinstance(node, list):
            _check_index(node, key, dotted)
            child = node[int(key)]
        else:
            child = node.get(key)
        if isinstance(child, str) and isinstance(following, str):
            child = {"name": child}  # `optimizer: sgd` is short for `{name: sgd}`
        elif isinstance(child, int) and following in ("units", "activation", "dropout"):
            child = {"units": child}  # `hidden: [256]` is short for `[{units: 256}]`
        elif child is None:
            child = {}
        if not isinstance(child, (dict, list)):
            raise SpecError(
                Fault(dotted, f"keys below {key!r}", repr(child), "Override a whole value.")
            )
        node[key] = child
        node = child
    if isinstance(node, list):
        _check_index(node, path[-1], dotted)
    node[path[-1]] = value


def _check_index(node: list[Any], key: str | int, dotted: str) -> None:
    if not isinstance(key, int) or key >= len(node):
        raise SpecError(
            Fault(
                dotted,
                f"an index below {len(node)}",
                repr(key),
                "Count from 0, or override the whole list.",
            )
        )


def _copy(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _copy(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_copy(value) for value in node]
    return node


def _kind(value: Any) -> str:
    return "an empty file" if value is None else type(value).__name__


def _unreadable(name: str, expected: str, got: str, line: int = 0) -> SpecError:
    remedy = "`kfc schema` prints what a spec may hold, `kfc specs digits` shows one."
    return SpecError(
        Fault(name or "spec", expected, got, remedy, f"line {line}" if line else "")
    )
