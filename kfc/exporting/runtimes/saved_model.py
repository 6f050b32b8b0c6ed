"""An exported SavedModel -> a function that answers; needs TensorFlow alone.

It also runs where kfc and Keras cannot be imported, so it imports neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np


def load(folder: str) -> Callable[..., dict[str, np.ndarray]]:
    """Loads the SavedModel in `folder`.

    Returns:
        A function of a mapping of inputs by name, and of a signature's name (by default
        `serving_default`), that returns outputs by name.
    """
    import tensorflow as tf

    model = tf.saved_model.load(folder)

    def answer(
        inputs: Mapping[str, np.ndarray], signature: str = "serving_default"
    ) -> dict[str, np.ndarray]:
        function = model.signatures[signature]
        outputs = function(**{name: tf.constant(values) for name, values in inputs.items()})
        answers = {name: value.numpy() for name, value in outputs.items()}
        return {
            name: np.char.decode(value.astype(bytes), "utf-8") if value.dtype == "O" else value
            for name, value in answers.items()
        }

    return answer
