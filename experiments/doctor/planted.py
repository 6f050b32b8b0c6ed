"""The planted faults of dense networks, as Keras models and, where possible, as specs.

The network is the one of all faults: 64-64-64-10 on scikit-learn's digits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_diabetes, load_digits

import kfc
from kfc.spec import load_spec

SPARSE = "sparse_categorical_crossentropy"
HEALTHY = {
    "name": "healthy",
    "data": {"source": "sklearn:digits", "scale": "unit", "validation": 0.2},
    "network": {"hidden": [64, 64, 64], "init": "glorot_uniform"},
    "training": {"epochs": 8},
}
"""The spec that each fault changes; it reaches about 0.95."""


@dataclass(frozen=True)
class Fault:
    """One fault, with the checks that may name it.

    Args:
        names: Names of the checks that name the right cause.
        model: Function that returns the Keras model, the data and the arguments of `doctor`.
        overrides: Changes of `HEALTHY` that plant the fault in a spec; None where no spec has
            it, since kfc numbers labels and adds logits by itself.
    """

    names: tuple[str, ...]
    model: Callable[[], tuple[keras.Model, Any, dict[str, Any]]]
    overrides: Mapping[str, Any] | None = field(default=None)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Returns the 1,797 digits, (rows, 64) from 0 to 1, in a random order."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    return (data.data[order] / 16).astype("float32"), data.target[order]


def network(
    *,
    activation: str | None = "relu",
    output: str | None = "softmax",
    units: int = 10,
    dropout: float = 0.0,
    init: Any = "glorot_uniform",
    inputs: int = 64,
) -> keras.Model:
    """Returns a network of three hidden layers of 64 units."""
    keras.utils.set_random_seed(0)
    layers: list[Any] = [keras.Input((inputs,))]
    for _ in range(3):
        layers.append(keras.layers.Dense(64, activation, kernel_initializer=init))
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    layers.append(keras.layers.Dense(units, output, kernel_initializer=init))
    return keras.Sequential(layers)


def planted(
    data: Callable[[], Any] = digits,
    loss: Any = SPARSE,
    optimizer: Any = "adam",
    options: Mapping[str, Any] | None = None,
    **network_options: Any,
) -> Callable[[], tuple[keras.Model, Any, dict[str, Any]]]:
    """Returns a function that builds one faulty training."""

    def build() -> tuple[keras.Model, Any, dict[str, Any]]:
        training = {"loss": loss, "optimizer": optimizer, "epochs": 8, **(options or {})}
        return network(**network_options), data(), training

    return build


def _with(x: Callable[[Any], Any] = lambda x: x, y: Callable[[Any], Any] = lambda y: y) -> Any:
    def data() -> Any:
        inputs, labels = digits()
        return x(inputs), y(labels)

    return data


def _nan_cell(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[3, 20] = np.nan
    return x


def _sorted() -> Any:
    x, y = digits()
    order = np.argsort(y, kind="stable")
    return x[order], y[order]


def _copied() -> Any:
    x, y = digits()
    return {"train": (x[:1437], y[:1437]), "validation": (x[:360], y[:360])}


def _two_classes() -> Any:
    x, y = digits()
    return x[y < 2], y[y < 2]


def _millions() -> Any:
    x, y = load_diabetes(return_X_y=True)
    return (20 * x).astype("float32"), 1e4 * y


def _stddev(value: float) -> Any:
    return keras.initializers.RandomNormal(stddev=value, seed=1)


_INITS = {
    "all-zero init": "zeros",
    "constant init 0.1": {"name": "constant", "value": 0.1},
    "init stddev 10": {"name": "random_normal", "stddev": 10.0},
}

FAULTS: dict[str, Fault] = {
    "no softmax, from_logits=False": Fault(("logits_as_probabilities",), planted(output=None)),
    "relu on the output": Fault(("relu_output",), planted(output="relu")),
    "sigmoid output + sparse cross-entropy": Fault(
        ("sigmoid_for_classes",), planted(output="sigmoid")
    ),
    "all-zero init": Fault(
        ("units_identical",), planted(init="zeros"), {"network.init": _INITS["all-zero init"]}
    ),
    "constant init 0.1": Fault(
        ("units_identical",),
        planted(init=keras.initializers.Constant(0.1)),
        {"network.init": _INITS["constant init 0.1"]},
    ),
    "init stddev 10": Fault(
        ("start_loss_high",),
        planted(init=_stddev(10.0)),
        {"network.init": _INITS["init stddev 10"]},
    ),
    "no hidden activation": Fault(
        ("no_activation",), planted(activation=None), {"network.activation": "linear"}
    ),
    "inputs x4080, SGD 0.1": Fault(
        ("unscaled_input",),
        planted(_with(lambda x: 4080 * x), optimizer=keras.optimizers.SGD(0.1)),
        {"data.scale": "none", "training.optimizer": {"name": "sgd", "learning_rate": 0.1}},
    ),
    "softmax + from_logits=True": Fault(
        ("softmax_twice",),
        planted(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    ),
    "integer labels + MSE": Fault(("codes_for_numbers",), planted(loss="mse")),
    "one-hot + sparse cross-entropy": Fault(
        ("one_hot_for_codes",), planted(_with(y=keras.utils.to_categorical))
    ),
    "string labels": Fault(("targets_are_text",), planted(_with(y=lambda y: y.astype(str)))),
    "NaN in one input cell": Fault(("input_not_finite",), planted(_with(_nan_cell))),
    "learning rate 10 (Adam)": Fault(
        ("update_too_large", "steps_diverge"),
        planted(optimizer=keras.optimizers.Adam(10.0)),
        {"training.optimizer.learning_rate": 10.0},
    ),
    "dropout 0.99": Fault(
        ("dropout_too_high",), planted(dropout=0.99), {"network.dropout": 0.99}
    ),
    "shuffled labels": Fault(
        ("targets_unrelated",),
        planted(_with(y=lambda y: np.random.default_rng(1).permutation(y))),
    ),
    "sorted rows + last-rows validation": Fault(
        ("class_not_in_part", "class_shares_differ"),
        planted(_sorted, options={"validation_split": 0.2}),
    ),
    "training rows copied into validation": Fault(
        ("training_rows_repeated",), planted(_copied)
    ),
    "all features constant": Fault(("input_constant",), planted(_with(lambda x: 0 * x + 0.5))),
    "regression target ~1e6 unscaled": Fault(
        ("target_unscaled",), planted(_millions, "mse", inputs=10, units=1, output=None)
    ),
    "1-unit softmax + binary cross-entropy": Fault(
        ("softmax_of_one",), planted(_two_classes, "binary_crossentropy", units=1)
    ),
    "integer labels + categorical cross-entropy": Fault(
        ("codes_for_one_hot",), planted(loss="categorical_crossentropy")
    ),
    "labels 1..10": Fault(("label_out_of_range",), planted(_with(y=lambda y: y + 1))),
}
"""The 23 faults of hand-built networks, by the words in which people report them."""

SPEC_FAULTS: dict[str, dict[str, Any]] = {
    name: dict(fault.overrides) for name, fault in FAULTS.items() if fault.overrides
} | {"rows sorted, never shuffled": {"training.shuffle": False}}
"""The faults that a spec can have, as overrides of `HEALTHY`."""


def spec_fault(name: str) -> tuple[kfc.Spec, Any]:
    """Returns the spec with a fault, and the rows that replace its source, or None."""
    spec = load_spec(HEALTHY, SPEC_FAULTS[name])
    x, y = digits()
    if name.startswith("inputs x4080"):
        return spec, (4080 * x, y)
    if name.startswith("rows sorted"):
        order = np.argsort(y, kind="stable")
        return spec, (x[order], y[order])
    return spec, None
