"""Callbacks that stop at once or keep the worst epoch, and healthy ones like them."""

import pytest

import kfc

STOPPING = {"name": "EarlyStopping", "monitor": "val_loss", "patience": 2}
BEST = {"name": "best_weights", "monitor": "val_loss"}
PLATEAU = {"name": "ReduceLROnPlateau", "monitor": "val_accuracy", "patience": 2}


def diagnosis(rows, **training):
    spec = {"network": {"hidden": [8]}, "data": {"scale": "standard"}, "training": training}
    return kfc.doctor(spec, data=rows)


@pytest.mark.parametrize(
    ("callback", "right"),
    [
        ({**STOPPING, "mode": "max"}, False),
        ({**BEST, "mode": "max"}, False),
        ({**PLATEAU, "mode": "min"}, False),
        ({**STOPPING, "mode": "min"}, True),
        ({**PLATEAU, "mode": "max"}, True),
        (STOPPING, True),
    ],
)
def test_a_mode_of_the_other_direction_is_set_to_auto(rows, callback, right):
    found = diagnosis(rows, callbacks=[callback])
    assert [each.name for each in found.findings] == ([] if right else ["mode_reversed"])
    cured = found.changes.get("training.callbacks", [{"mode": None}])
    assert [each["mode"] for each in cured] == [None if right else "auto"]
    assert right or diagnosis(rows, callbacks=cured).codes == ()


@pytest.mark.parametrize(
    ("stopping", "right"),
    [
        ({"min_delta": 1.0}, False),
        ({"min_delta": 0.9, "monitor": "val_accuracy"}, False),
        ({"min_delta": 1.0, "patience": None}, True),
        ({"min_delta": 0.01, "monitor": "val_accuracy"}, True),
        ({"min_delta": 0.05}, True),
    ],
)
def test_an_improvement_that_no_epoch_can_have_is_named(rows, stopping, right):
    found = diagnosis(rows, early_stopping=stopping)
    assert [each.name for each in found.findings] == ([] if right else ["min_delta_too_large"])
    path = "training.early_stopping.min_delta"
    assert found.changes == ({} if right else {path: 0.0})


def test_the_callbacks_of_keras_wait_for_improvements_too(rows):
    found = diagnosis(rows, callbacks=[{**STOPPING, "min_delta": 5.0}])
    (cured,) = found.changes["training.callbacks"]
    assert (cured["name"], cured["patience"], cured["min_delta"]) == ("EarlyStopping", 2, 0.0)


@pytest.mark.parametrize(("share", "right"), [(0.9, False), (0.5, True), (0.0, True)])
def test_more_validation_rows_than_training_rows_are_named(rows, share, right):
    spec = {"network": {"hidden": [8]}, "data": {"scale": "standard", "validation": share}}
    found = kfc.doctor({**spec, "training": {"epochs": 200}}, data=rows)
    assert found.codes == (() if right else ("KFC115",))
    assert found.changes == ({} if right else {"data.validation": 0.1})
