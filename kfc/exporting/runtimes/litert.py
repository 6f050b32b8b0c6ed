"""Runtime of LiteRT exports, which needs only ai-edge-litert.

This file also runs without kfc and Keras, so it imports neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np


def load(folder: str) -> Callable[..., dict[str, np.ndarray]]:
    """Loads `model.tflite` in `folder`.

    Returns:
        A function from a mapping, input name -> array, to outputs by name.
    """
    from ai_edge_litert.interpreter import Interpreter

    # The runner reads tensors of the interpreter, but does not keep it alive.
    interpreter = Interpreter(str(Path(folder) / "model.tflite"))
    runner = interpreter.get_signature_runner("serving_default")

    def predict(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs: dict[str, np.ndarray] = runner(**inputs)
        return outputs

    predict.interpreter = interpreter  # type: ignore[attr-defined]
    return predict
