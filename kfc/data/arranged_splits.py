"""Splits rows whose groups stay together, or whose order says which ones come later."""

from __future__ import annotations

import math

import numpy as np

from kfc.data.tables import RowLabels

Parts = tuple[np.ndarray, np.ndarray]
"""Row numbers of two parts, each in rising order."""


def split_arranged(
    y: np.ndarray, share: float | int, seed: int, *, stratify: bool, labels: RowLabels
) -> Parts:
    """Returns the row numbers of two parts, the second one with about `share` of the rows.

    By order the second part has the last rows. By groups it is one fold of `1 / share`
    folds (scikit-learn's `StratifiedGroupKFold`, or `GroupKFold` for numbers), so that its
    size depends on the sizes of the groups.

    Args:
        y: Targets, (rows,) or (rows, outputs).
        share: Share of the rows in the second part, or their number.
        seed: Seed of the shuffling.
        stratify: Whether the parts keep the proportions of the classes, as far as groups can.
        labels: Groups or order of the rows.
    """
    rows = len(y)
    if labels.order is not None:
        second = share if isinstance(share, int) else math.ceil(share * rows)
        by_time = np.argsort(labels.order, kind="stable")
        return np.sort(by_time[: rows - second]), np.sort(by_time[rows - second :])
    if labels.groups is None:
        raise TypeError("labels: expected groups or an order, got neither")
    of = round(1 / (share / rows if isinstance(share, int) else share))
    of = max(2, min(of, len(np.unique(labels.groups))))
    return fold_parts(y, 0, of, seed, stratify=stratify, labels=labels)


def fold_parts(
    y: np.ndarray, number: int, of: int, seed: int, *, stratify: bool, labels: RowLabels
) -> Parts:
    """Returns the row numbers of the training and of the held-out rows of one fold.

    The folds are scikit-learn's, shuffled with the seed: `StratifiedKFold` for classes,
    `KFold` for numbers, `StratifiedGroupKFold` and `GroupKFold` by groups; by order
    `TimeSeriesSplit` over the sorted rows, where the rows before the first fold are never
    held out.

    Args:
        y: Targets, (rows,) or (rows, outputs).
        number: Number of the fold, from 0.
        of: Number of folds.
        seed: Seed of the shuffling.
        stratify: Whether targets are classes, whose proportions each fold keeps.
        labels: Groups or order of the rows.
    """
    from sklearn import model_selection  # its import takes seconds

    if labels.order is not None:
        by_time = np.argsort(labels.order, kind="stable")
        splits = list(model_selection.TimeSeriesSplit(of).split(by_time))
        first, second = (by_time[part] for part in splits[number])
        return np.sort(first), np.sort(second)
    by_group = labels.groups is not None
    kinds = {
        (True, True): model_selection.StratifiedGroupKFold,
        (True, False): model_selection.StratifiedKFold,
        (False, True): model_selection.GroupKFold,
        (False, False): model_selection.KFold,
    }
    folds = kinds[stratify, by_group](of, shuffle=True, random_state=seed)
    arguments = (np.zeros(len(y)), y, labels.groups) if by_group else (np.zeros(len(y)), y)
    first, second = list(folds.split(*arguments))[number]
    return np.sort(first), np.sort(second)
