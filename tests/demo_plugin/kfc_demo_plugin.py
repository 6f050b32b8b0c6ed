"""A plug-in of each kind, as small as it can be; copy it to begin one of your own."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from kfc.check_plugins import CheckPlugin
from kfc.data import Rows, Source
from kfc.errors import Finding, SpecError
from kfc.exporting.formats import Exporter
from kfc.network.building import initializer


def spirals(argument: str) -> Source:
    """Reads `spirals:N`: N points on each of two intertwined spirals.

    Lang and Witbrock, "Learning to tell two spirals apart", 1988.
    """
    num_points = int(argument)
    generator = np.random.default_rng(0)
    angle = np.linspace(0.5, 3 * np.pi, num_points)
    arm = np.stack([angle * np.cos(angle), angle * np.sin(angle)], axis=1)  # (points, 2)
    x = np.concatenate([arm, -arm]) + generator.normal(scale=0.1, size=(2 * num_points, 2))
    y = np.repeat([0, 1], num_points)
    return Source(Rows(x, y), class_names=("inner", "outer"))


class SignSGD(keras.optimizers.Optimizer):
    """Moves each weight by the learning rate against the sign of its gradient.

        w <- w - learning_rate * sign(g)

    Bernstein et al., "signSGD: compressed optimisation for non-convex problems", 2018,
    https://arxiv.org/abs/1802.04434.

    Args:
        learning_rate: Step size per update, above 0, or a schedule.
        **kwargs: The base class's options.
    """

    def __init__(self, learning_rate=0.001, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)

    def update_step(self, gradient, variable, learning_rate):
        """Moves one weight."""
        rate = keras.ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, rate * keras.ops.sign(gradient))


def gated(tensor, hidden, *, name, seed, sharpness=1.0):
    """A dense layer times a sigmoid gate of the same input.

    Dauphin et al., "Language modeling with gated convolutional networks", 2017,
    https://arxiv.org/abs/1612.08083, for dense layers.
    """

    def dense(suffix, activation, own_seed):
        kernel = initializer(hidden.init, own_seed)
        return keras.layers.Dense(
            hidden.units,
            activation=activation,
            kernel_initializer=kernel,
            name=f"{name}{suffix}",
        )(tensor)

    gate = keras.layers.Rescaling(sharpness)(dense("_gate", None, seed + 1))
    gate = keras.layers.Activation("sigmoid")(gate)
    return keras.layers.Multiply(name=f"{name}_product")([dense("", None, seed), gate])


class EpochCounter(keras.callbacks.Callback):
    """Counts epochs, and writes the number to a file at the end.

    Args:
        filename: File to write, in the run folder.
    """

    called_every = None

    def __init__(self, filename="epoch_count.txt"):
        super().__init__()
        self.filename, self.count = filename, 0

    def on_epoch_end(self, epoch, logs=None):
        """Counts one epoch."""
        self.count += 1

    def on_train_end(self, logs=None):
        """Writes the count."""
        with open(self.filename, "w", encoding="utf-8") as file:
            file.write(str(self.count))

    def get_state(self):
        """Returns what a resumed training needs."""
        return {"count": self.count}

    def set_state(self, state):
        """Takes what `get_state` returned."""
        self.count = state["count"]


def write_arrays(network, task, folder):
    """Writes the weights of relu layers as `model.npz`, to be run by NumPy alone."""
    dense = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
    others = {layer.name for layer in network.layers[1:]} - {layer.name for layer in dense}
    activations = {layer.activation.__name__ for layer in dense[:-1]}
    if not others <= {"scaling", "value"} or not activations <= {"relu"}:
        got = ", ".join(sorted(others | activations))
        raise SpecError(Finding("--format arrays", "dense relu layers", got, "Use onnx."))
    arrays = {
        f"{n}/{i}": w for n, d in enumerate(dense) for i, w in enumerate(d.get_weights())
    }
    for name in ("scaling", "target_scaling"):
        scaling = getattr(task, name)
        arrays |= {f"{name}/shift": scaling.shift, f"{name}/divisor": scaling.divisor}
    np.savez(folder / "model.npz", classes=len(task.class_names), **arrays)


ARRAYS = Exporter(write_arrays, Path(__file__).with_name("kfc_demo_runtime.py"))


def repeated_within(parts):
    """Finds training rows that repeat each other, half of them and more."""
    x = np.asarray(parts.train.x[:])
    distinct = len(np.unique(x.reshape(len(x), -1), axis=0))
    if 2 * distinct > len(x):
        return None
    return Finding(
        "training rows",
        "rows of which most are different",
        f"{distinct:,} different ones in {len(x):,}",
        "Remove repeated rows.",
        evidence={"distinct": distinct, "rows": len(x)},
    )


ROWS_REPEAT_WITHIN = CheckPlugin(
    "DEMO101",
    "parts",
    repeated_within,
    "Rows that repeat count several times in each epoch. Remove them.",
)
