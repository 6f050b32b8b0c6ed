"""Statistics of columns with few values, from the count of each value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CountedColumns:
    """Columns of a matrix that are known by their values and how often each occurs.

    Args:
        values: Values of each column in ascending order, (columns, values), float64.
        counts: Number of rows with each, (columns, values); a column's sum is that of all.
    """

    values: np.ndarray
    counts: np.ndarray

    dtype = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return int(self.counts[0].sum()), len(self.counts)

    def ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the smallest and the largest value of each column, (columns,)."""
        occurs = self.counts > 0
        low = np.where(occurs, self.values, np.inf).min(axis=1)
        return low, np.where(occurs, self.values, -np.inf).max(axis=1)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and standard deviation of each column, (columns,)."""
        shares = self.counts / self.shape[0]
        mean = (shares * self.values).sum(axis=1)
        variance = (shares * np.square(self.values - mean[:, None])).sum(axis=1)
        return mean, np.sqrt(variance)

    def quartiles(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns first quartile, median and third quartile, as `numpy.quantile` does."""
        low, middle, high = (self._quantile(share) for share in (0.25, 0.5, 0.75))
        return low, middle, high

    def _quantile(self, share: float) -> np.ndarray:
        # Of sorted values, linear between the two whose numbers are nearest.
        place = share * (self.shape[0] - 1)
        below, above = self._at(int(np.floor(place))), self._at(int(np.ceil(place)))
        return below + (place - np.floor(place)) * (above - below)

    def _at(self, number: int) -> np.ndarray:
        """Returns the value of each column that is in this place once they are sorted."""
        index = (np.cumsum(self.counts, axis=1) <= number).sum(axis=1)  # (columns,)
        found: np.ndarray = np.take_along_axis(self.values, index[:, None], axis=1)[:, 0]
        return found
