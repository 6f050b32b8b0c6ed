"""Chooses some of many rows."""

from __future__ import annotations

import numpy as np


def evenly(count: int, most: int) -> np.ndarray:
    """Returns at most so many row numbers, evenly spaced from the first row to the last.

    Args:
        count: Number of rows.
        most: Largest number of row numbers.
    """
    # Neighbours differ by at least 1, so that no number occurs twice.
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)
