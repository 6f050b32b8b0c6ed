"""Bins of numbers, between quantiles of training rows, and their piecewise-linear encoding."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kfc.preprocessing.feature_statistics import sorted_columns
from kfc.preprocessing.input_scaling import InputScaling
from kfc.system import DiskArray

if TYPE_CHECKING:
    import keras

_SAME = 1e-6
"""Edges closer than this, as a share of the largest one of their column, are one.

Rounding leaves a few units in the last place, 1e-7, between numbers that are meant to be
equal. In a first or last bin of that width, other numbers would be millions of widths away.
"""

_UNLIMITED = float(np.finfo(np.float32).max)


class BinNumbers(NamedTuple):
    """The numbers of all bins, (features, bins) each, float32.

    The encoding of x in a bin is clip((x - start) / width, least, most). All four are chosen
    so that a place without a bin gives 0.
    """

    start: Any
    width: Any
    least: Any
    most: Any


@dataclass(frozen=True)
class NumberBins:
    """Encodes each number by how far it has come through each bin of its column.

    With the edges b_0 < b_1 < ... < b_T of a column, a number x becomes the T numbers

        v_t = (x - b_(t-1)) / (b_t - b_(t-1)),

    which are clipped to [0, 1]; only the first one may be below 0, and only the last one above
    1, so that the encoding is linear outside. Gorishniy, Rubachev and Babenko, "On embeddings
    for numerical features in tabular deep learning", 2022, https://arxiv.org/abs/2203.05556.

    Args:
        edges: Edges of each column, (features, bins + 1), float32. They rise; the last one is
            repeated where a column has fewer. A constant column has one edge and no bin.
    """

    edges: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray | DiskArray, scaling: InputScaling, bins: int) -> NumberBins:
        """Learns the edges: the quantiles 0, 1/bins, ..., 1 of each scaled training column.

        They are NumPy's linear ones, and equal ones count once.

        Args:
            x: Training numbers, (rows, ...), not yet scaled and without NaN.
            scaling: Fitted scaling; it keeps the order of the values of a column.
            bins: Largest number of bins.
        """
        places = np.arange(bins + 1) * ((len(x) - 1) / bins)
        below = np.floor(places).astype(np.int64)
        above = np.minimum(below + 1, len(x) - 1)
        # Two values of each column for each edge, (features, 2, bins + 1), are all that is
        # scaled, whatever the number of rows.
        ends = np.stack([column[[below, above]] for column in sorted_columns(x)])
        scaled = scaling.apply(ends.reshape(len(ends), -1).T).T.astype(np.float64)
        low, high = scaled.reshape(ends.shape).transpose(1, 0, 2)
        return cls(_padded([_distinct(row) for row in low + (places - below) * (high - low)]))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> NumberBins:
        """Returns the bins whose `get_config` is given.

        Raises:
            ValueError: If the edges of a column are not finite or do not rise.
        """
        columns = [np.asarray(edges, np.float32) for edges in config["edges"]]
        for edges in columns:
            rises = edges.ndim == 1 and edges.size and (np.diff(edges) > 0).all()
            if not rises or not np.isfinite(edges).all():
                raise ValueError("edges of bins that do not rise")
        return cls(_padded(columns))

    def get_config(self) -> dict[str, Any]:
        """Returns the edges as plain values, for JSON, without repeated ones."""
        counts = 1 + np.count_nonzero(np.diff(self.edges), axis=1)
        return {"edges": [row[:n].tolist() for row, n in zip(self.edges, counts, strict=True)]}

    @property
    def num_features(self) -> int:
        """Number of columns."""
        return len(self.edges)

    @property
    def num_bins(self) -> int:
        """Largest number of bins of a column; 0 if all columns are constant."""
        return self.edges.shape[1] - 1

    @functools.cached_property
    def numbers(self) -> BinNumbers:
        """The numbers of all bins, NumPy arrays."""
        start, width = self.edges[:, :-1], np.diff(self.edges)
        exists = width > 0  # (features, bins)
        number = np.arange(self.num_bins)
        last = exists & (number == exists.sum(axis=1, keepdims=True) - 1)
        least = np.where(exists & (number == 0), -_UNLIMITED, 0.0)
        most = np.where(last, _UNLIMITED, np.where(exists, 1.0, 0.0))
        width = np.where(exists, width, 1.0)
        return BinNumbers(*(part.astype(np.float32) for part in (start, width, least, most)))

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Returns the encoding, (rows, features, bins), of scaled numbers in their precision.

        Args:
            x: Scaled numbers, (rows, features), float32, or float64 as a reference.
        """
        start, width, least, most = (part.astype(x.dtype) for part in self.numbers)
        # Differences of float32 edges are not exact, so float64 has widths of its own.
        width = np.where(most > least, np.diff(self.edges.astype(x.dtype)), width)
        with np.errstate(over="ignore"):
            return np.clip((x[:, :, None] - start) / width, least, most)

    # --- in a graph ----------------------------------------------------------------------

    def layer(self, name: str) -> keras.layers.Layer:
        """Returns the network of standard Keras operations that encodes, as it is saved.

        Args:
            name: Name of the layer.
        """
        from kfc.preprocessing.bin_layers import bin_layer

        return bin_layer(self.numbers, name)

    def compile_key(self) -> Any:
        """Returns a value that is equal for bins which may share a compiled step."""
        return ["bins", *self.edges.shape]


def _distinct(edges: np.ndarray) -> np.ndarray:
    """Returns rising edges without those that equal the one before, float32."""
    edges = edges.astype(np.float32)
    same = max(_SAME * np.abs(edges).max(), np.finfo(np.float32).tiny)
    kept = [edges[0]]
    for edge in edges[1:]:
        if edge - kept[-1] > same:
            kept.append(edge)
    return np.array(kept, np.float32)


def _padded(columns: list[np.ndarray]) -> np.ndarray:
    """Returns the edges of all columns, (features, most edges), the last one repeated."""
    most = max(len(edges) for edges in columns)
    return np.stack([np.pad(edges, (0, most - len(edges)), "edge") for edges in columns])
