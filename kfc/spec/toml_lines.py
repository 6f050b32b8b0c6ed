"""TOML text -> the lines of its tables and keys, which tomllib does not keep.

The text is read once, token by token, so that the cost grows with its length alone. Keys
and brackets that nest too deep are refused here: the cost of tomllib grows with the square
of the parts of a dotted key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

from kfc.spec.key_paths import Keys
from kfc.spec.plain_values import MAX_DEPTH

# The quantifiers are possessive and a closing quote may be missing, so that no part of a
# text is read twice; tomllib says what is wrong with such a text.
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
    """A text that nests deeper than a spec may.

    Args:
        line: Line of the key or bracket, counted from 1.
    """

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line}")
        self.line = line


def toml_lines(text: str) -> dict[Keys, int]:
    """Returns path of keys -> line number; a value over several lines has its key's.

    Args:
        text: Any text; of text that is not TOML the lines mean nothing.

    Raises:
        TooDeepError: If keys or brackets nest deeper than a spec may.
    """
    lines: dict[Keys, int] = {}
    items: dict[Keys, int] = {}  # list of tables -> index of its last one
    table: Keys = ()
    for number, mark, keys in _statements(text):
        if mark == "=":
            lines.setdefault((*table, *keys), number)
            continue
        table = ()
        for key in keys[:-1]:  # a name leads into the last table of a list
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
    """Yields line, `=`, `[` or `[[`, and the keys of each pair and each table's header."""
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
    """Yields kind and text of each token, and an end of line at the end."""
    for match in _TOKEN.finditer(text):
        if match.lastgroup and match.lastgroup != "blank":
            yield match.lastgroup, match[0]
    yield "mark", "\n"


def _key(token: str) -> str:
    """Returns a key without its quotes."""
    try:
        return str(tomllib.loads(f"key = {token}")["key"]) if token[0] in "\"'" else token
    except tomllib.TOMLDecodeError:  # tomllib says so when it reads the whole text
        return token
