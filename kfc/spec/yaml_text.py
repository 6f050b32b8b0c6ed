"""Parses YAML 1.2 to plain values, and records the line of each value.

ruamel.yaml converts the text to a stream of events. This module builds the values from the
events, for two reasons: each scalar follows the core schema of YAML (section 10.3.2 of its
specification), and every limit is checked before a large value exists.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
)
from ruamel.yaml.scanner import Scanner

from kfc.errors import Finding, SpecError
from kfc.spec.key_paths import Keys
from kfc.spec.plain_values import MAX_DEPTH, MAX_VALUES, key_text, shown_value

_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")
_WHITE = (" ", "\t")
_SCALARS = (
    (_NULL, lambda text: None),
    (_TRUE, lambda text: True),
    (_FALSE, lambda text: False),
    (_INT, int),
    (_OCTAL, lambda text: int(text, 8)),
    (_HEXADECIMAL, lambda text: int(text, 16)),
    (_FLOAT, float),
    (_INFINITY, lambda text: float(text.replace(".", ""))),
    (_NAN, lambda text: float("nan")),
)


def core_scalar(text: str) -> Any:
    """Returns the value of a plain scalar in the core schema of YAML 1.2.

    Args:
        text: The scalar, such as `1e-3`, `true` or `relu`.

    Raises:
        ValueError: If the scalar is an integer of more digits than Python reads.
    """
    for pattern, read in _SCALARS:
        if pattern.fullmatch(text):
            return read(text)
    return text


class _Scanner(Scanner):
    """The scanner of ruamel.yaml, with the parts of YAML 1.2 that it lacks.

    A tab may separate tokens, and may be on a line without content; it may not indent. In
    flow style, a key may end on an earlier line than its colon, and a question mark without
    a space begins a plain scalar.
    """

    def scan_to_next_token(self) -> None:
        super().scan_to_next_token()
        while self.reader.peek() == "\t":
            if not self.flow_level and self._would_indent():
                return
            while self.reader.peek() in _WHITE:
                self.reader.forward()
            super().scan_to_next_token()

    def _would_indent(self) -> bool:
        """Returns whether the white space here begins a line with content."""
        reader, length = self.reader, 0
        before = reader.buffer[reader.pointer - reader.column : reader.pointer]
        while reader.peek(length) in _WHITE:
            length += 1
        return not before.strip(" \t\ufeff") and reader.peek(length) not in "#\r\n\0"

    def stale_possible_simple_keys(self) -> None:
        for level, key in self.possible_simple_keys.items():
            if level:  # in flow style, the end of a line does not end a key
                key.line = self.reader.line
        super().stale_possible_simple_keys()

    def check_key(self) -> bool:
        return self.reader.peek(1) in " \t\r\n\0" + ",]}" * bool(self.flow_level)

    def check_plain(self) -> bool:
        in_flow = bool(self.flow_level) and self.reader.peek() == "?"
        return in_flow or bool(super().check_plain())


@dataclass
class _Collection:
    """A mapping or a list that is not complete yet."""

    values: Any
    path: Keys
    key: Any = None
    has_key: bool = False


def yaml_values(text: str, lines: dict[Keys, int]) -> Any:
    """Returns the value of the one document in `text`, made of dicts, lists and scalars.

    Args:
        text: Text in YAML 1.2.
        lines: Dict that gets the line of each value by its path of keys, from 1.

    Raises:
        SpecError: If the text has features that a spec does not need; `where` is empty.
        ruamel.yaml.error.YAMLError: If the text is not YAML.
        ValueError: If the text has an integer of thousands of digits.
    """
    loader = YAML(typ="safe", pure=True)
    loader.Scanner = _Scanner
    return _Builder(lines).build(loader.parse(io.StringIO(text)))


class _Builder:
    """Builds values from events."""

    def __init__(self, lines: dict[Keys, int]) -> None:
        self.lines = lines
        self.open: list[_Collection] = []
        self.count = 0
        self.root: Any = None

    def build(self, events: Iterator[Any]) -> Any:
        """Returns the value of the one document."""
        documents = 0
        for event in events:
            line = event.start_mark.line + 1
            for expected, got, remedy in _not_needed(event):
                raise refusal(expected, got, line, remedy)
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    got = "the error: another document"
                    raise refusal("YAML that can be read", got, line, "Keep one of them.")
            elif isinstance(event, CollectionStartEvent):
                self._begin(event, line)
            elif isinstance(event, CollectionEndEvent):
                self.open.pop()
            elif isinstance(event, ScalarEvent):
                plain = event.style is None and event.implicit[0]
                self._add(core_scalar(event.value) if plain else event.value, event, line)
        return self.root

    def _begin(self, event: Any, line: int) -> None:
        if len(self.open) >= MAX_DEPTH:
            raise refusal(f"at most {MAX_DEPTH} levels", "more", line)
        values: Any = {} if isinstance(event, MappingStartEvent) else []
        path = self._add(values, event, line)
        self.open.append(_Collection(values, path))

    def _add(self, value: Any, event: Any, line: int) -> Keys:
        """Adds the next value of the stream to the open collection; returns its path."""
        self.count += 1
        if self.count > MAX_VALUES:
            raise refusal(f"at most {MAX_VALUES:,} keys and values", "more", line)
        if not self.open:
            self.root = value
            return ()
        into = self.open[-1]
        if isinstance(into.values, list):
            path: Keys = (*into.path, len(into.values))
            into.values.append(value)
        elif not into.has_key:
            into.key, into.has_key = self._key(into, value, event, line), True
            return (*into.path, into.key)
        else:
            path = (*into.path, into.key)
            into.values[into.key], into.has_key = value, False
            return path
        self.lines[path] = line
        return path

    def _key(self, into: _Collection, key: Any, event: Any, line: int) -> str:
        """Checks a key of a mapping; returns it as text."""
        name = None if isinstance(key, (dict, list)) else key_text(key)
        if name is None:
            got = "a list or a mapping" if isinstance(key, (dict, list)) else shown_value(key)
            raise refusal("keys that are text", got, line, "Quote the key.")
        if name == "<<" and event.style is None:
            raise refusal(
                "values written out", "the merge key <<", line, "Write the keys out."
            )
        if name in into.values:
            raise refusal("each key once", f"{name!r} twice", line, "Remove one of them.")
        self.lines[(*into.path, name)] = line
        return name


def _not_needed(event: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(event, DocumentStartEvent) and event.version not in (None, (1, 2)):
        version = ".".join(map(str, event.version))
        yield "YAML 1.2", f"%YAML {version}", "Remove that line."
    if isinstance(event, AliasEvent):
        yield "values written out", f"the alias *{event.anchor}", "Write the value again."
    if getattr(event, "ctag", None) is not None or getattr(event, "tag", None):
        yield "plain values", f"the tag {event.tag}", "Remove it."


def refusal(expected: str, got: str, line: int = 0, remedy: str = "") -> SpecError:
    """Returns the error for a text that cannot be a spec; the caller adds the file."""
    return SpecError(Finding("", expected, got, remedy, f"line {line}" if line else ""))
