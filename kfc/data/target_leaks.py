"""Finds columns that give the target away, such as a price in another currency.

A column is compared with the target on some rows, and on all rows if it fits there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kfc.data.rows import Rows
from kfc.data.sources import join_names
from kfc.data.tables import ignoring
from kfc.errors import Finding
from kfc.preprocessing import TableEncoding
from kfc.system import chunks

_SAMPLE = 10_000  # rows that a column must fit before all rows are looked at
_FEW = 10  # rows outside the most frequent value that a relation needs
_TWO = 2  # values of a flag
_REPEATS = 20.0  # rows that chance would let contradict a rule
_EXCEPTIONS = 0.001  # share of these that may contradict it: real files have typing errors
_LINEAR = 0.999999  # share of the target's variance that a linear relation explains
_MOST_SUMMED = 100  # numbers of which a sum is looked for; the time grows with the square
_MOST_TERMS, _EQUAL = 4, 0.01  # columns with any factors; of more, the factors are equal
_PART = 0.001  # standard deviations of the target that a column of a sum adds at least


def target_in_column(
    encoding: TableEncoding, train: Rows, others: Mapping[str, Rows]
) -> list[Finding]:
    """Finds columns that tell a target, have its order, or add up to it.

    Args:
        encoding: Encoding of the table.
        train: Encoded training rows.
        others: Other encoded rows, which make no difference here.
    """
    findings: dict[str, Finding] = {}  # a column gives one away, perhaps several
    for y in train.y.reshape(len(train), -1).T:
        for finding in _of_one_target(encoding, train, y):
            findings.setdefault(finding.where, finding)
    return [*findings.values()]


def _of_one_target(encoding: TableEncoding, train: Rows, y: np.ndarray) -> list[Finding]:
    some = np.linspace(0, len(y) - 1, min(len(y), _SAMPLE)).astype(np.int64)
    x_some = np.asarray(train.x[some])
    # Equal rows of one target say nothing: each column would tell it.
    rows = np.c_[x_some, np.unique(y[some], return_inverse=True)[1].reshape(-1)]
    _, once = np.unique(rows, axis=0, return_index=True)
    found = []
    for name, features in encoding.places.items():
        # Where a number or a date has gaps, they are filled, and the last feature marks them.
        has_gaps = features[0] < encoding.num_numbers <= features[-1]
        for feature in features:
            ordered = feature < encoding.num_numbers
            places = [feature, *features[-1:]] if has_gaps and ordered else [feature]
            how = _relation(x_some[once][:, places], y[some][once], ordered)
            if how and len(some) < len(y):
                parts = [part[:, places] for _, part in chunks(train.x)]
                how = _relation(np.concatenate(parts), y, ordered)
            if how:
                found.append(_finding([name], f"a column {how}", len(y)))
                break
    if y.dtype.kind != "f" and not found:
        names = _flags_of_classes(encoding, x_some, y[some])
        if names:
            got = "columns that are flags of the classes, one for each"
            found.append(_finding(names, got, len(y)))
    if y.dtype.kind == "f" and not found:
        names = _summed(encoding, x_some[once], y[some][once])
        if names:
            got = "columns of which a sum, with constant factors, is the target"
            found.append(_finding(names, got, len(y)))
    return found


def _flags_of_classes(encoding: TableEncoding, x: np.ndarray, y: np.ndarray) -> list[str]:
    """Returns the columns that have one value in the rows of a class, and another elsewhere.

    They tell the target if every class, perhaps but one, has such a column; a single one may
    be a rule of nature.
    """
    classes, counts = np.unique(y, return_counts=True)
    found: dict[str, int] = {}
    for name, features in encoding.places.items():
        column = x[:, features[0]]
        if len(features) > 1 or len(np.unique(column)) != _TWO:
            continue
        flags = [np.ptp(column[y == one]) == 0 == np.ptp(column[y != one]) for one in classes]
        if sum(flags) == 1:
            found.setdefault(name, flags.index(True))
    told = set(found.values())
    if len(classes) <= _TWO or len(told) < len(classes) - 1 or min(counts) <= _FEW:
        return []
    return list(found)


def _summed(encoding: TableEncoding, x: np.ndarray, y: np.ndarray) -> list[str]:
    """Returns the numbers of which a weighted sum is the target, or none."""
    x = x[:, : encoding.num_numbers].astype(np.float64)
    if not 1 < x.shape[1] <= _MOST_SUMMED or len(x) < 2 * x.shape[1] + _FEW or np.ptp(y) == 0:
        return []
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    y = (y - y.mean()) / y.std()
    factors = np.linalg.lstsq(x, y)[0]
    if 1 - float(np.square(y - x @ factors).mean()) <= _LINEAR:
        return []
    column_of = {place: name for name, places in encoding.places.items() for place in places}
    terms = np.flatnonzero(np.abs(factors) > _PART)
    # Many columns with a factor of their own each are a linear world, and no parts of a sum.
    weights = np.abs(factors[terms]) / spread[terms]
    if len(terms) > _MOST_TERMS and np.ptp(weights) > _EQUAL * weights.max():
        return []
    return list(dict.fromkeys(column_of[int(place)] for place in terms))


def _finding(names: list[str], got: str, rows: int) -> Finding:
    return Finding(
        f"training rows, {'column' if len(names) == 1 else 'columns'} {join_names(names)}",
        "inputs that leave the target open",
        f"{got}, in {rows:,} rows",
        f"Use {{{names[-1]}: ignore}} in data.columns if it is not known before the target; "
        "else accept: [target_in_column].",
        evidence={"rows": rows, "columns": len(names)},
        cure=ignoring(names[-1:]),
    )


def _relation(features: np.ndarray, y: np.ndarray, ordered: bool) -> str:
    """Returns the way in which a feature gives the target away, or an empty text.

    Args:
        features: The feature, and perhaps another one that marks its gaps, (rows, 1 or 2).
        y: Targets, (rows,).
        ordered: Whether the feature is a number.
    """
    x = features[:, 0]
    if features.shape[1] == 2:
        present = features[:, 1] == 0
        x, y = x[present], y[present]
    if len(x) <= _FEW or not (_varied(x) and _varied(y)):
        return ""
    if _tells(x, y):
        return "whose value tells the target"
    numbers = y.dtype.kind == "f"
    if ordered and numbers:
        same = _rises(x, y) or _rises(-x, y) or _proportional(x, y)
    elif ordered:
        same = _separates(x, y)
    else:
        same = numbers and _separates(y, x)
    return "whose order is that of the target" if same else ""


def _tells(x: np.ndarray, y: np.ndarray) -> bool:
    """Returns whether rows with one value have one target, more often than by chance."""
    usual, exceptions = _usual(x, y)
    return _nearly_none(exceptions, by_chance=(len(x) - len(usual)) * _differ(y))


def _nearly_none(exceptions: float, by_chance: float) -> bool:
    return by_chance >= _REPEATS and exceptions <= _EXCEPTIONS * by_chance


def _differ(values: np.ndarray) -> float:
    """Returns the probability that two random rows have different values."""
    counts = np.unique(values, return_counts=True)[1]
    return 1 - float(((counts / len(values)) ** 2).sum())


def _usual(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, int]:
    """Finds the most frequent `y` of each value of `x`.

    Returns:
        One number for each different value of `x`, in their order: the place of its most
        frequent `y` among the different ones. And the number of rows with another `y`.
    """
    _, places = np.unique(x, return_inverse=True)
    kinds, classes = np.unique(y, return_inverse=True)
    pairs, counts = np.unique(places * len(kinds) + classes, return_counts=True)
    order = np.lexsort((counts, pairs // len(kinds)))  # the most frequent is the last of each
    chosen = order[np.r_[np.diff(pairs[order] // len(kinds)) != 0, True]]
    return pairs[chosen] % len(kinds), len(x) - int(counts[chosen].sum())


def _varied(values: np.ndarray) -> bool:
    """Returns whether enough rows are outside the most frequent value."""
    return len(values) - int(np.unique(values, return_counts=True)[1].max()) >= _FEW


def _rises(x: np.ndarray, y: np.ndarray) -> bool:
    return bool((np.diff(y[np.lexsort((y, x))]) >= 0).all())


def _proportional(x: np.ndarray, y: np.ndarray) -> bool:
    return float(np.corrcoef(x, y)[0, 1]) ** 2 > _LINEAR


def _separates(ordered: np.ndarray, groups: np.ndarray) -> bool:
    """Returns whether each group is an interval of the ordered values, but for few rows."""
    usual, exceptions = _usual(ordered, groups)
    changes = int(np.count_nonzero(np.diff(usual))) - len(np.unique(groups)) + 1
    # A row that is elsewhere makes two changes.
    exceptions_of_order = exceptions + max(changes, 0) / 2
    return _nearly_none(exceptions_of_order, by_chance=len(groups) * _differ(groups))
