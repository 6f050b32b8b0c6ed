import numpy as np
import pytest
from sklearn.datasets import load_diabetes

import kfc
from kfc.diagnosing import cure_spec, diagnose_spec
from kfc.errors import DataError, SpecError
from kfc.spec import load_spec

SMALL = {"data": {"source": "sklearn:iris", "scale": "standard"}, "network": {"hidden": [8]}}


def test_zeros_are_cured_by_random_weights():
    spec = load_spec(SMALL, {"network.init": "zeros"})
    diagnosis = diagnose_spec(spec)
    assert [each.name for each in diagnosis.findings] == ["units_identical"]
    assert cure_spec(spec, diagnosis) == {"network.init": "he_normal"}


def test_after_data_that_are_refused_the_diagnosis_goes_on_with_the_cured_spec(rows):
    x, y = rows
    spec = {**SMALL, "data": {"scale": "none"}, "network": {"hidden": [8], "init": "zeros"}}
    diagnosis = kfc.doctor(spec, data=(1000 * x, y))
    assert {each.name for each in diagnosis.errors} == {"unscaled_input", "units_identical"}
    assert diagnosis.changes["data.scale"] == "standard"


def test_an_accepted_check_is_left_out():
    spec = load_spec(SMALL, {"network.activation": "linear", "network.hidden": [8, 8]})
    assert [each.name for each in diagnose_spec(spec).findings] == ["no_activation"]
    accepting = load_spec(spec, {"accept": ["KFC302"]})
    assert diagnose_spec(accepting).findings == ()


def test_data_that_cannot_be_read_are_an_error(tmp_path):
    with pytest.raises(DataError):
        kfc.doctor({"data": {"source": f"npz:{tmp_path / 'none.npz'}"}})


def test_members_that_cannot_train_at_once_are_an_error():
    changes = {"training.at_once": "always", "training.optimizer": "nadam"}
    with pytest.raises(SpecError, match="nadam"):
        diagnose_spec(load_spec(SMALL, {**changes, "training.members": 2}))


def test_data_that_are_refused_without_a_cure_are_a_finding(rows):
    x, y = rows
    x[3, 2] = np.nan
    diagnosis = kfc.doctor({"network": {"hidden": [8]}}, data=(x, y))
    (finding,) = diagnosis.findings
    assert finding.label == "KFC205 input_not_finite"
    assert finding.evidence["row"] == 3


def test_the_shuffled_labels_of_a_source_are_named(rows):
    x, y = rows
    data = (x, np.random.default_rng(1).permutation(y))
    found = kfc.doctor({"network": {"hidden": [8]}}, data=data).findings
    assert "targets_unrelated" in [each.name for each in found]


def test_a_regression_in_other_units_is_cured_by_scaling_its_targets(rows):
    x, _ = rows
    spec = {"data": {"scale_target": "none"}, "network": {"hidden": [8]}}
    diagnosis = kfc.doctor(spec, data=(x, 1e6 * np.tanh(x[:, 0] * x[:, 1]) + 3e6))
    assert [each.name for each in diagnosis.findings] == ["target_unscaled"]
    assert diagnosis.changes == {"data.scale_target": "standard"}


def test_a_schedule_is_cured_at_its_initial_rate():
    cosine = {"name": "cosine", "initial_learning_rate": 30.0}
    spec = load_spec(SMALL, {"training.optimizer": {"name": "adam", "learning_rate": cosine}})
    changes = diagnose_spec(spec).changes
    (path,) = changes
    assert path == "training.optimizer.learning_rate.initial_learning_rate"
    assert 1e-4 < changes[path] < 0.1


def test_units_that_their_biases_silence_are_cured():
    bias = {"name": "constant", "value": -50.0}
    diagnosis = diagnose_spec(load_spec(SMALL, {"network.bias_init": bias}))
    assert [each.name for each in diagnosis.findings] == ["units_dead"]
    assert diagnosis.changes["network.bias_init"] == "zeros"


@pytest.mark.parametrize(("loss", "classes"), [("mse", 10), ("mean_absolute_error", 10)])
def test_a_distance_of_numbers_as_the_loss_of_classes_is_named(loss, classes):
    (finding,) = kfc.doctor("digits", overrides={"training.loss": loss}).findings
    assert finding.name == "squared_error_for_classes"
    assert finding.cure == {"training.loss": "cross_entropy"}
    most = np.e / (np.e + classes - 1)
    assert finding.evidence["largest_probability"] == pytest.approx(most)


def test_a_squared_error_of_numbers_is_no_fault():
    assert kfc.doctor("diabetes").findings == ()


@pytest.mark.parametrize(
    ("network", "name", "changes"),
    [
        (
            {"hidden": [16] * 15, "activation": "sigmoid"},
            "gradient_vanishes",
            {"network.activation": "relu", "network.init": "he_normal"},
        ),
        (
            {
                "hidden": [32] * 3,
                "activation": "tanh",
                "init": {"name": "random_normal", "stddev": 5.0},
            },
            "start_loss_high",
            {"network.init": "glorot_uniform"},
        ),
    ],
    ids=["a sigmoid that loses the signal", "a tanh that large weights saturate"],
)
def test_the_cause_is_named_and_not_its_consequences(rows, network, name, changes):
    spec = {"data": {"scale": "standard"}, "network": network, "training": {"epochs": 20}}
    diagnosis = kfc.doctor(spec, data=rows)
    assert [each.name for each in diagnosis.findings] == [name]
    assert diagnosis.changes == changes


def test_inputs_that_are_too_small_are_cured_by_scaling(rows):
    x, y = rows
    spec = {"data": {"scale": "none"}, "network": {"hidden": [8]}}
    spec["training"] = {"optimizer": {"name": "sgd", "learning_rate": 0.01}, "epochs": 20}
    diagnosis = kfc.doctor(spec, data=(1e-4 * x, y))
    assert [each.name for each in diagnosis.findings] == ["inputs_too_small"]
    assert diagnosis.changes == {"data.scale": "standard"}
    assert kfc.doctor(spec, diagnosis.changes, data=(1e-4 * x, y)).findings == ()


def test_softmax_as_hidden_activation_is_cured_by_relu(rows):
    spec = {
        "network": {"hidden": [16], "activation": "softmax"},
        "data": {"scale": "standard"},
    }
    diagnosis = kfc.doctor(spec, data=rows)
    assert [each.name for each in diagnosis.findings] == ["softmax_hidden"]
    assert diagnosis.changes["network.activation"] == "relu"


def test_a_decay_that_forgets_at_once_is_cured():
    adamw = {"name": "adamw", "learning_rate": 0.01, "weight_decay": 10.0}
    diagnosis = diagnose_spec(load_spec(SMALL, {"training.optimizer": adamw}))
    assert [each.name for each in diagnosis.findings] == ["decay_dominates"]
    assert diagnosis.changes == {"training.optimizer.weight_decay": 0.001}


def test_a_cure_never_has_a_value_that_the_spec_has_already():
    bias = {"name": "constant", "value": -50.0}
    spec = load_spec(SMALL, {"network.bias_init": bias, "network.init": "he_normal"})
    assert diagnose_spec(spec).changes == {"network.bias_init": "zeros"}


@pytest.mark.slow
def test_residual_blocks_whose_start_the_first_steps_undo_are_no_fault():
    network = {"network.block": "residual", "network.normalization": "layer"}
    diagnosis = kfc.doctor("digits", {**network, "network.hidden": [64] * 8})
    assert diagnosis.measured["loss"] > diagnosis.measured["guess_loss"] + 6
    assert diagnosis.findings == ()


@pytest.mark.parametrize("unit", [1e5, 1e-5, 1e-9])
def test_the_unit_of_scaled_targets_makes_no_difference(unit):
    """Outputs are in the targets' unit, and so is the slope of the loss for them."""
    x, y = load_diabetes(return_X_y=True)
    spec = {"data": {"scale": "standard"}, "network": {"hidden": [32]}}
    assert kfc.doctor(spec, data=(x, unit * y)).findings == ()
