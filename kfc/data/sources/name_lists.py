"""Shortens lists of names for messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_MOST_CHARACTERS = 80  # of one name


def join_names(names: Iterable[Any], *, most: int = 30) -> str:
    """Returns the names of columns or arrays as one text.

    Args:
        names: Names, which pandas allows to be numbers. Long ones are shortened.
        most: Number of names to show; the others are counted.
    """
    texts = list(map(str, names))
    short = [
        text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."
        for text in texts[:most]
    ]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(short) + more
