"""Turns the X, y and weights of an estimator into the rows that kfc trains on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kfc.data import RawRows, Rows, Source, read_rows, read_source
from kfc.errors import DataError, Finding
from kfc.estimators.inputs import Inputs
from kfc.spec import Spec

_MOST_REPEATS = 10
"""Whole weights are repetitions while they make at most this many times as many rows."""

_HASHED_CELLS = 1 << 22  # numbers that are hashed at once


def one_pair(eval_set: Any) -> tuple[Any, Any]:
    """Returns X and y of an `eval_set`, which may be a list of one pair.

    Raises:
        DataError: If it is no pair, or several.
    """
    pair = eval_set[0] if isinstance(eval_set, list) and len(eval_set) == 1 else eval_set
    several = isinstance(pair, list) and all(isinstance(each, tuple) for each in pair)
    if several or not isinstance(pair, (tuple, list)) or len(pair) != 2:
        got = f"{len(pair)} pairs" if several else type(pair).__name__
        remedy = "Pass eval_set=(X_val, y_val)."
        raise DataError(Finding("eval_set", "(X, y)", got, remedy))
    return pair[0], pair[1]


@dataclass(frozen=True)
class LabelledRows:
    """Rows with targets.

    Args:
        x: Inputs.
        y: Class numbers, (rows,), or numbers, (rows,) or (rows, outputs).
        sample_weight: Weights, (rows,), with a mean of 1; None for equal ones.
    """

    x: Inputs
    y: np.ndarray
    sample_weight: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: np.ndarray) -> LabelledRows:
        """Returns the rows at `indices`, in that order."""
        weight = None if self.sample_weight is None else self.sample_weight[indices]
        return LabelledRows(self.x.take(indices), self.y[indices], weight)


def weighted_rows(rows: LabelledRows, sample_weight: np.ndarray | None) -> LabelledRows:
    """Returns rows with the meaning of their weights.

    A row of weight 0 is no row. A row of weight k is k rows, if all weights are whole numbers
    and make at most ten times as many rows. Other weights are factors of the loss, divided
    by their mean.

    Args:
        rows: Rows without weights.
        sample_weight: Weights of at least 0, (rows,); None for equal ones.
    """
    if sample_weight is None:
        return rows
    weight = np.asarray(sample_weight, np.float64)
    total = weight.sum()
    if (weight % 1 == 0).all() and total <= _MOST_REPEATS * len(weight):
        return rows.take(np.repeat(np.arange(len(rows)), weight.astype(np.int64)))
    kept = np.flatnonzero(weight > 0)
    factors = weight[kept] / weight[kept].mean()
    rows = rows.take(kept)
    return rows if (factors == factors[0]).all() else replace(rows, sample_weight=factors)


def in_one_order(rows: LabelledRows) -> LabelledRows:
    """Returns the rows of a matrix in an order that depends on the rows alone.

    The rows are sorted by a hash of their inputs and targets, so that the order in which they
    arrive, or whether a weight has repeated them, changes nothing. Rows of a table keep
    their order.
    """
    if rows.x.matrix is None:
        return rows
    targets = rows.y.reshape(len(rows), -1).astype(np.float64)
    return rows.take(np.argsort(_row_hashes(rows.x.matrix, targets), kind="stable"))


def _row_hashes(*parts: np.ndarray) -> np.ndarray:
    """Returns a hash of each row of some matrices together, (rows,), uint64.

    Multiplication and shifts as in splitmix64: Steele, Lea, Flood, "Fast splittable
    pseudorandom number generators", 2014, https://doi.org/10.1145/2660193.2660195.
    """
    total = np.zeros(len(parts[0]), np.uint64)
    for number, part in enumerate(parts):
        draw = np.random.default_rng(number)
        factors = draw.integers(0, 2**63, part.shape[1], np.uint64) * np.uint64(2) + np.uint64(
            1
        )
        step = max(1, _HASHED_CELLS // part.shape[1])
        for first in range(0, len(part), step):
            cells = part[first : first + step].astype(np.float64) + 0.0  # -0.0 becomes 0.0
            bits = np.ascontiguousarray(cells).view(np.uint64)
            bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            bits = (bits ^ (bits >> np.uint64(27))) * factors
            total[first : first + step] += (bits ^ (bits >> np.uint64(31))).sum(axis=1)
    return total


def as_raw_rows(
    spec: Spec,
    train: LabelledRows,
    validation: LabelledRows | None,
    class_names: tuple[str, ...] | None,
    targets: tuple[str, ...],
) -> RawRows:
    """Returns rows as `kfc.data.prepare` takes them.

    Args:
        spec: Spec that names the target of a table.
        train: Rows to train on.
        validation: Rows that choose the best epoch; None to split them off.
        class_names: Names of the classes; None for a regression.
        targets: Names of several targets; may be empty.

    Raises:
        DataError: If a cell is not of its column's type.
    """
    if train.x.matrix is not None:
        data: Any = Source(
            _matrix_rows(train),
            class_names=class_names,
            feature_names=train.x.names,
            validation=None if validation is None else _matrix_rows(validation),
            targets=targets,
        )
        return read_rows(spec, data, read_source)
    data = {"train": _parts(train)}
    if validation is not None:
        data["validation"] = _parts(validation)
    raw = read_rows(spec, data, read_source)
    return replace(raw, source=replace(raw.source, class_names=class_names, targets=targets))


def _matrix_rows(rows: LabelledRows) -> Rows:
    weight = rows.sample_weight
    return Rows(rows.x.matrix, rows.y, None if weight is None else weight.astype(np.float32))


def _parts(rows: LabelledRows) -> tuple[Any, ...]:
    parts = (rows.x.table, rows.y)
    return parts if rows.sample_weight is None else (*parts, rows.sample_weight)
