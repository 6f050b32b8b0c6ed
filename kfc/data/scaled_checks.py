"""Checks of inputs once they are scaled: the stages `scaling` and `scaled`."""

from __future__ import annotations

import numpy as np

from kfc.data.bad_cells import first_bad_cell
from kfc.errors import Finding
from kfc.preprocessing import InputScaling
from kfc.system import DiskArray, chunks

_UNSCALED_RMS = 30.0
"""Inputs with this root mean square give a first loss in the thousands: MNIST's raw 0..255
have 79, scikit-learn's raw 0..16 digits 7.8, standardised inputs 1."""


def unscaled_input(
    scaling: InputScaling, x: np.ndarray | DiskArray, where: str, scale: str
) -> Finding | None:
    """Finds training inputs that are far too large for a network even when scaled.

    Args:
        scaling: Scaling that was fitted on the training rows.
        x: Training inputs, (rows, ...), uint8 or float32.
        where: Name of the rows in messages.
        scale: The spec's `data.scale`.
    """
    rms = scaling.rms(x)
    if rms <= _UNSCALED_RMS:  # False for NaN, which is refused too
        return None
    return Finding(
        where,
        f"inputs with a root mean square of at most {_UNSCALED_RMS:g}",
        f"{rms:.4g} with data.scale: {scale}",
        "Set data.scale to unit or standard; to train on such inputs all the same, set "
        "accept: [unscaled_input].",
        evidence={"rms": rms, "most": _UNSCALED_RMS},
        cure={"data.scale": "standard"},
    )


def scaled_not_finite(
    scaling: InputScaling,
    x: np.ndarray | DiskArray,
    where: str,
    feature_names: tuple[str, ...] = (),
) -> Finding | None:
    """Finds the first finite input that is infinite once it is scaled.

    Args:
        scaling: Scaling that was fitted on the training rows.
        x: Checked inputs, (rows, ...).
        where: Name of the rows in messages.
        feature_names: Names of the columns, where they are known.
    """
    kind = np.iinfo(x.dtype) if x.dtype.kind in "iu" else np.finfo(np.float32)
    if _stays_finite(scaling, np.array([kind.min, kind.max])):
        return None  # no value of this type can overflow
    for first_row, part in chunks(x):
        # Scaling keeps the order of a column, so its two ends stand for all its values.
        if _stays_finite(scaling, np.stack([part.min(axis=0), part.max(axis=0)])):
            continue
        with np.errstate(over="ignore"):
            bad = ~np.isfinite(scaling.apply(part)).reshape(part.shape)
        expected = "inputs that stay finite when they are scaled as the training rows were"
        if finding := first_bad_cell(
            part, bad, where, expected, first_row=first_row, feature_names=feature_names
        ):
            return finding
    return None


def _stays_finite(scaling: InputScaling, x: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.isfinite(scaling.apply(x)).all())
