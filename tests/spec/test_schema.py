import copy
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from kfc.errors import SpecError
from kfc.spec import Spec, builtin_specs, dump_spec, load_spec
from kfc.spec.components import (
    ActivationSpec,
    BlockSpec,
    CallbackSpec,
    InitializerSpec,
    LossSpec,
)
from kfc.spec.keras_signatures import REQUIRED, signatures
from kfc.spec.optimizer_fields import OptimizerSpec

# The example of DESIGN.md.
FASHION = """
name: fashion
seed: 0
data:
  source: tfds:fashion_mnist
  scale: unit
  validation: 0.1
network:
  hidden: [256, 128, 64, 32]
  activation: relu
  init: {name: truncated_normal, stddev: 0.1}
  block: dense
training:
  loss: cross_entropy
  optimizer: {name: adam, learning_rate: 0.001}
  batch_size: 100
  epochs: 30
  shuffle: true
  early_stopping: {monitor: val_loss, patience: 5}
  log_every: 100
  evaluate_every: 500
  callbacks: [{name: TerminateOnNaN}]
  checkpoint_seconds: 10
search:
  algorithm: bayesian
  objective: val_accuracy
  trials: 40
  space:
    network.hidden: {depth: [1, 4], width: [32, 512]}
    network.init.stddev: {low: 0.01, high: 1.0, log: true}
    training.optimizer.learning_rate: {low: 1e-4, high: 1.0, log: true}
"""


@pytest.fixture
def fashion(tmp_path):
    path = tmp_path / "fashion.yaml"
    path.write_text(FASHION)
    return load_spec(path)


def findings_of(values):
    with pytest.raises(SpecError) as caught:
        load_spec("digits", values)
    for finding in caught.value.findings:
        assert finding.where
        assert finding.expected
        assert finding.got
        assert finding.remedy, finding
    return caught.value.findings


# --- one finding each -----------------------------------------------------------------------

NAN = math.nan
INT, NUMBER = "an integer", "a number"
LR = "training.optimizer.learning_rate"
# value -> part of what was expected, by kind of field
COUNT = {
    "true": (True, INT),
    "a float": (1.5, INT),
    "a whole float": (3.0, INT),
    "text": ("3", INT),
    "nothing": (None, INT),
    "a list": ([3], INT),
    "0": (0, "at least 1"),
    "-1": (-1, "at least 1"),
    "huge": (10**400, "below 2147483648"),
    "nan": (NAN, "a finite number"),
}
SHARE = {
    "true": (True, NUMBER),
    "text": ("0.5", NUMBER),
    "nan": (NAN, "a finite number"),
    "inf": (math.inf, "a finite number"),
    "-0.1": (-0.1, "at least 0"),
    "1": (1, "below 1"),
    "a list": ([], NUMBER),
}
POSITIVE = {
    "true": (True, NUMBER),
    "text": ("0.5", NUMBER),
    "nan": (NAN, "a finite number"),
    "inf": (math.inf, "a finite number"),
    "0": (0, "above 0"),
    "-1": (-1.0, "above 0"),
}
NOT_NEGATIVE = {
    "true": (True, NUMBER),
    "text": ("0.5", NUMBER),
    "nan": (NAN, "a finite number"),
    "inf": (math.inf, "a finite number"),
    "-1": (-1.0, "at least 0"),
    "nothing": (None, NUMBER),
    "a list": ([], NUMBER),
}
FLAG = {"1": (1, "true or false"), "no": ("no", "true or false"), "nothing": (None, "true or")}
TABLE = {"3": (3, "keys and values"), "a list": ([], "keys and values"), "text": ("x", "keys")}
BY_CLASS = {"3": (3, "keys and values"), "a list": ([], "keys"), "true": (True, "keys and")}
LIST = {"3": (256, "a list"), "text": ("256", "a list"), "nothing": (None, "a list")}

FIELDS = {
    "training.epochs": COUNT,
    "training.batch_size": COUNT,
    "network.hidden[0]": COUNT,
    "network.hidden[0].units": COUNT,
    "search.trials": COUNT,
    "search.parallel": COUNT,
    "search.finalists": COUNT,
    "search.seconds": {name: case for name, case in POSITIVE.items() if name != "nothing"},
    "network.dropout": SHARE,
    "network.hidden[0].dropout": SHARE,
    "training.checkpoint_seconds": POSITIVE,
    LR: POSITIVE,
    "training.class_weight": BY_CLASS,
    "training.class_weight.yes": NOT_NEGATIVE,
    "network.use_bias": FLAG,
    "training.shuffle": FLAG,
    "data": TABLE,
    "network": TABLE,
    "training": TABLE,
    "search": TABLE,
    "training.early_stopping": TABLE,
    "search.space": TABLE,
    "network.hidden": LIST,
    "training.callbacks": LIST,
    "accept": LIST,
}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        pytest.param(path, value, expected, id=f"{path} is {name}")
        for path, cases in FIELDS.items()
        for name, (value, expected) in cases.items()
    ],
)
def test_a_wrong_value_is_refused_at_its_place(path, value, expected):
    (finding,) = findings_of({path: value})
    assert finding.where == path
    assert expected in finding.expected
    assert finding.line == "override"


WRONG = {
    # path: (value, where, part of expected, part of remedy)
    "seed": (-1, "seed", "at least 0", "seed: 0"),
    "name": ("a/b", "name", "text that matches", "name: run"),
    "data.source": ("digits", "data.source", "kind:argument", "idx, npy, npz, sklearn, tfds"),
    "data.scale": ("Unit", "data.scale", "'centered'", "Did you mean 'unit'?"),
    "data.task": ("classify", "data.task", "'regression'", "'classification'?"),
    "data.validation": (1.0, "data.validation", "below 1", "validation: 0.1"),
    "data.rows": (0, "data.rows", "at least 1", "rows: 1000"),
    "network.activation": ("rellu", "network.activation.name", "activation", "'relu'?"),
    "network.init": ("he_norml", "network.init.name", "initializer", "'he_normal'?"),
    "network.block": ("residul", "network.block.name", "block", "'residual'?"),
    "network.normalization": ("Batch", "network.normalization", "'layer'", "'batch'?"),
    "network.l2": (-0.1, "network.l2", "at least 0", "l2: 0.0"),
    "training.loss": ("cross_entropi", "training.loss.name", "loss", "'cross_entropy'?"),
    "training.optimizer": ("sdg", "training.optimizer.name", "optimizer", "'sgd'?"),
    "training.class_weight": (
        "balancd",
        "training.class_weight",
        "'balanced'",
        "Did you mean 'balanced'?",
    ),
    "training.callbacks": (
        ["TerminateOnNan"],
        "training.callbacks[0].name",
        "callback",
        "'TerminateOnNaN'?",
    ),
    "accept": (["nan_input"], "accept[0]", "unscaled_input", "unscaled_input"),
    "search.algorithm": ("bayes", "search.algorithm", "hyperband", "'bayesian'?"),
    "training.early_stopping": (
        {"monitor": "val_acuracy"},
        "training.early_stopping.monitor",
        "a recorded metric",
        "Did you mean 'val_accuracy'?",
    ),
    "search.objective": ("accurcy", "search.objective", "validation rows", "'val_accuracy'?"),
}


@pytest.mark.parametrize("path", WRONG)
def test_a_wrong_name_or_number_gets_a_remedy(path):
    value, where, expected, remedy = WRONG[path]
    (finding,) = findings_of({path: value})
    assert finding.where == where
    assert expected in finding.expected
    assert remedy in finding.remedy


@pytest.mark.parametrize("source", ["sklern:digits", "Sklearn:digits"])
@pytest.mark.parametrize("key", ["data.source", "data.validation"])
def test_a_source_of_unknown_kind_gets_the_nearest(key, source):
    (finding,) = findings_of({key: source})
    assert finding.where == key
    assert finding.remedy.startswith("Did you mean 'sklearn'?")


@pytest.mark.parametrize("source", ["sklearn:", ":digits", "", "sklearn"])
def test_a_source_needs_kind_and_argument(source):
    (finding,) = findings_of({"data.source": source})
    assert finding.where == "data.source"


UNKNOWN = {
    "epochs": "the top",
    "data.sorce": "source",
    "network.hiden": "hidden",
    "network.hidden[0].unit": "units",
    "network.hidden[0].activaton": "activation",
    "network.activation.max_valu": "max_value",
    "training.epoch": "epochs",
    "training.optimizer.learning_rat": "learning_rate",
    "training.early_stopping.patienc": "patience",
    "search.trial": "trials",
}


@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_key_is_refused_with_the_nearest(path):
    base = {"training.early_stopping": {}, "search": {}}
    with pytest.raises(SpecError) as caught:
        load_spec({"network": {"hidden": [3], "activation": "relu"}}, {**base, path: 3})
    (finding,) = caught.value.findings
    assert finding.where == path
    assert finding.got == f"the unknown key {path.rpartition('.')[2]!r}"
    assert "Known: " in finding.remedy
    if UNKNOWN[path] != "the top":
        assert finding.remedy.startswith(f"Did you mean {UNKNOWN[path]!r}?")


def test_an_empty_layer_lacks_its_units():
    (finding,) = findings_of({"network.hidden": [{}]})
    assert (finding.where, finding.got) == ("network.hidden[0].units", "nothing")


@pytest.mark.parametrize(
    "odd",
    [object(), {1}, b"x", 1j, np.zeros(2), type, {None: 4}, np.datetime64("2026-01-31")],
    ids=lambda odd: type(odd).__name__,
)
def test_what_no_file_can_say_is_refused(odd):
    spec = {"search": {"space": {"network.l2": {"choice": [odd]}}}}
    with pytest.raises(SpecError) as caught:
        load_spec(spec)
    (finding,) = caught.value.findings
    assert finding.where == "search.space.network.l2.choice[0]"


@pytest.mark.parametrize("number", [np.float64(0.5), np.float32(0.5), np.array(0.5)])
def test_numpys_numbers_are_numbers(number):
    spec = load_spec({"network": {"dropout": number}})
    assert type(spec.network.dropout) is float
    assert load_spec({"training": {"epochs": np.int64(3)}}).training.epochs == 3


# --- options ------------------------------------------------------------------------------

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
def test_a_wrong_option_is_refused_at_its_place(case):
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
def test_a_wrong_option_of_an_initialiser_is_refused(init, option, expected):
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
def test_a_wrong_callback_is_refused_at_its_place(case):
    callback, option, expected = CALLBACKS[case]
    (finding,) = findings_of({"training.callbacks": ["TerminateOnNaN", callback]})
    assert finding.where == f"training.callbacks[1].{option}"
    assert expected in finding.expected


# --- schedules ----------------------------------------------------------------------------

RATE = {"initial_learning_rate": 0.1}
SCHEDULES = {
    "unknown name": ({"name": "cosin", **RATE}, ".name", "'cosine'"),
    "no name": (RATE, "", "a name"),
    "empty": ({}, "", "a name"),
    "no rate": ({"name": "cosine"}, ".initial_learning_rate", "a value"),
    "rate of 0": (
        {"name": "constant", "initial_learning_rate": 0},
        ".initial_learn",
        "above 0",
    ),
    "alpha of 1": ({"name": "cosine", **RATE, "alpha": 1}, ".alpha", "below 1"),
    "rising": ({"name": "exponential", **RATE, "decay_rate": 2}, ".decay_rate", "at most 1"),
    "unknown key": ({"name": "cosine", **RATE, "decay_epoch": 3}, ".decay_epoch", "known key"),
    "warm-up below 0": (
        {"name": "constant", **RATE, "warmup_epochs": -1},
        ".warmup",
        "least 0",
    ),
    "one value": ({"name": "step", "boundaries": [3], "values": [1]}, ".values", "at least 2"),
    "two few": (
        {"name": "step", "boundaries": [1, 2], "values": [1, 2]},
        ".values",
        "3 values",
    ),
    "falling": (
        {"name": "step", "boundaries": [3, 2], "values": [3, 2, 1]},
        ".boundaries",
        "ascending epochs",
    ),
    "bool inside": (
        {"name": "step", "boundaries": [3, True], "values": [3, 2, 1]},
        ".boundaries[1]",
        NUMBER,
    ),
}


@pytest.mark.parametrize("case", SCHEDULES)
def test_a_wrong_schedule_is_refused_at_its_place(case):
    schedule, where, expected = SCHEDULES[case]
    (finding,) = findings_of({LR: schedule})
    assert finding.where.startswith(LR + where)
    assert "step." not in finding.where
    assert expected in finding.expected


def test_an_unknown_key_of_a_schedule_gets_the_nearest_of_that_schedule():
    (finding,) = findings_of({LR: {"name": "cosine", **RATE, "decay_epoch": 3}})
    assert finding.remedy.startswith(
        "Did you mean 'decay_epochs'? Known: alpha, decay_epochs,"
    )
    assert "staircase" not in finding.remedy


def test_the_defaults_of_a_schedule_are_written_out():
    spec = load_spec("digits", {LR: {"name": "exponential", **RATE}})
    assert spec.training.optimizer.options["learning_rate"] == {
        "name": "exponential",
        "warmup_epochs": 0.0,
        "decay_rate": 0.96,
        "decay_epochs": 1.0,
        "staircase": False,
        **RATE,
    }
    assert spec.training.optimizer.schedule().decay_rate == 0.96


# --- class weights ------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [None, "balanced", {"yes": 2.5}, {"0": 0, "balanced": 3}])
def test_class_weights_come_back_from_a_dump(asked, tmp_path):
    spec = load_spec({"training": {"class_weight": asked}})
    assert spec.training.class_weight == asked
    assert again(spec, tmp_path) == load_spec(spec) == spec


NAMES = {
    "yaml": (".yaml", "training:\n  class_weight: {0: 1, 7: 2.5, true: 3, 2.0: 4, no: 5}"),
    "quoted": (
        ".yaml",
        "training: {class_weight: {'0': 1, '7': 2.5, 'True': 3, '2.0': 4, no: 5}}",
    ),
    "json": (
        ".json",
        '{"training": {"class_weight": {"0": 1, "7": 2.5, "True": 3, "2.0": 4, "no": 5}}}',
    ),
    "toml": (".toml", "[training.class_weight]\n0 = 1\n7 = 2.5\nTrue = 3\n'2.0' = 4\nno = 5"),
}


@pytest.mark.parametrize("form", NAMES)
def test_a_class_may_be_called_by_a_number(form, tmp_path):
    suffix, text = NAMES[form]
    path = tmp_path / f"a{suffix}"
    path.write_text(text)
    named = {"0": 1, "7": 2.5, "True": 3, "2.0": 4, "no": 5}
    assert load_spec(path).training.class_weight == named


def test_a_class_of_a_dict_may_be_called_by_numpys_numbers():
    for zero in (0, np.int64(0), np.uint8(0), "0", np.str_("0")):
        assert load_spec({"training": {"class_weight": {zero: 2}}}).training.class_weight == {
            "0": 2
        }
    overrides = {"training.class_weight": {np.True_: 2}}
    assert load_spec({}, overrides).training.class_weight == {"True": 2}


def test_a_class_named_twice_is_refused():
    with pytest.raises(
        SpecError, match=r"class_weight: expected each key once, got '0' twice"
    ):
        load_spec({"training": {"class_weight": {0: 1, "0": 2}}})


def test_a_wrong_weight_of_a_class_called_by_a_number_names_its_line(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("training:\n  class_weight:\n    0: 1\n    7: -1\n")
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    (finding,) = caught.value.findings
    assert finding.where == "training.class_weight.7"
    assert finding.line == f"{path}, line 4"
    assert finding.remedy == "Use for example class_weight: balanced."


# --- search -------------------------------------------------------------------------------

DIMENSIONS = {
    "a number": (3, "", "keys and values"),
    "nothing": (None, "", "keys and values"),
    "no high": ({"low": 1}, ".high", "a value"),
    "falling": ({"low": 2, "high": 1}, ".high", "the lower end first"),
    "log of 0": ({"low": 0, "high": 1, "log": True}, ".low", "above 0"),
    "no choice": ({"choice": []}, ".choice", "at least 1"),
    "one depth": ({"depth": [1], "width": [3, 4]}, ".depth", "at least 2"),
    "falling width": ({"depth": [1, 2], "width": [4, 3]}, ".width", "the lower end first"),
    "width of 0": ({"depth": [1, 2], "width": [0, 3]}, ".width[0]", "at least 1"),
    "width of a fraction": ({"depth": [1, 2], "width": [1.5, 3]}, ".width[0]", INT),
    "depth of thousands": ({"depth": [1, 5000], "width": [1, 3]}, ".depth[1]", "at most 100"),
    "two kinds": ({"choice": [1], "low": 3}, ".low", "a known key"),
    "true": ({"low": True, "high": 2}, ".low", NUMBER),
    "text": ({"low": 0, "high": "2"}, ".high", NUMBER),
    "nan": ({"low": 0, "high": NAN}, ".high", "a finite number"),
    "step of 0": ({"low": 0, "high": 1, "step": 0}, ".step", "above 0"),
    "step past high": ({"low": 0, "high": 1, "step": 1.5}, ".step", "at most 1,"),
    "factor of 1": ({"low": 1, "high": 8, "log": True, "step": 1}, ".step", "above 1"),
    "factor past high": ({"low": 1, "high": 8, "log": True, "step": 9}, ".step", "at most 8,"),
    "one value twice": ({"choice": [[3], [4], [3]]}, ".choice[2]", "each value once"),
}


@pytest.mark.parametrize("case", DIMENSIONS)
def test_a_wrong_dimension_is_refused_at_its_place(case):
    dimension, where, expected = DIMENSIONS[case]
    (finding,) = findings_of({"search": {"space": {"network.l2": dimension}}})
    assert finding.where == f"search.space.network.l2{where}"
    assert expected in finding.expected


@pytest.mark.parametrize(
    "dimension",
    [
        {"low": 1, "high": 8, "log": True, "step": 8},
        {"low": 0.2, "high": 0.3, "step": 0.1},  # 0.3 - 0.2 is a little less than 0.1
        {"low": -1, "high": 1},
        {"choice": [1, 1.0, True, "1", None]},  # equal to Python, and not the same
        {"depth": [0, 0], "width": [8, 8]},
    ],
    ids=str,
)
def test_a_dimension_may_be_as_narrow_as_it_likes(dimension, tmp_path):
    spec = load_spec({"search": {"space": {"network.l2": dimension}}})
    assert again(spec, tmp_path) == spec


def test_a_range_keeps_integers_and_fractions_apart(tmp_path):
    range_ = {"low": 16, "high": 64.0, "log": True, "step": 2}
    spec = load_spec({"search": {"space": {"training.batch_size": range_}}})
    for numbers in (spec, again(spec, tmp_path)):
        found = numbers.search.space["training.batch_size"]
        assert [type(n) for n in (found.low, found.high, found.step)] == [int, float, int]


def test_a_search_is_written_out_with_every_default(tmp_path):
    spec = load_spec({"search": {}})
    assert spec.search.model_dump() == {
        "algorithm": "bayesian",
        "objective": None,
        "trials": 40,
        "seconds": None,
        "target": None,
        "parallel": 4,
        "finalists": 3,
        "repeats": 5,
        "most_repeats": None,
        "margin": None,
        "factor": 3,
        "space": {},
    }
    assert again(spec, tmp_path) == spec


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("repeats", 1, "0 or at least 2"),
        ("repeats", -1, "at least 0"),
        ("most_repeats", 4, "at least search.repeats, 5"),
        ("most_repeats", 5.0, INT),
        ("margin", -0.1, "at least 0"),
        ("margin", math.nan, "a finite number"),
        ("repeats", True, INT),
        ("factor", 1, "at least 2"),
        ("factor", 2.0, INT),
        ("target", math.inf, "a finite number"),
        ("target", "0.9", NUMBER),
        ("objective", 3, "text"),
    ],
)
def test_a_wrong_setting_of_a_search_is_refused(key, value, expected):
    (finding,) = findings_of({f"search.{key}": value})
    assert finding.where == f"search.{key}"
    assert expected in finding.expected


@pytest.mark.parametrize(("key", "value"), [("repeats", 0), ("repeats", 2), ("factor", 2)])
def test_the_least_setting_of_a_search_is_taken(key, value):
    assert getattr(load_spec({"search": {key: value}}).search, key) == value


@pytest.mark.parametrize("metric", ["loss", "accuracy", "mae", "r2"])
def test_rows_trained_on_are_no_objective(metric):
    (finding,) = findings_of({"search.objective": metric})
    assert "on validation rows" in finding.expected
    assert f"Name val_{metric}:" in finding.remedy
    assert load_spec("digits", {"search.objective": f"val_{metric}"})


def test_an_objective_is_one_of_the_task():
    regression = {"data.task": "regression"}
    (finding,) = findings_of({**regression, "search.objective": "val_accuracy"})
    assert finding.expected == "a recorded metric of a regression on validation rows"
    assert finding.remedy.endswith("Known: val_loss, val_mae, val_r2.")
    assert load_spec("digits", {**regression, "search.objective": "val_mae"})


@pytest.mark.parametrize("objective", [None, "val_loss"])
def test_a_search_needs_rows_that_are_held_out(objective):
    (finding,) = findings_of({"search.objective": objective, "data.validation": 0})
    assert finding.where == "search.objective"
    assert finding.remedy == "Set data.validation to 0.1."


def test_an_objective_that_nobody_names_follows_the_task():
    search = load_spec({"search": {}}).search
    assert search.objective_for(classification=True) == "val_accuracy"
    assert search.objective_for(classification=False) == "val_loss"
    named = load_spec({"search": {"objective": "val_r2"}}).search
    assert named.objective_for(classification=False) == "val_r2"


def test_the_json_schema_describes_every_key_of_a_search():
    definitions = Spec.model_json_schema()["$defs"]
    for name in ("SearchSpec", "RangeSpec", "ChoiceSpec", "StackSpec"):
        for key, value in definitions[name]["properties"].items():
            assert value.get("description"), f"{name}.{key}"


# --- combinations -------------------------------------------------------------------------

COMBINED = {
    "nothing to monitor": (
        {"data.validation": 0, "training.early_stopping": {}},
        "training.early_stopping.monitor",
        "'val_loss' while data.validation is 0",
    ),
    "nothing to monitor for a callback": (
        {"data.validation": 0, "training.callbacks": ["best_weights"]},
        "training.callbacks[0].monitor",
        "'val_loss' while data.validation is 0",
    ),
    "accuracy of numbers": (
        {"data.task": "regression", "training.early_stopping": {"monitor": "val_accuracy"}},
        "training.early_stopping.monitor",
        "'val_accuracy'",
    ),
    "error of classes": (
        {"data.task": "classification", "training.callbacks": [{"name": "EarlyStopping"}]}
        | {"training.early_stopping": {"monitor": "mae"}},
        "training.early_stopping.monitor",
        "'mae'",
    ),
    "rows trained on": (
        {"data.validation": "sklearn:digits"},
        "data.validation",
        "'sklearn:digits', which is data.source",
    ),
    "validation without source": (
        {"data.source": None, "data.validation": "sklearn:digits"},
        "data.validation",
        "'sklearn:digits'",
    ),
    "two clippings": (
        {"training.optimizer": {"name": "sgd", "clipnorm": 1, "clipvalue": 1}},
        "training.optimizer.clipvalue",
        "it beside clipnorm",
    ),
    "two owners of the rate": (
        {LR: {"name": "cosine", **RATE}, "training.callbacks": ["ReduceLROnPlateau"]},
        "training.callbacks[0].name",
        "'ReduceLROnPlateau' beside the schedule 'cosine'",
    ),
}


@pytest.mark.parametrize("case", COMBINED)
def test_an_impossible_combination_is_refused(case):
    overrides, where, got = COMBINED[case]
    (finding,) = findings_of(overrides)
    assert (finding.where, finding.got) == (where, got)


def test_every_finding_is_reported_at_once_with_combinations_among_them():
    findings = findings_of(
        {
            "seed": True,
            "nam": "x",
            "data.scale": "Unit",
            "data.validation": 0,
            "network.hidden": [0, {"units": 3, "activation": "rellu"}],
            "training.optimizer": {"name": "step", "learning_rate": 0},
            "training.epochs": math.nan,
            "training.early_stopping": {},
            "training.callbacks": ["best_weights", {"name": "CSVLogger"}],
        }
    )
    assert {finding.where for finding in findings} == {
        "seed",
        "nam",
        "data.scale",
        "network.hidden[0]",
        "network.hidden[1].activation.name",
        "training.optimizer.name",
        "training.optimizer.learning_rate",
        "training.epochs",
        "training.early_stopping.monitor",
        "training.callbacks[1].filename",
    }


@pytest.mark.parametrize(
    "overrides",
    [
        {"data.source": "digits", "data.validation": "sklearn:iris"},
        {"data.validation": 2, "training.early_stopping": {}},
        {"training.optimizer": {"name": "sdg", "momentum": 0.5}},
        {LR: {"name": "cosin", "alpha": 0.5, **RATE}},
        {"network.hidden": [{"units": 0, "dropout": 0.5}]},
        {"data": 3, "training.early_stopping": {}},
    ],
    ids=lambda overrides: str(overrides)[:60],
)
def test_one_finding_brings_no_others_along(overrides):
    assert len(findings_of(overrides)) == 1


# --- out and in again ---------------------------------------------------------------------


def again(spec, tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(dump_spec(spec))
    return load_spec(path)


@pytest.mark.parametrize("name", builtin_specs())
def test_a_built_in_spec_comes_back_from_its_dump(name, tmp_path):
    assert again(load_spec(name), tmp_path) == load_spec(name)


def test_the_design_example_comes_back_from_its_dump(fashion, tmp_path):
    assert again(fashion, tmp_path) == fashion
    assert fashion.search.space["network.hidden"].depth == (1, 4)
    assert fashion.search.space["network.init.stddev"].log is True


def test_the_design_example_means_what_it_says(fashion):
    assert [layer.units for layer in fashion.network.hidden] == [256, 128, 64, 32]
    assert fashion.network.init.options["stddev"] == 0.1
    assert fashion.training.optimizer.options["learning_rate"] == 0.001
    assert fashion.training.early_stopping.patience == 5
    assert (fashion.training.log_every, fashion.training.evaluate_every) == (100, 500)


def test_odd_texts_and_numbers_come_back_from_a_dump(tmp_path):
    choices = ["no", "1e-3", "~", "a: b", " x ", "1:30", 1e-7, 1e22, True, None, "2026-01-31"]
    spec = load_spec(
        {"name": "null", "search": {"space": {"network.l2": {"choice": choices}}}}
    )
    assert again(spec, tmp_path) == spec


@pytest.mark.parametrize("suffix", [".yaml", ".toml", ".json"])
def test_a_spec_is_the_same_from_every_format(suffix, tmp_path):
    values = {
        "name": "a",
        "network": {"hidden": [3, {"units": 4, "dropout": 0.5}], "activation": "tanh"},
        "training": {"optimizer": {"name": "sgd", "learning_rate": 0.001}, "epochs": 3},
    }
    texts = {
        ".json": json.dumps(values),
        ".yaml": "name: a\nnetwork:\n  hidden: [3, {units: 4, dropout: 0.5}]\n"
        "  activation: tanh\ntraining:\n  optimizer: {name: sgd, learning_rate: 1e-3}\n"
        "  epochs: 3\n",
        ".toml": "name = 'a'\n[network]\nhidden = [3, {units = 4, dropout = 0.5}]\n"
        "activation = 'tanh'\n[training]\nepochs = 3\n"
        "optimizer = {name = 'sgd', learning_rate = 1e-3}\n",
    }
    path = tmp_path / f"a{suffix}"
    path.write_text(texts[suffix])
    assert load_spec(path) == load_spec(values)


def test_a_spec_loads_as_itself(fashion):
    assert load_spec(fashion) == fashion
    assert load_spec(fashion, {"seed": 3}).seed == 3
    assert fashion.seed == 0


def test_a_dict_may_hold_parts_of_a_spec(fashion):
    assert load_spec({"network": fashion.network}).network == fashion.network


def test_short_and_long_forms_are_equal():
    short = {
        "network": {"hidden": [3], "activation": "relu"},
        "training": {"optimizer": "sgd"},
    }
    long = copy.deepcopy(short)
    long["network"] = {"hidden": [{"units": 3}], "activation": {"name": "relu"}}
    long["training"] = {"optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.0}}
    assert load_spec(short) == load_spec(long)


def test_every_default_is_written_out():
    text = dump_spec(load_spec({}))
    for line in ("seed: 0", "scale: unit", "validation: null", "hidden: [128]", "epochs: 20"):
        assert line in text
    for option in ("learning_rate: 0.001", "beta_1: 0.9", "epsilon: 1e-07", "batch_size: 32"):
        assert option in text


@pytest.mark.parametrize(
    "kind", [ActivationSpec, BlockSpec, InitializerSpec, LossSpec, OptimizerSpec, CallbackSpec]
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


def test_a_spec_is_frozen():
    spec = load_spec("digits")
    for owner, key in (
        (spec, "seed"),
        (spec.network, "hidden"),
        (spec.training, "epochs"),
        (spec.training.optimizer, "learning_rate"),
    ):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(owner, key, 3)
    with pytest.raises(TypeError):
        spec.network.hidden[0] = 3


def test_options_are_a_copy():
    spec = load_spec("digits")
    spec.training.optimizer.options["learning_rate"] = 9
    assert spec.training.optimizer.options["learning_rate"] == 0.001


def test_layers_take_from_the_network_what_they_leave_out():
    network = load_spec(
        {"network": {"hidden": [3, {"units": 4, "dropout": 0.5}], "dropout": 0.1, "l2": 0.2}}
    ).network
    first, second = network.layers()
    assert (first.units, first.dropout, first.l2) == (3, 0.1, 0.2)
    assert (second.units, second.dropout, second.l2) == (4, 0.5, 0.2)
    assert first.activation == network.activation


@pytest.mark.parametrize("name", builtin_specs())
def test_a_built_in_spec_is_named_after_its_file(name):
    assert load_spec(name).name == name


def test_the_json_schema_names_every_key():
    schema = Spec.model_json_schema()
    assert set(schema["properties"]) == set(Spec.model_fields)
    json.dumps(schema)


def test_importing_and_loading_a_spec_imports_no_tensorflow():
    code = (
        "import sys, kfc, kfc.spec, kfc.registry, kfc.errors, kfc.system.atomic\n"
        "spec = kfc.spec.load_spec('digits', {'training.epochs': 3})\n"
        "kfc.spec.dump_spec(spec); kfc.Spec.model_json_schema()\n"
        "try: kfc.spec.load_spec('digits', {'training.optimizer': 'sdg'})\n"
        "except kfc.SpecError as error: print(error)\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Did you mean 'sgd'?" in done.stdout
