"""The text of a spec file -> plain values and the line each of them stands on."""

from __future__ import annotations

import datetime
import io
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    ScalarEvent,
)

from kfc.errors import Fault, SpecError
from kfc.spec.paths import Keys
from kfc.spec.plain import MAX_DEPTH, key_text
from kfc.spec.toml_lines import toml_lines

SUFFIXES = (".yaml", ".yml", ".toml", ".json")
_MAX_BYTES = 100_000  # a spec is a page; reading more as YAML would take many seconds


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

    def overrides(self, path: Keys) -> bool:
        """Whether an override has set the value at `path`."""
        return any(path[:end] in self.overridden for end in range(len(path) + 1))

    def line(self, path: Keys) -> str:
        """Returns where `path` stands, such as `my.yaml, line 7`; nothing for a dict."""
        if self.overrides(path):
            return "override"
        inside = any(override[: len(path)] == path for override in self.overridden)
        if inside and path not in self.lines:
            return "override"
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return f"{self.name}, line {self.lines[path[:end]]}"
        return self.name


def read_file(path: Path) -> Source:
    """Reads a YAML 1.2, TOML or JSON file, chosen by its ending.

    Raises:
        SpecError: If it cannot be read, is not text of its format, or holds what a spec
            never needs (aliases, merge keys, tags, duplicate keys).
    """
    name = str(path)
    if path.suffix.lower() not in SUFFIXES:
        ending = path.suffix or "no ending"
        raise _unreadable(name, f"a file ending in {', '.join(SUFFIXES)}", ending)
    data = _read_bytes(path, name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        got, line = f"byte {data[error.start]:#x}", data[: error.start].count(b"\n") + 1
        raise _unreadable(name, "UTF-8 text", got, line, "Save it as UTF-8.") from error
    if path.suffix.lower() == ".toml":
        return _read_toml(text, name)
    if path.suffix.lower() == ".json":
        return _read_json(text, name)
    return read_yaml(text, name)


def _read_bytes(path: Path, name: str) -> bytes:
    try:
        if path.exists() and not path.is_file():  # a device never ends, a pipe may wait
            got = "a folder" if path.is_dir() else "a device or a pipe"
            raise _unreadable(name, "a file", got)
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except SpecError:
        raise
    except FileNotFoundError as error:
        remedy = "Check the path; paths are relative to the current folder."
        raise _unreadable(name, "a spec file", "no such file", remedy=remedy) from error
    except OSError as error:
        raise _unreadable(name, "a readable file", error.strerror or "an error") from error
    except ValueError as error:  # a path with a null character
        raise _unreadable(repr(name), "a path", str(error)) from error
    if len(data) > _MAX_BYTES:
        raise _unreadable(name, f"at most {_MAX_BYTES:,} bytes", "more")
    return data


def read_yaml(text: str, name: str) -> Source:
    """Reads YAML 1.2, in which `1e-3` is a number and `no` is text."""
    loader = YAML(typ="rt", pure=True)
    try:
        _check_events(loader, text, name)
        tree = loader.load(text)
    except SpecError:
        raise
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        key = str(error.problem).partition('"')[2].partition('"')[0]
        raise _twice(name, key, line) from error
    # Its own errors, and what odd text makes it stumble over: a list as a key, a date of
    # no calendar, a thousand brackets.
    except Exception as error:
        mark = getattr(error, "problem_mark", None)
        lines_of = str(error).splitlines() or [type(error).__name__]
        problem = getattr(error, "problem", None) or lines_of[0]
        line = mark.line + 1 if mark else 0
        got = f"the error: {problem}"
        raise _unreadable(name, "YAML that can be read", got, line) from error
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
    depth, anchors = 0, set()
    for event in loader.parse(io.StringIO(text)):
        line, anchor = event.start_mark.line + 1, getattr(event, "anchor", None)
        if anchor in anchors and not isinstance(event, AliasEvent):
            raise _unreadable(
                name, "values written out", f"&{anchor} twice", line, "Remove it."
            )
        anchors |= {anchor} - {None}
        for expected, got, remedy in _not_needed(event):
            raise _unreadable(name, expected, got, line, remedy)
        depth += isinstance(event, CollectionStartEvent)
        depth -= isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _unreadable(name, f"at most {MAX_DEPTH} levels", "more", line)


def _not_needed(event: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(event, DocumentStartEvent) and event.version not in (None, (1, 2)):
        version = ".".join(map(str, event.version))
        yield "YAML 1.2", f"%YAML {version}", "Remove that line."
    if isinstance(event, AliasEvent):
        yield "values written out", f"the alias *{event.anchor}", "Write the value again."
    if getattr(event, "ctag", None) is not None or getattr(event, "tag", None):
        yield "plain values", f"the tag {event.tag}", "Remove it."
    if isinstance(event, ScalarEvent) and event.value == "<<" and not event.style:
        yield "values written out", "the merge key <<", "Write the keys out."


def _plain(node: Any, path: Keys, lines: dict[Keys, int]) -> Any:
    """Returns dicts, lists, str, int, float, bool and None; notes the lines."""
    if isinstance(node, CommentedMap):
        names = {key: key_text(key) or str(key) for key in node}
        for key, name in names.items():
            lines[(*path, name)] = node.lc.key(key)[0] + 1
        return {key: _plain(v, (*path, names[key]), lines) for key, v in node.items()}
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            lines[(*path, index)] = node.lc.item(index)[0] + 1
        return [_plain(v, (*path, i), lines) for i, v in enumerate(node)]
    if isinstance(node, TaggedScalar):  # a bare `=`, which YAML 1.2 has no meaning for
        return str(node.value)
    if isinstance(node, datetime.date):  # YAML 1.2 has no dates: `name: 2026-01-01` is text
        return node.isoformat()
    for kind in (bool, int, float, str):  # ruamel keeps the notation in subclasses
        if isinstance(node, kind):
            return kind(node)
    return node


def _read_json(text: str, name: str) -> Source:
    repeated: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counts = Counter(key for key, _ in pairs)
        repeated.extend(key for key, count in counts.items() if count > 1)
        return dict(pairs)

    try:
        values = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        got = f"the error: {error.msg}"
        raise _unreadable(name, "JSON that can be read", got, error.lineno) from error
    except RecursionError as error:
        raise _unreadable(name, f"at most {MAX_DEPTH} levels", "more") from error
    except ValueError as error:  # an integer of thousands of digits
        raise _unreadable(name, "JSON that can be read", f"the error: {error}") from error
    try:
        lines = read_yaml(text, name).lines  # nearly all JSON is YAML 1.2
    except SpecError:
        if repeated:
            raise  # the same complaint, with its line
        lines = {}
    if repeated:
        raise _twice(name, repeated[0], 0)
    if not isinstance(values, dict):
        raise _unreadable(name, 'keys and values, such as {"seed": 0}', _kind(values))
    return Source(values, name, lines)


def _read_toml(text: str, name: str) -> Source:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        got = f"the error: {str(error).split(' (at ')[0]}"
        raise _unreadable(name, "TOML that can be read", got, line) from error
    except RecursionError as error:
        raise _unreadable(name, f"at most {MAX_DEPTH} levels", "more") from error
    except ValueError as error:  # an integer of thousands of digits
        raise _unreadable(name, "TOML that can be read", f"the error: {error}") from error
    return Source(values, name, toml_lines(text))


def _twice(name: str, key: str, line: int) -> SpecError:
    return _unreadable(name, "each key once", f"{key!r} twice", line, "Remove one of them.")


_KINDS = {dict: "keys and values", list: "a list", str: "text", bool: "true or false"}


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    return next((n for kind, n in _KINDS.items() if isinstance(value, kind)), "a number")


def _unreadable(
    name: str, expected: str, got: str, line: int = 0, remedy: str = ""
) -> SpecError:
    remedy = remedy or (
        "`kfc schema` prints what a spec may hold, `kfc specs digits` shows one."
    )
    return SpecError(
        Fault(name or "spec", expected, got, remedy, f"line {line}" if line else "")
    )
