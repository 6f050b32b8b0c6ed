import math

import pytest

from kfc.spec import load_spec
from kfc.spec.callback_fields import CallbackSpec
from kfc.spec.components import (
    ActivationSpec,
    BiasInitializerSpec,
    BlockSpec,
    InitializerSpec,
    LossSpec,
)
from kfc.spec.keras_signatures import REQUIRED, signatures
from kfc.spec.optimizer_fields import OptimizerSpec

NAN = math.nan
INT = "an integer"
NUMBER = "a number"


OPTIONS = {
    "bool for a number": ("optimizer", {"name": "adam", "learning_rate": True}, NUMBER),
    "text for a number": ("optimizer", {"name": "adam", "beta_1": "0.9"}, NUMBER),
    "number for a bool": ("optimizer", {"name": "adam", "amsgrad": 1}, "true or false"),
    "nan": ("optimizer", {"name": "adam", "epsilon": NAN}, "a finite number"),
    "beyond float32": ("optimizer", {"name": "adam", "epsilon": 1e300}, "fits in float32"),
    "far beyond": ("optimizer", {"name": "adam", "epsilon": 10**400}, "fits in float32"),
    "beta of 1": ("optimizer", {"name": "adam", "beta_2": 1}, "[0, 1)"),
    "text for a norm": ("optimizer", {"name": "adam", "clipnorm": "1"}, "above 0"),
    "bool for a norm": ("optimizer", {"name": "adam", "clipnorm": True}, "above 0"),
    "norm of 0": ("optimizer", {"name": "adam", "clipnorm": 0}, "above 0"),
    "negative decay": ("optimizer", {"name": "adamw", "weight_decay": -1}, "at least 0"),
    "text for decay": ("optimizer", {"name": "adam", "weight_decay": "x"}, "at least 0"),
    "half a step": ("optimizer", {"name": "sgd", "gradient_accumulation_steps": 2.5}, "2"),
    "a list": ("optimizer", {"name": "sgd", "momentum": [0.9]}, NUMBER),
    "sign descent": ("optimizer", {"name": "lion", "beta_1": 0}, "(0, 1)"),
    "negative strength": ("optimizer", {"name": "ftrl", "beta": "x"}, NUMBER),
    "momentum for tape_sgd": ("optimizer", {"name": "tape_sgd", "momentum": 0.9}, "option"),
    "smoothing of 1": ("loss", {"name": "cross_entropy", "label_smoothing": 1}, "option"),
    "full smoothing": (
        "loss",
        {"name": "categorical_crossentropy", "label_smoothing": 1},
        "[",
    ),
    "delta of 0": ("loss", {"name": "huber", "delta": 0}, "above 0"),
    "no reduction": ("loss", {"name": "mse", "reduction": "none"}, "sum_over_batch_size"),
    "logits": ("loss", {"name": "cross_entropy", "from_logits": False}, "option"),
    "axis": ("loss", {"name": "cross_entropy", "axis": 0}, "option"),
    "class as text": ("loss", {"name": "cross_entropy", "ignore_class": "x"}, INT),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_a_wrong_option_is_refused_at_its_place(case, findings_of):
    key, value, expected = OPTIONS[case]
    (finding,) = findings_of({f"training.{key}": value})
    assert finding.where == f"training.{key}.{list(value)[1]}"
    assert expected in finding.expected


def test_a_whole_learning_rate_is_a_float():
    rate = load_spec({"training": {"optimizer": {"learning_rate": 1}}}).training.optimizer
    assert type(rate.options["learning_rate"]) is float


@pytest.mark.parametrize(
    ("init", "option", "expected"),
    [
        ({"name": "truncated_normal", "stddev": 0}, "stddev", "above 0"),
        ({"name": "truncated_normal", "stddev": -0.1}, "stddev", "above 0"),
        ({"name": "constant", "value": "0.1"}, "value", NUMBER),
        ({"name": "variance_scaling", "mode": "fan_max"}, "mode", "fan_avg"),
        ({"name": "variance_scaling", "distribution": "cauchy"}, "distribution", "uniform"),
        ({"stddev": 0.1}, "stddev", "an option of initializer 'glorot_uniform'"),
    ],
)
def test_a_wrong_option_of_an_initialiser_is_refused(init, option, expected, findings_of):
    (finding,) = findings_of({"network.init": init})
    assert finding.where == f"network.init.{option}"
    assert expected in finding.expected


CALLBACKS = {
    "absolute path": ({"name": "CSVLogger", "filename": "/etc/passwd"}, "filename", "inside"),
    "parent": ({"name": "ModelCheckpoint", "filepath": "a/../../b"}, "filepath", "inside"),
    "home": ({"name": "TensorBoard", "log_dir": "~/x"}, "log_dir", "inside"),
    "bucket": ({"name": "TensorBoard", "log_dir": "gs://x"}, "log_dir", "inside"),
    "number": ({"name": "ModelCheckpoint", "filepath": 3}, "filepath", "inside"),
    "empty": ({"name": "CSVLogger", "filename": ""}, "filename", "inside"),
    "missing": ({"name": "ModelCheckpoint"}, "filepath", "a value"),
    "patience": ({"name": "EarlyStopping", "patience": -1}, "patience", "at least 0"),
    "half patience": ({"name": "EarlyStopping", "patience": 2.5}, "patience", INT),
    "mode": ({"name": "EarlyStopping", "mode": "maxx"}, "mode", "auto, min, max"),
    "metric": ({"name": "EarlyStopping", "monitor": "val_acc"}, "monitor", "recorded"),
    "factor": ({"name": "ReduceLROnPlateau", "factor": 1}, "factor", "(0, 1)"),
    "weights": ({"name": "ModelCheckpoint", "filepath": "a.h5"}, "filepath", ".keras, since"),
    "every": ({"name": "csv_log", "every": 3}, "every", "option"),
    "every 0": (
        {"name": "metrics_log", "filename": "a.jsonl", "every": 0},
        "every",
        "at least 1",
    ),
    "every text": (
        {"name": "metrics_log", "filename": "a.jsonl", "every": "x"},
        "every",
        "at least 1",
    ),
    "nameless": ({"patience": 3}, "name", "a value"),
    "number for a name": ({"name": 3}, "name", "text"),
}


@pytest.mark.parametrize("case", CALLBACKS)
def test_a_wrong_callback_is_refused_at_its_place(case, findings_of):
    callback, option, expected = CALLBACKS[case]
    (finding,) = findings_of({"training.callbacks": ["TerminateOnNaN", callback]})
    assert finding.where == f"training.callbacks[1].{option}"
    assert expected in finding.expected


@pytest.mark.parametrize(
    "kind",
    [
        *(ActivationSpec, BiasInitializerSpec, BlockSpec, InitializerSpec, LossSpec),
        *(OptimizerSpec, CallbackSpec),
    ],
)
def test_every_component_fills_in_its_defaults_and_comes_back(kind):
    values = {"filename": "a.csv", "filepath": "a.keras", "threshold": 1, "default_value": 0}
    for name in kind.known():
        defaults = signatures(kind.kind)[kind.full_name(name)]
        needed = {key: values[key] for key, default in defaults.items() if default == REQUIRED}
        # By default these two would write the files that a run writes itself.
        needed |= {"metrics_log": {"filename": "a"}, "tensorboard_log": {"log_dir": "a"}}.get(
            name, {}
        )
        component = kind.model_validate({"name": name, **needed})
        assert kind.model_validate(component.model_dump()) == component
        assert {k for k, v in defaults.items() if v is not None} <= set(component.options)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("init", "he_plus_5"),
        ("output_init", "he_plus_5"),
        ("bias_init", "unit_variance"),
        ("bias_init", "orthogonal"),
        ("output_bias_init", "identity"),
    ],
)
def test_an_initializer_of_other_weights_is_refused(key, name, findings_of):
    (finding,) = findings_of({f"network.{key}": name})
    assert finding.where == f"network.{key}.name"
    assert finding.got == repr(name)
    assert "Known: " in finding.remedy


def test_options_are_a_copy():
    spec = load_spec("digits")
    spec.training.optimizer.options["learning_rate"] = 9
    assert spec.training.optimizer.options["learning_rate"] == 0.001
