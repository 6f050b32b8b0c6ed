import pytest

from kfc.spec import load_spec

LR = "training.optimizer.learning_rate"
RATE = {"initial_learning_rate": 0.1}


@pytest.mark.parametrize("metric", ["loss", "accuracy", "mae", "r2"])
def test_rows_trained_on_are_no_objective(metric, findings_of):
    (finding,) = findings_of({"search.objective": metric})
    assert "on validation rows" in finding.expected
    assert f"Name val_{metric}:" in finding.remedy
    assert load_spec("digits", {"search.objective": f"val_{metric}"})


def test_an_objective_is_one_of_the_task(findings_of):
    regression = {"data.task": "regression"}
    (finding,) = findings_of({**regression, "search.objective": "val_accuracy"})
    assert finding.expected == "a recorded metric of a regression on validation rows"
    assert "Known: val_loss, val_mae, val_r2, val_rmse, " in finding.remedy
    assert load_spec("digits", {**regression, "search.objective": "val_mae"})


@pytest.mark.parametrize("objective", [None, "val_loss"])
def test_a_search_needs_rows_that_are_held_out(objective, findings_of):
    (finding,) = findings_of({"search.objective": objective, "data.validation": 0})
    assert finding.where == "search.objective"
    assert finding.remedy == "Set data.validation to 0.1."


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
    "a temperature of numbers": (
        {"data.task": "regression", "training.calibrate": "temperature"},
        "training.calibrate",
        "'temperature' for a regression",
    ),
    "intervals of classes": (
        {"data.task": "classification", "training.interval_coverage": 0.9},
        "training.interval_coverage",
        "0.9 for a classification",
    ),
    "no rows to calibrate on": (
        {"data.validation": 0, "training.calibrate": "temperature"},
        "training.calibrate",
        "'temperature' while data.validation is 0",
    ),
    "no rows for intervals": (
        {"data.validation": 0, "training.interval_coverage": 0.9},
        "training.interval_coverage",
        "0.9 while data.validation is 0",
    ),
    "two owners of the rate": (
        {LR: {"name": "cosine", **RATE}, "training.callbacks": ["ReduceLROnPlateau"]},
        "training.callbacks[0].name",
        "'ReduceLROnPlateau' beside the schedule 'cosine'",
    ),
}


@pytest.mark.parametrize("case", COMBINED)
def test_an_impossible_combination_is_refused(case, findings_of):
    overrides, where, got = COMBINED[case]
    (finding,) = findings_of(overrides)
    assert (finding.where, finding.got) == (where, got)


def test_a_metric_of_outputs_is_not_computed_on_training_rows(findings_of):
    (finding,) = findings_of({"training.early_stopping": {"monitor": "auc"}})
    assert finding.where == "training.early_stopping.monitor"
    assert finding.got == "'auc' of training rows, on which it is not computed"
    assert finding.remedy == "Name val_auc, that of the validation rows."


def test_a_metric_of_outputs_needs_rows_that_are_held_out(findings_of):
    changes = {"data.validation": 0, "training.early_stopping": {"monitor": "val_auc"}}
    (finding,) = findings_of(changes)
    assert finding.remedy == "Set data.validation to 0.1, or name 'loss'."


@pytest.mark.parametrize(
    ("task", "name", "remedy"),
    [
        (None, "accuracy", "Leave accuracy out: every training records it."),
        (None, "f1_macro", "Known: log_loss, auc, balanced_accuracy, f1"),
        ("regression", "auc", "Known: rmse, median_absolute_error, pinball."),
        ("classification", "val_auc", "Did you mean 'auc'?"),
    ],
)
def test_the_listed_metrics_are_further_ones_of_the_task(task, name, remedy, findings_of):
    first = "rmse" if task == "regression" else "log_loss"
    (finding,) = findings_of({"data.task": task, "training.metrics": [first, name]})
    assert finding.where == "training.metrics"
    assert remedy in finding.remedy
