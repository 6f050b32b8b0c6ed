"""TOML text -> the lines of its tables and keys, which tomllib does not keep."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from kfc.spec.paths import Keys

_MAX_KEY_LINE = 400  # characters of a line in which its key is looked for
_TABLE = re.compile(r"\s*(\[{1,2})\s*([^\]]+?)\s*\]{1,2}")
_KEY = re.compile(r"""\s*([\w.\-"' ]+?)\s*=""")


def toml_lines(text: str) -> dict[Keys, int]:
    """Returns path of keys -> line number; a value over several lines has its key's.

    Args:
        text: TOML that tomllib has read.
    """
    lines: dict[Keys, int] = {}
    table: Keys = ()
    for number, whole in enumerate(text.split("\n"), start=1):
        line = whole[:_MAX_KEY_LINE]  # or a line of blanks takes the patterns minutes
        if match := _TABLE.match(line):
            table = _toml_keys(match[2])
            if match[1] == "[[":  # one more item of a list
                items = [keys for keys in lines if keys[:-1] == table and len(keys) > 1]
                count = sum(isinstance(keys[-1], int) for keys in items)
                lines.setdefault(table, number)
                table = (*table, count)
            lines.setdefault(table, number)
        elif match := _KEY.match(line):
            lines.setdefault((*table, *_toml_keys(match[1])), number)
    return lines


def _toml_keys(text: str) -> Keys:
    try:
        node: Any = tomllib.loads(f"{text} = 0")
    except (tomllib.TOMLDecodeError, RecursionError):  # not a key: inside a longer text
        return (text,)
    keys: list[str | int] = []
    while isinstance(node, dict):
        ((key, node),) = node.items()
        keys.append(key)
    return tuple(keys)
