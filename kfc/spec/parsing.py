"""Parses the text of a spec as YAML, TOML or JSON, and keeps the line of each value."""

from __future__ import annotations

import codecs
import json
import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kfc.errors import Finding, SpecError
from kfc.spec.key_paths import Keys
from kfc.spec.plain_values import MAX_DEPTH
from kfc.spec.suggestions import suggested_file
from kfc.spec.toml_lines import TooDeepError, toml_lines
from kfc.spec.yaml_text import yaml_values
from kfc.system import atomic, safe_open

SUFFIXES = (".yaml", ".yml", ".toml", ".json")
_MAX_BYTES = 100_000  # a spec is one page; more YAML would take many seconds to parse


@dataclass(frozen=True)
class SpecText:
    """Plain values of a spec, and the lines of its file.

    Args:
        values: Values of the text: dicts, lists, text, numbers, booleans and None.
        name: Name of the file as the user gave it; empty for a dict.
        lines: Line number of each path of keys, from 1.
        overridden: Paths that the command line or `overrides=` has set.
    """

    values: dict[str, Any]
    name: str = ""
    lines: Mapping[Keys, int] = field(default_factory=dict)
    overridden: frozenset[Keys] = frozenset()

    def is_overridden(self, path: Keys) -> bool:
        """Returns whether an override has set the value at `path`."""
        return any(path[:end] in self.overridden for end in range(len(path) + 1))

    def line(self, path: Keys) -> str:
        """Returns the line of a path, such as `my.yaml, line 7`; nothing for a dict."""
        if self.is_overridden(path):
            return "override"
        inside = any(override[: len(path)] == path for override in self.overridden)
        if inside and path not in self.lines:
            return "override"
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return f"{self.name}, line {self.lines[path[:end]]}"
        return self.name


def read_file(path: Path) -> SpecText:
    """Reads a YAML 1.2, TOML or JSON file; the ending of its name decides the format.

    Raises:
        SpecError: If the file cannot be read, has syntax errors, or has features that a spec
            does not need: aliases, merge keys, tags or duplicate keys.
    """
    return parsed(file_text(path), path)


def parsed(text: str, path: Path) -> SpecText:
    """Reads the text of a YAML, TOML or JSON file, as `read_file` does.

    Raises:
        SpecError: If it has errors.
    """
    if path.suffix.lower() == ".toml":
        return _read_toml(text, str(path))
    if path.suffix.lower() == ".json":
        return _read_json(text, str(path))
    return read_yaml(text, str(path))


def file_text(path: Path) -> str:
    """Reads the text of a file whose name has the ending of a spec's.

    Raises:
        SpecError: If the file cannot be read, or is neither UTF-8 nor YAML in UTF-16.
    """
    name = str(path)
    if path.suffix.lower() not in SUFFIXES:
        expected, ending = (
            f"a file ending in {', '.join(SUFFIXES)}",
            path.suffix or "no ending",
        )
        raise _unreadable(name, expected, ending, remedy=suggested_file(path, SUFFIXES))
    data = _read_bytes(path, name)
    utf_16 = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    is_yaml = path.suffix.lower() in (".yaml", ".yml")  # only YAML may be UTF-16
    try:
        return data.decode("utf-16" if utf_16 and is_yaml else "utf-8-sig")
    except UnicodeDecodeError as error:
        got, line = f"byte {data[error.start]:#x}", data[: error.start].count(b"\n") + 1
        raise _unreadable(name, "UTF-8 text", got, line, "Save it as UTF-8.") from error


def _read_bytes(path: Path, name: str) -> bytes:
    try:
        with atomic.open_to_read(path) as file:
            data = file.read(_MAX_BYTES + 1)
    except safe_open.NotRegularError as error:
        raise _unreadable(name, "a file", str(error)) from error
    except FileNotFoundError as error:
        near = suggested_file(path, SUFFIXES)
        remedy = f"{near}Check the path; paths are relative to the current folder."
        raise _unreadable(name, "a spec file", "no such file", remedy=remedy) from error
    except OSError as error:
        raise _unreadable(name, "a readable file", error.strerror or "an error") from error
    except ValueError as error:  # a path with a null character
        raise _unreadable(repr(name), "a path", str(error)) from error
    if len(data) > _MAX_BYTES:
        raise _unreadable(name, f"at most {_MAX_BYTES:,} bytes", "more")
    return data


def read_yaml(text: str, name: str) -> SpecText:
    """Reads YAML 1.2 with the scalars of its core schema.

    `1e-3` is a number; `no`, `1_000` and `2026-01-31` are text.

    Args:
        text: Text of one document.
        name: Name of the file in messages; empty if there is no file.

    Raises:
        SpecError: If the text is not YAML, or has features that a spec does not need.
    """
    lines: dict[Keys, int] = {}
    try:
        values = yaml_values(text, lines)
    except SpecError as error:
        (finding,) = error.findings
        raise _unreadable(
            name, finding.expected, finding.got, remedy=finding.remedy, at=finding.line
        ) from error
    # ruamel.yaml raises its own errors, and others for unusual text: an integer of thousands
    # of digits, an escape that is not a character.
    except Exception as error:
        mark = getattr(error, "problem_mark", None)
        lines_of = str(error).splitlines() or [type(error).__name__]
        problem = getattr(error, "problem", None) or lines_of[0]
        line = mark.line + 1 if mark else 0
        got = f"the error: {problem}"
        raise _unreadable(name, "YAML that can be read", got, line) from error
    if not isinstance(values, dict):
        raise _unreadable(name, "keys and values, such as 'seed: 0'", _kind(values))
    return SpecText(values, name, lines)


def read_value(text: str) -> Any:
    """Returns the value of one override, read as YAML: `[256, 128]`, `1e-3`, `relu`."""
    try:
        return read_yaml(f"value: {text}", "").values["value"]
    except SpecError:
        return text


def _read_json(text: str, name: str) -> SpecText:
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
            raise  # the same error, with its line
        lines = {}
    if repeated:
        raise _twice(name, repeated[0], 0)
    if not isinstance(values, dict):
        raise _unreadable(name, 'keys and values, such as {"seed": 0}', _kind(values))
    return SpecText(values, name, lines)


def _read_toml(text: str, name: str) -> SpecText:
    try:
        lines = toml_lines(text)  # before tomllib, which takes minutes over a deep key
        values = tomllib.loads(text)
    except TooDeepError as error:
        raise _unreadable(name, f"at most {MAX_DEPTH} levels", "more", error.line) from error
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        got = f"the error: {str(error).split(' (at ')[0]}"
        raise _unreadable(name, "TOML that can be read", got, line) from error
    except ValueError as error:  # an integer of thousands of digits
        raise _unreadable(name, "TOML that can be read", f"the error: {error}") from error
    return SpecText(values, name, lines)


def _twice(name: str, key: str, line: int) -> SpecError:
    return _unreadable(name, "each key once", f"{key!r} twice", line, "Remove one of them.")


_KINDS = {dict: "keys and values", list: "a list", str: "text", bool: "true or false"}


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    return next((n for kind, n in _KINDS.items() if isinstance(value, kind)), "a number")


def _unreadable(
    name: str, expected: str, got: str, line: int = 0, remedy: str = "", *, at: str = ""
) -> SpecError:
    remedy = remedy or (
        "`kfc schema` prints every key of a spec, `kfc specs digits` an example."
    )
    return SpecError(
        Finding(name or "spec", expected, got, remedy, f"line {line}" if line else at)
    )
