"""Training rows -> the numbers a scaling layer needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kfc.errors import Finding, SpecError
from kfc.system import DiskArray, chunks

_UNSEEN = 1e18
"""Divisor of an input that is constant in training, so that any other value of it becomes 0.

Nothing is learned about such a feature, and the first weights of it are random: a border
pixel that is 0 in training and 255 later must not outweigh all others. Its square is the
largest variance that float32 holds in a layer.
"""


@dataclass(frozen=True)
class Scaling:
    """What turns an input into what the first layer sees.

        scaled = (x - shift) / divisor

    Args:
        shift: One number, or one per feature, (features,).
        divisor: One number, or one per feature, (features,); never 0.
    """

    shift: np.ndarray
    divisor: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Returns scaled rows, (rows, features); the graph does the same in a layer."""
        flat = x.reshape(len(x), -1).astype(np.float32)  # (rows, features)
        return (flat - self.shift) / self.divisor

    def rms(self, x: np.ndarray | DiskArray) -> float:
        """Returns the root mean square of the scaled rows, from a sample of them."""
        sample = x[:: max(1, len(x) // 2000)]
        return float(np.sqrt(np.mean(np.square(self(sample).astype(np.float64)))))


def fit_scaling(name: str, x: np.ndarray | DiskArray, *, constant: float = _UNSEEN) -> Scaling:
    """Learns the scaling called `name` from training rows.

    `none` changes nothing. `unit` divides 8-bit pixels, which are those of type uint8, by 255
    and maps other numbers from their smallest and largest value to 0 and 1; `centered` is
    `unit` minus one half. `standard` takes mean and standard deviation, `robust` median and
    the distance of the quartiles. All but the pixels are learned per feature.

    Args:
        name: One of `none`, `unit`, `centered`, `standard`, `robust`.
        x: Training inputs, (rows, ...), uint8 for pixels or else float32.
        constant: Divisor of a feature whose smallest value is its largest, for all but
            `robust`, whose quartiles may be equal in features that vary.

    Raises:
        SpecError: If `robust` is to be learned from rows that are on the disk.
    """
    if name == "none":
        return _scaling(0.0, 1.0)
    if name in ("unit", "centered"):
        pixels = np.zeros(()), np.full((), 255.0)
        low, high = pixels if x.dtype == np.uint8 else _range(x)
        width = _not_zero(high - low, np.maximum(np.abs(low), np.abs(high)), constant)
        return _scaling(low + width / 2 if name == "centered" else low, width)
    if name == "standard":
        mean, deviation = _moments(x)
        return _scaling(mean, _not_zero(deviation, np.abs(mean), constant))
    if isinstance(x, DiskArray):
        finding = Finding(
            "data.scale",
            "none, unit, centered or standard, for rows that are streamed from the disk",
            repr(name),
            "Quartiles need all rows at once: use standard.",
        )
        raise SpecError(finding)
    flat = _flat(x).astype(np.float64)
    low, middle, high = np.quantile(flat, (0.25, 0.5, 0.75), axis=0)
    return _scaling(middle, _not_zero(high - low, np.abs(middle), 1.0))


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)  # (rows, features)


def _range(x: np.ndarray | DiskArray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the smallest and the largest value of each feature."""
    lows, highs = zip(
        *((_flat(p).min(axis=0), _flat(p).max(axis=0)) for _, p in chunks(x)), strict=True
    )
    return np.min(lows, axis=0).astype(np.float64), np.max(highs, axis=0).astype(np.float64)


def _moments(x: np.ndarray | DiskArray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation of each feature."""
    if not isinstance(x, DiskArray):
        flat = _flat(x)
        return flat.mean(axis=0, dtype=np.float64), flat.std(axis=0, dtype=np.float64)
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    for _, part in chunks(x):
        scaler.partial_fit(_flat(part).astype(np.float64))
    return scaler.mean_, np.sqrt(scaler.var_)


def _scaling(shift: np.ndarray | float, divisor: np.ndarray | float) -> Scaling:
    return Scaling(np.asarray(shift, np.float32), np.asarray(divisor, np.float32))


def _not_zero(width: np.ndarray, size: np.ndarray, constant: float) -> np.ndarray:
    # What rounding leaves of a constant feature of that size is no width, and what
    # float32 cannot hold cannot divide.
    return np.where(
        width > np.maximum(1e-12 * size, np.finfo(np.float32).tiny), width, constant
    )
