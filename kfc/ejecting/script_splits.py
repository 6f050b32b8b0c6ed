"""Computes the numbers of the splits of a script, which selects the rows that `fit` selects.

Scikit-learn splits its own data sets, and tables, whose script has no line to spare. A script
for other sources does not import it, and does the work of `train_test_split` by hand: NumPy's
legacy generator permutes class after class.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kfc.data import TEST_SHARE, Prepared, Source, SplitRequest, split
from kfc.ejecting.refusals import refused
from kfc.spec import Spec


class ScriptSplit(NamedTuple):
    """One split of rows into two parts.

    Args:
        first: Name of the first part.
        second: Name of the second part.
        repeated: Whether an earlier split has selected `rows`.
        share: Share of the rows in the second part, or their number.
        size: Number of rows in the second part.
        counts: Number of rows of each class in the first part; empty for regression.
        tied_classes: Lengths of the permutations that scikit-learn draws before it permutes
            rows, one for each tie between classes.
    """

    first: str
    second: str
    repeated: bool
    share: float | int
    size: int
    counts: list[int]
    tied_classes: list[int]


def splits_by_sklearn(spec: Spec) -> bool:
    """Returns whether the script imports scikit-learn to split: its data sets, or a table."""
    return str(spec.data.source).startswith(("sklearn:", "csv:"))


def script_splits(spec: Spec, source: Source, prepared: Prepared) -> list[ScriptSplit]:
    """Returns the splits of a source, in the order of `kfc.data.prepare`.

    Args:
        spec: Resolved spec.
        source: Rows as the source returned them.
        prepared: The same rows, split and scaled.

    Raises:
        SpecError: If the script would select other rows.
    """
    y = np.asarray(source.train.y)
    rows = np.arange(len(y))
    wanted: list[tuple[str, str, float | int]] = []
    if source.test is None:
        wanted.append(("rows", "test", TEST_SHARE))
    if spec.data.rows is not None:
        wanted.append(("others", "rows", spec.data.rows))
    if isinstance(spec.data.validation, float) and spec.data.validation > 0:
        wanted.append(("rows", "val", spec.data.validation))
    stratify = prepared.task.classification
    splits: list[ScriptSplit] = []
    for first, second, share in wanted:
        if second == "rows" and share >= len(rows):
            continue  # `data.rows` selects all of them
        parts = split(SplitRequest(y[rows], share, spec.seed_of_rows, stratify, where="data"))
        by_hand = stratify and not splits_by_sklearn(spec)
        counts, tied = _by_class(y[rows], parts[0], spec.seed_of_rows) if by_hand else ([], [])
        size = len(parts[1])
        splits.append(ScriptSplit(first, second, bool(splits), share, size, counts, tied))
        rows = rows[parts[0] if first == "rows" else parts[1]]
    return splits


def _by_class(y: np.ndarray, part: np.ndarray, seed: int) -> tuple[list[int], list[int]]:
    """Returns `counts` and `tied_classes` of a split that scikit-learn has made.

    Args:
        y: Classes of the rows, (rows,).
        part: Row numbers of the first part.
        seed: Seed of the split.
    """
    total = np.bincount(y)
    counts = np.bincount(y[part], minlength=len(total))
    tied = _tied_classes(total, counts)
    # Make the split as the script does, and compare.
    random = np.random.RandomState(seed)
    for classes in tied:
        random.permutation(classes)
    groups = [random.permutation(np.flatnonzero(y == label)) for label in range(len(total))]
    found = [group[:count] for group, count in zip(groups, counts, strict=True)]
    if not np.array_equal(part, np.sort(np.concatenate(found))):
        raise refused("data.source", "classes whose split is simple", "these")
    return counts.tolist(), tied


def _tied_classes(total: np.ndarray, first: np.ndarray) -> list[int]:
    """Returns how many classes scikit-learn permutes, for each tie that rounding leaves.

    Scikit-learn does so before it permutes any rows, which advances its generator.

    Args:
        total: Number of rows of each class.
        first: Number of rows of each class in the first part.
    """
    found: list[int] = []
    for counts, rows in ((total, first.sum()), (total - first, (total - first).sum())):
        exact = counts / counts.sum() * rows
        remainder = exact - np.floor(exact)
        missing = int(rows - np.floor(exact).sum())
        for value in np.unique(remainder)[::-1]:
            if missing <= 0:
                break
            tied = int((remainder == value).sum())
            found += [tied] if tied > 1 else []  # a single class is not permuted
            missing -= tied
    return found
