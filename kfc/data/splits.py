"""Row numbers -> two parts, shuffled, stratified by class, seeded."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

from kfc.errors import DataError, Fault


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
        DataError: If a class has too few rows to be in both parts.
    """
    try:
        first, second = train_test_split(
            np.arange(len(y)),
            test_size=share,
            random_state=seed,
            stratify=y if stratify else None,
        )
    except ValueError as error:
        raise DataError(
            Fault(
                where,
                f"{share} of {len(y):,} rows, with each class in both parts",
                str(error),
                "Add rows, drop the rare class, or change the share.",
            )
        ) from error
    return np.sort(first), np.sort(second)
