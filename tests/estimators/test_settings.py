import numpy as np
import pytest

import kfc
from kfc.estimators.settings import Settings, continued

QUICK = {"hidden": [8], "epochs": 2, "random_state": 0}


def resolved(**arguments):
    return Settings("classification", **arguments).resolve(0)


def test_an_argument_wins_over_the_spec_and_the_spec_over_the_preset():
    spec = {"network": {"hidden": [5], "activation": "tanh"}, "training": {"epochs": 7}}
    found = resolved(spec=spec, preset="realmlp_s", epochs=3)
    assert [layer.units for layer in found.network.hidden] == [5]
    assert found.network.activation.name == "tanh"
    assert (found.training.epochs, found.training.batch_size) == (3, 256)
    assert found.preset is None


def test_a_rate_is_the_initial_one_of_a_schedule():
    rate = resolved(preset="realmlp_s", learning_rate=0.01).training.optimizer.schedule()
    assert (rate.name, rate.initial_learning_rate) == ("coslog", 0.01)
    assert resolved(preset=None, learning_rate=0.01).training.optimizer.schedule() is None


def test_a_training_by_parts_has_a_constant_rate_and_no_end():
    found = continued(resolved(preset="realmlp_s"))
    assert found.training.optimizer.options["learning_rate"] == 0.04
    assert found.data.validation == 0
    assert found.training.early_stopping is None


def test_early_stopping_may_be_a_patience():
    assert resolved(preset="realmlp_s", early_stopping=4).training.early_stopping.patience == 4
    assert (
        resolved(preset="realmlp_s", early_stopping=True).training.early_stopping.patience
        == 10
    )
    assert resolved(preset="realmlp_s", early_stopping=False).training.early_stopping is None


@pytest.mark.parametrize(
    "argument",
    [
        {"epochs": 0},
        {"hidden": [0]},
        {"hidden": "wide"},
        {"hidden": 8.5},
        {"activation": "none such"},
        {"learning_rate": -1.0},
        {"preset": "none such"},
        {"members": 0},
        {"batch_size": 1.5},
        {"random_state": -1},
        {"random_state": "seven"},
        {"class_weight": {9: 1.0}},
        {"early_stopping": "soon"},
        {"calibrate": "platt"},
        {"spec": {"network": {"hiden": [3]}}},
        {"spec": {"data": {"task": "regression"}}},
        {"spec": {"data": {"validation": "sklearn:iris"}}},
    ],
    ids=str,
)
def test_a_wrong_argument_is_refused_by_fit(argument, iris):
    estimator = kfc.Classifier(**QUICK | argument)
    with pytest.raises(ValueError, match=r".+"):
        estimator.fit(*iris)


def test_numbers_of_numpy_are_numbers(iris):
    given = {"hidden": [np.int64(3)], "epochs": np.int64(1), "learning_rate": np.float32(0.5)}
    assert kfc.Classifier(**given, random_state=np.int64(3)).fit(*iris).n_iter_ == 1
