"""The one text by which a category is compared, however its cell was written.

A whole number is written `3`, also where its text is `3.0`, as programs write integers beside
missing cells. A boolean is written `true` or `false`, also where its text is `True` or `TRUE`.
No other text changes: `03`, `3.00`, `-0.0` and ` 3` are categories of their own.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
_POINT_ZERO = r"^(0|-?[1-9][0-9]*)\.0$"
_WORDS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}


def one_text(texts: pa.Array) -> pa.Array:
    """Returns the text by which each text is compared.

    Args:
        texts: Texts, of which some may be null.
    """
    if pc.any(pc.ends_with(texts, ".0")).as_py():
        texts = pc.replace_substring_regex(texts, _POINT_ZERO, r"\1")
    words = pc.index_in(texts, pa.array(_WORDS))
    if words.null_count < len(words):
        texts = pc.coalesce(pa.array(_WORDS.values()).take(words), texts)
    return texts


def other_texts(text: str) -> tuple[str, ...]:
    """Returns the other texts that are compared by this one.

    Args:
        text: Text by which a category is compared.
    """
    if _WHOLE.fullmatch(text):
        return (f"{text}.0",)
    return tuple(word for word, shared in _WORDS.items() if shared == text)
