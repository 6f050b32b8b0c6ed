"""Refuses the specs whose weights no short script can reproduce."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from kfc.data import Source, Task
from kfc.data.tables import is_table_source
from kfc.errors import Finding, SpecError
from kfc.network import num_outputs
from kfc.preprocessing import BooleanColumn, CategoryColumn, DateColumn
from kfc.registry import BLOCKS
from kfc.spec import (
    NO_TEST,
    ActivationSpec,
    BiasInitializerSpec,
    CosineSpec,
    HiddenSpec,
    InitializerSpec,
    LossSpec,
    Spec,
    signatures,
)

SOURCES = ("idx", "npz", "sklearn", "tfds")
"""Kinds of sources that a line or two can read."""

LOSSES = ("binary_crossentropy", "mean_squared_error", "sparse_categorical_crossentropy")

_OWN_FUNCTIONS = (
    *("elu", "gelu", "leaky_relu", "relu", "relu6", "selu", "sigmoid", "silu", "softplus"),
    *("softsign", "tanh"),
)
ACTIVATIONS = {"linear": "", **{name: f"tf.nn.{name}" for name in _OWN_FUNCTIONS}}
"""Activations for which the tests have found the same bits, with their functions."""

_ADAM = ("beta_1", "beta_2", "epsilon", "weight_decay")
OPTIMIZERS = {
    "adam": _ADAM,
    "adamw": _ADAM,
    "rmsprop": ("epsilon", "rho", "weight_decay"),
    "sgd": ("momentum", "nesterov", "weight_decay"),
    "tape_sgd": ("weight_decay",),
}
"""Optimizers that the template writes out, with their options besides the learning rate."""

_MONITORS = ("val_accuracy", "val_loss")


def check_ejectable(spec: Spec) -> None:
    """Refuses keys that a script would have to leave out, before the data is read.

    Args:
        spec: Checked spec.

    Raises:
        SpecError: With a finding for each such key.
    """
    findings = [*_data_findings(spec), *_network_findings(spec), *_training_findings(spec)]
    if findings:
        raise SpecError(*findings)


def check_resolved(spec: Spec, source: Source, task: Task) -> None:
    """Refuses values that only the data decides.

    Args:
        spec: Resolved spec.
        source: Rows as the source returned them.
        task: Task of the data.

    Raises:
        SpecError: If the script would train another network.
    """
    findings = [*_task_findings(spec, source, task), *_layer_findings(spec, task)]
    findings += _column_findings(task)
    if findings:
        raise SpecError(*findings)


def refused(where: str, expected: str, got: object) -> SpecError:
    """Returns the error for a key that a script cannot follow."""
    return SpecError(_finding(where, expected, got))


def _finding(where: str, expected: str, got: object) -> Finding:
    remedy = "Change it, or keep this spec with kfc."
    return Finding(where, f"{expected}, which a short script can do", repr(got), remedy)


# --- before the data is read --------------------------------------------------------------


def _data_findings(spec: Spec) -> Iterator[Finding]:
    data = spec.data
    if data.source is None:
        yield _finding("data.source", "a source", None)
    elif is_table_source(data.source):
        yield from _table_findings(spec)
    elif data.source.partition(":")[0] not in SOURCES:
        yield _finding("data.source", f"one of {', '.join(SOURCES)}", data.source)
    if data.test == NO_TEST:
        yield _finding("data.test", "rows set aside for the test", data.test)
    if isinstance(data.validation, str):
        yield _finding("data.validation", "a share of the training rows", data.validation)
    for key in ("fold", "groups", "order"):
        if getattr(data, key) is not None:
            yield _finding(f"data.{key}", "a shuffled split", getattr(data, key))
    if data.stream == "always":
        yield _finding("data.stream", "rows in memory (auto or never)", data.stream)


def _table_findings(spec: Spec) -> Iterator[Finding]:
    data = spec.data
    if not str(data.source).startswith("csv:"):
        got = f"{data.source!r}, a table"
        expected = "a CSV file or arrays of numbers, which a short script can read"
        remedy = "Keep this spec with kfc; its run's model.keras loads in plain Keras."
        yield Finding("data.source", expected, got, remedy)
    if data.test not in (None, NO_TEST):
        yield _finding("data.test", "test rows of the same file", data.test)
    if data.categories.scale:
        yield _finding("data.categories.scale", "false", True)
    if data.categories.binary != "one_hot":
        yield _finding("data.categories.binary", "one_hot", data.categories.binary)
    if data.csv.decimal == ",":
        yield _finding("data.csv.decimal", "numbers with a point", data.csv.decimal)


def _network_findings(spec: Spec) -> Iterator[Finding]:
    network = spec.network
    if network.block.name not in BLOCKS.builtins or network.block.name != "dense":
        yield _finding("network.block", "dense", network.block.name)
    if network.dropout_schedule:
        yield _finding("network.dropout_schedule", "none", network.dropout_schedule)
    if network.numeric_embedding:
        got = network.numeric_embedding.name
        yield _finding("network.numeric_embedding", "none", got)
    if network.input_scale:
        yield _finding("network.input_scale", "false", True)
    if network.members > 1:
        yield _finding("network.members", "1", network.members)
    yield from _initializer_findings("network.init", network.init)
    if network.output_init is not None:
        yield from _initializer_findings("network.output_init", network.output_init)
    yield from _bias_findings("network.output_bias_init", network.output_bias_init)
    for number, layer in enumerate(network.layers()):
        yield from _hidden_findings(f"network.hidden[{number}]", layer)
        if layer.init is not None and layer.init != network.init:
            yield from _initializer_findings(f"network.hidden[{number}].init", layer.init)


def _hidden_findings(where: str, layer: HiddenSpec) -> Iterator[Finding]:
    if layer.normalization == "layer":
        yield _finding(f"{where}.normalization", "none or batch", layer.normalization)
    if layer.activation is not None:
        yield from _activation_findings(f"{where}.activation", layer.activation)
    if layer.parametric_activation:
        yield _finding(f"{where}.parametric_activation", "false", True)
    yield from _bias_findings(f"{where}.bias_init", layer.bias_init)


def _bias_findings(where: str, init: BiasInitializerSpec | None) -> Iterator[Finding]:
    if init is not None and init.name != "zeros":
        yield _finding(where, "zeros", init.name)


def _activation_findings(where: str, activation: ActivationSpec) -> Iterator[Finding]:
    name = activation.name
    if name not in ACTIVATIONS:
        yield _finding(where, f"one of {', '.join(ACTIVATIONS)}", name)
        return
    for option, value in activation.options.items():
        if value != signatures("activation")[name][option]:
            yield _finding(f"{where}.{option}", f"the default of {name}", value)


def _initializer_findings(where: str, init: InitializerSpec) -> Iterator[Finding]:
    if init.needs_rows:
        yield _finding(where, "an initializer of Keras", init.name)
    for option, value in init.options.items():
        if not isinstance(value, (int, float, str)):
            yield _finding(f"{where}.{option}", "a number or a name", value)


def _training_findings(spec: Spec) -> Iterator[Finding]:
    training = spec.training
    if training.loss is not None:
        yield from _loss_findings(training.loss)
    yield from _optimizer_findings(spec)
    plain: dict[str, tuple[object, object]] = {
        "class_weight": (training.class_weight, None),
        "drop_last": (training.drop_last, False),
        "metrics": (list(training.metrics), []),
        "precision": (training.precision, "float32"),
        "members": (training.members, 1),
        "calibrate": (training.calibrate, None),
        "interval_coverage": (training.interval_coverage, None),
        "callbacks": ([callback.name for callback in training.callbacks], []),
    }
    for key, (value, wanted) in plain.items():
        if value != wanted:
            yield _finding(f"training.{key}", repr(wanted), value)
    if training.engine == "eager":
        yield _finding("training.engine", "auto, graph or xla", training.engine)
    stopping = training.early_stopping
    if stopping and stopping.monitor not in _MONITORS:
        expected = " or ".join(_MONITORS)
        yield _finding("training.early_stopping.monitor", expected, stopping.monitor)
    if stopping and stopping.patience is None:
        yield _finding("training.early_stopping.patience", "a number of epochs", "null")
    if stopping and stopping.ties != "first":
        yield _finding("training.early_stopping.ties", "first", stopping.ties)


def _loss_findings(loss: LossSpec) -> Iterator[Finding]:
    name = loss.full_name(loss.name)
    if name not in LOSSES:
        yield _finding("training.loss", f"one of {', '.join(LOSSES)}", loss.name)
        return
    for option, value in loss.options.items():
        if value != signatures("loss")[name][option]:
            yield _finding(f"training.loss.{option}", "the default", value)


def _optimizer_findings(spec: Spec) -> Iterator[Finding]:
    optimizer, where = spec.training.optimizer, "training.optimizer"
    if optimizer.name not in OPTIMIZERS:
        yield _finding(f"{where}.name", f"one of {', '.join(OPTIMIZERS)}", optimizer.name)
        return
    written = ("learning_rate", *OPTIMIZERS[optimizer.name])
    defaults = signatures("optimizer").get(optimizer.name, {})
    for option, value in optimizer.options.items():
        if option not in written and value != defaults.get(option):
            yield _finding(f"{where}.{option}", f"{defaults.get(option)!r}", value)
    schedule = optimizer.schedule()
    if schedule and not (isinstance(schedule, CosineSpec) and schedule.warmup_epochs):
        expected = "a number, or the schedule cosine with warmup_epochs"
        yield _finding(f"{where}.learning_rate", expected, schedule.name)


# --- with the data ------------------------------------------------------------------------


def _task_findings(spec: Spec, source: Source, task: Task) -> Iterator[Finding]:
    loss, classes = spec.training.loss, len(task.class_names)
    if loss and loss.full_name(loss.name) == LOSSES[0] and classes != 2:
        got = f"{loss.name} for {classes} classes"
        yield _finding("training.loss", "cross_entropy for more than two classes", got)
    y = np.asarray(source.train.y)
    if task.classification and (
        y.ndim != 1 or y.dtype.kind not in "iu" or set(np.unique(y)) - set(range(classes))
    ):
        got = ", ".join(str(value) for value in np.unique(y)[:3])
        yield _finding("data.source", "classes numbered 0, 1, 2, ...", f"{got}, ...")
    if not task.classification and spec.data.clip_predictions:
        yield _finding("data.clip_predictions", "false", True)
    if task.outputs > 1 and spec.data.scale_target != "none":
        yield _finding("data.scale_target", "none for several targets", "standard")


def _column_findings(task: Task) -> Iterator[Finding]:
    for column in task.encoding.columns if task.encoding else ():
        where = f"data.columns.{column.name}"
        if isinstance(column, DateColumn):
            yield _finding(where, "a number, a boolean, a category or ignore", "date")
        elif isinstance(column, BooleanColumn) and column.gaps:
            yield _finding(where, "a boolean without gaps, or a category", "boolean with gaps")
        elif isinstance(column, CategoryColumn) and column.embedding_size is not None:
            yield _finding(f"{where}.encoder", "one_hot", "embedding")
        elif isinstance(column, CategoryColumn) and column.rare:
            yield _finding(f"{where}.min_count", "a code for each value", column.rare[:3])


def _layer_findings(spec: Spec, task: Task) -> Iterator[Finding]:
    hidden = spec.network.layers()
    # Layers with dropout or normalization are written as one loop over all hidden layers.
    if any(layer.dropout or layer.normalization == "batch" for layer in hidden):
        for key in ("activation", "dropout", "normalization", "use_bias"):
            for number, layer in enumerate(hidden):
                if getattr(layer, key) != getattr(hidden[0], key):
                    where, got = f"network.hidden[{number}].{key}", layer.model_dump()[key]
                    yield _finding(where, "the same in all layers, beside dropout", got)
        if not hidden[0].use_bias:
            expected = "biases beside dropout or normalization"
            yield _finding("network.use_bias", expected, False)
    # XLA multiplies the weight between two single units in another order.
    widths = [*(layer.units for layer in hidden), num_outputs(spec, task)]
    if spec.training.engine == "xla" and (1, 1) in itertools.pairwise(widths):
        expected = "no single unit after another, with engine xla"
        yield _finding("network.hidden", expected, widths[:-1])
