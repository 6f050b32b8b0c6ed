"""An optimizer as a spec writes it, and a start -> its path over Himmelblau's function."""

import keras
import numpy as np
import tensorflow as tf

from kfc.spec.optimizer_fields import OptimizerSpec
from kfc.training.optimizers import build_optimizer

MINIMA = {
    "A": (3.0, 2.0),
    "B": (-2.805118, 3.131313),
    "C": (-3.779310, -3.283186),
    "D": (3.584428, -1.848127),
}
NEAR = 0.05


def himmelblau(x, y):
    """Returns the height, 0 at each of four minima.

        f(x, y) = (x^2 + y - 11)^2 + (x + y^2 - 7)^2

    Himmelblau, "Applied nonlinear programming", 1972.
    """
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def descend(named, start, steps):
    """Returns the path of the optimizer that a spec writes as `named`, (steps + 1, 2).

    Args:
        named: What `training.optimizer` of a spec may be: a name and options.
        start: x and y.
        steps: How many updates.
    """
    checked = OptimizerSpec.model_validate(named)
    optimizer = build_optimizer(checked, steps_per_epoch=1, epochs=steps)
    place = keras.Variable(start, dtype="float32")
    optimizer.build([place])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            height = himmelblau(*tf.unstack(place.value))
        optimizer.apply(tape.gradient(height, [place.value]), [place])

    path = [np.array(place)]
    for _ in range(steps):
        step()
        path.append(np.array(place))
    return np.stack(path)


def report(path):
    """Returns where a path ends: at which minimum, if at one, and since which step.

    A minimum is reached when the path stays within `NEAR` of it. A path that has left all
    finite numbers has no end and no height.
    """
    end = path[-1].astype(float)
    if not np.isfinite(end).all():
        return {"minimum": None, "steps": None, "end": None, "height": None}
    name = min(MINIMA, key=lambda minimum: np.hypot(*(end - MINIMA[minimum])))
    far = np.flatnonzero(np.hypot(*(path - MINIMA[name]).T) >= NEAR)
    reached = far[-1] + 1 < len(path)
    return {
        "minimum": name if reached else None,
        "steps": int(far[-1]) + 1 if reached else None,
        "end": [float(round(value, 3)) for value in end],
        "height": float(f"{himmelblau(*end):.2g}"),
    }
