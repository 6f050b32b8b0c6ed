"""Splits rows into two parts: shuffled, seeded and, for classes, stratified."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

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
    """

    y: np.ndarray
    share: float | int
    seed: int
    stratify: bool
    where: str

    @property
    def second_rows(self) -> int:
        """The number of rows in the second part; a share is rounded up."""
        if isinstance(self.share, int):
            return self.share
        return math.ceil(self.share * len(self.y))

    @functools.cached_property
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """The row numbers of the two parts, each in rising order."""
        in_second = np.zeros(len(self.y), bool)
        in_second[self._stratified_rows if self.stratify else self._shuffled_rows] = True
        return np.flatnonzero(~in_second), np.flatnonzero(in_second)

    @property
    def _shuffled_rows(self) -> np.ndarray:
        """The second part without strata, as scikit-learn's `ShuffleSplit` draws it."""
        order = np.random.RandomState(self.seed).permutation(len(self.y))
        return order[: self.second_rows]

    @functools.cached_property
    def strata(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The classes, sorted; the number of each row's class; and the rows of each class."""
        if self.y.ndim == 1 and self.y.dtype == np.int32 and self.y.min(initial=0) >= 0:
            counts = np.bincount(self.y)  # the numbers of the classes, as `encode_rows` gives
            if counts.all():
                return np.arange(len(counts)), self.y, counts
        classes, of_class = np.unique(self.y, return_inverse=True)
        return classes, of_class, np.bincount(of_class)

    @property
    def _stratified_rows(self) -> np.ndarray:
        """The second part with the proportions of the classes.

        These are the rows of scikit-learn's `train_test_split`, which copies them through
        Python lists and takes ten times as long.
        """
        random = np.random.RandomState(self.seed)
        classes, of_class, counts = self.strata
        # NumPy sorts small integers by radix.
        small = np.min_scalar_type(len(classes))
        by_class = np.split(
            np.argsort(of_class.astype(small), kind="stable"), np.cumsum(counts)[:-1]
        )
        first = _proportional(counts, len(self.y) - self.second_rows, random)
        second = _proportional(counts - first, self.second_rows, random)
        chosen = [
            rows[random.permutation(len(rows))[left : left + taken]]
            for rows, left, taken in zip(by_class, first, second, strict=True)
        ]
        return np.concatenate(chosen)


def _proportional(counts: np.ndarray, drawn: int, random: np.random.RandomState) -> np.ndarray:
    """Returns how many rows of each class are drawn, in proportion to their number.

    Rows that rounding down leaves over go to the largest remainders, and ties are broken at
    random, as in scikit-learn's stratified splits.
    """
    exact = counts / counts.sum() * drawn
    found = np.floor(exact)
    left, remainder = int(drawn - found.sum()), exact - found
    for value in np.unique(remainder)[::-1]:
        if left <= 0:
            break
        tied = np.flatnonzero(remainder == value)
        tied = random.choice(tied, size=min(len(tied), left), replace=False)
        found[tied] += 1
        left -= len(tied)
    return found.astype(np.int64)


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
    classes, of_class, counts = request.strata
    if counts.min() >= 2:
        return None
    alone = int((counts < 2).sum())
    row = int(np.argmax(of_class == counts.argmin()))
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
    rows, classes, second = len(request.y), len(request.strata[0]), request.second_rows
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


def class_not_in_training(request: SplitRequest) -> Finding | None:
    """Finds a small class that the rounding of scikit-learn leaves out of the first part."""
    if not request.stratify:
        return None
    first, _ = request.parts
    classes, of_class, _ = request.strata
    missing = classes[np.bincount(of_class[first], minlength=len(classes)) == 0]
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
