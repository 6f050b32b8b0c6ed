"""Proposes the types of columns that are numbers, and of those whose values are only names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.data.tables.cell_texts import Distinct, is_text, named_categories
from kfc.data.tables.date_texts import read_dates

_ID_NAME = re.compile(
    r"(?:^|[^A-Za-z])(?:id|ids|nr|no|number|index|idx|key|row|uuid|guid)$|^[a-z]?id$", re.I
)
_CAMEL_ID = re.compile(r"[a-z](?:Id|ID)$")
_FREE_WORDS = 3
_COMPACT = "%Y%m%d"


@dataclass(frozen=True)
class ProposedType:
    """A proposed type; `values` is the converted column where it is at hand."""

    kind: Literal["number", "category", "boolean", "date", "ignore"]
    why: str
    distinct: int
    form: str | None = None
    values: pa.ChunkedArray | None = None


def number_type(name: str, numbers: pa.ChunkedArray) -> ProposedType:
    """Finds whether numbers are an id, line 3c, or one value in every row."""
    rows = len(numbers)
    present = (numbers.drop_null() if numbers.null_count else numbers).to_numpy()
    ordered = np.sort(present)
    distinct = 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))
    if distinct == 1 and rows == len(present):
        return ProposedType("ignore", "the same in every row", 1)
    # NaN and infinite values are at the ends.
    finite = bool(np.isfinite(ordered[:1]).all() and np.isfinite(ordered[-1:]).all())
    whole = finite and all(_whole(part) for part in (present[:1000], present))
    if whole and distinct == rows and _is_id(name, present, ordered):
        return ProposedType("ignore", "an id: a different integer in every row", distinct)
    why = "integers" if whole else "numbers"
    return ProposedType("number", why, distinct, values=numbers)


def _whole(values: np.ndarray) -> bool:
    return bool(np.all(values == np.floor(values)))


def _is_id(name: str, values: np.ndarray, ordered: np.ndarray) -> bool:
    rows = len(values)
    if is_id_name(name):
        return True
    if rows >= 10 and bool(np.all(np.diff(values) == 1)):
        return True
    return rows > 50 and float(ordered[-1] - ordered[0]) == rows - 1


def is_id_name(name: str) -> bool:
    """Returns whether the name of a column says that it holds an id."""
    return bool(_ID_NAME.search(name) or _CAMEL_ID.search(name))


def are_days(numbers: pa.ChunkedArray) -> bool:
    """Returns whether all numbers are days such as 20130131, from 1900 to 2100."""
    for part in (numbers.slice(0, 1000), numbers):  # most columns fail at once
        ends = pc.min_max(part).as_py()
        if ends["min"] is not None and not 19000101 <= ends["min"] <= ends["max"] <= 21001231:
            return False
    days = numbers.drop_null().to_numpy()
    if bool(np.any(days != np.floor(days))):
        return False
    texts = pa.array(np.unique(days).astype(np.int64)).cast(pa.string())
    return bool(read_dates(texts, _COMPACT)[1].all())


def day_type(values: pa.ChunkedArray, distinct: int) -> ProposedType:
    """Returns the type of a column of numbers that are days."""
    same = distinct == 1 and not values.null_count
    if same:
        return ProposedType("ignore", "the same in every row", 1)
    return ProposedType("date", f"dates {_COMPACT}", distinct, _COMPACT)


def word_type(found: Distinct, why: str) -> ProposedType:
    """Tells categories from ids, names and free text, line 6 of the rule."""
    present = int(np.count_nonzero(found.rows >= 0))
    if len(found.values) == 1 and present == len(found.rows):
        return ProposedType("ignore", "the same in every row", 1)
    if (name := name_type(found.values, present)) is not None:
        return name
    return ProposedType("category", why, len(found.values), values=named_categories(found))


def name_type(values: pa.Array, present: int) -> ProposedType | None:
    """Returns the type of an id, a name or free text, line 6; None for a category.

    Args:
        values: The different values in any order.
        present: Number of rows with a value.
    """
    distinct = len(values)
    if 2 * distinct > present and present > 1 and is_text(values.type):
        words = 1 + float(pc.mean(pc.count_substring(values, " ")).as_py())
        if words > _FREE_WORDS and present >= 20:
            return ProposedType("ignore", f"free text: {words:.0f} words on average", distinct)
    if (distinct == present >= 20) or (distinct > 0.9 * present and present > 50):
        return ProposedType(
            "ignore", "an id or a name: different in nearly every row", distinct
        )
    return None
