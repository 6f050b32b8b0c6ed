"""Splits rows into the training rows and the held-out rows of one fold."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kfc.data.arranged_splits import Parts, fold_parts
from kfc.data.sources import arrays_in
from kfc.data.tables import RowLabels
from kfc.errors import DataError, Finding, reason
from kfc.findings import run_checks
from kfc.spec import FoldSpec
from kfc.system import open_file, user_paths

_WHERE = "data.fold"


@dataclass(frozen=True)
class GivenFolds:
    """Folds that a caller gives.

    Args:
        rows: Numbers of the rows that take part, (n,), int64, in rising order.
        fold: Number of the fold of each, (n,), int64.
    """

    rows: np.ndarray
    fold: np.ndarray

    @property
    def numbers(self) -> list[int]:
        """The numbers of the folds, in rising order."""
        return [int(number) for number in np.unique(self.fold)]


@dataclass(frozen=True)
class FoldRequest:
    """One fold to hold out of some rows.

    Args:
        y: Targets of all rows, (rows,) or (rows, outputs).
        fold: Number of the fold, and the number of folds or their file.
        seed: Seed of the shuffling.
        stratify: Whether targets are classes.
        labels: Groups or order of the rows.
        given: Folds of the file; None if the seed makes them.
    """

    y: np.ndarray
    fold: FoldSpec
    seed: int
    stratify: bool
    labels: RowLabels = field(default_factory=RowLabels)
    given: GivenFolds | None = None

    @functools.cached_property
    def parts(self) -> Parts:
        """The row numbers of the training and of the held-out rows, each in rising order."""
        if self.given is not None:
            held_out = self.given.fold == self.fold.number
            return self.given.rows[~held_out], self.given.rows[held_out]
        return fold_parts(
            self.y,
            self.fold.number,
            self.fold.of or 2,
            self.seed,
            stratify=self.stratify,
            labels=self.labels,
        )


def split_fold(request: FoldRequest) -> Parts:
    """Returns the row numbers of the training and of the held-out rows of a fold.

    Raises:
        DataError: If the rows cannot be split in this way.
    """
    run_checks("fold", request)
    return request.parts


def read_folds(file: str) -> GivenFolds:
    """Reads the folds of a file: `.npz` with `rows` and `fold`, or `.npy` with all rows.

    Raises:
        DataError: If the file cannot be read, or holds no folds.
    """
    path = Path(user_paths.expanded(file))
    try:
        with open_file(path) as opened:
            arrays = arrays_in(opened.read()) if path.suffix == ".npz" else None
            if arrays is None:
                opened.seek(0)
                arrays = {"fold": np.load(opened, allow_pickle=False)}
        fold = arrays["fold"]
        return as_folds((arrays["rows"], fold) if "rows" in arrays else fold, file)
    except (OSError, ValueError, KeyError, EOFError) as error:
        expected = "a .npz file with rows and fold, or a .npy file with a number for each row"
        finding = Finding(f"{_WHERE}.file {file}", expected, reason(error), "Write it again.")
        raise DataError(finding) from error


def as_folds(folds: Any, where: str = "folds") -> GivenFolds:
    """Returns given folds: an array with a number for each row, or (rows, numbers).

    Args:
        folds: Numbers of the folds, (rows,); or a pair of row numbers and fold numbers, where
            rows that are not named take no part.
        where: Name of the folds in messages.

    Raises:
        DataError: If they are no whole numbers from 0, or name a row twice.
    """
    pair = isinstance(folds, tuple) and len(folds) == 2 and np.ndim(folds[0]) == 1
    fold = np.asarray(folds[1] if pair else folds)
    rows = np.asarray(folds[0]) if pair else np.arange(len(fold) if fold.ndim else 0)
    for name, values in (("rows", rows), ("folds", fold)):
        if values.ndim != 1 or values.dtype.kind not in "iu" or (values < 0).any():
            expected = "whole numbers from 0, (rows,)"
            got = f"{name} of {values.dtype}, shape {values.shape}"
            if values.dtype.kind in "iu" and values.size:
                got += f", from {values.min()}"
            raise DataError(Finding(where, expected, got, "Give each row its fold."))
    if len(rows) != len(fold) or len(np.unique(rows)) < len(rows):
        got = f"{len(rows):,} rows, {len(np.unique(rows)):,} of them different"
        expected = f"{len(fold):,} different rows, one for each number of a fold"
        raise DataError(Finding(where, expected, got, "Give each row one fold."))
    order = np.argsort(rows)
    return GivenFolds(rows[order].astype(np.int64), fold[order].astype(np.int64))


# --- checks --------------------------------------------------------------------------------


def fold_not_of_rows(request: FoldRequest) -> Finding | None:
    """Finds given folds that name other rows than there are, or that lack a fold."""
    if request.given is None:
        return None
    rows, given = len(request.y), request.given
    place = f"{_WHERE}.file {request.fold.file}"
    whole_file = str(request.fold.file).endswith(".npy")
    if len(given.rows) and (given.rows[-1] >= rows or (whole_file and len(given.rows) < rows)):
        expected = f"folds of the {rows:,} rows of this source"
        got = f"folds of rows up to number {given.rows[-1]:,}"
        return Finding(place, expected, got, "Give folds for the rows of this source.")
    numbers = given.numbers
    if request.fold.number not in numbers or len(numbers) < 2:
        shown = ", ".join(map(str, numbers[:20])) or "none"
        remedy = "Name one of its folds, of which there must be two."
        return Finding(place, f"a fold {request.fold.number} beside another", shown, remedy)
    return None


def too_few_for_folds(request: FoldRequest) -> Finding | None:
    """Finds rows, groups or a class of which there are fewer than folds."""
    if request.given is not None or request.fold.of is None:
        return None
    of, labels = request.fold.of, request.labels
    counts = {"rows": len(request.y) - (labels.order is not None)}
    if labels.groups is not None:
        counts["groups"] = len(np.unique(labels.groups))
    elif request.stratify and labels.order is None:
        counts["rows of the rarest class"] = int(np.unique_counts(request.y).counts.min())
    for noun, count in counts.items():
        if count < of:
            remedy = "Choose fewer folds, or add rows."
            evidence = {"folds": of, "count": count}
            return Finding(
                f"{_WHERE}.of", f"at least {of} {noun}", str(count), remedy, evidence=evidence
            )
    return None


def group_on_both_sides(request: FoldRequest) -> Finding | None:
    """Finds given folds that split a group of `data.groups`."""
    groups = request.labels.groups
    if request.given is None or groups is None:
        return None
    first, second = request.parts
    both = np.intersect1d(groups[first], groups[second])
    if not both.size:
        return None
    row = int(second[np.isin(groups[second], both)][0])
    return Finding(
        f"{_WHERE}.file {request.fold.file}",
        "all rows of a group in one fold, as data.groups asks",
        f"{both.size:,} groups in several, such as that of row {row}",
        "Correct the folds, or remove data.groups.",
        evidence={"groups": int(both.size), "row": row},
    )


def class_not_in_fold(request: FoldRequest) -> Iterator[Finding]:
    """Finds a class that the training rows of a fold lack."""
    if not request.stratify:
        return
    first, second = request.parts
    taking_part = np.concatenate([first, second])
    missing = np.setdiff1d(request.y[taking_part], request.y[first])
    if missing.size:
        yield Finding(
            f"{_WHERE}, fold {request.fold.number}",
            "training rows of each class",
            f"none of class number {missing[0]}",
            "Choose other folds, or add rows.",
            evidence={"missing_classes": int(missing.size)},
        )
