"""Finds the lines of the tables and keys of a TOML text, which tomllib does not report.

The text is read once, token by token, so the time is proportional to its length. Keys and
brackets that are nested too deeply are an error here, because the time of tomllib grows with
the square of the number of parts of a dotted key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

from kfc.spec.key_paths import Keys
from kfc.spec.plain_values import MAX_DEPTH

# The quantifiers are possessive and a closing quote may be missing, so that no part of a text
# is read twice; tomllib reports the missing quote.
_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r]++ | \#[^\n]*+)
    | (?P<quoted>
        \"{3}(?:[^"\\]|\\.|"{1,2}(?!"))*+(?:"{3,5})?
        | '{3}(?:[^']|'{1,2}(?!'))*+(?:'{3,5})?
        | "(?:[^"\\\n]|\\[^\n])*+"?
        | '[^'\n]*+'?
      )
    | (?P<word>[^\s"'\#\[\]{}=,.]++)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class TooDeepError(ValueError):
    """A text is nested more deeply than a spec may be.

    Args:
        line: Line of the key or bracket, from 1.
    """

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line}")
        self.line = line


def toml_lines(text: str) -> dict[Keys, int]:
    """Returns the line number of each path of keys; a long value has the line of its key.

    Args:
        text: Any text; if it is not TOML, the result has no meaning.

    Raises:
        TooDeepError: If keys or brackets are nested more deeply than in a spec.
    """
    lines: dict[Keys, int] = {}
    items: dict[Keys, int] = {}  # index of the last table of each list of tables
    table: Keys = ()
    for number, mark, keys in _statements(text):
        if mark == "=":
            lines.setdefault((*table, *keys), number)
            continue
        table = ()
        for key in keys[:-1]:  # the name of a list of tables stands for its last table
            table = (*table, key)
            table = (*table, items[table]) if table in items else table
        table = (*table, *keys[-1:])
        lines.setdefault(table, number)
        if mark == "[[":
            items[table] = items.get(table, -1) + 1
            table = (*table, items[table])
            lines.setdefault(table, number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Yields (line, `=`, keys) of each pair and (line, `[` or `[[`, keys) of each header."""
    number, depth, dots = 1, 0, 0
    header, in_value = "", False
    keys: list[str] = []
    for kind, token in _tokens(text):
        dots = dots + 1 if token == "." else dots if kind != "mark" else 0
        if dots >= MAX_DEPTH:
            raise TooDeepError(number)
        if token == "\n" and not depth:
            if header and keys:
                yield number, header, tuple(keys)
            header, keys, in_value = "", [], False
        elif in_value:
            depth += (token in ("[", "{")) - (token in ("]", "}"))
            if depth > MAX_DEPTH:
                raise TooDeepError(number)
        elif token == "[":
            header += token
        elif token == "=":
            yield number, token, tuple(keys)
            header, in_value = "", True
        elif kind != "mark":
            keys.append(_key(token))
        number += token.count("\n")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yields the kind and text of each token, and a final end of line."""
    for match in _TOKEN.finditer(text):
        if match.lastgroup and match.lastgroup != "blank":
            yield match.lastgroup, match[0]
    yield "mark", "\n"


def _key(token: str) -> str:
    """Returns a key without its quotes."""
    try:
        return str(tomllib.loads(f"key = {token}")["key"]) if token[0] in "\"'" else token
    except tomllib.TOMLDecodeError:  # reported when tomllib reads the complete text
        return token
