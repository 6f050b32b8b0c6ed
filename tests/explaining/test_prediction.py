import json
import subprocess
import sys

import numpy as np
import pytest

import kfc
from kfc.network import initialize_from_rows, keys_of_rows
from kfc.runs import make_plan
from kfc.spec import load_spec


def measured_loss(plan):
    """Returns the loss of a plan's untrained network on its training rows."""
    rows = plan.prepared.train
    logits = plan.network.predict(rows.x, verbose=0).astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    own = shifted[np.arange(len(rows)), rows.y]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - own))


@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize("stddev", [0.01, 0.3, 1.0])
def test_the_loss_at_the_start_is_predicted(depth, stddev):
    init = {"name": "random_normal", "stddev": stddev}
    spec = load_spec("digits", {"network.hidden": [64] * depth, "network.init": init})
    expected = measured_loss(make_plan(spec))
    assert kfc.explain(spec).loss == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("rate", "outcome"), [(0.01, "learns"), (30.0, "diverges"), (1e-7, "stalls")]
)
def test_the_outcome_of_a_learning_rate_is_predicted(rate, outcome):
    explanation = kfc.explain("digits", {"training.optimizer.learning_rate": rate})
    assert explanation.outcome == outcome
    if outcome == "learns":
        assert rate < explanation.stable_rate


def test_signals_and_gradients_are_given_by_layer():
    explanation = kfc.explain("digits", {"network.hidden": [300, 200]})
    assert [layer.name for layer in explanation.layers] == ["hidden_1", "hidden_2", "logits"]
    for layer in explanation.layers[:2]:
        assert layer.gain == pytest.approx(layer.expected.gain, rel=0.15)
        assert layer.kernel_gradient > 0
    assert explanation.logits == explanation.layers[-1].signal
    assert explanation.layers[-1].expected is None
    assert explanation.findings == ()


def test_a_prediction_is_the_same_each_time():
    first, second = (kfc.explain("diabetes").summary() for _ in range(2))
    del first["seconds_per_epoch"], second["seconds_per_epoch"]  # it is measured
    assert first == second


def test_a_summary_is_json_and_a_table_has_every_layer():
    init = {"name": "random_normal", "stddev": 1e30}
    explanation = kfc.explain("digits", {"network.init": init, "network.hidden": [9] * 12})
    text = json.dumps(explanation.summary(), allow_nan=False)
    assert json.loads(text)["loss"] is None  # it is infinite
    assert explanation.table().row_count == 13


@pytest.mark.parametrize(
    ("spec", "overrides", "part", "reason"),
    [
        ("digits", {"network.activation": "softmax"}, "network", "the activation softmax"),
        ("digits", {"training.loss": "dice"}, "loss", "the loss dice"),
        ("digits", {"training.class_weight": "balanced"}, "loss", "class_weight"),
        ("digits", {"training.optimizer": "muon"}, "steps", "muon"),
        ("mnist", {"data.source": "tfds:no_such_set"}, "data", "tensorflow-datasets"),
    ],
)
def test_a_part_without_a_formula_is_named_and_not_predicted(spec, overrides, part, reason):
    explanation = kfc.explain(spec, overrides)
    assert reason in explanation.not_predicted[part]
    assert explanation.stable_rate is None
    assert explanation.outcome is None
    assert (explanation.loss is None) == (part != "steps")
    assert f"not predicted: {part}" in explanation.lines()
    assert explanation.findings == ()


def test_rows_in_memory_replace_the_source():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 5))
    explanation = kfc.explain({}, data=(x, x @ np.arange(5.0)))
    assert (explanation.inputs, explanation.outputs) == (5, 1)
    assert explanation.outcome == "learns"


def test_neither_tensorflow_nor_scikit_learn_is_imported():
    check = (
        "import sys, kfc; kfc.explain('digits'); "
        "sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'sklearn', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize(
    ("spec", "overrides"),
    [
        ("digits", {"network.numeric_embedding": "periodic_linear"}),
        ("digits", {"network.numeric_embedding": {"name": "piecewise_linear", "bins": 4}}),
        ("digits", {"network.members": 4}),
        ("digits", {"network.init": "unit_variance", "network.bias_init": "he_plus_5"}),
        ("digits", {"network.init": "unit_variance", "network.output_bias_init": "he_plus_5"}),
    ],
    ids=["waves", "pieces", "members", "rows", "rows of outputs"],
)
def test_the_loss_of_embeddings_members_and_weights_from_rows_is_predicted(spec, overrides):
    plan = make_plan(load_spec(spec, overrides))
    if keys_of_rows(plan.spec):
        initialize_from_rows(plan.network, plan.spec, plan.prepared.train)
    found = kfc.explain(spec, overrides)
    assert found.not_predicted == {}
    assert found.parameters == plan.network.count_params()
    of_one_member = 0.2 if "network.members" in overrides else 0.08
    assert found.loss == pytest.approx(measured_loss(plan), rel=of_one_member)
    assert found.outcome == "learns"


@pytest.mark.parametrize("preset", ["realmlp", "realmlp_s", "tabm"])
@pytest.mark.parametrize("spec", ["digits", "diabetes"])
def test_presets_are_predicted_without_a_finding(spec, preset):
    found = kfc.explain(spec, {"preset": preset})
    assert (found.not_predicted, found.findings, found.outcome) == ({}, (), "learns")


@pytest.mark.parametrize(
    "schedule",
    [
        {"name": "constant", "initial_learning_rate": 0.001, "warmup_epochs": 20},
        {"name": "coslog", "initial_learning_rate": 0.001},
        {"name": "step", "boundaries": [10], "values": [0.001, 0.0001]},
    ],
    ids=lambda schedule: schedule["name"],
)
def test_a_training_with_a_schedule_is_predicted(schedule):
    assert kfc.explain("digits", {"training.optimizer.learning_rate": schedule}).outcome == (
        "learns"
    )


def test_the_cure_of_a_schedule_is_a_schedule():
    wild = {"name": "step", "boundaries": [10], "values": [30.0, 3.0]}
    (finding,) = kfc.explain("digits", {"training.optimizer.learning_rate": wild}).findings
    ((path, values),) = finding.cure.items()
    assert path == "training.optimizer.learning_rate.values"
    assert values[0] == pytest.approx(10 * values[1])
    cured = {**wild, "values": values}
    assert (
        kfc.explain("digits", {"training.optimizer.learning_rate": cured}).outcome == "learns"
    )


@pytest.mark.parametrize("rate", [0.001, 30.0])
def test_a_rate_of_lion_is_judged_by_its_first_steps(rate):
    found = kfc.explain(
        "digits", {"training.optimizer": {"name": "lion", "learning_rate": rate}}
    )
    assert (found.stable_rate, found.eigenvalue) == (None, None)
    assert [each.name for each in found.findings] == ["rate_too_large"] * (rate == 30.0)
