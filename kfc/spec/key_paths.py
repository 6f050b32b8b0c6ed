"""Converts dotted paths such as `network.hidden[0].units` to tuples of keys, and back."""

from __future__ import annotations

import re

Keys = tuple[str | int, ...]


def dotted(path: Keys) -> str:
    """Returns the dotted path of keys, such as `network.hidden[0].units`; it is printable."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            name = key if key.isprintable() and key.strip() else repr(key)
            text += f".{name}" if text else name
    return text


def split_path(text: str) -> Keys:
    """Returns the keys of `network.hidden[0].units`, or of `network.hidden.0.units`."""
    parts = re.sub(r"\[(\d+)\]", r".\1", text).split(".")
    return tuple(int(part) if _is_index(part) else part for part in parts)


def _is_index(part: str) -> bool:
    # Python raises an error for numbers of thousands of digits, and no list is so long.
    return part.isdecimal() and len(part) < 10
