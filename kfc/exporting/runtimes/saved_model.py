"""Runtime of SavedModel exports, which needs only TensorFlow.

This file also runs without kfc and Keras, so it imports neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np


def load(folder: str) -> Callable[..., dict[str, np.ndarray]]:
    """Loads the SavedModel in `folder`.

    Returns:
        A function from a mapping, input name -> array, and the name of a signature (by
        default `serving_default`) to outputs by name.
    """
    import tensorflow as tf

    model = tf.saved_model.load(folder)

    def predict(
        inputs: Mapping[str, np.ndarray], signature: str = "serving_default"
    ) -> dict[str, np.ndarray]:
        function = model.signatures[signature]
        tensors = function(**{name: tf.constant(values) for name, values in inputs.items()})
        outputs = {name: value.numpy() for name, value in tensors.items()}
        return {
            name: np.char.decode(value.astype(bytes), "utf-8") if value.dtype == "O" else value
            for name, value in outputs.items()
        }

    return predict
