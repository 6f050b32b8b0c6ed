"""Checks of the parts of the data, once their rows are encoded: the stage `parts`.

They compare parts with each other, and look at training rows as a whole. All are warnings.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kfc.data.evenly_spaced import evenly
from kfc.data.preparation import Prepared
from kfc.data.repeated_rows import chance_of_equal_rows, is_by_chance
from kfc.data.row_keys import row_keys
from kfc.data.rows import Rows
from kfc.data.sources import join_names
from kfc.errors import Finding
from kfc.findings import find_by, run_checks
from kfc.spec import Spec

_MOST_ROWS = 10_000  # training rows of which columns are compared
_EXPECTED = 10.0  # rows of a class that a part should have: none has probability e^-10
_CHANCE = 1e-6  # probability below which a difference of shares is none of chance
_SHARES = 0.1  # rows whose class would have to change, as a share
_DOMINANT = 0.975  # 39 of 40 rows, as which a constant answer is right; 97 to 3 is common
_SORTED = 0.1  # changes of the class from row to row, of those of a random order
_ALIKE = 0.9  # correlation of a target with the row before
_MANY_VALUES = 10  # values of a column whose repetition is no coincidence
_MOST_CONSTANT = 0.5
_REPEATED, _FAR = 3, 3.0  # rows with one value, at so many ranges of all others
_MOST_COLUMNS = 3  # that are named
_LEAST, _LEAST_SHARE = 10, 0.01  # rows that contradict each other
_LIMITED = ("robust_clip", "quantile")
_LEAST_ROWS = 50  # below that an order or a share says nothing


@dataclass(frozen=True)
class PlainColumns:
    """The columns of an array, as `TableEncoding` has those of a table.

    Args:
        places: Features of each column by its name.
        num_numbers: Number of features that are numbers.
    """

    places: Mapping[str, range]
    num_numbers: int

    @classmethod
    def of(cls, rows: Rows) -> PlainColumns:
        """Returns a column for each feature, named as in messages."""
        features = int(np.prod(rows.x.shape[1:], dtype=np.int64))
        names = rows.feature_names or [f"x[{number}]" for number in range(features)]
        places = {name: range(n, n + 1) for n, name in enumerate(names)}
        return cls(places, features)


@dataclass(frozen=True)
class Parts:
    """Encoded rows of all parts, with the facts that their checks need.

    Args:
        train: Training rows; their targets are numbers of classes, or numbers.
        others: Rows that are only measured, by their name in messages, such as `test rows`.
        class_names: Names of the classes; empty for a regression.
        shuffle: Whether each epoch has a new order of rows.
        pixels: Whether the inputs are pixels, many of which are usually constant.
        limited: Whether the scaling limits the inputs, so that none is far from the others.
        of_table: Whether the rows are those of a table, whose columns have been checked.
        by_time: Whether the parts follow each other in time, or have other groups, and so
            may differ.
        weighted: Whether classes have weights.
        places: Features of each column of a table by its name; None for an array.
        codes: Names of the columns of a table that are numbers of categories.
    """

    train: Rows
    others: Mapping[str, Rows] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    shuffle: bool = True
    pixels: bool = False
    limited: bool = False
    of_table: bool = False
    by_time: bool = False
    weighted: bool = False
    places: Mapping[str, Sequence[int]] | None = None
    codes: Collection[str] = ()

    @classmethod
    def of(cls, spec: Spec, prepared: Prepared) -> Parts:
        """Returns the parts of prepared data."""
        names = {"val": "validation rows", "test": "test rows"}
        task = prepared.task
        return cls(
            prepared.train,
            {names[prefix]: rows for prefix, rows in prepared.held_out.items()},
            task.class_names,
            shuffle=spec.training.shuffle,
            pixels=task.input_dtype == "uint8",
            limited=prepared.resolved.get("scale", spec.data.scale) in _LIMITED,
            of_table=task.table is not None,
            by_time=spec.data.order is not None or spec.data.groups is not None,
            weighted=spec.training.class_weight is not None,
            places=task.encoding.places if task.encoding else None,
            codes=[code.name for code in task.encoding.codes] if task.encoding else (),
        )

    @property
    def columns(self) -> Mapping[str, Sequence[int]]:
        """Features of each column, also of an array, by its name."""
        return PlainColumns.of(self.train).places if self.places is None else self.places

    @property
    def flat(self) -> np.ndarray:
        """Some training inputs, at most 10,000, evenly spaced, (rows, features)."""
        x = np.asarray(self.train.take(evenly(len(self.train), _MOST_ROWS)).x[:])
        return x.reshape(len(x), -1)


def check_parts(parts: Parts, accept: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    """Runs the checks of the stage `parts`, and those of tables that arrays need too.

    Args:
        parts: Encoded rows.
        accept: Codes or names of the checks that are left out.

    Returns:
        The findings, which are warnings.
    """
    found = run_checks("parts", parts, accept=accept)
    if parts.of_table or parts.train.on_disk:
        return found  # a table was looked at, and files are too long to read again
    rows = PlainColumns.of(parts.train), _flat(parts.train), _flats(parts.others)
    shared = find_by("training_rows_repeated", *rows, accept=accept)
    remedy = "Remove repeated rows from one part; metrics on them are too good."
    return found + tuple(replace(each, remedy=remedy) for each in shared)


def class_not_in_part(parts: Parts) -> list[Finding]:
    """Finds held-out rows that lack a class of which they should have several rows."""
    found = []
    for where, rows in parts.others.items() if parts.class_names else ():
        expected = _shares(parts.train, parts) * len(rows)
        missing = (_shares(rows, parts) == 0) & (expected > _EXPECTED)
        if missing.any():
            first = parts.class_names[int(np.flatnonzero(missing)[0])]
            found.append(
                Finding(
                    where,
                    "rows of every class",
                    f"none of class {first!r}, and none of {int(missing.sum())} classes "
                    "in all",
                    "Split the rows at random, stratified; a share in data.validation does.",
                    evidence={"classes": int(missing.sum()), "expected": expected.max()},
                )
            )
    return found


def class_shares_differ(parts: Parts) -> list[Finding]:
    """Finds held-out rows whose classes have other shares than those of the training.

    The evidence is the share of rows whose class would have to change, and it counts only if
    a chi-square test excludes chance.
    """
    found: list[Finding] = []
    if not parts.class_names or parts.by_time:
        return found
    for where, rows in parts.others.items():
        shares = np.stack([_shares(parts.train, parts), _shares(rows, parts)])
        counts = shares * np.array([[len(parts.train)], [len(rows)]])
        counts = counts[:, counts.sum(axis=0) > 0]
        difference = float(np.abs(shares[0] - shares[1]).sum() / 2)
        if difference > _SHARES and _chance(counts) < _CHANCE:
            found.append(
                Finding(
                    where,
                    "classes as frequent as in the training rows",
                    f"other shares: {difference:.0%} of the rows would have to change",
                    "Split the rows at random, stratified; rows sorted by class must not be "
                    "cut in two.",
                    evidence={"difference": difference},
                )
            )
    return found


def _chance(counts: np.ndarray) -> float:
    """Returns the probability of such counts, (parts, classes), if the shares are equal."""
    from scipy.stats import chi2_contingency  # its import takes longer than all checks

    return float(chi2_contingency(counts).pvalue)


def one_class_dominates(parts: Parts) -> Finding | None:
    """Finds a class that nearly every training row has, so that accuracy says little."""
    few = len(parts.train) < _LEAST_ROWS
    if not parts.class_names or few or parts.weighted:  # with weights it is known
        return None
    shares = _shares(parts.train, parts)
    if shares.max() <= _DOMINANT:
        return None
    name = parts.class_names[int(shares.argmax())]
    return Finding(
        "training rows",
        "classes that all have some share",
        f"class {name!r} in {shares.max():.1%} of the rows: so accurate is a constant answer",
        "Judge by balanced_accuracy or auc, and perhaps set training.class_weight: balanced.",
        evidence={"share": float(shares.max())},
    )


def rows_sorted(parts: Parts) -> Finding | None:
    """Finds rows that are sorted by their target while no epoch shuffles them."""
    y = np.asarray(parts.train.y).reshape(len(parts.train), -1)[:, 0].astype(np.float64)
    if parts.shuffle or len(y) < _LEAST_ROWS or np.ptp(y) == 0:
        return None
    if parts.class_names:
        shares = _shares(parts.train, parts)
        expected = (len(y) - 1) * (1 - float(np.square(shares).sum()))
        changes = int(np.count_nonzero(np.diff(y)))
        if changes >= _SORTED * expected:
            return None
        got = f"rows sorted by class: it changes {changes:,} times, not {expected:,.0f} times"
        evidence = {"changes": float(changes), "expected": expected}
    else:
        alike = float(np.corrcoef(y[:-1], y[1:])[0, 1])
        if not alike > _ALIKE:
            return None
        got = (
            f"rows sorted by target: it correlates by {alike:.2f} with that of the row before"
        )
        evidence = {"correlation": alike}
    return Finding(
        "training rows",
        "a random order of the rows, or shuffle: true",
        f"{got}, and shuffle is false",
        "Set training.shuffle to true.",
        evidence=evidence,
        cure={"training.shuffle": True},
    )


def features_constant(parts: Parts) -> Finding | None:
    """Finds inputs most of which have one value in every training row."""
    if parts.of_table or parts.pixels:
        return None
    x = parts.flat
    share = float((x == x[:1]).all(axis=0).mean())
    if share <= _MOST_CONSTANT or share == 1:  # input_constant refuses when all are
        return None
    return Finding(
        "training rows",
        "inputs that vary",
        f"{share:.0%} of the {x.shape[1]:,} inputs have one value in every row",
        "Check how the inputs were read.",
        evidence={"share": share, "features": x.shape[1]},
    )


def features_repeated(parts: Parts) -> Finding | None:
    """Finds inputs that repeat another input in every row.

    Categories repeat another column under other names too, as codes and names of countries.
    """
    if parts.pixels:
        return None
    columns: dict[bytes, str] = {}
    pairs, x = [], parts.flat
    for name, places in parts.columns.items():
        values = np.ascontiguousarray(x[:, places].T)
        if name in parts.codes:
            values = _by_appearance(values[-1])
        first = columns.setdefault(values.tobytes(), name)
        if first != name and len(np.unique(values)) >= _MANY_VALUES:
            pairs.append(name if parts.places is None else f"{name} (as {first})")
    if not pairs:
        return None
    return Finding(
        "training rows",
        "inputs that differ",
        f"{len(pairs)} that repeat another one in every row: {join_names(pairs, most=3)}",
        "Leave them out; each counts twice.",
        evidence={"repeated": len(pairs)},
    )


def _by_appearance(codes: np.ndarray) -> np.ndarray:
    """Returns codes numbered in the order in which they appear."""
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse.reshape(-1)]


def value_for_missing(parts: Parts) -> list[Finding]:
    """Finds a number far from all others that repeats, as -999 for a missing value.

    Such a number becomes the largest part of the mean and the deviation of its column.
    """
    found: list[Finding] = []
    if parts.pixels:
        return found
    x = parts.flat
    far = _has_far_end(x.astype(np.float32, copy=False))
    for name, places in parts.columns.items() if far.any() else ():
        if len(places) == 1 and name not in parts.codes and far[places[0]]:
            finding = _for_missing(x[:, places[0]], f"training rows, column {name}")
            found += [finding] if finding else []
    if not parts.class_names:
        y = np.asarray(parts.train.y).reshape(len(parts.train), -1)
        finding = _for_missing(y[:, 0], "targets of the training rows")
        found += [finding] if finding else []
    return found[:_MOST_COLUMNS]


def _has_far_end(x: np.ndarray) -> np.ndarray:
    """Returns for each column whether its lowest or highest value is far from all others."""
    low, high = x.min(axis=0), x.max(axis=0)
    second = np.max(x, axis=0, where=x < high, initial=-np.inf)
    next_to_low = np.min(x, axis=0, where=x > low, initial=np.inf)
    above = (high - second) > _FAR * (second - low)
    below = (next_to_low - low) > _FAR * (high - next_to_low)
    return np.asarray(above | below)


def _for_missing(column: np.ndarray, where: str) -> Finding | None:
    values, counts = np.unique(column.astype(np.float64), return_counts=True)
    if len(values) < _MANY_VALUES:
        return None
    low, high = values[1] - values[0], values[-1] - values[-2]
    place, gap, rest = 0, low, values[-1] - values[1]
    if high > low:
        place, gap, rest = -1, high, values[-2] - values[0]
    if counts[place] < _REPEATED or not gap > _FAR * rest > 0:
        return None
    others = values[1:] if place == 0 else values[:-1]
    return Finding(
        where,
        "a missing value as a gap, or filled with a usual one",
        f"{values[place]:g} in {counts[place]:,} rows, while the others are from "
        f"{others[0]:g} to {others[-1]:g}",
        "Make it NaN and fill it, or name it in data.csv.missing_values of a file; drop rows "
        "without a target.",
        evidence={"rows": int(counts[place]), "times_range": float(gap / rest)},
    )


def targets_conflict(parts: Parts) -> Finding | None:
    """Finds rows with equal inputs and different classes, more than chance explains."""
    if not parts.class_names:
        return None
    x = parts.flat
    y = np.asarray(parts.train.y)[evenly(len(parts.train), _MOST_ROWS)]
    keys = row_keys(x)
    _, group = np.unique(keys, return_inverse=True)
    pairs, counts = np.unique(np.stack([group.reshape(-1), y]), axis=1, return_counts=True)
    most = np.zeros(group.max() + 1, np.int64)
    np.maximum.at(most, pairs[0], counts)
    wrong = len(y) - int(most.sum())
    if wrong < _LEAST or wrong < _LEAST_SHARE * len(y) or len(most) < len(y) / 2:
        return None  # inputs of a few values repeat in most rows, and decide nothing
    columns = [x[:, places[0]] for places in parts.columns.values()]
    if is_by_chance(1 - len(most) / len(y), len(y) * chance_of_equal_rows(columns, keys)):
        return None
    return Finding(
        "training rows",
        "one class for equal inputs",
        f"{wrong:,} of {len(y):,} rows whose inputs other rows have with another class",
        "Check the labels of repeated rows, and whether a column was lost.",
        evidence={"rows": wrong, "share": wrong / len(y)},
    )


def _shares(rows: Rows, parts: Parts) -> np.ndarray:
    counts = np.bincount(np.asarray(rows.y).reshape(-1), minlength=len(parts.class_names))
    return counts / max(len(rows), 1)


def _flat(rows: Rows) -> Rows:
    return (
        rows if len(rows.x.shape) == 2 else replace(rows, x=rows.x[:].reshape(len(rows), -1))
    )


def _flats(others: Mapping[str, Rows]) -> dict[str, Rows]:
    return {where: _flat(rows) for where, rows in others.items()}
