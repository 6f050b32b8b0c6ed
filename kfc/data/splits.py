"""Row numbers -> two parts, shuffled, stratified by class, seeded."""

from __future__ import annotations

import math

import numpy as np

from kfc.errors import DataError, Finding


def split(
    y: np.ndarray, *, share: float | int, seed: int, stratify: bool, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the row numbers of two parts, each in rising order.

    Args:
        y: Targets, (rows,) or (rows, outputs).
        share: Share of the rows in the second part, in (0, 1), or their number.
        seed: Same seed, same parts.
        stratify: Whether both parts keep the proportions of the classes in `y`.
        where: What to blame in an error, such as `data.validation`.

    Raises:
        DataError: If a class has fewer than two rows, or the first part would lack one.
    """
    if stratify and (finding := _too_few(y, share, where)):
        raise DataError(finding)
    from sklearn.model_selection import train_test_split  # takes seconds; many need no split

    try:
        first, second = train_test_split(
            np.arange(len(y)),
            test_size=share,
            random_state=seed,
            stratify=y if stratify else None,
        )
    except ValueError as error:  # such as one row, of which none would be left
        raise DataError(
            Finding(
                where,
                f"{share} of {len(y):,} rows, and rows left for training",
                str(error).rstrip("."),
                "Add rows, or change the share.",
            )
        ) from error
    # Where classes are small, its rounding may leave one out of the rows to train on.
    if stratify and (missing := np.setdiff1d(y, y[first])).size:
        raise DataError(
            Finding(
                where,
                "rows of each class left for training",
                f"none of class {missing[0]}, with {share} of {len(y):,} rows set aside",
                "Change the share, or add rows.",
            )
        )
    return np.sort(first), np.sort(second)


def _too_few(y: np.ndarray, share: float | int, where: str) -> Finding | None:
    """Returns why not every class can be in both parts, or None."""
    _, first_rows, counts = np.unique(y, return_index=True, return_counts=True)
    if counts.min() < 2:
        alone = int((counts < 2).sum())
        row = int(first_rows[counts.argmin()])
        return Finding(
            where,
            "at least 2 rows of each class, one for each part of the split",
            f"{alone:,} of {len(counts):,} classes with 1 row, such as row {row}",
            "Add rows or drop such classes; amounts need data.task: regression.",
        )
    size = share if isinstance(share, int) else math.ceil(share * len(y))
    lowest, highest = len(counts), len(y) - len(counts)
    if lowest <= size <= highest:
        return None
    return Finding(
        where,
        f"{lowest:,} to {highest:,} of {len(y):,} rows, so that both parts of the split "
        f"have each of the {len(counts):,} classes",
        f"{size:,}",
        "Change the share, or add rows; amounts need data.task: regression.",
    )
