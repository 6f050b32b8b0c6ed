"""Finds values that were written or converted wrongly: the stage `parts`."""

from __future__ import annotations

import numpy as np

from kfc.data.part_checks import Parts
from kfc.errors import Finding

_LOWEST, _END = -128, 16  # of int8, and numbers that count as its end
_AT_ENDS = 0.02  # share of numbers other than 0 at each end; of even ones it is a sixteenth
_LEFT_OUT = 2  # values; three of one size may be a second group
_SHARE = 0.9  # of the sum of squares, without which no two values are most of it
_TIMES = 10.0  # deviation of all values, by that of the others
_OF_TARGETS = "Correct or drop the row; of numbers over many powers of ten take the logarithm."
_RANGES = 30.0  # of all others, by which the value is beyond them
_FEWEST = 20  # values, of which a deviation is known
_DISTINCT = 10  # others, without which a column is one of flags
_MOST_COLUMNS = 3  # that are named


def value_far_away(parts: Parts) -> list[Finding]:
    """Finds one or two values that are most of the deviation of their column.

    A typing error or another unit is the usual cause. Divided by such a deviation, all other
    values are nearly equal.
    """
    found: list[Finding] = []
    if not parts.class_names:
        targets = np.asarray(parts.train.y).reshape(len(parts.train), -1)
        for column in targets.T:
            found += _far(column, "targets of the training rows", _OF_TARGETS, {})
    if parts.pixels or parts.limited:
        return found[:_MOST_COLUMNS]
    x = parts.flat
    may_be = _dominated(x)
    for name, places in parts.columns.items() if may_be.any() else ():
        if len(places) == 1 and name not in parts.codes and may_be[places[0]]:
            remedy = "Correct the cell, or set data.scale to robust_clip."
            where, cure = f"training rows, column {name}", {"data.scale": "robust_clip"}
            found += _far(x[:, places[0]], where, remedy, cure)
    return found[:_MOST_COLUMNS]


def bytes_wrapped(parts: Parts) -> Finding | None:
    """Finds bytes that were cast to int8, so that 128 to 255 became -128 to -1.

    Numbers that were measured below and above 0 are rare at both ends; of pixels the values
    around 128 are as frequent as others, and 0 is black.
    """
    x = parts.flat
    if parts.pixels or x.dtype.kind != "f" or not x.size:
        signed = x.dtype == np.int8
    else:
        signed = (
            x.min() >= _LOWEST and x.max() <= -_LOWEST - 1 and bool((x == np.rint(x)).all())
        )
    if not signed:
        return None
    counts = np.bincount((x.astype(np.int64) - _LOWEST).reshape(-1), minlength=256)
    ends = counts[:_END].sum(), counts[-_END:].sum()
    others = x.size - counts[-_LOWEST]
    if counts.argmax() != -_LOWEST or min(ends) < _AT_ENDS * others:
        return None
    return Finding(
        "training rows",
        "pixels from 0 to 255",
        f"integers from {x.min():g} to {x.max():g}; of those other than 0 "
        f"{sum(ends) / others:.0%} are within {_END} of the ends",
        "Cast them with astype(np.uint8): int8 has made 256 less of those above 127.",
        evidence={"at_ends": float(sum(ends) / others)},
    )


def labels_differ_in_case(parts: Parts) -> Finding | None:
    """Finds classes whose names are the same word in small and in capital letters.

    Single letters may be classes of their own.
    """
    words: dict[str, list[str]] = {}
    for name in parts.class_names:
        if len(name.strip()) > 1:
            words.setdefault(name.strip().casefold(), []).append(name)
    same = [names for names in words.values() if len(names) > 1]
    if not same:
        return None
    return Finding(
        "targets of the training rows",
        "classes whose names are different words",
        f"{len(same)} words in several forms, such as {' and '.join(map(repr, same[0]))}",
        "Write each class in one way, for example with numpy.char.lower(y).",
        evidence={"words": len(same), "classes": len(parts.class_names)},
    )


def _dominated(x: np.ndarray) -> np.ndarray:
    """Returns for each column whether its farthest values may be most of its variance."""
    mean = x.mean(axis=0, dtype=np.float64)
    farthest = np.maximum(x.max(axis=0) - mean, mean - x.min(axis=0))
    of_all = len(x) * x.var(axis=0, dtype=np.float64)
    return np.asarray(_LEFT_OUT * farthest**2 >= _SHARE * of_all)


def _far(column: np.ndarray, where: str, remedy: str, cure: dict[str, str]) -> list[Finding]:
    """Returns the finding for the values of one column, or none."""
    if len(column) < _FEWEST:
        return []
    values = column.astype(np.float64)
    deviation = float(values.std())
    order = np.argsort(np.abs(values - np.median(values)))
    others, extreme = values[order[:-_LEFT_OUT]], values[order[-1]]
    usual = float(others.std())
    if not 0 < _TIMES * usual < deviation or len(np.unique(others)) < _DISTINCT:
        return []
    low, high = float(others.min()), float(others.max())
    if not max(low - extreme, extreme - high) > _RANGES * (high - low):
        return []  # the end of a long tail, as of sums that are mostly 0
    return [
        Finding(
            where,
            "values of which none is most of the deviation",
            f"{extreme:g}, while the others are from {low:g} to {high:g}: "
            f"the deviation is {deviation / usual:.3g} times that of the others",
            remedy,
            evidence={"value": float(extreme), "times_deviation": deviation / usual},
            cure=cure,
        )
    ]
