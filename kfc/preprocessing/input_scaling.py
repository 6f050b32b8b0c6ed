"""Choice of the scaling of numeric inputs by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kfc.preprocessing.numeric import NumericScaling
from kfc.preprocessing.quantile_scaling import QuantileScaling
from kfc.system import DiskArray

InputScaling = NumericScaling | QuantileScaling
"""Scaling of numeric inputs; both classes have the same methods."""


def fit_scaling(name: str, x: np.ndarray | DiskArray) -> InputScaling:
    """Learns the scaling called `name` from training rows.

    Args:
        name: `quantile`, or a name that `NumericScaling.fit` takes.
        x: Training inputs, (rows, ...), uint8 for pixels or else float32.

    Raises:
        SpecError: If quartiles are to be learned from rows that are on the disk.
    """
    return QuantileScaling.fit(x) if name == "quantile" else NumericScaling.fit(name, x)


def scaling_from_config(config: Mapping[str, Any]) -> InputScaling:
    """Returns the scaling whose `get_config` is given.

    Raises:
        ValueError: If the numbers do not fit together.
        KeyError: If a number is missing.
    """
    kind = QuantileScaling if "scores" in config else NumericScaling
    return kind.from_config(config)
