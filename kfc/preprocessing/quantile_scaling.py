"""Scaling of numeric inputs by their quantiles, to a standard normal distribution."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kfc.preprocessing.feature_statistics import flattened, root_mean_square, sorted_columns
from kfc.preprocessing.normal_quantiles import evenly_in_quantiles, quantiles
from kfc.system import DiskArray

if TYPE_CHECKING:
    import keras

_PIECES = 128
"""Pieces per feature. Their ends are 0.08 apart in standard deviations, so that a value that
training rows have is off by less than that, and by some 0.003 where the density is smooth."""

_MOST_PIECES = 1 << 18
"""Pieces of all features together, which take 50 MB of JSON in a saved network."""

_FEWEST_PIECES = 16

_LEAST_SHARE = 1e-7
"""Share of rows below the smallest value, and above the largest: scores stay within 5.2."""


class Pieces(NamedTuple):
    """Numbers of an increasing piecewise-linear function of each feature.

    In a piece that starts at s, has the width w, and rises by r from v, the function is

        v + r * clip((x - s) / w, 0, 1)

    Args:
        middle: Start of the piece in the middle, (features,).
        starts: Starts of all pieces, (features * pieces,), rising within a feature.
        numbers: (s, w, v, r) of all pieces, (features * pieces, 4).
    """

    middle: Any
    starts: Any
    numbers: Any


@dataclass(frozen=True)
class QuantileScaling:
    """Maps each feature to a standard normal distribution, as far as training rows tell.

    A training value that is larger than a share p of the training rows becomes the normal
    quantile of p. Equal values get the mean of their shares, as in scikit-learn's
    `QuantileTransformer`; there, however, the smallest and the largest value become -5.2 and
    5.2 even if many rows have them, and so does a constant, which is 0 here. At most 129
    values per feature are kept, at equal distances of their normal quantiles; the function is
    linear between them, and constant outside.

    Args:
        values: Training values of each feature, (features, pieces + 1), float32. They rise;
            the last one is repeated where a feature has fewer.
        scores: Result for each value, of the same shape.
    """

    values: np.ndarray
    scores: np.ndarray

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> QuantileScaling:
        """Returns the scaling whose `get_config` is given.

        Raises:
            ValueError: If the values and scores of a feature do not fit together.
        """
        values, scores = config["values"], config["scores"]
        knots = []
        for x, y in zip(values, scores, strict=True):
            steps = np.diff(np.asarray(x, np.float32))
            if len(x) != len(y) or not 1 <= len(x) <= num_pieces(len(values)) + 1:
                raise ValueError(f"{len(x)} values with {len(y)} scores")
            if not (np.isfinite(x).all() and np.isfinite(y).all() and (steps > 0).all()):
                raise ValueError("values that do not rise")
            knots.append((np.asarray(x, np.float32), np.asarray(y, np.float32)))
        return cls(*_padded(knots))

    def get_config(self) -> dict[str, Any]:
        """Returns the numbers as plain values, for JSON, without repeated ones."""
        sizes = [1 + np.count_nonzero(np.diff(values)) for values in self.values]
        return {
            name: [row[:size].tolist() for row, size in zip(array, sizes, strict=True)]
            for name, array in (("values", self.values), ("scores", self.scores))
        }

    @classmethod
    def fit(cls, x: np.ndarray | DiskArray) -> QuantileScaling:
        """Learns the scaling from training rows.

        Rows on the disk are read once for as many features as fit into a part of the memory.

        Args:
            x: Training inputs, (rows, ...), uint8 or float32, without NaN.
        """
        features = int(np.prod(x.shape[1:]))
        return cls(*_padded([_knots(column, features) for column in sorted_columns(x)]))

    @property
    def is_per_feature(self) -> bool:
        """Whether each feature has numbers of its own, which is always so."""
        return True

    @property
    def num_features(self) -> int:
        """Number of features."""
        return len(self.values)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Returns scaled rows, (rows, features), float32; `layer` computes the same."""
        flat = self._broadcast(x, np.float32)
        starts = self.values[:, :-1]
        piece = np.empty(flat.shape, np.int32)
        for number, column in enumerate(flat.T):
            piece[:, number] = np.searchsorted(starts[number], column, side="right") - 1
        # NaN counts as larger than all; the arithmetic keeps it.
        piece = np.maximum(piece, 0) + np.arange(len(starts)) * starts.shape[1]
        start, width, value, rise = np.moveaxis(self._pieces.numbers[piece], 2, 0)
        with np.errstate(over="ignore"):  # far outside, where infinity is clipped
            return value + rise * np.clip((flat - start) / width, 0, 1)

    def apply_float64(self, x: np.ndarray) -> np.ndarray:
        """Returns scaled rows, (rows, features), computed in float64 as a reference."""
        flat = self._broadcast(x, np.float64)
        columns = [
            np.interp(column, values, scores)
            for column, values, scores in zip(flat.T, self.values, self.scores, strict=True)
        ]
        return np.stack(columns, axis=1)

    def _broadcast(self, x: np.ndarray, dtype: Any) -> np.ndarray:
        """Returns rows as a matrix; one column is repeated for all features."""
        return np.broadcast_to(flattened(x).astype(dtype), (len(x), self.num_features))

    def rms(self, x: np.ndarray | DiskArray) -> float:
        """Returns the root mean square of scaled rows, from a sample of at most 4,000."""
        return root_mean_square(self.apply, x)

    # --- in a graph ----------------------------------------------------------------------

    def graph(self, x: Any, layer: keras.layers.Layer | None = None) -> Any:
        """Returns scaled rows as a tensor, (batch, features), float32.

        Args:
            x: Raw rows, (batch, features), a tensor or a symbolic one.
            layer: Layer that scales; by default a new `layer()`.
        """
        import keras

        return (layer or self.layer())(keras.ops.cast(x, "float32"))

    def layer(self) -> keras.layers.Layer:
        """Returns the network of standard Keras operations that scales, as it is saved."""
        from kfc.preprocessing.quantile_layers import piecewise_layer

        features, knots = self.values.shape
        return piecewise_layer(self._pieces, (features, knots - 1), "scaling")

    def export_layer(self) -> keras.layers.Layer:
        """Returns the layer that replaces `layer` in a network that is converted to ONNX."""
        return self.layer()

    def compile_key(self) -> Any:
        """Returns a value that is equal for scalings which may share a compiled step."""
        return ["quantile", *self.values.shape]

    @functools.cached_property
    def _pieces(self) -> Pieces:
        starts, values = self.values[:, :-1], self.scores[:, :-1]
        widths = np.diff(self.values)
        widths[widths == 0] = 1
        rises = np.diff(self.scores)
        # Rounded down, so that no piece ends above the start of the next one.
        above = values + rises > self.scores[:, 1:]
        rises = np.where(above, np.nextafter(rises, np.float32(0)), rises)
        numbers = np.stack([starts, widths, values, rises], axis=2)  # (features, pieces, 4)
        middle = starts[:, starts.shape[1] // 2]
        return Pieces(middle.copy(), starts.reshape(-1), numbers.reshape(-1, 4))

    # --- in an ejected script ------------------------------------------------------------

    def script_lines(
        self, name: str, x: np.ndarray, *, rows: str = "x", fused: bool = False
    ) -> None:
        """Returns None: no short lines scale to the same bits."""


def num_pieces(features: int) -> int:
    """Returns the number of pieces of each of so many features, a power of two.

    It is 128, and half of that, a quarter and so on with more than 2,048 features.
    """
    pieces = _PIECES
    while pieces * features > _MOST_PIECES and pieces > _FEWEST_PIECES:
        pieces //= 2
    return pieces


def _knots(column: np.ndarray, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns values of a sorted column and their scores, (knots,) each, float32."""
    rows, column = len(column), _in_range(column)
    places = evenly_in_quantiles(rows, num_pieces(features), _LEAST_SHARE)
    values = np.unique(column[places])
    first, last = (np.searchsorted(column, values, side=side) for side in ("left", "right"))
    # (first + last - 1) / 2 / (rows - 1), and one half for a single row
    share = 0.5 + (first + last - rows) / (2 * max(rows - 1, 1))
    scores = quantiles(np.clip(share, _LEAST_SHARE, 1 - _LEAST_SHARE))
    return values.astype(np.float32), scores


def _in_range(column: np.ndarray) -> np.ndarray:
    """Returns values whose differences are normal float32 numbers or 0, float64."""
    info = np.finfo(np.float32)
    half, tiny = float(info.max) / 2, float(info.tiny)
    values = column.astype(np.float64)
    values /= tiny
    np.rint(values, out=values)  # changes none that is larger than 2^24 times `tiny`
    values *= tiny
    return np.clip(values, -half, half, out=values)


def _padded(knots: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Returns values and scores of all features, (features, pieces + 1) each."""
    size = num_pieces(len(knots)) + 1
    return [
        np.stack([np.pad(knot[part], (0, size - len(knot[part])), "edge") for knot in knots])
        for part in (0, 1)
    ]
