import json

import numpy as np
import pytest

from kfc.data import Prepared, Rows, Task
from kfc.spec import load_spec
from kfc.training.metric_checks import monitor_undefined, objective_undefined

CLASSES = Task((4,), "float32", ("a", "b", "c"))


@pytest.mark.parametrize(("monitor", "refused"), [("val_r2", True), ("r2", False)])
def test_a_monitor_without_a_value_is_refused_before_training(monitor, refused):
    x, y = np.ones((4, 4), np.float32), np.arange(4, dtype=np.float32)[:, None]
    rows, constant = Rows(x, y), Rows(x, np.ones_like(y))
    spec = load_spec({"training": {"early_stopping": {"monitor": monitor}}})
    prepared = Prepared(rows, constant, rows, Task((4,), "float32", ()), "")
    if not refused:
        assert monitor_undefined(spec, prepared) == []
        return
    (finding,) = monitor_undefined(spec, prepared)
    assert "monitor, val_r2: expected validation rows" in str(finding)


def of_classes(held_out):
    x, y = np.ones((6, 4), np.float32), np.array([0, 1, 2, 0, 1, 2])
    rows = Rows(x, np.asarray(held_out))
    return Prepared(Rows(x, y), rows, rows, CLASSES, "")


@pytest.mark.parametrize("name", ["auc", "average_precision"])
@pytest.mark.parametrize(
    ("training", "where"),
    [
        ({"early_stopping": {"monitor": "val_NAME"}}, "training.early_stopping.monitor"),
        (
            {"callbacks": [{"name": "best_weights", "monitor": "val_NAME"}]},
            "training.callbacks[0].monitor",
        ),
        ({"metrics": ["mcc", "NAME"]}, "training.metrics[1]"),
    ],
)
def test_a_ranking_of_classes_needs_rows_of_each(name, training, where):
    spec = load_spec(json.loads(json.dumps({"training": training}).replace("NAME", name)))
    assert monitor_undefined(spec, of_classes([0, 1, 2, 2, 2, 2])) == []
    (finding,) = monitor_undefined(spec, of_classes([0, 2, 2, 0, 0, 2]))
    assert finding.where == f"{where}, val_{name}"
    assert finding.got == "6 without the class 'b'"
    assert finding.remedy == "Name val_loss, or hold out other rows."


def test_other_metrics_of_classes_have_a_value_without_a_class():
    metrics = ["log_loss", "balanced_accuracy", "f1", "mcc"]
    spec = load_spec({"training": {"metrics": metrics}})
    assert monitor_undefined(spec, of_classes([0] * 6)) == []


def test_without_validation_rows_the_test_rows_are_looked_at():
    spec = load_spec({"data": {"validation": 0}, "training": {"metrics": ["auc"]}})
    x = np.ones((6, 4), np.float32)
    train, test = Rows(x, np.array([0, 1, 2, 0, 1, 2])), Rows(x[:1], np.array([1]))
    (finding,) = monitor_undefined(spec, Prepared(train, None, test, CLASSES, ""))
    assert (finding.where, finding.expected) == (
        "training.metrics[0], test_auc",
        "test rows of every class",
    )


def test_an_objective_without_a_value_is_found():
    assert objective_undefined("val_auc", of_classes([0, 1, 2, 0, 1, 2])) is None
    finding = objective_undefined("val_auc", of_classes([0] * 6))
    assert finding.where == "search.objective, val_auc"
