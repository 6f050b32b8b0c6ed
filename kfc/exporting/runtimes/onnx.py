"""Runtime of ONNX exports, which needs only onnxruntime.

This file also runs without kfc and Keras, so it imports neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np


def load(folder: str) -> Callable[..., dict[str, np.ndarray]]:
    """Loads `model.onnx` in `folder`.

    Returns:
        A function from a mapping, input name -> array, to outputs by name.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(
        Path(folder) / "model.onnx", providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]

    def predict(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    return predict
