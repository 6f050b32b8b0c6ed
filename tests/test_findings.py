import ast
import dataclasses
import pathlib
import re
import subprocess
import sys
import typing
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import kfc
from kfc.data import Prepared, Rows, Task, prepare, weighted
from kfc.data.fold_splits import FoldRequest, as_folds, split_fold
from kfc.data.row_checks import check_rows
from kfc.data.splits import SplitRequest, split
from kfc.data.tables import RowLabels
from kfc.errors import Finding, KfcError, SpecError
from kfc.findings import CHECKS, Check, checks_of, find_check, run_check, run_checks
from kfc.runs.table_rows import encoded_rows, typed_rows
from kfc.runs.trained_checks import Trained
from kfc.spec import FoldSpec, SpecText, load_spec, override
from kfc.training import LayerNumbers

X = np.random.default_rng(0).random((60, 4))
Y = np.arange(60) % 3
DARK = np.arange(60 * 6, dtype=np.uint8).reshape(60, 3, 2) % 50
SECONDS = 1.7e9 + X  # float32 keeps one value of them
TABLE = {"size": X[:, 0], "kind": np.array(["a", "b"])[Y % 2], "label": Y}


def changed(values, cell, value):
    values = values.copy()
    values[cell] = value
    return values


def fitted(x, y, **spec):
    return lambda: prepare(load_spec(spec), (x, y))


def weights(class_weight, weight=None, class_names=("0", "1", "2")):
    spec = load_spec({"training": {"class_weight": class_weight}})
    task = Task((4,), "float32", class_names)
    return lambda: weighted(Rows(X, Y, weight), spec, task)


def rows(x, y, weight=None):
    return lambda: check_rows(Rows(x, y, weight), "rows")


def cut(y, share, stratify=True):
    return lambda: split(SplitRequest(np.array(y), share, 0, stratify, where="rows"))


def table(**columns):
    return lambda: prepare(load_spec({"data": {"target": "label"}}), {**TABLE, **columns})


def table_by(groups, **columns):
    spec = load_spec({"data": {"target": "label", "groups": groups}})
    return lambda: prepare(spec, {**TABLE, **columns})


def member(class_names):
    return SimpleNamespace(
        task=Task((4,), "float32", class_names), folder=pathlib.Path("0001")
    )


def declared(values, **columns):
    spec = load_spec({"data": {"target": "label", "columns": columns}})
    return lambda: prepare(spec, {**TABLE, **values})


def held_out(**columns):
    parts = {"train": TABLE, "test": {**TABLE, **columns}}
    return lambda: prepare(load_spec({"data": {"target": "label"}}), parts)


def applied(rows, unknown="slot", some=slice(None)):
    task = prepare(load_spec({"data": {"target": "label", "unknown": unknown}}), TABLE).task
    return encoded_rows(typed_rows(rows, task).take(np.arange(60)[some]), task)


def too_small_memory():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("kfc.system.memory.limit_bytes", lambda: 2**20)
        spec = load_spec({})
        run_checks("before_training", spec, prepared(X, Y))


def prepared(x, y):
    some = Rows(x.astype(np.float32), y)
    return Prepared(some, some, some, Task((4,), "float32", ("0", "1", "2")), "")


def undefined_monitor():
    spec = load_spec({"training": {"early_stopping": {"monitor": "val_auc"}}})
    run_checks("before_training", spec, prepared(X, np.zeros(60, np.int32)))


def too_few_held_out():
    spec = load_spec({"training": {"interval_coverage": 0.99}})
    run_checks("before_training", spec, prepared(X, Y))


def undefined_objective():
    run_checks("before_search", "val_auc", prepared(X, np.zeros(60, np.int32)))


def layer_of_dead_units():
    return LayerNumbers("hidden_1", 10, 1.0, 0.6, 0.1, 0.1, 0.001)


def trained(loss, *, log_loss=0.5, layers=(), **history):
    """A check of a training with these losses, whose accuracy is that of the constant."""
    metrics = {"val_loss": log_loss, "val_log_loss": log_loss, "val_accuracy": 0.1}
    facts = Trained(
        *(load_spec("digits"), {"loss": loss, **history}, metrics),
        {"val_log_loss": 2.3, "val_accuracy": 0.1},
        {"val": 200},
        layers=layers,
    )
    return lambda: SimpleNamespace(warnings=run_checks("trained", facts))


def explained(**overrides):
    changes = {key.replace("__", "."): value for key, value in overrides.items()}

    def call():
        return SimpleNamespace(warnings=kfc.explain("digits", changes).findings)

    return call


def initial(stddev, **overrides):
    init = {"name": "random_normal", "stddev": stddev}
    return explained(network__init=init, **overrides)


def of_replicas():
    keys = {"training.distribute": "mirrored", "network.normalization": "batch"}
    run_checks("distribution", load_spec("digits", keys), None, ())


TRIGGERS = {
    "conflicting_keys": lambda: load_spec({"data": {"validation": "npz:other.npz"}}),
    "input_not_array": fitted(np.ma.masked_greater(X, 0.9), Y),
    "input_empty": fitted(X[:0], Y[:0]),
    "input_shape": fitted(X[:, 0], Y),
    "input_type": fitted(X + 0j, Y),
    "input_not_finite": fitted(changed(X, (3, 2), np.nan), Y),
    "input_overflow": fitted(changed(X, (3, 2), 1e300), Y),
    "key_without_effect": fitted(X, Y, data={"test": "csv:other.csv"}),
    "column_name_empty": table(**{" ": X[:, 0]}),
    "column_name_repeated": table(**{" size": X[:, 0]}),
    "column_constant": declared(size="number", values={"size": [0.5] * 60}),
    "category_nearly_unique": declared(
        kind="category", values={"kind": [f"name {i}" for i in range(60)]}
    ),
    "number_is_id": declared(size="number", values={"size": np.arange(60)}),
    "column_not_in_training": held_out(note=X[:, 1]),
    "target_in_column": table(code=np.array(["a", "b", "c"])[Y]),
    "training_rows_repeated": held_out(),
    "target_column_missing": lambda: prepare(load_spec({"data": {"target": "no"}}), TABLE),
    "target_cell_missing": table(label=[None, *Y[1:].tolist()]),
    "no_input_column": table(size=X[:, 0] * 0, kind=[f"name {i}" for i in range(60)]),
    "input_column_missing": lambda: applied({"size": X[:, 0]}),
    "table_empty": lambda: applied(TABLE, some=slice(0)),
    "unknown_category": lambda: applied({**TABLE, "kind": ["c"] * 60}, unknown="refuse"),
    "target_not_array": rows(X, np.asarray(None)),
    "weight_not_array": rows(X, Y, np.asarray(None)),
    "target_empty": rows(X, X[:, :0]),
    "row_mismatch": fitted(X, Y[1:]),
    "input_constant": fitted(X * 0, Y),
    "target_type": fitted(X, Y + 0j),
    "target_not_finite": fitted(X, changed(X[:, 0], 4, np.inf)),
    "weight_shape": rows(X, Y, Y[1:]),
    "weight_type": rows(X, Y, Y.astype(str)),
    "weight_not_finite": rows(X, Y, changed(X[:, 0], 4, np.nan)),
    "weight_negative": rows(X, Y, -X[:, 0]),
    "weight_all_zero": rows(X, Y, Y * 0),
    "target_ambiguous": fitted(X, Y.astype(float)),
    "several_labels": fitted(X, np.c_[Y, Y]),
    "only_one_class": fitted(X, Y * 0),
    "negative_label": fitted(X, Y - 1),
    "missing_label": fitted(X, np.array(["a", "b", "nan"])[Y]),
    "labels_differ_in_blanks": fitted(X, np.array(["a", "b", "a "])[Y]),
    "dark_pictures": fitted(DARK, Y),
    "streamed_type": fitted(X, Y, data={"stream": "always"}),
    "pixel_range": fitted(X * 300, Y, data={"pixels": True}),
    "pixels_scaled": fitted(np.round(X), Y, data={"pixels": True}),
    "label_shape": fitted((X, Y), (X, np.c_[Y, Y])),
    "unknown_label": fitted((X, Y), (X, Y + 1)),
    "target_not_numeric": fitted(X, Y.astype(str), data={"task": "regression"}),
    "held_out_weight": fitted((X, Y), (X, Y, Y)),
    "held_out_type": fitted((DARK + np.uint8(200), Y), (DARK / 2, Y)),
    "held_out_shape": fitted((X, Y), (X[:, 1:], Y)),
    "input_precision": fitted(np.c_[X, SECONDS], Y),
    "target_precision": fitted(X, SECONDS[:, 0]),
    "target_constant": fitted(X, X[:, 0] * 0, data={"task": "regression"}),
    "label_column_missing": table_by(groups="no"),
    "label_cell_missing": table_by(groups="g", g=[None, *"ab" * 29, "c"]),
    "fold_not_of_rows": lambda: split_fold(
        FoldRequest(Y, FoldSpec(number=3, file="f.npz"), 0, True, given=as_folds(Y))
    ),
    "too_few_for_folds": fitted(X, Y, data={"fold": {"number": 0, "of": 21}}),
    "group_on_both_sides": lambda: split_fold(
        FoldRequest(
            Y, FoldSpec(number=0, file="f.npz"), 0, True, RowLabels(Y // 2), as_folds(Y)
        )
    ),
    "class_not_in_fold": lambda: split_fold(
        FoldRequest(Y, FoldSpec(number=0, file="f.npz"), 0, True, given=as_folds(Y))
    ),
    "one_group_alone": table_by(groups="g", g=["a"] * 60),
    "members_missing": lambda: run_check("members_missing", ()),
    "members_differ": lambda: run_check(
        "members_differ", (member(("a", "b")), member(("c",)))
    ),
    "class_of_one_row": fitted(X, np.arange(60)),
    "part_without_class": cut([0, 1, 2] * 4, 2),
    "no_row_left": cut([0.5], 0.5, stratify=False),
    "class_not_in_training": cut([0] * 9 + [1] * 2 + [2] * 2, 9),
    "unscaled_input": fitted(X * 255, Y, data={"scale": "none"}),
    "scaled_not_finite": lambda: prepare(
        load_spec({"data": {"scale": "standard"}}),
        ((X * 1e-30, Y), (changed(X, (3, 2), 1e20), Y)),
    ),
    "sample_weight_all_zero": weights(None, weight=Y * 0),
    "class_weight_of_numbers": weights("balanced", class_names=()),
    "class_weight_unknown": weights({"3": 1.0}),
    "class_weight_all_zero": weights({"0": 0.0, "1": 0.0, "2": 0.0}),
    "class_weight_overflow": weights({"0": 1e300}),
    "inputs_too_large": explained(data__scale="none", accept=["unscaled_input"]),
    "weights_too_large": initial(1.0),
    "units_equal": explained(network__init="zeros"),
    "signal_vanishes": initial(0.001, network__hidden=[64, 64, 64]),
    "units_constant": explained(network__bias_init={"name": "constant", "value": -10.0}),
    "slopes_flat": initial(
        6.0,
        network__activation="tanh",
        network__hidden=[64, 64],
        network__output_init="zeros",
    ),
    "gradient_fades": explained(network__activation="sigmoid", network__hidden=[32] * 12),
    "rate_too_large": explained(training__optimizer__learning_rate=10.0),
    "rate_too_small": explained(training__optimizer__learning_rate=1e-8),
    "rate_hardly_reached": explained(
        training__optimizer__learning_rate={
            "name": "constant",
            "initial_learning_rate": 0.001,
            "warmup_epochs": 500,
        }
    ),
    "monitor_undefined": undefined_monitor,
    "too_few_for_intervals": too_few_held_out,
    "not_distributed": of_replicas,
    "objective_undefined": undefined_objective,
    "memory_too_small": too_small_memory,
    "no_gradient": lambda: run_check(
        "no_gradient", [SimpleNamespace(path="a/kernel")], [None]
    ),
    "loss_not_finite": lambda: run_check("loss_not_finite", 3, 0, 10),
    "weights_not_finite": lambda: run_check("weights_not_finite", False, 0, 10),
    "metric_not_finite": lambda: run_check("metric_not_finite", {"loss": np.inf}, "epoch 1"),
    "no_better_than_constant": trained([2.0, 1.5, 1.2, 1.1, 1.0], log_loss=2.4),
    "loss_has_grown": trained([1.0] * 17 + [3.0] * 3),
    "loss_oscillates": trained([1.0] * 6 + [0.4, 0.9] * 4),
    "held_out_loss_has_grown": trained(
        [1.0] * 12,
        val_loss=[1.0, 0.5, *[0.9] * 10],
        val_accuracy=[0.1, 0.9, *[0.5] * 10],
    ),
    "units_have_died": trained([1.0] * 5, layers=[(5, [layer_of_dead_units()])]),
    "loss_stands_still": trained([2.3] * 5, log_loss=2.29),
}
"""Name -> a call that the check refuses, or warns of."""


def model_subject(
    layers=(), output=None, loss="mse", x=X, y=X[:, 0], optimizer=None, **options
):
    """A plain Keras model of 4 inputs with its loss and its rows."""
    import keras

    from kfc.first_steps import LossFacts, Subject

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), *(layers or [keras.layers.Dense(8, "relu")])])
    if output != (0, None):
        model.add(keras.layers.Dense(*output) if output else keras.layers.Dense(1))
    if optimizer is not None:
        options |= {
            "make_optimizer": lambda: type(optimizer).from_config(optimizer.get_config()),
            "learning_rate": optimizer.get_config()["learning_rate"],
        }
    return Subject(model, LossFacts.of(loss), np.float32(x), np.asarray(y), **options)


def examined(stage, view="subject", **options):
    """A call of the checks of a stage on a plain model; warnings are in its result."""

    def call():
        from kfc.first_steps import Start, Steps

        found = model_subject(**{k: v() if callable(v) else v for k, v in options.items()})
        if view != "subject":
            found = Start(found)
        if view == "steps":
            found = Steps(found)
        with warnings.catch_warnings():  # Keras knows of softmax over one unit
            warnings.simplefilter("ignore")
            return SimpleNamespace(warnings=run_checks(stage, found))

    return call


def dense(units, activation="relu", stddev=None, bias=0.0, **options):
    import keras

    if stddev is not None:
        options["kernel_initializer"] = keras.initializers.RandomNormal(stddev=stddev, seed=0)
    constant = keras.initializers.Constant(bias)
    return keras.layers.Dense(units, activation, bias_initializer=constant, **options)


def of_parts(stage="parts", others=None, **options):
    def call():
        from kfc.data import Parts
        from kfc.data.learned_checks import LearnedParts

        rows = {where: Rows(x, y) for where, (x, y) in (others or {}).items()}
        x, y = options.pop("x", X), options.pop("y", Y)
        classes = options.pop("class_names", ("a", "b", "c"))
        parts = Parts(Rows(np.float32(x), y), rows, classes, **options)
        subject = LearnedParts(parts) if stage == "learned_parts" else parts
        return SimpleNamespace(warnings=run_checks(stage, subject))

    return call


def keras_layer(name, *given, **options):
    import keras

    return getattr(keras.layers, name)(*given, **options)


def keras_optimizer(name, rate, **options):
    import keras

    return getattr(keras.optimizers, name)(rate, **options)


def rounded():
    """A layer whose operation has no derivative."""
    import keras

    return keras.layers.Lambda(lambda x: keras.ops.stop_gradient(x))


SPARSE = "sparse_categorical_crossentropy"
DENSE = "categorical_crossentropy"
LONG = np.random.default_rng(1).random((400, 4))
OF_STEPS = {
    "class_not_in_part": of_parts(y=np.arange(60) % 2, x=X, others={"test rows": (X, Y * 0)}),
    "class_shares_differ": of_parts(
        x=LONG, y=np.arange(400) % 3, others={"test rows": (LONG, np.arange(400) % 12 // 10)}
    ),
    "one_class_dominates": of_parts(x=LONG, y=np.int64(np.arange(400) < 4)),
    "rows_sorted": of_parts(x=LONG, y=np.arange(400) // 200, shuffle=False),
    "features_constant": of_parts(x=X * [1, 0, 0, 0]),
    "features_repeated": of_parts(x=np.c_[X, X[:, 1]]),
    "targets_conflict": of_parts(
        x=np.r_[LONG, LONG[:50]], y=np.r_[np.arange(400) % 2, (np.arange(50) + 1) % 2]
    ),
    "parts_differ": of_parts(
        "learned_parts", x=LONG, y=np.arange(400) % 3, others={"test rows": (LONG + 0.5, Y)}
    ),
    "targets_unrelated": of_parts("learned_parts", x=LONG, y=np.arange(400) % 3),
    "targets_are_text": examined("targets", y=Y.astype(str), loss=SPARSE, output=(3, None)),
    "one_hot_for_codes": examined("targets", y=np.eye(3)[Y], loss=SPARSE, output=(3, None)),
    "codes_for_one_hot": examined(
        "targets", y=Y, loss="categorical_crossentropy", output=(3, None)
    ),
    "codes_for_numbers": examined("targets", y=Y, output=(3, None)),
    "target_broadcast": examined("targets", y=X[:, 0], output=(3, None)),
    "label_out_of_range": examined("targets", y=Y + 1, loss=SPARSE, output=(3, None)),
    "label_not_binary": examined("targets", y=Y, loss="binary_crossentropy"),
    "targets_of_several_classes": examined(
        "targets", y=np.eye(3)[Y] + np.eye(3)[(Y + 1) % 3], loss=DENSE, output=(3, "softmax")
    ),
    "dropout_too_high": examined(
        "structure", layers=lambda: [dense(8), keras_layer("Dropout", 0.99)]
    ),
    "no_activation": examined("structure", layers=lambda: [dense(8, None), dense(8, None)]),
    "squared_error_for_classes": examined(
        "structure", num_classes=3, spec=load_spec({"training": {"loss": "mse"}})
    ),
    "rows_depend_on_others": examined(
        "structure", layers=lambda: [dense(8), keras_layer("Softmax", axis=0)]
    ),
    "batch_of_one": examined(
        "structure",
        layers=lambda: [dense(8), keras_layer("BatchNormalization")],
        batch_size=1,
    ),
    "nothing_to_train": examined("structure", layers=lambda: [rounded()], output=(0, None)),
    "rate_collapses": examined("structure", mean_rate=0.001),
    "dropout_on_outputs": examined(
        "structure",
        layers=lambda: [dense(8), dense(3), keras_layer("Dropout", 0.5)],
        output=(0, None),
    ),
    "softmax_hidden": examined("structure", layers=lambda: [dense(8, "softmax")]),
    "softmax_of_one": examined(
        "outputs", y=Y % 2, loss="binary_crossentropy", output=(1, "softmax")
    ),
    "one_output_for_classes": examined("targets", y=Y, loss=SPARSE, output=(1, "sigmoid")),
    "relu_output": examined("outputs", y=Y, loss=SPARSE, output=(3, "relu")),
    "sigmoid_for_classes": examined("outputs", y=Y, loss=SPARSE, output=(3, "sigmoid")),
    "softmax_twice": examined(
        "outputs", y=Y, loss=lambda: from_logits(SPARSE), output=(3, "softmax")
    ),
    "logits_as_probabilities": examined("outputs", y=Y, loss=SPARSE, output=(3, None)),
    "logits_within_bounds": examined(
        "outputs", y=Y, loss=lambda: from_logits(SPARSE), output=(3, "tanh")
    ),
    "target_out_of_reach": examined("outputs", y=X[:, 0] - 0.5, output=(1, "relu")),
    "start_not_finite": examined(
        "start", "start", layers=lambda: [dense(8, stddev=1e30), dense(8, stddev=1e30)]
    ),
    "gradient_missing": examined("start", "start", layers=lambda: [dense(8), rounded()]),
    "units_identical": examined(
        "start", "start", layers=lambda: [dense(8, kernel_initializer="zeros")]
    ),
    "target_unscaled": examined("start", "start", y=1e6 * X[:, 0]),
    "start_loss_high": examined("start", "start", layers=lambda: [dense(8, stddev=100.0)]),
    "units_dead": examined("start", "start", layers=lambda: [dense(8, bias=-9.0)]),
    "units_saturated": examined(
        "start", "start", layers=lambda: [dense(8, "tanh", stddev=50.0)]
    ),
    "gradient_vanishes": examined(
        "start", "start", layers=lambda: [dense(8, "sigmoid") for _ in range(12)]
    ),
    "gradient_explodes": examined(
        "start", "start", layers=lambda: [dense(8, stddev=30.0), dense(8, stddev=30.0)]
    ),
    "update_too_large": examined(
        "start", "start", optimizer=lambda: keras_optimizer("Adam", 10.0)
    ),
    "update_too_small": examined(
        "start", "start", optimizer=lambda: keras_optimizer("Adam", 1e-9), steps=100
    ),
    "penalty_dominates": examined(
        "start", "start", layers=lambda: [dense(8, kernel_regularizer="l2", stddev=20.0)]
    ),
    "decay_dominates": examined(
        "start",
        "start",
        optimizer=lambda: keras_optimizer("AdamW", 0.01, weight_decay=10.0),
        steps=100,
    ),
    "steps_diverge": examined(
        "steps", "steps", optimizer=lambda: keras_optimizer("SGD", 10.0)
    ),
    "output_constant": examined(
        "steps",
        "steps",
        layers=lambda: [dense(8, kernel_initializer="zeros", trainable=False)],
    ),
    "one_batch_not_learned": examined(
        "steps",
        "steps",
        layers=lambda: [dense(8, stddev=3.0, trainable=False), rounded()],
        y=np.sin(99 * X.sum(axis=1)),
        output=(1, "sigmoid"),
    ),
    "signal_grows": examined(
        "steps",
        "steps",
        layers=lambda: [dense(16, stddev=1.0) for _ in range(8)],
        optimizer=lambda: keras_optimizer("SGD", 1e-9),
    ),
    "inputs_too_small": examined("steps", "steps", x=1e-4 * X),
    "value_for_missing": of_parts(x=changed(X, (slice(5), 2), -999.0)),
    "bytes_wrapped": of_parts(x=np.uint8(255 * X * (X > 0.3)).view(np.int8)),
    "labels_differ_in_case": of_parts(class_names=("No", "Yes", "YES")),
    "category_of_measurements": declared({"kind": X[:, 1].round(3)}, kind="category"),
    "value_far_away": of_parts(x=changed(X, (3, 2), 1e6)),
    "held_out_targets_differ": of_parts(
        "learned_parts",
        x=LONG,
        y=np.int64(3 * LONG[:, 0]),
        others={"test rows": (LONG[:90], np.int64(3 * LONG[:90, 0] + 1) % 3)},
    ),
    "value_not_embedded": examined("rows", layers=lambda: [keras_layer("Embedding", 3, 2)]),
    "rows_not_computed": examined("rows", x=X[:, :3]),
    "code_not_whole": examined("targets", y=Y / 2, loss=SPARSE, output=(3, None)),
    "target_outside_loss": examined("targets", y=X[:, 0] - 0.5, loss="poisson"),
    "loss_not_computed": examined("loss", loss=lambda: lambda true, guess: true @ guess),
    "loss_arguments_swapped": examined(
        "loss", y=np.eye(3)[Y], loss=lambda: swapped(DENSE), output=(3, "softmax")
    ),
    "loss_ignores_rows": examined(
        "loss", loss=lambda: lambda true, guess: (true[:, 0] - guess) ** 2
    ),
    "loss_prefers_wrong": examined(
        "loss", loss=lambda: lambda true, guess: -abs(true - guess)
    ),
    "output_outside_loss": examined("outputs", loss="poisson"),
    "outputs_unused": examined(
        "outputs", y=Y, loss=SPARSE, output=(9, "softmax"), num_classes=3
    ),
    "binary_loss_for_classes": examined(
        "outputs", y=np.eye(3)[Y], loss="binary_crossentropy", output=(3, "softmax")
    ),
    "rate_not_positive": examined("structure", optimizer=lambda: keras_optimizer("SGD", 0.0)),
    "frozen_untrained": examined("structure", layers=lambda: [dense(8, trainable=False)]),
    "norm_of_one": examined(
        "structure", layers=lambda: [dense(1), keras_layer("LayerNormalization")]
    ),
    "average_too_slow": examined(
        "structure",
        layers=lambda: [dense(8), keras_layer("BatchNormalization", momentum=0.9999)],
        steps=100,
    ),
    "label_smoothing_high": examined(
        "structure", y=np.eye(3)[Y], loss=lambda: smoothed(0.9), output=(3, "softmax")
    ),
    "class_hardly_counts": examined(
        "structure", y=Y, loss=SPARSE, output=(3, None), num_classes=3, weights=1e-6**Y
    ),
    "few_rows_count": examined("structure", weights=1e6 ** (np.arange(60) % 60 == 0)),
    "constraint_removes_weights": examined(
        "structure", layers=lambda: [dense(8, kernel_constraint="non_neg")]
    ),
    "few_numbers_pass": examined(
        "start",
        "start",
        layers=lambda: [dense(8), dense(2), dense(8)],
        y=np.arange(60) % 10,
        loss=SPARSE,
        output=(10, None),
        num_classes=10,
    ),
    "weight_average_too_slow": examined(
        "structure",
        optimizer=lambda: keras_optimizer("SGD", 0.1, use_ema=True, ema_momentum=0.9999),
        steps=100,
    ),
    "validation_too_large": examined(
        "structure", spec=lambda: load_spec({"data": {"validation": 0.9}})
    ),
    "mode_reversed": examined("structure", spec=lambda: waiting(mode="max")),
    "weights_scale_updates": examined(
        "start",
        "start",
        optimizer=lambda: keras_optimizer("SGD", 0.1),
        weights=np.full(60, 1e6),
    ),
    "min_delta_too_large": examined("start", "start", spec=lambda: waiting(min_delta=9.0)),
    "loss_hardly_changes": examined("start", "start", loss=lambda: huber(1e-6)),
    "one_number_passes": examined(
        "start", "start", layers=lambda: [dense(1, "tanh")], y=X[:, :3], output=(3, None)
    ),
    "option_stops_updates": examined(
        "start",
        "start",
        optimizer=lambda: keras_optimizer("SGD", 0.1, global_clipnorm=1e-7),
        steps=100,
    ),
    "steps_too_few": examined(
        "start", "start", optimizer=lambda: keras_optimizer("Adam", 0.001), steps=1
    ),
    "momentum_too_long": examined(
        "start", "start", optimizer=lambda: keras_optimizer("SGD", 0.1, momentum=0.9999)
    ),
    "weights_vanish": examined(
        "steps", "steps", optimizer=lambda: keras_optimizer("SGD", 0.1, weight_decay=5.0)
    ),
    "weights_stand_still": examined(
        "steps", "steps", optimizer=lambda: keras_optimizer("SGD", 1e-12)
    ),
    "steps_lead_nowhere": examined(
        "steps",
        "steps",
        x=LONG,
        y=np.int64(2 * (LONG[:, 0] + LONG[:, 1]) + 0.5),
        layers=lambda: [dense(64) for _ in range(5)],
        loss=SPARSE,
        output=(5, "softmax"),
        num_classes=5,
        optimizer=lambda: keras_optimizer("Adam", 0.1),
    ),
    "update_not_finite": examined(
        "start",
        "start",
        x=np.c_[X[:, :3], 0 * Y],
        optimizer=lambda: keras_optimizer("Adafactor", 0.01),
    ),
    "target_offset": examined(
        "steps",
        "steps",
        y=20 + X[:, 0],
        optimizer=lambda: keras_optimizer("Adam", 0.001),
        steps=100,
    ),
    "target_too_small": examined(
        "steps", "steps", y=1e-6 * X[:, 0], optimizer=lambda: keras_optimizer("Adam", 0.001)
    ),
}
TRIGGERS |= OF_STEPS


def waiting(**options):
    callback = {"name": "EarlyStopping", "monitor": "val_loss", "patience": 1, **options}
    return load_spec({"training": {"callbacks": [callback]}})


def swapped(name):
    import keras

    loss = getattr(keras.losses, name)
    return lambda true, guess: loss(guess, true)


def smoothed(share):
    import keras

    return keras.losses.CategoricalCrossentropy(label_smoothing=share)


def huber(delta):
    import keras

    return keras.losses.Huber(delta=delta)


def from_logits(name):
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, name=name)


def findings_of(check):
    if check.severity == "warning":
        found = TRIGGERS[check.name]().warnings
        return [finding for finding in found if finding.name == check.name]
    with pytest.raises(KfcError) as caught:
        TRIGGERS[check.name]()
    assert type(caught.value) is check.error
    return caught.value.findings


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_check_of_the_table_finds_its_problem_with_its_code(check):
    findings = findings_of(check)
    assert findings
    for finding in findings:
        assert (finding.code, finding.name) == (check.code, check.name)
        assert finding.severity == check.severity
        facts = finding.as_json()
        assert all(facts[key] for key in ("code", "name", "severity", "cause", "path", "cure"))
        override(SpecText({}), finding.cure)  # it has paths that can be set
        for value in finding.evidence.values():
            assert isinstance(value, (int, float))


def test_the_codes_and_names_of_the_table_are_unique_and_plain():
    codes, names = ([getattr(check, key) for check in CHECKS] for key in ("code", "name"))
    assert len(set(codes)) == len(codes)
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("KFC[1-4][0-9][0-9]", code) for code in codes)
    assert all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in names)
    assert set(TRIGGERS) == set(names)


def test_a_check_is_found_by_its_code_or_by_its_name():
    for check in CHECKS:
        assert find_check(check.code) is find_check(check.name) is check
    assert find_check("no_such_check") is None


def test_every_stage_has_checks_and_every_check_a_stage_and_a_severity():
    hints = typing.get_type_hints(Check)
    assert {check.stage for check in CHECKS} == set(typing.get_args(hints["stage"]))
    assert {check.severity for check in CHECKS} <= set(typing.get_args(hints["severity"]))


def test_the_checks_of_a_stage_keep_the_order_of_the_table():
    for stage in {check.stage for check in CHECKS}:
        assert checks_of(stage) == tuple(check for check in CHECKS if check.stage == stage)


def test_a_spec_may_accept_every_warning_by_its_name_or_its_code():
    for check in CHECKS:
        if check.severity == "warning":
            assert load_spec({"accept": [check.name, check.code]}).accept
    with pytest.raises(SpecError, match=r"accept\[0\].*Did you mean 'unscaled_input'"):
        load_spec({"accept": ["unscaled_inputs"]})
    with pytest.raises(SpecError, match="a check that may be accepted"):
        load_spec({"accept": ["KFC201"]})


def test_an_accepted_code_leaves_its_check_out():
    code = find_check("unscaled_input").code
    fitted(X * 255, Y, data={"scale": "none"}, accept=[code])()
    spec = {"data": {"target": "label"}, "accept": [find_check("target_in_column").code]}
    table = {**TABLE, "code": np.array(["a", "b", "c"])[Y]}
    assert prepare(load_spec(spec), table).warnings == ()


def test_only_the_table_gives_a_finding_its_code():
    package = pathlib.Path(kfc.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
                assert not {"code", "name"} & {keyword.arg for keyword in node.keywords}, path


def odd(value):
    """A check for the tests below."""
    return [Finding("here", "even numbers", str(value))] if value % 2 else None


ODD = Check("KFC999", "odd", "data", SpecError, "odd_check")


@pytest.fixture
def one_check(monkeypatch):
    """Replaces the table by a check of this module, first as a warning, then as an error."""
    monkeypatch.setitem(sys.modules, "odd_check", SimpleNamespace(odd=odd))
    warning = dataclasses.replace(ODD, severity="warning")
    monkeypatch.setattr("kfc.findings.CHECKS", (warning, ODD))
    return warning


def test_a_warning_is_found_and_does_not_refuse(one_check):
    (finding,) = one_check.find(3)
    assert (finding.label, finding.severity) == ("KFC999 odd", "warning")
    assert one_check.run(3) == (finding,)
    with pytest.raises(SpecError, match="here: expected even numbers, got 3"):
        run_checks("data", 3)
    assert run_checks("data", 4) == ()


def test_the_warnings_of_a_stage_are_returned(one_check, monkeypatch):
    monkeypatch.setattr("kfc.findings.CHECKS", (one_check,))
    (finding,) = run_checks("data", 3)
    assert (finding.label, finding.severity) == ("KFC999 odd", "warning")


def test_an_accepted_check_is_left_out(one_check):
    run_checks("data", 3, accept=["odd"])


def test_a_code_that_is_not_in_the_table_cannot_be_run():
    with pytest.raises(KeyError):
        run_check("no_such_check")


def test_the_table_is_listed_without_numpy_and_tensorflow():
    code = (
        "import sys, kfc.findings; print(len(kfc.findings.CHECKS)); "
        "sys.exit(bool({'numpy', 'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
