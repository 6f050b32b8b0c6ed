"""What is suspicious in a finished training is named; ordinary trainings get no warning."""

from dataclasses import replace

import numpy as np
import pytest

import kfc
from kfc.findings import run_checks
from kfc.runs.trained_checks import Trained
from kfc.spec import load_spec
from kfc.training import LayerNumbers

ROWS = {"train": 1000, "val": 200, "test": 200}
HEALTHY = Trained(
    load_spec("digits"),
    {
        "loss": [2.0 * 0.8**epoch for epoch in range(20)],
        "val_loss": [2.1 * 0.85**epoch for epoch in range(20)],
        "val_accuracy": [0.97 - 0.8 * 0.8**epoch for epoch in range(20)],
    },
    {"val_loss": 0.1, "val_log_loss": 0.1, "val_accuracy": 0.96},
    {"val_log_loss": 2.3, "val_accuracy": 0.1},
    ROWS,
)
STILL = {
    "training.optimizer": {"name": "sgd", "learning_rate": 1e-12},
    "network.init": {"name": "random_normal", "stddev": 0.5},
}
"""The first weights predict worse than a constant, and they are the last ones as well."""

FALLEN = [2.0 * 0.7**epoch for epoch in range(10)]


def changed(history=None, **values):
    return replace(HEALTHY, history={**HEALTHY.history, **(history or {})}, **values)


def names_of(trained):
    return [finding.name for finding in run_checks("trained", trained)]


def test_a_healthy_training_has_no_warning():
    assert names_of(HEALTHY) == []


def test_answers_no_better_than_a_constant_are_named():
    found = changed(metrics={"val_loss": 2.4, "val_log_loss": 2.4, "val_accuracy": 0.1})
    assert names_of(found) == ["no_better_than_constant"]


def test_a_network_that_is_only_overconfident_has_learned():
    found = changed(metrics={"val_loss": 2.4, "val_log_loss": 2.4, "val_accuracy": 0.5})
    assert names_of(found) == []


def test_a_short_training_is_not_judged():
    found = replace(
        HEALTHY,
        history={"loss": [2.4, 2.4]},
        metrics={"val_loss": 2.4, "val_log_loss": 2.4, "val_accuracy": 0.1},
    )
    assert names_of(found) == []


def test_a_loss_that_has_grown_is_named_with_a_smaller_rate():
    (finding,) = run_checks("trained", changed({"loss": [*([1.0] * 17), 3.0, 3.0, 3.0]}))
    assert finding.name == "loss_has_grown"
    assert finding.cure == {"training.optimizer.learning_rate": 0.0001}


def test_a_loss_that_stands_still_is_named_with_a_larger_rate():
    found = changed(
        {"loss": [2.30] * 20},
        metrics={"val_log_loss": 2.29, "val_loss": 2.29, "val_accuracy": 0.1},
    )
    (finding,) = run_checks("trained", found)
    assert finding.name == "loss_stands_still"
    assert finding.cure == {"training.optimizer.learning_rate": 0.01}


def test_a_loss_that_jumps_is_named():
    assert names_of(changed({"loss": [2.0, *FALLEN[:4], *([0.4, 0.9] * 7), 0.4]})) == [
        "loss_oscillates"
    ]


def test_small_changes_of_a_small_loss_are_no_oscillation():
    assert names_of(changed({"loss": [*FALLEN, *([0.001, 0.002] * 5)]})) == []


def test_a_kept_network_that_was_better_before_is_named():
    history = {
        "val_loss": [*FALLEN, *np.linspace(0.3, 1.5, 10)],
        "val_accuracy": [*np.linspace(0.2, 0.9, 10), *np.linspace(0.9, 0.8, 10)],
    }
    assert names_of(changed(history)) == ["held_out_loss_has_grown"]
    assert names_of(changed(history, best_epoch=10)) == []


def test_a_loss_that_grows_while_the_accuracy_rises_is_ordinary():
    assert names_of(changed({"val_loss": [*FALLEN, *np.linspace(0.3, 1.5, 10)]})) == []


@pytest.mark.parametrize(("share", "named"), [(0.6, True), (0.3, False)])
def test_dead_units_are_named(share, named):
    layer = LayerNumbers("hidden_1", 10, 1.0, share, 0.1, 0.1, 0.001)
    logits = LayerNumbers("logits", 10, 0.0, 1.0, 0.1, 0.1, 0.001)
    assert names_of(changed(layers=[(7, [layer, logits])])) == ["units_have_died"] * named


def test_a_run_prints_and_keeps_its_warnings(tmp_path, capsys):
    run = kfc.fit("digits", overrides=STILL, runs=tmp_path)
    assert [warning["name"] for warning in run.warnings] == ["loss_stands_still"]
    assert kfc.load(run.folder).warnings == run.warnings
    assert capsys.readouterr().err.count("KFC415 loss_stands_still") == 1


def test_a_spec_accepts_a_warning(tmp_path):
    overrides = {**STILL, "accept": ["KFC415"]}
    run = kfc.fit("digits", overrides=overrides, runs=tmp_path, verbose=False)
    assert run.warnings == []
