"""An exported LiteRT model -> a function that answers; needs ai-edge-litert alone.

It also runs where kfc and Keras cannot be imported, so it imports neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np


def load(folder: str) -> Callable[..., dict[str, np.ndarray]]:
    """Loads `model.tflite` in `folder`.

    Returns:
        A function of a mapping of inputs by name that returns outputs by name.
    """
    from ai_edge_litert.interpreter import Interpreter

    # A runner does not keep the interpreter alive whose tensors it reads.
    interpreter = Interpreter(str(Path(folder) / "model.tflite"))
    runner = interpreter.get_signature_runner("serving_default")

    def answer(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        answers: dict[str, np.ndarray] = runner(**inputs)
        return answers

    answer.interpreter = interpreter  # type: ignore[attr-defined]
    return answer
