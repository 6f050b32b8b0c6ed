"""Splits rows into two parts: shuffled, seeded and, for classes, stratified.

The parts are those of scikit-learn's `train_test_split`, without its import, which takes as
long as a small network's training, and without its lists of numbers, 40 bytes for a row.
Groups of rows stay together, and rows with an order are not shuffled: the last ones are the
second part.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

import numpy as np

from kfc.data.arranged_splits import split_arranged
from kfc.data.tables import RowLabels
from kfc.errors import Finding
from kfc.findings import run_checks


@dataclass(frozen=True)
class SplitRequest:
    """A split of rows into two parts.

    Args:
        y: Targets, (rows,) or (rows, outputs).
        share: Share of the rows in the second part, in (0, 1), or their number.
        seed: Seed of the shuffling; the same seed gives the same parts.
        stratify: Whether both parts keep the proportions of the classes in `y`.
        where: Key or data in messages, such as `data.validation`.
        labels: Groups that no split divides, or the order by which the second part is last.
    """

    y: np.ndarray
    share: float | int
    seed: int
    stratify: bool
    where: str
    labels: RowLabels = field(default_factory=RowLabels)

    @property
    def second_rows(self) -> int:
        """The number of rows in the second part; a share is rounded up."""
        if isinstance(self.share, int):
            return self.share
        return math.ceil(self.share * len(self.y))

    @functools.cached_property
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """The row numbers of the two parts, each in rising order."""
        if self.labels.groups is not None or self.labels.order is not None:
            return split_arranged(
                self.y, self.share, self.seed, stratify=self.stratify, labels=self.labels
            )
        if self.stratify:
            return _split_classes(self.y, self.second_rows, self.seed)
        return _split_rows(len(self.y), self.second_rows, self.seed)


def _split_rows(rows: int, second: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the parts of a shuffled split, as scikit-learn's `ShuffleSplit` draws them."""
    order = np.random.RandomState(seed).permutation(rows)
    return np.sort(order[second:]), np.sort(order[:second])


def _split_classes(y: np.ndarray, second: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the parts of a stratified split, those of `StratifiedShuffleSplit`.

    Versions 1.5 to 1.9 draw the same numbers in the same order (a test compares).

    Args:
        y: Classes, (rows,).
        second: Number of rows of the second part.
        seed: Seed of the shuffling.
    """
    generator = np.random.RandomState(seed)
    classes, counts = np.unique(y, return_counts=True)
    first = _shares(counts, len(y) - second, generator)
    _shares(counts - first, second, generator)  # the rest; it may draw numbers
    in_second = np.zeros(len(y), bool)
    for each, count, kept in zip(classes, counts, first, strict=True):
        order = generator.permutation(count)
        in_second[np.flatnonzero(y == each)[order[kept:]]] = True
    return np.flatnonzero(~in_second), np.flatnonzero(in_second)


def _shares(counts: np.ndarray, number: int, generator: np.random.RandomState) -> np.ndarray:
    """Returns how many of `number` rows each class gets, as scikit-learn rounds them.

    Args:
        counts: Rows of each class, (classes,).
        number: Rows of all classes together.
        generator: Source of the numbers that break ties.
    """
    exact = counts / counts.sum() * number
    shares = np.floor(exact)
    left, rest = int(number - shares.sum()), exact - shares
    for value in np.sort(np.unique(rest))[::-1]:
        if left <= 0:
            break
        equal = np.flatnonzero(rest == value)
        chosen = generator.choice(equal, size=min(len(equal), left), replace=False)
        shares[chosen] += 1
        left -= len(chosen)
    return shares.astype(int)


def split(request: SplitRequest) -> tuple[np.ndarray, np.ndarray]:
    """Returns the row numbers of the two parts that a split asks for.

    Raises:
        DataError: If a part would be empty, or would lack a class of a stratified split.
    """
    run_checks("split", request)
    return request.parts


def class_of_one_row(request: SplitRequest) -> Finding | None:
    """Finds classes with a single row, which cannot be in both parts."""
    if not request.stratify:
        return None
    classes, first_rows, counts = np.unique(request.y, return_index=True, return_counts=True)
    if counts.min() >= 2:
        return None
    alone = int((counts < 2).sum())
    row = int(first_rows[counts.argmin()])
    return Finding(
        request.where,
        "at least 2 rows of each class, one for each part of the split",
        f"{alone:,} of {len(classes):,} classes with 1 row, such as row {row}",
        "Add rows or drop such classes; amounts need data.task: regression.",
        evidence={"classes": len(classes), "classes_of_one_row": alone, "row": row},
    )


def part_without_class(request: SplitRequest) -> Finding | None:
    """Finds a share so small or so large that a part has fewer rows than there are classes."""
    if not request.stratify:
        return None
    rows, classes, second = len(request.y), len(np.unique(request.y)), request.second_rows
    if classes <= second <= rows - classes:
        return None
    return Finding(
        request.where,
        f"{classes:,} to {rows - classes:,} of {rows:,} rows, so that both parts of the split "
        f"have each of the {classes:,} classes",
        f"{second:,}",
        "Change the share, or add rows; amounts need data.task: regression.",
        evidence={"rows": rows, "classes": classes, "second_rows": second},
    )


def no_row_left(request: SplitRequest) -> Finding | None:
    """Finds a share that leaves no row for training."""
    rows, second = len(request.y), request.second_rows
    if 0 < second < rows:
        return None
    return Finding(
        request.where,
        f"a split of {rows:,} rows that leaves rows for training",
        f"{second:,} rows set aside",
        "Change the share, or add rows.",
        evidence={"rows": rows, "second_rows": second},
    )


def one_group_alone(request: SplitRequest) -> Finding | None:
    """Finds rows of a single group, which no split can divide."""
    groups = request.labels.groups
    if groups is None or len(np.unique(groups)) > 1:
        return None
    expected, got = "rows of at least two groups, for a split by data.groups", "one group"
    return Finding(request.where, expected, got, "Remove data.groups, or add rows.")


def class_not_in_training(request: SplitRequest) -> Finding | None:
    """Finds a small class that the rounding of scikit-learn leaves out of the first part."""
    if not request.stratify:
        return None
    first, _ = request.parts
    missing = np.setdiff1d(request.y, request.y[first])
    if not missing.size:
        return None
    rows = len(request.y)
    return Finding(
        request.where,
        "rows of each class left for training",
        f"none of class {missing[0]}, with {request.share} of {rows:,} rows set aside",
        "Change the share, or add rows.",
        evidence={"rows": rows, "missing_classes": int(missing.size)},
    )
