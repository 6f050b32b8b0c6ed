"""Proposes the types of columns that are numbers, and of those whose values are only names."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfc.data.tables.cell_texts import Distinct, is_text, named_categories
from kfc.data.tables.date_texts import read_dates
from kfc.preprocessing import Pieces, counted_values

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
    present = (numbers.drop_null() if numbers.null_count else numbers).to_numpy()
    return replace(number_type_of(name, lambda: [present], len(numbers)), values=numbers)


def number_type_of(name: str, pieces: Pieces, rows: int) -> ProposedType:
    """Finds the same as `number_type` of a column that is read in pieces.

    Args:
        name: Name of the column.
        pieces: Function that reads the numbers that are not missing.
        rows: Number of rows, missing numbers included.
    """
    distinct = present = 0
    ends: list[np.ndarray] = []
    for values, counts in counted_values(pieces):
        distinct, present = distinct + len(values), present + int(counts.sum())
        ends += [values[:1], values[-1:]]
    if distinct == 1 and rows == present:
        return ProposedType("ignore", "the same in every row", 1)
    found = np.concatenate(ends)
    # Infinite values are at the ends.
    whole = bool(np.isfinite(found).all()) and all(map(_whole, pieces()))
    if whole and distinct == rows:
        width = float(found[-1]) - float(found[0])
        if is_id_name(name) or (rows > 50 and width == rows - 1) or _counts_up(pieces, rows):
            return ProposedType("ignore", "an id: a different integer in every row", distinct)
    return ProposedType("number", "integers" if whole else "numbers", distinct)


def _whole(values: np.ndarray) -> bool:
    return all(bool(np.all(part == np.floor(part))) for part in (values[:1000], values))


def _counts_up(pieces: Pieces, rows: int) -> bool:
    """Returns whether numbers grow by 1 from row to row."""
    last = np.empty(0)
    for piece in pieces():
        if not bool(np.all(np.diff(np.append(last, piece)) == 1)):
            return False
        last = piece[-1:] if len(piece) else last
    return rows >= 10


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
