"""Chooses the rows of each part of a source: training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kfc.data.fold_splits import FoldRequest, GivenFolds, split_fold
from kfc.data.splits import SplitRequest, split
from kfc.data.tables import RowLabels
from kfc.spec import NO_TEST, Spec

TEST_SHARE = 0.2  # of the rows of a source without test rows


@dataclass(frozen=True)
class RowParts:
    """Numbers of the source's training rows that each part has, in rising order.

    Args:
        train: Rows to train on.
        validation: Rows of the validation part; None if it has rows of its own, or none.
        test: Rows of the test part; None if it has rows of its own, or none.
    """

    train: np.ndarray
    validation: np.ndarray | None = None
    test: np.ndarray | None = None


def choose_parts(
    spec: Spec,
    y: np.ndarray,
    *,
    stratify: bool,
    labels: RowLabels,
    given: GivenFolds | None,
    has_test: bool,
    validation: float | str,
    test_name: str,
) -> RowParts:
    """Returns the rows of each part: the fold or the test rows first, validation rows last.

    Args:
        spec: Valid spec.
        y: Encoded targets of the source's training rows.
        stratify: Whether targets are classes.
        labels: Groups or order of the rows.
        given: Folds of the file that `data.fold` names, if it does.
        has_test: Whether the source has test rows of its own.
        validation: Share of the validation rows, or their origin.
        test_name: Name of the test rows in messages.

    Raises:
        DataError: If a part would be empty, or would lack a class.
    """
    seed, rows = spec.seed_of_rows, np.arange(len(y))
    test = held_out = None

    def parts(share: float | int, where: str, by: RowLabels) -> tuple[np.ndarray, np.ndarray]:
        stratified = stratify and by.order is None
        request = SplitRequest(y[rows], share, seed, stratified, where, by.take(rows))
        first, second = split(request)
        return rows[first], rows[second]

    if spec.data.fold is not None:
        request = FoldRequest(y, spec.data.fold, seed, stratify, labels, given)
        rows, test = split_fold(request)
    elif not has_test and spec.data.test != NO_TEST:
        rows, test = parts(TEST_SHARE, test_name, labels)
    if spec.data.rows is not None and spec.data.rows < len(rows):
        # A random part of the training rows leaves groups and past as they are.
        _, rows = parts(spec.data.rows, "data.rows", RowLabels())
    if isinstance(validation, float) and validation > 0:
        rows, held_out = parts(validation, "data.validation", labels)
    return RowParts(rows, held_out, test)
